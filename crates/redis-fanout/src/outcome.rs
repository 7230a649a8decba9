//! What becomes of a batch: exactly one of published, failed and dropped, whatever path it takes.

use std::sync::Arc;

use resilience::Permit;
use tokio::time::Instant;

use crate::status::Shared;

/// A batch that is being tried. It counts as failed unless it is [`published`](Self::published), also when whoever
/// holds it is cancelled.
#[derive(Debug)]
#[must_use = "dropping it counts the batch as failed"]
pub(crate) struct Outcome {
    shared: Arc<Shared>,
    /// `None` once the outcome is counted.
    permit: Option<Permit>,
    ticks: u64,
    bytes: usize,
    handed_over: Instant,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn new(shared: &Arc<Shared>, permit: Permit, now: Instant, ticks: u64, bytes: usize) -> Self {
        Self { shared: shared.clone(), permit: Some(permit), ticks, bytes, handed_over: now }
    }

    /// Redis took it.
    pub(crate) fn published(mut self) {
        if let Some(permit) = self.permit.take() {
            self.shared.breaker.success(permit);
            self.shared.batch_published(self.ticks, self.bytes, self.handed_over.elapsed());
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.shared.breaker.failure(permit, Instant::now());
            self.shared.batch_failed(self.ticks);
        }
    }
}
