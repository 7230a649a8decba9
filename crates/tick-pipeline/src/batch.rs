//! Snapshots of one topic, gathered until there are enough of them or they are old enough.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{Clock, InstrumentCatalog, InstrumentSlot, Mode, UnixNanos};
use rustc_hash::FxHashMap;

use crate::snapshot::{GreeksState, Snapshot, SnapshotBatch, SnapshotCause, Topic};
use crate::topic::EquityTopics;

/// When a batch is sealed: by whichever limit is reached first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConfig {
    /// Estimated size of the batch as JSON.
    pub max_bytes: usize,
    /// Snapshots in the batch.
    pub max_count: usize,
    /// How long the oldest snapshot may wait. One that comes when none has left for this long does not wait at all.
    pub max_age: Duration,
    /// Keep only the newest snapshot of an instrument within a batch.
    pub conflate: bool,
    /// Which topics shares without derivatives are published under.
    pub equity_topics: EquityTopics,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            // A byte in messages of 64 KB costs Redis half as much again; larger ones leave the caches.
            max_bytes: 256 * 1024,
            max_count: 1000,
            // Below what a person or a strategy over Redis can notice; 100 ms saves work on small machines.
            max_age: Duration::from_millis(5),
            conflate: true,
            equity_topics: EquityTopics::Shared,
        }
    }
}

/// A topic's place in its [`Batcher`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(u32);

/// Gathers snapshots per topic, conflates them, numbers and stamps the sealed batches.
pub struct Batcher {
    config: BatchConfig,
    source: Arc<str>,
    sim: bool,
    clock: Arc<dyn Clock>,
    catalog: Arc<InstrumentCatalog>,
    ids: FxHashMap<Arc<Topic>, TopicId>,
    topics: Vec<OpenTopic>,
    /// Topics that hold something.
    open: Vec<TopicId>,
    sealed: VecDeque<SealedBatch>,
    conflated: u64,
    ticks_waiting: u64,
    /// Within one round no instrument is added twice.
    round: u64,
}

/// A sealed batch on its way out.
#[derive(Debug)]
pub struct SealedBatch {
    /// The batch.
    pub batch: Arc<SnapshotBatch>,
    /// The earliest `ts_recv` among those snapshots that are in it because their instrument ticked.
    pub oldest_tick: Option<UnixNanos>,
    /// How many of its snapshots show a tick nobody has seen.
    pub ticks_shown: u64,
}

struct OpenTopic {
    topic: Arc<Topic>,
    next_seq: u64,
    /// Ticks in the batches sealed so far.
    tick_total: u64,
    snapshots: Vec<Snapshot>,
    /// Where each instrument of an earlier round stands in `snapshots`.
    places: FxHashMap<InstrumentSlot, u32>,
    /// How many of `snapshots` are in `places`.
    placed: usize,
    round: u64,
    bytes: usize,
    since: Instant,
    oldest_tick: Option<UnixNanos>,
    /// Sizes of the last two batches, so that the next vector is allocated once: a burst ends with a small one.
    recent: [usize; 2],
}

// === impl Batcher ===

impl Batcher {
    /// Holds nothing. `source` and `sim` are said in every batch.
    pub fn new(
        config: BatchConfig,
        source: Arc<str>,
        sim: bool,
        catalog: Arc<InstrumentCatalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            source,
            sim,
            clock,
            catalog,
            ids: FxHashMap::default(),
            topics: Vec::new(),
            open: Vec::new(),
            sealed: VecDeque::new(),
            conflated: 0,
            ticks_waiting: 0,
            round: 0,
        }
    }

    /// Seals what refers to the old catalog and goes on with another; numbering continues.
    pub fn set_catalog(&mut self, catalog: Arc<InstrumentCatalog>) {
        self.seal_all();
        self.catalog = catalog;
    }

    /// The place of `topic`, made on first use and good for the life of the batcher.
    pub fn topic(&mut self, topic: Topic, now: Instant) -> TopicId {
        if let Some(id) = self.ids.get(&topic) {
            return *id;
        }
        let id = TopicId(self.topics.len() as u32);
        let topic = Arc::new(topic);
        self.ids.insert(topic.clone(), id);
        self.topics.push(OpenTopic {
            topic,
            next_seq: 1,
            tick_total: 0,
            snapshots: Vec::new(),
            places: FxHashMap::default(),
            placed: 0,
            round: 0,
            bytes: 0,
            since: now,
            oldest_tick: None,
            recent: [0, 0],
        });
        id
    }

    /// Adds one snapshot that has been waiting since `since`. A full batch is sealed at once.
    pub fn add(&mut self, topic: TopicId, snapshot: Snapshot, since: Instant) {
        self.begin_round();
        self.add_once(topic, snapshot, since);
    }

    /// Begins a round of [`add_once`](Self::add_once).
    pub(crate) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// As [`add`](Self::add), for an instrument that was not added in this round yet: it is looked for only among
    /// those of earlier rounds, of which there are none while batches leave with every round.
    #[inline]
    pub(crate) fn add_once(&mut self, topic: TopicId, snapshot: Snapshot, since: Instant) {
        let open = &mut self.topics[topic.0 as usize];
        if open.snapshots.is_empty() {
            let [last, before] = open.recent;
            open.snapshots.reserve(last.max(before));
            open.since = since;
            open.round = self.round;
            self.open.push(topic);
        }
        open.since = open.since.min(since);
        if snapshot.cause == SnapshotCause::Tick {
            let oldest = open.oldest_tick.map_or(snapshot.ts_recv, |oldest| oldest.min(snapshot.ts_recv));
            open.oldest_tick = Some(oldest);
        }
        self.ticks_waiting += u64::from(snapshot.tick_count > 0);
        if self.config.conflate && open.round != self.round {
            open.place_all(self.round);
        }
        let replaced = u64::from(open.put(snapshot));
        self.conflated += replaced;
        self.ticks_waiting -= replaced;
        if open.snapshots.len() >= self.config.max_count || open.bytes >= self.config.max_bytes {
            self.open.retain(|id| *id != topic);
            self.seal(topic);
        }
    }

    /// Seals what has waited for the configured age.
    pub fn seal_due(&mut self, now: Instant) {
        let max_age = self.config.max_age;
        let mut at = 0;
        while at < self.open.len() {
            let topic = self.open[at];
            if now.saturating_duration_since(self.topics[topic.0 as usize].since) >= max_age {
                self.open.swap_remove(at);
                self.seal(topic);
            } else {
                at += 1;
            }
        }
    }

    /// Seals everything.
    pub fn seal_all(&mut self) {
        while let Some(topic) = self.open.pop() {
            self.seal(topic);
        }
    }

    /// When the oldest open batch is due.
    pub fn next_due(&self) -> Option<Instant> {
        let since = self.open.iter().map(|topic| self.topics[topic.0 as usize].since).min()?;
        Some(since + self.config.max_age)
    }

    /// The next sealed batch.
    pub fn pop(&mut self) -> Option<SealedBatch> {
        let sealed = self.sealed.pop_front()?;
        self.ticks_waiting -= sealed.ticks_shown;
        Some(sealed)
    }

    /// How many ticks are shown by snapshots that are still in here.
    pub fn ticks_waiting(&self) -> u64 {
        self.ticks_waiting
    }

    /// How many ticks were replaced by newer ones of the same instrument while they waited in a batch.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    fn seal(&mut self, topic: TopicId) {
        let open = &mut self.topics[topic.0 as usize];
        let snapshots = std::mem::take(&mut open.snapshots);
        open.recent = [snapshots.len(), open.recent[0]];
        open.places.clear();
        open.placed = 0;
        open.bytes = 0;
        let (mut tick_count, mut ticks_shown) = (0, 0);
        for snapshot in &snapshots {
            tick_count += u64::from(snapshot.tick_count);
            ticks_shown += u64::from(snapshot.tick_count > 0);
        }
        open.tick_total += tick_count;
        let batch = SnapshotBatch {
            topic: open.topic.clone(),
            source: self.source.clone(),
            seq: open.next_seq,
            tick_count,
            tick_total: open.tick_total,
            ts_publish: self.clock.now(),
            sim: self.sim,
            catalog: self.catalog.clone(),
            snapshots,
        };
        open.next_seq += 1;
        let oldest_tick = open.oldest_tick.take();
        self.sealed.push_back(SealedBatch { batch: Arc::new(batch), oldest_tick, ticks_shown });
    }
}

// === impl OpenTopic ===

impl OpenTopic {
    /// From now on finds every instrument that is in the batch.
    fn place_all(&mut self, round: u64) {
        let new = (0u32..).zip(&self.snapshots).skip(self.placed);
        self.places.extend(new.map(|(place, snapshot)| (snapshot.slot, place)));
        self.placed = self.snapshots.len();
        self.round = round;
    }

    /// Returns whether a tick that waited was replaced.
    #[inline]
    fn put(&mut self, snapshot: Snapshot) -> bool {
        if self.placed > 0
            && let Some(place) = self.places.get(&snapshot.slot)
        {
            return self.snapshots[*place as usize].replace_with(snapshot);
        }
        self.bytes += estimated_bytes(&snapshot);
        self.snapshots.push(snapshot);
        false
    }
}

/// Roughly what one snapshot takes as JSON, with names, stamps and symbol.
fn estimated_bytes(snapshot: &Snapshot) -> usize {
    let tick = match snapshot.tick.mode() {
        Mode::Ltp => 300,
        Mode::Quote => 550,
        Mode::Full => 1150,
    };
    match snapshot.greeks {
        GreeksState::Known(_) => tick + 280,
        GreeksState::Absent(_) => tick + 40,
        GreeksState::NotAnOption => tick,
    }
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("config", &self.config)
            .field("source", &self.source)
            .field("topics", &self.topics.len())
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
