//! One bounded queue per sink: what happens when it is full is a policy, and every loss is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::health::HealthRecord;
use crate::merge::Merged;
use crate::metrics::SinkMetrics;
use crate::snapshot::SnapshotBatch;

/// What gives way when a sink's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverflowPolicy {
    /// Two batches of one topic become one that keeps the newest snapshot of each instrument and the later `seq`: the
    /// newest batch and the last one waiting of its topic, else the oldest batch and the next one of its topic. When
    /// neither has a partner, the oldest batch goes.
    Conflate,
    /// The oldest batch goes.
    DropOldest,
    /// Everything goes and the sink ends: its owner decides whether to start it again.
    Disconnect,
}

/// Length and policy of a sink's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// How many batches may wait; at least one. Whatever it is, no more than [`SNAPSHOT_CAPACITY`] snapshots wait.
    pub capacity: usize,
    /// What gives way when they do.
    pub overflow: OverflowPolicy,
}

impl Default for QueueConfig {
    fn default() -> Self {
        // At 200 batches a second and topic, some hundreds of milliseconds of a busy market; prices older than that
        // are worthless once newer ones exist.
        Self { capacity: 256, overflow: OverflowPolicy::Conflate }
    }
}

/// How many snapshots may wait for a sink whatever the number of batches: about 30 MB, seven seconds of 9,000 busy
/// instruments. A batch may hold thousands of snapshots, so the number of batches alone bounds no memory.
pub const SNAPSHOT_CAPACITY: usize = 65_536;

/// How many health records may wait for a sink: hours of ordinary trouble. The oldest goes when it is full.
pub const HEALTH_CAPACITY: usize = 1024;

/// What became of everything that was pushed to one sink. Without anything waiting or on its way,
/// `pushed = delivered + failed + dropped + conflated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkCounts {
    /// Snapshots pushed into the queue.
    pub pushed: u64,
    /// Snapshots the sink took.
    pub delivered: u64,
    /// Snapshots whose delivery failed.
    pub failed: u64,
    /// Snapshots that gave way.
    pub dropped: u64,
    /// Snapshots replaced by a newer one of the same instrument.
    pub conflated: u64,
    /// Batches waiting now.
    pub depth: usize,
    /// Health records pushed.
    pub health_pushed: u64,
    /// Health records the sink took.
    pub health_delivered: u64,
    /// Health records whose delivery failed.
    pub health_failed: u64,
    /// Health records that gave way.
    pub health_dropped: u64,
}

/// Hands every batch and health record to the queue of every sink. Clones feed the same sinks; the sinks end when
/// the last clone is gone.
#[derive(Debug, Clone, Default)]
pub struct Fanout {
    sinks: Vec<Arc<Producer>>,
}

/// The receiving end of one sink's queue, for [`run_sink`](crate::run_sink). Clones share the queue, so a
/// supervisor can start a failed sink again; only one may be served at a time. When the last clone is gone,
/// what is pushed is counted as dropped.
#[derive(Debug, Clone)]
pub struct SinkQueue(Arc<Consumer>);

/// The next thing a sink has to do.
#[derive(Debug)]
pub(crate) enum Work {
    Health(Arc<HealthRecord>),
    Batch { batch: Arc<SnapshotBatch>, pushed: Instant },
}

/// Counts a delivery on its way as failed unless told otherwise, also when the sink panics or is cancelled.
#[derive(Debug)]
pub(crate) struct InFlight<'q> {
    shared: &'q Shared,
    snapshots: u64,
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

#[derive(Debug)]
struct State {
    batches: VecDeque<Queued>,
    /// Snapshots in `batches`.
    waiting: usize,
    health: VecDeque<Arc<HealthRecord>>,
    counts: SinkCounts,
    /// No more will be pushed.
    closed: bool,
    /// Nothing will be taken any more.
    gone: bool,
}

#[derive(Debug)]
struct Queued {
    body: Body,
    pushed: Instant,
}

#[derive(Debug)]
enum Body {
    Sealed(Arc<SnapshotBatch>),
    Merged(Box<Merged>),
}

// === impl Fanout ===

impl Fanout {
    /// Feeds no sink yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sink. Clones made before do not know it.
    pub fn add_sink(&mut self, name: &'static str, config: QueueConfig) -> SinkQueue {
        let capacity = config.capacity.max(1);
        let shared = Arc::new(Shared {
            name,
            config: QueueConfig { capacity, ..config },
            state: Mutex::new(State {
                batches: VecDeque::with_capacity(capacity + 1),
                waiting: 0,
                health: VecDeque::new(),
                counts: SinkCounts::default(),
                closed: false,
                gone: false,
            }),
            wake: Notify::new(),
            metrics: OnceLock::new(),
        });
        self.sinks.push(Arc::new(Producer(shared.clone())));
        SinkQueue(Arc::new(Consumer(shared)))
    }

    /// Pushes one batch to every sink; never waits.
    pub fn publish(&self, batch: &Arc<SnapshotBatch>) {
        let now = tokio::time::Instant::now().into_std();
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
        self.sinks.iter().map(|sink| (sink.0.name, sink.0.lock().counts)).collect()
    }
}

// === impl SinkQueue ===

impl SinkQueue {
    /// The sink's name.
    pub fn name(&self) -> &'static str {
        self.0.0.name
    }

    /// What became of everything pushed so far.
    pub fn counts(&self) -> SinkCounts {
        self.0.0.lock().counts
    }

    /// Whether the queue ended because it overflowed under [`OverflowPolicy::Disconnect`].
    pub fn is_disconnected(&self) -> bool {
        self.0.0.lock().gone
    }

    /// The next piece of work, health first; `None` when there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost: work is taken only in the poll that returns it.
    pub(crate) async fn next(&self) -> Option<Work> {
        let shared = &self.0.0;
        loop {
            let woken = shared.wake.notified();
            match shared.take() {
                Some(answer) => return answer,
                None => woken.await,
            }
        }
    }

    pub(crate) fn in_flight(&self, work: &Work) -> InFlight<'_> {
        let (snapshots, health) = match work {
            Work::Batch { batch, .. } => (batch.snapshots.len() as u64, 0),
            Work::Health(_) => (0, 1),
        };
        InFlight { shared: &self.0.0, snapshots, health }
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
        let (snapshots, health) = (std::mem::take(&mut self.snapshots), std::mem::take(&mut self.health));
        self.shared.update(|state| {
            state.counts.delivered += snapshots;
            state.counts.health_delivered += health;
        });
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.snapshots + self.health > 0 {
            self.shared.update(|state| {
                state.counts.failed += self.snapshots;
                state.counts.health_failed += self.health;
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
        self.0.update(State::give_up);
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one way to change the state: what was counted in it reaches the metrics exactly once.
    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.counts;
        let result = change(&mut state);
        state.counts.depth = state.batches.len();
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
    fn take(&self) -> Option<Option<Work>> {
        let queued = self.update(|state| {
            if state.gone {
                return Err(Some(None));
            }
            if let Some(record) = state.health.pop_front() {
                return Err(Some(Some(Work::Health(record))));
            }
            state.pop_oldest().ok_or(state.closed.then_some(None))
        });
        let queued = match queued {
            Ok(queued) => queued,
            Err(answer) => return answer,
        };
        let batch = match queued.body {
            Body::Sealed(batch) => batch,
            Body::Merged(merged) => Arc::new(merged.into_batch()),
        };
        Some(Some(Work::Batch { batch, pushed: queued.pushed }))
    }
}

// === impl State ===

impl State {
    fn push(&mut self, batch: &Arc<SnapshotBatch>, now: Instant, config: &QueueConfig) {
        let snapshots = batch.snapshots.len() as u64;
        self.counts.pushed += snapshots;
        if self.gone {
            self.counts.dropped += snapshots;
            return;
        }
        self.batches.push_back(Queued { body: Body::Sealed(batch.clone()), pushed: now });
        self.waiting += batch.snapshots.len();
        while self.batches.len() > config.capacity || self.waiting > SNAPSHOT_CAPACITY {
            match config.overflow {
                OverflowPolicy::Conflate => self.conflate(),
                OverflowPolicy::DropOldest => self.drop_oldest(),
                OverflowPolicy::Disconnect => return self.give_up(),
            }
        }
    }

    /// Makes the queue shorter, or at least its content: two batches become one, or the oldest goes.
    fn conflate(&mut self) {
        let crowded = self.waiting > SNAPSHOT_CAPACITY;
        match self.merge_pair() {
            Some(conflated) => {
                self.counts.conflated += conflated;
                self.waiting -= conflated as usize;
                if crowded && conflated == 0 {
                    self.drop_oldest();
                }
            }
            None => self.drop_oldest(),
        }
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

    fn pop_oldest(&mut self) -> Option<Queued> {
        let oldest = self.batches.pop_front()?;
        self.waiting -= oldest.body.batch().snapshots.len();
        Some(oldest)
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.pop_oldest() {
            self.counts.dropped += oldest.body.batch().snapshots.len() as u64;
        }
    }

    fn give_up(&mut self) {
        self.gone = true;
        while !self.batches.is_empty() {
            self.drop_oldest();
        }
        self.counts.health_dropped += std::mem::take(&mut self.health).len() as u64;
    }

    /// Folds two batches into one, if any go together: the newest into the last one of its topic, else the oldest
    /// into the next one of its topic. Either way one walk along the queue, also when thousands of topics overflow.
    /// Answers how many snapshots were replaced.
    fn merge_pair(&mut self) -> Option<u64> {
        let last = self.batches.len() - 1;
        let pair = |older: usize, newer: usize| {
            Merged::is_pair(self.batches[older].body.batch(), self.batches[newer].body.batch())
        };
        if let Some(older) = (0..last).rev().find(|&older| pair(older, last)) {
            let newest = self.batches.pop_back()?;
            return Some(self.batches[older].absorb(&newest));
        }
        let newer = (1..last).find(|&newer| pair(0, newer))?;
        let mut oldest = self.batches.pop_front()?;
        let place = newer - 1;
        let conflated = oldest.absorb(&self.batches[place]);
        self.batches[place] = oldest;
        Some(conflated)
    }
}

// === impl Queued ===

impl Queued {
    /// Folds a newer batch in; answers how many snapshots were replaced.
    fn absorb(&mut self, newer: &Self) -> u64 {
        let mut replaced = 0;
        if let Body::Sealed(batch) = &self.body {
            let (merged, in_itself) = Merged::of(batch);
            replaced += in_itself;
            self.body = Body::Merged(Box::new(merged));
        }
        if let Body::Merged(merged) = &mut self.body {
            replaced += merged.absorb(newer.body.batch());
        }
        replaced
    }
}

// === impl Body ===

impl Body {
    fn batch(&self) -> &SnapshotBatch {
        match self {
            Self::Sealed(batch) => batch,
            Self::Merged(merged) => merged.batch(),
        }
    }
}

#[cfg(test)]
mod tests;
