//! Recorded frames in place of the seeded market: who subscribes a token gets its recorded packets at their pace.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kite_wire::InstrumentRow;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::server::Shared;

/// Frames read ahead of their time: some seconds of a busy recording.
const AHEAD: usize = 1_024;
/// How often the start and slow readers are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A frame as the ticker once sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFrame {
    /// When it came, counted from any moment that is the same for all frames.
    pub offset: Duration,
    /// The binary message. Whose connection it came over does not matter.
    pub bytes: Bytes,
}

/// Where recorded frames come from. Every iterator of [`SourceFrame`] is one.
pub trait FrameSource: Send + 'static {
    /// The next frame in the order of time; `None` at the end. It may block: it is called on a thread of its own.
    ///
    /// # Errors
    /// Whatever keeps it from going on; the replay ends there.
    fn next_frame(&mut self) -> Result<Option<SourceFrame>, Box<dyn std::error::Error + Send + Sync>>;
}

/// How recorded frames are served.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// Recorded seconds per real second; `None` is as fast as the slowest client reads.
    pub speed: Option<f64>,
    /// When it starts.
    pub start: ReplayStart,
    /// What the dump lists and clients may subscribe; when empty, the dump is the simulated market's and every token
    /// may be subscribed.
    pub instruments: Vec<InstrumentRow>,
}

/// When a replay starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// With the simulator.
    AtOnce,
    /// So long after the first subscription, which gives clients time to subscribe everything.
    AfterSubscription(Duration),
}

/// A replay that has not started.
pub(crate) struct Replay {
    source: Box<dyn FrameSource>,
    speed: Option<f64>,
    start: ReplayStart,
}

// === impl FrameSource ===

impl<I> FrameSource for I
where
    I: Iterator<Item = SourceFrame> + Send + 'static,
{
    fn next_frame(&mut self) -> Result<Option<SourceFrame>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.next())
    }
}

// === impl ReplayConfig ===

impl Default for ReplayConfig {
    /// At the recorded pace, a second after the first subscription, any token.
    fn default() -> Self {
        let start = ReplayStart::AfterSubscription(Duration::from_secs(1));
        Self { speed: Some(1.0), start, instruments: Vec::new() }
    }
}

// === impl Replay ===

impl Replay {
    pub(crate) fn new(source: impl FrameSource, config: &ReplayConfig) -> Self {
        Self { source: Box::new(source), speed: config.speed, start: config.start }
    }

    /// Splits it into the reading, which blocks, and the playing.
    pub(crate) fn begin(
        self,
        shared: Arc<Shared>,
        shutdown: CancellationToken,
    ) -> (impl FnOnce() + Send + 'static, impl Future<Output = ()> + Send + 'static) {
        let Self { mut source, speed, start } = self;
        let (sender, frames) = mpsc::channel(AHEAD);
        let reading = move || {
            loop {
                match source.next_frame() {
                    Ok(Some(frame)) => {
                        if sender.blocking_send(frame).is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::error!(%error, "recording cannot be read on, the replay ends here");
                        return;
                    }
                }
            }
        };
        let playing = async move {
            tokio::select! {
                () = play(&shared, frames, speed, start) => tracing::info!("replay finished"),
                () = shutdown.cancelled() => {}
            }
        };
        (reading, playing)
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("speed", &self.speed).finish_non_exhaustive()
    }
}

async fn play(
    shared: &Shared,
    mut frames: mpsc::Receiver<SourceFrame>,
    speed: Option<f64>,
    start: ReplayStart,
) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if let ReplayStart::AfterSubscription(settle) = start {
        while !shared.engine().is_subscribed() {
            look.tick().await;
        }
        tokio::time::sleep(settle).await;
    }
    let mut began = None;
    while let Some(frame) = frames.recv().await {
        let (first, at) = *began.get_or_insert_with(|| (frame.offset, Instant::now()));
        match speed {
            Some(speed) => {
                sleep_until(at + frame.offset.saturating_sub(first).div_f64(speed)).await;
            }
            None => {
                while !shared.engine().has_room() {
                    look.tick().await;
                }
            }
        }
        let now = shared.now();
        shared.engine().replay(&frame.bytes, now);
    }
    shared.engine().finish_replay();
}
