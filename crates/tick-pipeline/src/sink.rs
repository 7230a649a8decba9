//! Where batches go: one small trait, implemented by Redis, the in-process store, recorders and tests.

use std::future::Future;

use crate::health::HealthRecord;
use crate::snapshot::SnapshotBatch;

/// A destination. Each sink has its own queues and task, so a slow one is its own problem.
pub trait SnapshotSink: Send + 'static {
    /// Why a delivery failed. The record is lost for this sink and counted; the sink is called again for the next.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Delivers one batch. The future is dropped when it takes longer than the queue allows.
    fn deliver(&mut self, batch: &SnapshotBatch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Delivers one feed-health record. Health has a queue of its own and is served before ticks.
    fn health(&mut self, record: &HealthRecord) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
