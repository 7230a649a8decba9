//! Last values waiting to be written: the newest per instrument, so never more than there are instruments.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use market_model::InstrumentToken;
use rustc_hash::FxHashMap;
use snapshot_wire::EncodedBatch;
use tick_pipeline::SnapshotBatch;
use tokio::time::Instant;

/// One value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastValue {
    pub(crate) token: InstrumentToken,
    /// The tick as it stood in its batch.
    pub(crate) tick: Bytes,
    pub(crate) head: Head,
}

/// What is said of the batch beside each of its ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) ts_publish: i64,
    pub(crate) source: Bytes,
    pub(crate) sim: bool,
}

/// Filled by the sink, emptied by the writer.
///
/// Ticks are not copied: the whole payloads are kept until the ticks are written or replaced. When replaced ticks
/// make up most of them, the others are moved together.
#[derive(Debug, Default)]
pub(crate) struct LastValues(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    places: FxHashMap<InstrumentToken, Place>,
    payloads: Vec<Payload>,
    /// Bytes in `payloads`.
    held: usize,
    /// Move ticks together when more bytes are held.
    limit: usize,
}

#[derive(Debug)]
struct Place {
    payload: u32,
    start: u32,
    end: u32,
}

#[derive(Debug)]
struct Payload {
    bytes: Bytes,
    head: Head,
}

/// Remembers when each key's expiry was set, so that not every write sets it again.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    set: FxHashMap<InstrumentToken, Instant>,
    /// Old entries are removed when there are this many.
    prune_at: usize,
}

/// Payloads below this size in all are never moved together: a second of a full feed of 9,000 instruments as JSON.
const ALWAYS_HELD: usize = 24 << 20;

// === impl LastValues ===

impl LastValues {
    /// Takes over the ticks of a batch.
    pub(crate) fn put(&self, batch: &SnapshotBatch, encoded: &EncodedBatch) {
        let head = Head {
            seq: batch.seq,
            ts_publish: batch.ts_publish.0,
            source: Bytes::copy_from_slice(batch.source.as_bytes()),
            sim: batch.sim,
        };
        let mut waiting = self.lock();
        let payload = waiting.hold(encoded.payload().clone(), head);
        let ranges = (0..encoded.len()).filter_map(|index| encoded.range(index));
        for (snapshot, range) in batch.snapshots.iter().zip(ranges) {
            waiting.places.insert(snapshot.token(), Place::new(payload, range));
        }
        waiting.tidy();
    }

    /// Takes everything that waits, ticks of one batch beside each other.
    pub(crate) fn take(&self) -> Vec<LastValue> {
        let (places, payloads) = {
            let mut waiting = self.lock();
            waiting.held = 0;
            // The map keeps its room for the next round.
            let mut places: Vec<_> = waiting.places.drain().collect();
            places.sort_unstable_by_key(|(_, place)| place.payload);
            (places, std::mem::take(&mut waiting.payloads))
        };
        let value = |(token, place): (InstrumentToken, Place)| {
            let payload = &payloads[place.payload as usize];
            LastValue { token, tick: payload.bytes.slice(place.range()), head: payload.head.clone() }
        };
        places.into_iter().map(value).collect()
    }

    /// Puts back what could not be written, unless something newer came meanwhile.
    pub(crate) fn restore(&self, values: impl IntoIterator<Item = LastValue>) {
        let mut waiting = self.lock();
        for LastValue { token, tick, head } in values {
            if !waiting.places.contains_key(&token) {
                // A copy, because the slice holds the whole payload it is part of.
                let payload = waiting.hold(Bytes::copy_from_slice(&tick), head);
                waiting.places.insert(token, Place::new(payload, 0..tick.len()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl Waiting {
    fn hold(&mut self, bytes: Bytes, head: Head) -> u32 {
        self.held += bytes.len();
        self.payloads.push(Payload { bytes, head });
        (self.payloads.len() - 1) as u32
    }

    /// Moves ticks together when too much is held for them: at most half of what has come since the last time, so
    /// this costs less than copying each tick would.
    fn tidy(&mut self) {
        if self.held <= self.limit.max(ALWAYS_HELD) {
            return;
        }
        let mut live: Vec<&mut Place> = self.places.values_mut().collect();
        live.sort_unstable_by_key(|place| (place.payload, place.start));
        let size = live.iter().map(|place| place.range().len()).sum();
        let mut moved = Vec::with_capacity(size);
        let mut heads = Vec::new();
        let mut from = None;
        for place in live {
            let payload = &self.payloads[place.payload as usize];
            if from.replace(place.payload) != Some(place.payload) {
                heads.push(payload.head.clone());
            }
            let start = moved.len();
            moved.extend_from_slice(&payload.bytes[place.range()]);
            *place = Place::new((heads.len() - 1) as u32, start..moved.len());
        }
        let bytes = Bytes::from(moved);
        self.payloads = heads.into_iter().map(|head| Payload { bytes: bytes.clone(), head }).collect();
        self.held = size;
        self.limit = 2 * size;
    }
}

impl Place {
    fn new(payload: u32, range: Range<usize>) -> Self {
        Self { payload, start: range.start as u32, end: range.end as u32 }
    }

    const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

// === impl Expiries ===

impl Expiries {
    /// Whether the expiry of `token`'s key is to be set with a write at `now`; then it counts as set. That is four
    /// times per `expiry`.
    pub(crate) fn is_due(&mut self, token: InstrumentToken, now: Instant, expiry: Duration) -> bool {
        let is_old = |set: &Instant| now.duration_since(*set) >= expiry / 4;
        if self.set.get(&token).is_some_and(|set| !is_old(set)) {
            return false;
        }
        if self.set.len() >= self.prune_at {
            self.set.retain(|_, set| !is_old(set));
            self.prune_at = (2 * self.set.len()).max(1024);
        }
        self.set.insert(token, now);
        true
    }
}

#[cfg(test)]
mod tests;
