//! A sink that keeps what it is given, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::health::HealthRecord;
use crate::sink::SnapshotSink;
use crate::snapshot::{Snapshot, SnapshotBatch};

/// Keeps every batch and record; clones share what was kept. Fails every `fail_every`-th delivery when asked to.
#[derive(Debug, Clone, Default)]
pub struct RecordingSink {
    kept: Arc<Mutex<Kept>>,
    fail_every: Option<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<SnapshotBatch>,
    health: Vec<HealthRecord>,
    deliveries: usize,
}

/// The failure a [`RecordingSink`] was asked to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("recording sink was told to fail")]
pub struct RecordingFailed;

// === impl RecordingSink ===

impl RecordingSink {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails every `n`-th delivery of a batch.
    #[must_use]
    pub fn failing_every(self, n: usize) -> Self {
        Self { fail_every: Some(n), ..self }
    }

    /// The batches so far.
    pub fn batches(&self) -> Vec<SnapshotBatch> {
        self.lock().batches.clone()
    }

    /// The snapshots so far, in order.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.lock().batches.iter().flat_map(|batch| batch.snapshots.iter().cloned()).collect()
    }

    /// The health records so far.
    pub fn health_records(&self) -> Vec<HealthRecord> {
        self.lock().health.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotSink for RecordingSink {
    type Error = RecordingFailed;

    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), RecordingFailed> {
        let mut kept = self.lock();
        kept.deliveries += 1;
        if self.fail_every.is_some_and(|n| kept.deliveries.is_multiple_of(n)) {
            return Err(RecordingFailed);
        }
        kept.batches.push(batch.clone());
        Ok(())
    }

    async fn health(&mut self, record: &HealthRecord) -> Result<(), RecordingFailed> {
        self.lock().health.push(record.clone());
        Ok(())
    }
}
