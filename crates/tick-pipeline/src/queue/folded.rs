//! Several batches of one topic folded together: the newest snapshot of each instrument, handed out in pieces.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Instant;

use market_model::{InstrumentCatalog, InstrumentSlot, UnixNanos};
use rustc_hash::FxHashMap;

use super::backlog::Piece;
use crate::snapshot::{Snapshot, SnapshotBatch, Topic};

/// The newest snapshot of each instrument of one topic, source and catalog, in the order in which the instruments
/// began to wait.
#[derive(Debug)]
pub(super) struct Folded {
    topic: Arc<Topic>,
    source: Arc<str>,
    catalog: Arc<InstrumentCatalog>,
    sim: bool,
    /// Of the newest batch folded in.
    seq: u64,
    ts_publish: UnixNanos,
    tick_total: u64,
    /// Snapshots in a piece: at least those of the largest batch folded in, so that there are never more pieces than
    /// there were batches, whose numbers they get.
    piece: usize,
    entries: VecDeque<Entry>,
    /// How many entries have left, which is where the first one stands in `places`.
    left: u64,
    places: FxHashMap<InstrumentSlot, u64>,
    /// Ticks that the entries stand for.
    ticks: u64,
}

#[derive(Debug)]
struct Entry {
    snapshot: Snapshot,
    /// Since when something of the instrument waits.
    since: Instant,
    /// Ticks that newer ones replaced in here.
    conflated: u32,
}

/// A sink that is behind catches up fastest with batches for which its cost per batch no longer counts: 256 full
/// snapshots are 300 KB of JSON.
const PIECE: usize = 256;

/// What left without being delivered, or was replaced.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    pub(super) snapshots: u64,
    pub(super) ticks: u64,
}

// === impl Folded ===

impl Folded {
    /// `batch` alone; also how many of its snapshots were replaced by later ones in it.
    pub(super) fn of(batch: &SnapshotBatch, since: Instant) -> (Self, u64) {
        let mut folded = Self {
            topic: batch.topic.clone(),
            source: batch.source.clone(),
            catalog: batch.catalog.clone(),
            sim: batch.sim,
            seq: batch.seq,
            ts_publish: batch.ts_publish,
            tick_total: before(batch),
            piece: PIECE,
            entries: VecDeque::with_capacity(batch.snapshots.len()),
            left: 0,
            places: FxHashMap::default(),
            ticks: 0,
        };
        let replaced = folded.absorb(batch, since);
        (folded, replaced)
    }

    /// Whether a batch can be folded in: the next one of the same topic and source, with the same meaning of slots.
    pub(super) fn takes(&self, newer: &SnapshotBatch) -> bool {
        Arc::ptr_eq(&self.catalog, &newer.catalog) && self.tick_total == before(newer) && newer.seq > self.seq
    }

    /// Folds a newer batch in; answers how many snapshots were replaced.
    pub(super) fn absorb(&mut self, newer: &SnapshotBatch, since: Instant) -> u64 {
        self.seq = newer.seq;
        self.ts_publish = newer.ts_publish;
        self.tick_total = newer.tick_total;
        self.ticks += newer.tick_count;
        self.piece = self.piece.max(newer.snapshots.len());
        let mut replaced = 0;
        for snapshot in &newer.snapshots {
            replaced += u64::from(self.put(snapshot, since));
        }
        replaced
    }

    fn put(&mut self, snapshot: &Snapshot, since: Instant) -> bool {
        let next = self.left + self.entries.len() as u64;
        let place = *self.places.entry(snapshot.slot).or_insert(next);
        let Some(entry) = self.entries.get_mut((place - self.left) as usize) else {
            if self.entries.len() == self.entries.capacity() {
                // A quarter at a time: what doubles is half empty, and room counts like content.
                self.entries.reserve_exact((self.entries.len() / 4).max(4));
            }
            self.entries.push_back(Entry { snapshot: snapshot.clone(), since, conflated: 0 });
            return false;
        };
        let before = entry.snapshot.tick_count;
        if entry.snapshot.replace_with(snapshot.clone()) {
            entry.conflated = before;
        }
        true
    }

    /// Takes the next piece out.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        let since = self.since()?;
        let len = self.piece.min(self.entries.len());
        let (mut snapshots, mut conflated, mut tick_count) = (Vec::with_capacity(len), 0, 0);
        for entry in self.entries.drain(..len) {
            self.places.remove(&entry.snapshot.slot);
            conflated += u64::from(entry.conflated);
            tick_count += u64::from(entry.snapshot.tick_count);
            snapshots.push(entry.snapshot);
        }
        self.left += len as u64;
        self.ticks -= tick_count;
        let later_pieces = self.entries.len().div_ceil(self.piece) as u64;
        let batch = SnapshotBatch {
            topic: self.topic.clone(),
            source: self.source.clone(),
            // The last piece has the newest number, and each before it one less.
            seq: self.seq.saturating_sub(later_pieces),
            tick_count,
            tick_total: self.tick_total - self.ticks,
            ts_publish: self.ts_publish,
            sim: self.sim,
            catalog: self.catalog.clone(),
            snapshots,
        };
        Some(Piece { batch: Arc::new(batch), since, conflated })
    }

    /// Throws away what has waited longest until about `bytes` are taken; at least something.
    pub(super) fn shed(&mut self, bytes: usize) -> Loss {
        let mut loss = Loss::default();
        let each = size_of::<Entry>() + PLACE;
        let keep = bytes.saturating_sub(size_of::<Self>()) / each;
        let len = self.entries.len();
        // The table of places has room in powers of two, so that a little more may have to go.
        let go = (len - keep.min(len)).max(len / 16 + 1).min(len);
        for entry in self.entries.drain(..go) {
            self.places.remove(&entry.snapshot.slot);
            loss.snapshots += 1;
            loss.ticks += u64::from(entry.snapshot.tick_count);
        }
        self.left += go as u64;
        self.ticks -= loss.ticks;
        self.entries.shrink_to_fit();
        self.places.shrink_to_fit();
        loss
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Since when the instrument that has waited longest waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.since)
    }

    /// Memory taken, unused room included.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.entries.capacity() * size_of::<Entry>() + self.places.capacity() * PLACE
    }
}

/// What an entry of the table of places takes: itself and a byte of control, at seven eighths full.
const PLACE: usize = (size_of::<(InstrumentSlot, u64)>() + 1) * 8 / 7;

/// Ticks that were published before the batch.
fn before(batch: &SnapshotBatch) -> u64 {
    batch.tick_total.saturating_sub(batch.tick_count)
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.ticks += other.ticks;
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Takes a newer state of the same instrument. A tick that was not published yet stays the reason. Returns
    /// whether one tick replaced another.
    pub(crate) fn replace_with(&mut self, newer: Self) -> bool {
        let (cause, ticks) = (self.cause, self.tick_count);
        *self = newer;
        let conflated = ticks > 0 && self.tick_count > 0;
        self.tick_count += ticks;
        if cause == crate::snapshot::SnapshotCause::Tick {
            self.cause = cause;
        }
        conflated
    }
}
