//! A sink under test with its running writer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{Clock, InstrumentCatalog, SystemClock};
use redis_fanout::{RedisConfig, RedisError, RedisMetrics, RedisSink, RedisStatus, RedisStatusHandle};
use tick_pipeline::SnapshotSink;
use tokio::task::JoinSet;

use super::{batch, catalog, config, within};

/// Longest time a delivery may take when Redis does not play along: the command timeout and some scheduling.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// A sink, its running writer, and the number of the last batch.
pub struct Publisher {
    pub sink: RedisSink,
    pub status: RedisStatusHandle,
    pub catalog: Arc<InstrumentCatalog>,
    pub seq: u64,
    pub longest: Duration,
    writer: JoinSet<()>,
}

impl Publisher {
    pub fn start(url: &str, tokens: u32) -> Self {
        Self::start_with(config(url), tokens)
    }

    pub fn start_with(config: RedisConfig, tokens: u32) -> Self {
        let (sink, writer) = RedisSink::new(config, RedisMetrics::noop());
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let status = sink.status();
        Self { sink, status, catalog: catalog(tokens), seq: 0, longest: Duration::ZERO, writer: tasks }
    }

    /// Publishes and lets the writer go on.
    pub async fn publish(&mut self) -> Result<(), RedisError> {
        let delivered = self.publish_unyielding().await;
        tokio::task::yield_now().await;
        delivered
    }

    pub async fn publish_unyielding(&mut self) -> Result<(), RedisError> {
        self.seq += 1;
        let mut batch = batch(&self.catalog, self.seq);
        batch.ts_publish = SystemClock.now();
        let begun = Instant::now();
        let delivered = self.sink.deliver(&batch).await;
        self.longest = self.longest.max(begun.elapsed());
        delivered
    }

    /// Drops the sink, awaits the writer; answers the last status and how many batches were published.
    pub async fn finish(mut self) -> (RedisStatus, u64) {
        drop(self.sink);
        within(self.writer.join_next()).await.unwrap().unwrap();
        (self.status.now(), self.seq)
    }

    /// Ends the writer in the middle of its work.
    pub async fn cancel(mut self) -> RedisStatus {
        self.writer.shutdown().await;
        self.status.now()
    }

    /// Publishes until the status is as wanted.
    pub async fn publish_until(&mut self, wanted: impl Fn(&RedisStatus) -> bool) {
        let begun = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        while !wanted(&self.status.now()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "still {:?}", self.status.now());
            pace.tick().await;
            let _ = self.publish().await;
        }
    }
}
