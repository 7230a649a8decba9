//! A sink that delivers, hangs or fails as it is told, and whoever starts it again.

use std::time::Duration;

use tick_pipeline::{
    HealthRecord, SinkMetrics, SinkQueue, SinkSummary, SnapshotBatch, SnapshotSink, run_sink,
};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::delivery::Deliveries;

/// What a sink does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mood {
    /// Deliveries hang.
    pub(crate) stalled: bool,
    /// Deliveries fail.
    pub(crate) failing: bool,
    /// Counts up by one for each time its task is thrown away.
    pub(crate) restarts: u64,
}

/// The scripted sink.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedSink {
    /// What it was given.
    pub(crate) deliveries: Deliveries,
    /// How long a delivery takes when nothing is wrong.
    pub(crate) takes: Duration,
    /// What it does now.
    pub(crate) mood: watch::Receiver<Mood>,
}

/// It was told to fail.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the script says so")]
pub(crate) struct Scripted;

// === impl ScriptedSink ===

impl ScriptedSink {
    /// Serves `queue` to its end, starting again whenever it is told to.
    pub(crate) async fn run(mut self, queue: SinkQueue) -> SinkSummary {
        loop {
            let restarts = self.mood.borrow().restarts;
            let serving = run_sink(self.clone(), queue.clone(), SinkMetrics::noop());
            let thrown_away = self.mood.wait_for(|mood| mood.restarts != restarts);
            tokio::select! {
                biased;
                Ok(_) = thrown_away => {}
                summary = serving => return summary,
            }
        }
    }

    async fn works(&mut self) -> Result<(), Scripted> {
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        // Nobody to tell it otherwise: it works.
        let _ = self.mood.wait_for(|mood| !mood.stalled).await;
        if self.mood.borrow().failing { Err(Scripted) } else { Ok(()) }
    }
}

impl SnapshotSink for ScriptedSink {
    type Error = Scripted;

    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), Scripted> {
        self.works().await?;
        self.deliveries.batch(batch);
        Ok(())
    }

    async fn health(&mut self, record: &HealthRecord) -> Result<(), Scripted> {
        self.works().await?;
        self.deliveries.health(record);
        Ok(())
    }
}
