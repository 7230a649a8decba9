//! Several batches of one topic as one: the newest snapshot of each instrument.

use std::sync::Arc;

use market_model::InstrumentSlot;
use rustc_hash::FxHashMap;

use crate::snapshot::{Snapshot, SnapshotBatch, SnapshotCause};

/// A batch that newer batches of its topic are folded into.
#[derive(Debug)]
pub(crate) struct Merged {
    batch: SnapshotBatch,
    places: FxHashMap<InstrumentSlot, u32>,
}

// === impl Merged ===

impl Merged {
    /// Whether the two may become one: same topic, same numbering, same meaning of slots. A worker shares one topic
    /// among its batches, so pointers tell; comparing texts would cost more than all the rest of an overflow.
    pub(crate) fn is_pair(older: &SnapshotBatch, newer: &SnapshotBatch) -> bool {
        Arc::ptr_eq(&older.topic, &newer.topic)
            && older.source == newer.source
            && Arc::ptr_eq(&older.catalog, &newer.catalog)
    }

    /// A copy of `batch` to fold others into, and how many of its snapshots were replaced by later ones in it.
    pub(crate) fn of(batch: &SnapshotBatch) -> (Self, u64) {
        let mut merged = Self {
            batch: SnapshotBatch {
                topic: batch.topic.clone(),
                source: batch.source.clone(),
                catalog: batch.catalog.clone(),
                tick_count: 0,
                snapshots: Vec::with_capacity(2 * batch.snapshots.len()),
                ..*batch
            },
            places: FxHashMap::default(),
        };
        let replaced = merged.absorb(batch);
        (merged, replaced)
    }

    /// Folds a newer batch in; returns how many snapshots were replaced.
    pub(crate) fn absorb(&mut self, newer: &SnapshotBatch) -> u64 {
        self.batch.seq = newer.seq;
        self.batch.tick_total = newer.tick_total;
        self.batch.tick_count += newer.tick_count;
        self.batch.ts_publish = newer.ts_publish;
        newer.snapshots.iter().map(|snapshot| u64::from(self.put(snapshot))).sum()
    }

    pub(crate) fn batch(&self) -> &SnapshotBatch {
        &self.batch
    }

    pub(crate) fn into_batch(self) -> SnapshotBatch {
        self.batch
    }

    fn put(&mut self, snapshot: &Snapshot) -> bool {
        let next = self.batch.snapshots.len() as u32;
        let place = *self.places.entry(snapshot.slot).or_insert(next);
        if place == next {
            self.batch.snapshots.push(snapshot.clone());
            return false;
        }
        self.batch.snapshots[place as usize].replace_with(snapshot.clone());
        true
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Takes a newer state of the same instrument. A tick that was not published yet stays the reason. Returns
    /// whether one tick replaced another.
    pub(crate) fn replace_with(&mut self, newer: Self) -> bool {
        let before = (self.cause, self.tick_count);
        *self = newer;
        let conflated = before.1 > 0 && self.tick_count > 0;
        self.tick_count += before.1;
        if before.0 == SnapshotCause::Tick {
            self.cause = SnapshotCause::Tick;
        }
        conflated
    }
}
