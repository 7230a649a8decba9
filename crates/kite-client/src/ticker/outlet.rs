//! The way out to the feed: never blocks the socket, never loses a control event, counts every tick it drops.

use std::sync::Arc;
use std::time::Duration;

use market_model::{ConnectionId, FeedEvent, Gap, GapCause, TickFrame, UnixNanos};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use crate::ticker::backlog::Backlog;
use crate::{FrameTap, TickerMetrics};

/// Overload lasts; a line each frame would make it worse.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// One connection's end of the feed channel.
pub(crate) struct Outlet {
    connection: ConnectionId,
    feed: mpsc::Sender<FeedEvent>,
    backlog: Backlog,
    overrun: Option<Overrun>,
    last_delivered: Option<UnixNanos>,
    dropped_ticks: u64,
    logged_ticks: u64,
    logged_at: Option<UnixNanos>,
    tap: Option<Arc<dyn FrameTap>>,
    metrics: TickerMetrics,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is in the feed.
    Delivered,
    /// The feed had no room.
    Dropped,
}

/// Ticks dropped since the last delivered frame.
#[derive(Debug, Clone, Copy)]
struct Overrun {
    from: UnixNanos,
    ticks: u64,
}

// === impl Outlet ===

impl Outlet {
    pub(crate) fn new(
        connection: ConnectionId,
        feed: mpsc::Sender<FeedEvent>,
        tap: Option<Arc<dyn FrameTap>>,
        metrics: TickerMetrics,
    ) -> Self {
        Self {
            connection,
            feed,
            backlog: Backlog::default(),
            overrun: None,
            last_delivered: None,
            dropped_ticks: 0,
            logged_ticks: 0,
            logged_at: None,
            tap,
            metrics,
        }
    }

    /// Says anything but ticks. It is kept until there is room.
    pub(crate) fn control(&mut self, event: FeedEvent, at: UnixNanos) {
        if let Some(tap) = &self.tap {
            tap.event(&event);
        }
        if let Some(overrun) = self.overrun.take() {
            let gap = self.overrun_gap(overrun, at);
            self.backlog.push(gap);
        }
        self.backlog.push(event);
        self.flush();
    }

    /// Delivers a frame, or drops it when the feed is full: the hole is told before the next frame that fits.
    pub(crate) fn ticks(&mut self, frame: TickFrame) -> Delivery {
        let at = frame.ts_recv;
        let ticks = frame.ticks.len() as u64;
        self.flush();
        let sent = match (self.backlog.is_empty(), self.overrun) {
            (false, _) => false,
            (true, None) => self.feed.try_send(FeedEvent::Ticks(frame)).is_ok(),
            // Both or neither: a gap without the frame after it would only take the place of a frame.
            (true, Some(overrun)) => match self.feed.try_reserve_many(2) {
                Ok(permits) => {
                    let gap = self.overrun_gap(overrun, at);
                    for (permit, event) in permits.zip([gap, FeedEvent::Ticks(frame)]) {
                        permit.send(event);
                    }
                    self.overrun = None;
                    true
                }
                Err(_) => false,
            },
        };
        if sent {
            self.last_delivered = Some(at);
            return Delivery::Delivered;
        }
        self.metrics.dropped_ticks.increment(ticks);
        self.metrics.dropped_frames.increment(1);
        self.dropped_ticks += ticks;
        let from = self.last_delivered.unwrap_or(at);
        self.overrun.get_or_insert(Overrun { from, ticks: 0 }).ticks += ticks;
        Delivery::Dropped
    }

    /// Tells a hole that no frame came to end, once there is room; and says in the log, now and then, that ticks
    /// are dropped.
    pub(crate) fn settle(&mut self, now: UnixNanos) {
        self.flush();
        if self.backlog.is_empty()
            && let Some(overrun) = self.overrun
            && let Ok(permit) = self.feed.try_reserve()
        {
            permit.send(self.overrun_gap(overrun, now));
            self.overrun = None;
        }
        let unsaid = self.dropped_ticks - self.logged_ticks;
        if unsaid > 0 && self.logged_at.is_none_or(|at| now.saturating_since(at) >= LOG_EVERY) {
            tracing::warn!(connection = %self.connection, ticks = unsaid, "feed is full, ticks were dropped");
            self.logged_ticks = self.dropped_ticks;
            self.logged_at = Some(now);
        }
    }

    /// Whether something waits for room.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Waits for room and says the next waiting thing.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn room(&mut self) {
        match self.feed.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.backlog.pop() {
                    permit.send(event);
                }
            }
            Err(_closed) => self.backlog.clear(),
        }
    }

    /// Says everything that waits, but waits no longer than `patience` for room.
    pub(crate) async fn finish(&mut self, now: UnixNanos, patience: Duration) {
        if let Some(overrun) = self.overrun.take() {
            let gap = self.overrun_gap(overrun, now);
            self.backlog.push(gap);
        }
        let all = async {
            while self.has_backlog() {
                self.room().await;
            }
        };
        if timeout(patience, all).await.is_err() {
            tracing::warn!(
                connection = %self.connection,
                "feed is full at shutdown, its last health events are lost"
            );
        }
    }

    fn flush(&mut self) {
        while !self.backlog.is_empty() {
            match self.feed.try_reserve() {
                Ok(permit) => {
                    if let Some(event) = self.backlog.pop() {
                        permit.send(event);
                    }
                }
                Err(TrySendError::Full(())) => return,
                Err(TrySendError::Closed(())) => self.backlog.clear(),
            }
        }
    }

    fn overrun_gap(&self, overrun: Overrun, to: UnixNanos) -> FeedEvent {
        FeedEvent::Gap(Gap {
            connection: self.connection.clone(),
            from: overrun.from,
            to,
            cause: GapCause::Overrun,
            tokens: None,
            lost_ticks: Some(overrun.ticks),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use market_model::{InstrumentToken, Price, Tick, TickBody};

    use super::*;

    fn connection() -> ConnectionId {
        ConnectionId { account: Arc::from("test"), index: 0 }
    }

    fn frame(second: i64, ticks: usize) -> TickFrame {
        let tick = Tick { token: InstrumentToken(1), last_price: Price::ZERO, body: TickBody::Ltp };
        TickFrame {
            connection: connection(),
            ts_recv: UnixNanos::from_secs(second),
            ticks: vec![tick; ticks],
        }
    }

    fn up(second: i64) -> FeedEvent {
        FeedEvent::Connected { connection: connection(), at: UnixNanos::from_secs(second) }
    }

    fn outlet(capacity: usize) -> (Outlet, mpsc::Receiver<FeedEvent>) {
        let (feed, events) = mpsc::channel(capacity);
        (Outlet::new(connection(), feed, None, TickerMetrics::noop()), events)
    }

    fn seen(events: &mut mpsc::Receiver<FeedEvent>) -> Vec<String> {
        let mut seen = Vec::new();
        while let Ok(event) = events.try_recv() {
            seen.push(match event {
                FeedEvent::Ticks(frame) => format!("ticks at {}", frame.ts_recv.as_secs()),
                FeedEvent::Gap(gap) => {
                    let (from, to, lost) = (gap.from.as_secs(), gap.to.as_secs(), gap.lost_ticks);
                    format!("{:?} {from}..{to} lost {lost:?}", gap.cause)
                }
                FeedEvent::Connected { at, .. } => format!("up at {}", at.as_secs()),
                other => format!("{other:?}"),
            });
        }
        seen
    }

    #[test]
    fn dropped_ticks_are_told_before_the_next_frame() {
        let (mut outlet, mut events) = outlet(2);
        use Delivery::{Delivered, Dropped};
        let fates: Vec<_> = (1..=4).map(|second| outlet.ticks(frame(second, 10))).collect();
        assert_eq!(fates, [Delivered, Delivered, Dropped, Dropped]);
        assert_eq!(seen(&mut events), ["ticks at 1", "ticks at 2"]);
        outlet.ticks(frame(5, 10));
        outlet.ticks(frame(6, 7));
        assert_eq!(seen(&mut events), ["Overrun 2..5 lost Some(20)", "ticks at 5"]);
        outlet.ticks(frame(7, 1));
        assert_eq!(seen(&mut events), ["Overrun 5..7 lost Some(7)", "ticks at 7"]);
    }

    #[test]
    fn control_events_wait_for_room_and_come_before_later_ticks() {
        let (mut outlet, mut events) = outlet(1);
        outlet.ticks(frame(1, 1));
        outlet.control(up(2), UnixNanos::from_secs(2));
        outlet.ticks(frame(3, 1));
        assert!(outlet.has_backlog());
        assert_eq!(seen(&mut events), ["ticks at 1"]);
        outlet.ticks(frame(4, 1));
        assert_eq!(seen(&mut events), ["up at 2"]);
        assert!(!outlet.has_backlog());
    }

    #[test]
    fn a_hole_is_told_before_the_control_event_that_follows_it() {
        let (mut outlet, mut events) = outlet(1);
        outlet.ticks(frame(1, 1));
        outlet.ticks(frame(2, 3));
        outlet.control(up(3), UnixNanos::from_secs(3));
        assert_eq!(seen(&mut events), ["ticks at 1"]);
        outlet.flush();
        assert_eq!(seen(&mut events), ["Overrun 1..3 lost Some(3)"]);
        outlet.flush();
        assert_eq!(seen(&mut events), ["up at 3"]);
    }

    #[test]
    fn a_hole_that_no_frame_ends_is_told_when_there_is_room() {
        let (mut outlet, mut events) = outlet(1);
        outlet.ticks(frame(1, 1));
        outlet.ticks(frame(2, 3));
        outlet.settle(UnixNanos::from_secs(3));
        assert_eq!(seen(&mut events), ["ticks at 1"]);
        outlet.settle(UnixNanos::from_secs(4));
        assert_eq!(seen(&mut events), ["Overrun 1..4 lost Some(3)"]);
        outlet.settle(UnixNanos::from_secs(5));
        assert_eq!(seen(&mut events), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn finishing_waits_for_room_but_not_for_ever() {
        let (mut outlet, mut events) = outlet(1);
        outlet.ticks(frame(1, 1));
        outlet.control(up(2), UnixNanos::from_secs(2));
        let reader = async {
            assert!(matches!(events.recv().await, Some(FeedEvent::Ticks(_))));
            assert!(matches!(events.recv().await, Some(FeedEvent::Connected { .. })));
        };
        tokio::join!(outlet.finish(UnixNanos(0), Duration::from_secs(1)), reader);
        outlet.ticks(frame(3, 1));
        outlet.control(up(4), UnixNanos::from_secs(4));
        outlet.finish(UnixNanos(0), Duration::from_secs(1)).await;
        assert_eq!(seen(&mut events), ["ticks at 3"]);
    }

    #[test]
    fn a_closed_feed_is_no_trouble() {
        let (mut outlet, events) = outlet(1);
        drop(events);
        outlet.control(up(1), UnixNanos::from_secs(1));
        outlet.ticks(frame(2, 1));
        assert!(!outlet.has_backlog());
    }
}
