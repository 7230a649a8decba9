//! The recorder: a handle for the feed, and the task that writes.

use std::sync::Arc;
use std::time::Instant;

use market_model::{Clock, ConnectionId, FeedEvent, InstrumentCatalog, UnixNanos};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::block::FrameKind;
use crate::config::RecorderConfig;
use crate::error::RecordingError;
use crate::event;
use crate::format::RecordedAccount;
use crate::metrics::RecorderMetrics;
use crate::queue::{Queue, Work};
use crate::reader::{Concerned, concerned};
use crate::status::{RecorderState, RecorderStatus};
use crate::volume::{Disk, Volume};
use crate::writer::Writer;

/// Makes recorders; see [`Recorder::new`].
#[derive(Debug, Clone, Copy)]
pub struct Recorder;

/// The feed's end of a recorder. Clones feed the same recording, which is closed when the last one is gone.
///
/// No call waits for the disk. What finds no room in memory is counted and leaves a hole in the recording.
#[derive(Clone)]
pub struct RecorderHandle {
    owner: Arc<Owner>,
    text_frames: bool,
    clock: Arc<dyn Clock>,
    status: watch::Receiver<RecorderStatus>,
}

/// The writing end: run it on a task of your supervisor.
pub struct RecorderTask {
    queue: Arc<Queue>,
    writer: Writer,
    clock: Arc<dyn Clock>,
    config: RecorderConfig,
    status: watch::Sender<RecorderStatus>,
    failures: u64,
    reported: Reported,
}

/// What the metrics know already.
#[derive(Debug, Default)]
struct Reported {
    written: u64,
    deleted: u64,
}

/// Closes the queue when the last handle is gone.
struct Owner(Arc<Queue>);

// === impl Recorder ===

impl Recorder {
    /// A recorder that writes nothing until its task runs. `clock` stamps events and names files.
    ///
    /// # Errors
    /// When the compression cannot be prepared; the folder is looked at when the first block is written.
    #[expect(clippy::new_ret_no_self, reason = "a recorder is its two ends")]
    pub fn new(
        config: RecorderConfig,
        clock: Arc<dyn Clock>,
        metrics: RecorderMetrics,
    ) -> Result<(RecorderHandle, RecorderTask), RecordingError> {
        Self::on(Box::new(Disk), config, clock, metrics)
    }

    pub(crate) fn on(
        volume: Box<dyn Volume>,
        config: RecorderConfig,
        clock: Arc<dyn Clock>,
        metrics: RecorderMetrics,
    ) -> Result<(RecorderHandle, RecorderTask), RecordingError> {
        let queue = Arc::new(Queue::new(config.block_bytes, config.queue_bytes, metrics));
        let (sender, status) = watch::channel(RecorderStatus::default());
        let handle = RecorderHandle {
            owner: Arc::new(Owner(queue.clone())),
            text_frames: config.text_frames,
            clock: clock.clone(),
            status,
        };
        let writer = Writer::new(config.clone(), volume)?;
        let reported = Reported::default();
        Ok((handle, RecorderTask { queue, writer, clock, config, status: sender, failures: 0, reported }))
    }
}

// === impl RecorderHandle ===

impl RecorderHandle {
    /// Records a websocket frame as it left the socket at `ts_recv`.
    pub fn frame(&self, connection: &ConnectionId, ts_recv: UnixNanos, kind: FrameKind, bytes: &[u8]) {
        if kind == FrameKind::Binary || self.text_frames {
            self.owner.0.frame(connection, ts_recv, kind, bytes);
        }
    }

    /// Records what the feed says about itself. Ticks are not: they are in the frames.
    pub fn event(&self, event: &FeedEvent) {
        let mut bytes = Vec::new();
        if event::encode(event, &mut bytes) {
            let connection = match concerned(event) {
                Concerned::Connection(connection) => Some(connection),
                Concerned::Account(_) => None,
            };
            self.owner.0.event(connection, self.clock.now(), &bytes);
        }
    }

    /// Says which instruments are valid from now on. A recording can be replayed from its first catalog on.
    pub fn instruments(&self, catalog: &Arc<InstrumentCatalog>) {
        self.owner.0.instruments(catalog.clone(), self.clock.now());
    }

    /// Says, before their first frame, that these accounts are recorded beside those known. When one of them is new, or is
    /// simulated and was not, the next file is begun: a file names its accounts where it begins.
    pub fn accounts(&self, accounts: Vec<RecordedAccount>) {
        self.owner.0.accounts(accounts);
    }

    /// A view for health pages, renewed with every block.
    pub fn status(&self) -> watch::Receiver<RecorderStatus> {
        self.status.clone()
    }
}

impl std::fmt::Debug for RecorderHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderHandle").field("text_frames", &self.text_frames).finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

// === impl RecorderTask ===

impl RecorderTask {
    /// A view for health pages, renewed with every block.
    pub fn status(&self) -> watch::Receiver<RecorderStatus> {
        self.status.subscribe()
    }

    /// Writes until every handle is gone and everything is written, then closes the file and says what was done.
    /// While the disk refuses, it tries again and again; once the handles are gone, one last time.
    ///
    /// # Errors
    /// When the thread that writes panics.
    ///
    /// # Cancel safety
    /// Dropping the future loses what waits in memory and leaves the file without an index; every block that was
    /// written can be read.
    pub async fn run(mut self) -> Result<RecorderStatus, RecordingError> {
        let mut next_flush = tokio::time::Instant::now() + self.config.flush_interval;
        loop {
            let queue = self.queue.clone();
            let woken = queue.wake.notified();
            let flush = tokio::time::Instant::now() >= next_flush;
            if flush {
                next_flush = tokio::time::Instant::now() + self.config.flush_interval;
            }
            // Asked for before the queue is emptied: what comes after that is found in another turn.
            let closed = self.queue.is_closed();
            if let Some(work) = self.queue.take(flush) {
                self = self.write(work).await?;
                continue;
            }
            if closed {
                break;
            }
            self.publish(None);
            tokio::select! {
                () = woken => {}
                () = sleep_until(next_flush) => {}
            }
        }
        self.finish().await
    }

    /// Writes `work`, trying again for as long as the disk refuses and anybody is there to record for.
    async fn write(mut self, mut work: Work) -> Result<Self, RecordingError> {
        loop {
            let last_try = self.queue.is_closed();
            let begun = Instant::now();
            let result;
            (self, work, result) = self.try_write(work).await?;
            self.queue.metrics.duration.record(begun.elapsed().as_secs_f64());
            match result {
                Ok(()) => {
                    self.queue.set_failing(false);
                    if let Work::Block(block) = work {
                        self.queue.done(block);
                    }
                    self.publish(Some(RecorderState::Recording));
                    return Ok(self);
                }
                Err(error) => {
                    self.failed(&error);
                    if last_try {
                        if let Work::Block(block) = work {
                            self.queue.give_up(block);
                        }
                        return Ok(self);
                    }
                    self.wait_for_retry().await;
                }
            }
        }
    }

    async fn try_write(
        mut self,
        work: Work,
    ) -> Result<(Self, Work, Result<(), RecordingError>), RecordingError> {
        let now = self.clock.now();
        let write = move || {
            let result = match &work {
                Work::Block(block) => self.writer.write_block(block, now),
                Work::Instruments { catalog, ts } => self.writer.write_instruments(catalog, *ts),
                Work::Accounts(accounts) => self.writer.take_accounts(accounts),
            };
            (self, work, result)
        };
        tokio::task::spawn_blocking(write).await.map_err(|_| RecordingError::ThreadEnded("writing"))
    }

    async fn wait_for_retry(&self) {
        let retry = tokio::time::Instant::now() + self.config.retry_interval;
        loop {
            let woken = self.queue.wake.notified();
            if self.queue.is_closed() {
                return;
            }
            tokio::select! {
                () = woken => {}
                () = sleep_until(retry) => return,
            }
        }
    }

    async fn finish(mut self) -> Result<RecorderStatus, RecordingError> {
        let close = move || {
            let result = self.writer.finish();
            (self, result)
        };
        let result;
        (self, result) =
            tokio::task::spawn_blocking(close).await.map_err(|_| RecordingError::ThreadEnded("writing"))?;
        if let Err(error) = result {
            self.failed(&error);
        }
        self.publish(Some(RecorderState::Ended));
        let status = self.status.borrow().clone();
        tracing::info!(frames = status.counts.frames, lost = status.counts.frames_lost, "recording closed");
        Ok(status)
    }

    fn failed(&mut self, error: &RecordingError) {
        self.failures += 1;
        self.queue.metrics.failures.increment(1);
        self.queue.set_failing(true);
        if !matches!(self.status.borrow().state, RecorderState::Paused { .. }) {
            tracing::warn!(%error, "recording paused, the feed is not affected");
        }
        self.publish(Some(RecorderState::Paused { reason: error.to_string().into() }));
    }

    fn publish(&mut self, state: Option<RecorderState>) {
        let (counts, waiting_bytes) = self.queue.counts();
        let (written, disk_bytes) = (self.writer.written(), self.writer.total_bytes());
        let metrics = &self.queue.metrics;
        // After a failed write some bytes may have been taken back.
        let newly = written.file_bytes.saturating_sub(self.reported.written);
        metrics.written.increment(newly);
        metrics.deleted.increment(written.deleted_files - self.reported.deleted);
        self.reported = Reported { written: self.reported.written + newly, deleted: written.deleted_files };
        metrics.waiting.set(waiting_bytes as f64);
        metrics.disk.set(disk_bytes as f64);
        let file = self.writer.path().map(ToOwned::to_owned);
        let failures = self.failures;
        self.status.send_modify(|status| {
            if let Some(state) = state {
                let paused = matches!(state, RecorderState::Paused { .. });
                metrics.paused.set(f64::from(u8::from(paused)));
                status.state = state;
            }
            *status = RecorderStatus {
                state: std::mem::take(&mut status.state),
                counts,
                file,
                files: written.files,
                blocks: written.blocks,
                raw_bytes: written.raw_bytes,
                written_bytes: written.file_bytes,
                failures,
                disk_bytes,
                deleted_files: written.deleted_files,
                waiting_bytes,
            };
        });
    }
}

impl std::fmt::Debug for RecorderTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderTask").field("folder", &self.config.folder).finish_non_exhaustive()
    }
}
