//! Last values waiting to be written: the newest per instrument, so never more than there are instruments.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use market_model::InstrumentToken;
use rustc_hash::FxHashMap;
use snapshot_wire::EncodedBatch;
use tick_pipeline::SnapshotBatch;

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

#[cfg(test)]
mod tests {
    use super::*;

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
