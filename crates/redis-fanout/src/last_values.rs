//! Last values waiting to be written: the newest per instrument, so never more than there are instruments.

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
    /// The tick as it stood in its batch. A copy, so that it does not keep the whole batch in memory.
    pub(crate) tick: Bytes,
    pub(crate) seq: u64,
    pub(crate) ts_publish: i64,
    pub(crate) source: Bytes,
    pub(crate) sim: bool,
}

/// Filled by the sink, emptied by the writer.
#[derive(Debug, Default)]
pub(crate) struct LastValues(Mutex<FxHashMap<InstrumentToken, LastValue>>);

/// Remembers when each key's expiry was set, so that not every write sets it again.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    set: FxHashMap<InstrumentToken, Instant>,
    /// Old entries are removed when there are this many.
    prune_at: usize,
}

// === impl LastValues ===

impl LastValues {
    /// Takes over the ticks of a batch.
    pub(crate) fn put(&self, batch: &SnapshotBatch, encoded: &EncodedBatch) {
        let source = Bytes::copy_from_slice(batch.source.as_bytes());
        let mut pending = self.lock();
        for (index, snapshot) in batch.snapshots.iter().enumerate() {
            let value = LastValue {
                token: snapshot.token(),
                tick: Bytes::copy_from_slice(encoded.tick(index)),
                seq: batch.seq,
                ts_publish: batch.ts_publish.0,
                source: source.clone(),
                sim: batch.sim,
            };
            pending.insert(value.token, value);
        }
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Vec<LastValue> {
        self.lock().drain().map(|(_, value)| value).collect()
    }

    /// Puts back what could not be written, unless something newer came meanwhile.
    pub(crate) fn restore(&self, values: Vec<LastValue>) {
        let mut pending = self.lock();
        for value in values {
            pending.entry(value.token).or_insert(value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<InstrumentToken, LastValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_set_four_times_in_its_length_and_forgotten_after() {
        let (begin, expiry) = (Instant::now(), Duration::from_secs(400));
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut expiries = Expiries::default();
        let token = InstrumentToken(1);
        assert!(expiries.is_due(token, at(0), expiry));
        assert!(!expiries.is_due(token, at(99), expiry));
        assert!(expiries.is_due(token, at(100), expiry));
        assert!(!expiries.is_due(token, at(199), expiry));
        for n in 2..100_000 {
            assert!(expiries.is_due(InstrumentToken(n), at(u64::from(n)), expiry));
        }
        assert!(expiries.set.len() <= 1024, "{}", expiries.set.len());
    }

    fn value(token: u32, seq: u64) -> LastValue {
        LastValue {
            token: InstrumentToken(token),
            tick: Bytes::new(),
            seq,
            ts_publish: 0,
            source: Bytes::new(),
            sim: true,
        }
    }

    #[test]
    fn what_failed_comes_back_unless_something_newer_waits() {
        let values = LastValues::default();
        values.restore(vec![value(1, 10), value(2, 10)]);
        let failed = values.take();
        assert_eq!(failed.len(), 2);
        assert!(values.take().is_empty());
        values.restore(vec![value(1, 11)]);
        values.restore(failed);
        let mut left = values.take();
        left.sort_by_key(|value| value.token);
        assert_eq!(left, [value(1, 11), value(2, 10)]);
    }
}
