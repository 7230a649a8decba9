//! What one sink received, held against what a sink may expect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use market_model::{FeedEvent, InstrumentToken, UnixNanos};
use rustc_hash::FxHashSet;
use tick_pipeline::{HealthRecord, SnapshotBatch, SnapshotCause, StaleCause, Topic};

use crate::market::number;
use crate::story::StepsBack;
use crate::trace::Trace;

/// Everything one sink took. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries(Arc<Mutex<Received>>);

/// The account of one sink.
#[derive(Debug)]
pub(crate) struct Received {
    name: &'static str,
    trace: Trace,
    /// The events that are not ticks, in the order in which the pipeline was given them.
    told: Arc<Mutex<Vec<FeedEvent>>>,
    steps_back: StepsBack,
    expects: Expects,
    topics: BTreeMap<Topic, Numbering>,
    newest: BTreeMap<InstrumentToken, Newest>,
    /// Snapshots, those caused by a tick, batches, health records.
    pub(crate) snapshots: u64,
    /// Snapshots that are there because their instrument ticked.
    pub(crate) ticked: u64,
    /// Batches.
    pub(crate) batches: u64,
    /// Health records.
    pub(crate) records: u64,
    /// Ticks that the batches stand for.
    pub(crate) stood_for: u64,
    /// Batches that never came, by the holes in their numbering.
    pub(crate) missing: u64,
    /// Ticks that never came, by the totals in the batches that did.
    pub(crate) missed: u64,
    last_record: u64,
}

/// What the settings promise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expects {
    /// An instrument is in a batch once.
    pub(crate) conflates: bool,
    /// Nobody corrects the wall clock.
    pub(crate) steady_clock: bool,
}

#[derive(Debug, Default)]
struct Numbering {
    seq: u64,
    tick_total: u64,
    ts_publish: UnixNanos,
}

/// The newest state of an instrument that came here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    /// Number of its tick.
    pub(crate) number: i64,
    /// Why it is not current.
    pub(crate) stale: Option<StaleCause>,
}

// === impl Deliveries ===

impl Deliveries {
    /// Nothing yet. `told` is filled by whoever feeds the pipeline.
    pub(crate) fn new(
        name: &'static str,
        trace: Trace,
        told: Arc<Mutex<Vec<FeedEvent>>>,
        steps_back: StepsBack,
        expects: Expects,
    ) -> Self {
        Self(Arc::new(Mutex::new(Received {
            name,
            trace,
            told,
            steps_back,
            expects,
            topics: BTreeMap::new(),
            newest: BTreeMap::new(),
            snapshots: 0,
            ticked: 0,
            batches: 0,
            records: 0,
            stood_for: 0,
            missing: 0,
            missed: 0,
            last_record: 0,
        })))
    }

    /// A batch was delivered.
    pub(crate) fn batch(&self, batch: &SnapshotBatch) {
        self.lock().batch(batch);
    }

    /// A health record was delivered.
    pub(crate) fn health(&self, record: &HealthRecord) {
        self.lock().health(record);
    }

    /// Locks the account.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Received ===

impl Received {
    /// The newest state of `token` that came here.
    pub(crate) fn newest(&self, token: InstrumentToken) -> Option<Newest> {
        self.newest.get(&token).copied()
    }

    /// Ticks that `everything` has seen published after the last batch that came here.
    pub(crate) fn missed_since(&self, everything: &Self) -> u64 {
        let seen = |topic| self.topics.get(topic).map_or(0, |numbering| numbering.tick_total);
        everything.topics.iter().map(|(topic, numbering)| numbering.tick_total - seen(topic)).sum()
    }

    fn batch(&mut self, batch: &SnapshotBatch) {
        let Self { name, trace, .. } = self;
        trace.note(format_args!(
            "{name} takes {}:{}:{} seq {} of {}",
            batch.topic.exchange,
            batch.topic.underlying,
            batch.topic.kind.as_str(),
            batch.seq,
            batch.snapshots.len()
        ));
        let numbering = self.topics.entry((*batch.topic).clone()).or_default();
        if batch.seq <= numbering.seq {
            trace.violation(format_args!(
                "{name}: batch {} of {:?} came after batch {}",
                batch.seq, batch.topic, numbering.seq
            ));
        }
        self.missing += batch.seq.saturating_sub(numbering.seq + 1);
        numbering.seq = batch.seq;
        // What a consumer computes from what it receives (docs/redis.md).
        match batch.tick_total.checked_sub(batch.tick_count + numbering.tick_total) {
            Some(missed) => self.missed += missed,
            None => trace.violation(format_args!(
                "{name}: {:?} stands at {} ticks after {}, with {} in batch {}",
                batch.topic, batch.tick_total, numbering.tick_total, batch.tick_count, batch.seq
            )),
        }
        numbering.tick_total = batch.tick_total;
        self.stood_for += batch.tick_count;
        if batch.tick_count != batch.snapshots.iter().map(|one| u64::from(one.tick_count)).sum::<u64>() {
            trace.violation(format_args!(
                "{name}: batch {} of {:?} miscounts its ticks",
                batch.seq, batch.topic
            ));
        }
        if self.expects.steady_clock && batch.ts_publish < numbering.ts_publish {
            trace.violation(format_args!("{name}: {:?} was published before its predecessor", batch.topic));
        }
        numbering.ts_publish = batch.ts_publish;
        let mut slots = FxHashSet::default();
        for snapshot in &batch.snapshots {
            let token = snapshot.token();
            if !slots.insert(snapshot.slot) && self.expects.conflates {
                trace.violation(format_args!("{name}: {token} is twice in one batch"));
            }
            if batch.catalog.get(snapshot.slot).token != token {
                trace.violation(format_args!("{name}: {token} does not stand where its slot says"));
            }
            let number = number(&snapshot.tick);
            let newest = Newest { number, stale: snapshot.stale };
            if let Some(before) = self.newest.insert(token, newest)
                && before.number > number
                && !self.steps_back.contains(token, number)
            {
                let before = before.number;
                trace.violation(format_args!("{name}: tick {number} of {token} came after tick {before}"));
            }
            self.ticked += u64::from(snapshot.cause == SnapshotCause::Tick);
        }
        self.snapshots += batch.snapshots.len() as u64;
        self.batches += 1;
    }

    fn health(&mut self, record: &HealthRecord) {
        let Self { name, trace, .. } = self;
        trace.note(format_args!("{name} takes health record {}", record.seq));
        if record.seq <= self.last_record {
            let before = self.last_record;
            trace.violation(format_args!("{name}: health record {} came after {before}", record.seq));
        }
        self.last_record = record.seq;
        self.records += 1;
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(record.seq as usize - 1) != Some(&record.event) {
            trace.violation(format_args!(
                "{name}: health record {} is not what the feed said: {:?}",
                record.seq, record.event
            ));
        }
    }
}
