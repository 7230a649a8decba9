//! One bounded queue per sink: what happens when it is full is a policy, and every loss is counted.

mod backlog;
mod folded;
mod ledger;
mod line;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::health::HealthRecord;
use crate::metrics::SinkMetrics;
use crate::snapshot::SnapshotBatch;
use backlog::{Backlog, Cost, Piece};
use folded::Loss;

pub use ledger::{SinkCounts, SinkTicks};

/// What gives way when a sink's queue is full, and whether newer values overtake older ones before it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverflowPolicy {
    /// A topic that has waited for [`QueueConfig::patience`], and every topic when the queue is full, is folded: of each
    /// instrument only the newest snapshot waits, and the next batches replace what they find. What comes out after
    /// a stall is the newest that is known. When even that is too much, what has waited longest in the heaviest
    /// topics goes.
    Conflate,
    /// What has waited longest in the heaviest topic goes.
    DropOldest,
    /// Everything goes and the sink ends: its owner decides whether to start it again.
    Disconnect,
}

/// Size and policy of a sink's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// How much memory the waiting batches may take, counted as if no other sink shared them. A batch that has the
    /// queue for itself may be larger.
    pub max_bytes: usize,
    /// How many batches may wait; at least one. What was folded together counts as one.
    pub max_batches: usize,
    /// How long a topic waits before newer values replace older ones under [`OverflowPolicy::Conflate`].
    pub patience: Duration,
    /// How long one delivery may take before it counts as failed and the next one is tried.
    pub deliver_timeout: Duration,
    /// What gives way when the queue is full.
    pub overflow: OverflowPolicy,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            // One snapshot of each of 120,000 instruments: when newer replace older ones, nothing is ever dropped.
            max_bytes: 64 << 20,
            // A second line of defence: thousands of topics with a few batches each.
            max_batches: 16_384,
            // A hiccup of the sink costs no copying; a stall is noticed long before a person would.
            patience: Duration::from_millis(50),
            // Sinks have timeouts of their own; this one is for those that hang.
            deliver_timeout: Duration::from_secs(30),
            overflow: OverflowPolicy::Conflate,
        }
    }
}

/// How many health records may wait for a sink: hours of ordinary trouble. The oldest goes when it is full.
pub const HEALTH_CAPACITY: usize = 1024;

/// Hands every batch and health record to the queue of every sink. Clones feed the same sinks; the sinks end when
/// the last clone is gone.
#[derive(Debug, Clone, Default)]
pub struct Fanout {
    sinks: Vec<Arc<Producer>>,
}

/// The receiving end of one sink's queue, for [`run_sink`](crate::run_sink). Clones share the queue, so a
/// supervisor can start a failed sink again; only one may be served at a time. When the last clone is gone,
/// what is pushed is counted as dropped.
///
/// Topics are served in turn, one batch each, so that a topic that floods the queue delays the others by one batch.
/// Batches of one topic from one source keep their order.
#[derive(Debug, Clone)]
pub struct SinkQueue(Arc<Consumer>);

/// The next thing a sink has to do.
#[derive(Debug)]
pub(crate) enum Work {
    Health(Arc<HealthRecord>),
    Batch {
        batch: Arc<SnapshotBatch>,
        /// Since when the instrument in it that has waited longest waits.
        since: Instant,
    },
}

/// Counts a delivery on its way as failed unless told otherwise, also when the sink panics or is cancelled.
#[derive(Debug)]
pub(crate) struct InFlight<'q> {
    shared: &'q Shared,
    snapshots: u64,
    ticks: u64,
    /// Ticks among them that newer ones replaced in the queue.
    conflated: u64,
    health: u64,
}

#[derive(Debug)]
struct Producer(Arc<Shared>);

#[derive(Debug)]
struct Consumer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: &'static str,
    config: QueueConfig,
    state: Mutex<State>,
    wake: Notify,
    metrics: OnceLock<SinkMetrics>,
}

#[derive(Debug, Default)]
struct State {
    backlog: Backlog,
    health: VecDeque<Arc<HealthRecord>>,
    counts: SinkCounts,
    /// No more will be pushed.
    closed: bool,
    /// Nothing will be taken any more.
    gone: bool,
}

// === impl Fanout ===

impl Fanout {
    /// Feeds no sink yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sink. Clones made before do not know it.
    pub fn add_sink(&mut self, name: &'static str, config: QueueConfig) -> SinkQueue {
        let (state, wake, metrics) = (Mutex::default(), Notify::new(), OnceLock::new());
        let shared = Arc::new(Shared { name, config, state, wake, metrics });
        self.sinks.push(Arc::new(Producer(shared.clone())));
        SinkQueue(Arc::new(Consumer(shared)))
    }

    /// Pushes one batch to every sink; never waits.
    pub fn publish(&self, batch: &Arc<SnapshotBatch>) {
        let now = now();
        for sink in &self.sinks {
            sink.0.push(batch, now);
        }
    }

    /// Pushes one health record to every sink; never waits.
    pub fn publish_health(&self, record: &Arc<HealthRecord>) {
        for sink in &self.sinks {
            sink.0.push_health(record);
        }
    }

    /// What became of everything, by sink.
    pub fn counts(&self) -> Vec<(&'static str, SinkCounts)> {
        self.sinks.iter().map(|sink| (sink.0.name, sink.0.counts())).collect()
    }
}

// === impl SinkQueue ===

impl SinkQueue {
    /// The sink's name.
    pub fn name(&self) -> &'static str {
        self.0.0.name
    }

    /// Size and policy.
    pub fn config(&self) -> QueueConfig {
        self.0.0.config
    }

    /// What became of everything pushed so far.
    pub fn counts(&self) -> SinkCounts {
        self.0.0.counts()
    }

    /// How long the instrument that has waited longest has waited by now; `None` when nothing waits. An instrument
    /// whose value was replaced by a newer one while it waited keeps its place, so values are never older than this.
    pub fn oldest_waiting_age(&self) -> Option<Duration> {
        let since = self.0.0.lock().backlog.since()?;
        Some(now().saturating_duration_since(since))
    }

    /// Whether the queue ended because it overflowed under [`OverflowPolicy::Disconnect`].
    pub fn is_disconnected(&self) -> bool {
        self.0.0.lock().gone
    }

    /// The next piece of work, health first; `None` when there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost: work is taken only in the poll that returns it.
    pub(crate) async fn next(&self) -> Option<(Work, InFlight<'_>)> {
        let shared = &self.0.0;
        loop {
            let woken = shared.wake.notified();
            match shared.take() {
                Some(answer) => return answer,
                None => woken.await,
            }
        }
    }

    /// From now on losses are counted on `metrics` too, beginning with those so far. A sink that was started again
    /// keeps the handles of its first start: they are the same series.
    pub(crate) fn attach(&self, metrics: &SinkMetrics) {
        let shared = &self.0.0;
        let state = shared.lock();
        if shared.metrics.set(metrics.clone()).is_ok() {
            metrics.record(&SinkCounts::default(), &state.counts);
        }
    }
}

// === impl InFlight ===

impl InFlight<'_> {
    pub(crate) fn delivered(mut self) {
        let (snapshots, ticks, conflated, health) = self.take();
        self.shared.update(|state| {
            state.counts.delivered += snapshots;
            state.counts.ticks.delivered += ticks - conflated;
            state.counts.ticks.conflated += conflated;
            state.counts.ticks.in_flight -= ticks;
            state.counts.health_delivered += health;
        });
    }

    fn take(&mut self) -> (u64, u64, u64, u64) {
        let content = (self.snapshots, self.ticks, self.conflated, self.health);
        (self.snapshots, self.ticks, self.conflated, self.health) = (0, 0, 0, 0);
        content
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let (snapshots, ticks, _, health) = self.take();
        if snapshots + health > 0 {
            self.shared.update(|state| {
                state.counts.failed += snapshots;
                state.counts.ticks.failed += ticks;
                state.counts.ticks.in_flight -= ticks;
                state.counts.health_failed += health;
            });
        }
    }
}

// === impl Producer, Consumer ===

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.update(|state| state.closed = true);
        self.0.wake.notify_one();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.update(|state| {
            let lost = state.give_up();
            state.counts.ticks.closed += lost.ticks;
        });
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> SinkCounts {
        self.lock().counts
    }

    /// The one way to change the state: what was counted in it reaches the metrics exactly once.
    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.counts;
        let result = change(&mut state);
        let sums = *state.backlog.sums();
        state.counts.depth = sums.batches;
        state.counts.waiting = sums.snapshots as u64;
        state.counts.waiting_bytes = sums.bytes;
        state.counts.ticks.waiting = sums.ticks;
        if let Some(metrics) = self.metrics.get() {
            metrics.record(&before, &state.counts);
        }
        result
    }

    fn push(&self, batch: &Arc<SnapshotBatch>, now: Instant) {
        self.update(|state| state.push(batch, now, &self.config));
        self.wake.notify_one();
    }

    fn push_health(&self, record: &Arc<HealthRecord>) {
        self.update(|state| state.push_health(record));
        self.wake.notify_one();
    }

    /// `None`: nothing now. `Some(None)`: nothing ever again.
    fn take(&self) -> Option<Option<(Work, InFlight<'_>)>> {
        let now = now();
        let nothing = InFlight { shared: self, snapshots: 0, ticks: 0, conflated: 0, health: 0 };
        self.update(|state| {
            if state.gone {
                return Some(None);
            }
            if let Some(record) = state.health.pop_front() {
                return Some(Some((Work::Health(record), InFlight { health: 1, ..nothing })));
            }
            let Some((piece, cost)) = state.backlog.pop(now, &self.config) else {
                return state.closed.then_some(None);
            };
            let Piece { batch, since, conflated } = piece;
            state.count(cost);
            let (snapshots, ticks) = (batch.snapshots.len() as u64, batch.tick_count);
            state.counts.ticks.in_flight += ticks;
            let in_flight = InFlight { snapshots, ticks, conflated, ..nothing };
            Some(Some((Work::Batch { batch, since }, in_flight)))
        })
    }
}

// === impl State ===

impl State {
    fn push(&mut self, batch: &Arc<SnapshotBatch>, now: Instant, config: &QueueConfig) {
        let snapshots = batch.snapshots.len() as u64;
        self.counts.pushed += snapshots;
        self.counts.ticks.offered += batch.tick_count;
        if self.gone {
            self.counts.dropped += snapshots;
            self.counts.ticks.closed += batch.tick_count;
            return;
        }
        let cost = self.backlog.push(batch, now, config);
        self.count(cost);
        if self.backlog.is_over(config) && config.overflow == OverflowPolicy::Disconnect {
            let lost = self.give_up();
            self.counts.ticks.overflowed += lost.ticks;
        }
    }

    fn count(&mut self, cost: Cost) {
        self.counts.conflated += cost.conflated;
        self.counts.dropped += cost.lost.snapshots;
        self.counts.ticks.overflowed += cost.lost.ticks;
    }

    fn push_health(&mut self, record: &Arc<HealthRecord>) {
        self.counts.health_pushed += 1;
        if self.gone {
            self.counts.health_dropped += 1;
            return;
        }
        if self.health.len() >= HEALTH_CAPACITY {
            self.health.pop_front();
            self.counts.health_dropped += 1;
        }
        self.health.push_back(record.clone());
    }

    /// Ends the queue; answers what waited.
    fn give_up(&mut self) -> Loss {
        self.gone = true;
        let lost = self.backlog.clear();
        self.counts.dropped += lost.snapshots;
        self.counts.health_dropped += std::mem::take(&mut self.health).len() as u64;
        lost
    }
}

/// The runtime's monotonic time, so that a paused test clock is honoured.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
