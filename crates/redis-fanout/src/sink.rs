//! The sink that the pipeline sees.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use snapshot_wire::{BatchEncoder, encode_health};
use tick_pipeline::{HealthRecord, SnapshotBatch, SnapshotSink, Topic};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::lane::{HealthJob, Lane, PublishJob};
use crate::last_values::LastValues;
use crate::status::Shared;
use crate::{Keys, RedisConfig, RedisError, RedisMetrics, RedisStatusHandle, legacy_channel};

/// Health records that may wait while Redis is away: hours of them, unless everything flaps.
const HEALTH_QUEUE: usize = 1024;

/// Encodes batches and hands them to the [`RedisWriter`].
///
/// `Ok` from [`deliver`](SnapshotSink::deliver) means handed over, not published. What fails after that is counted
/// (`redis_publish_failures`), opens the breaker, and consumers see it as a hole in `seq`.
#[derive(Debug)]
pub struct RedisSink {
    config: Arc<RedisConfig>,
    shared: Arc<Shared>,
    keys: Keys,
    encoder: BatchEncoder,
    lanes: Vec<LaneInput>,
    health: mpsc::Sender<HealthJob>,
}

/// Writes to Redis what the sink hands over. Run it under a supervisor; it cannot be started twice.
#[must_use = "nothing is written unless it runs"]
pub struct RedisWriter {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct LaneInput {
    jobs: mpsc::Sender<PublishJob>,
    last_values: Arc<LastValues>,
}

// === impl RedisSink ===

impl RedisSink {
    /// A sink and its writer. Nothing is connected before the writer runs.
    pub fn new(config: RedisConfig, metrics: RedisMetrics) -> (Self, RedisWriter) {
        let shared = Arc::new(Shared::new(&config, metrics));
        let config = Arc::new(config);
        let (health, first_health) = mpsc::channel(HEALTH_QUEUE);
        let mut first_health = Some(first_health);
        let (inputs, lanes) = (0..config.connections.max(1))
            .map(|index| {
                let (jobs_in, jobs) = mpsc::channel(config.queue.max(1));
                let last_values = Arc::new(LastValues::default());
                let lane = Lane {
                    index,
                    config: config.clone(),
                    shared: shared.clone(),
                    jobs,
                    // Health records keep their order by using one connection; the other lanes' channels are closed.
                    health: first_health.take().unwrap_or_else(|| mpsc::channel(1).1),
                    last_values: last_values.clone(),
                };
                (LaneInput { jobs: jobs_in, last_values }, lane)
            })
            .unzip();
        let sink = Self {
            keys: Keys::new(&config.namespace),
            encoder: BatchEncoder::new(config.format),
            config,
            shared,
            lanes: inputs,
            health,
        };
        (sink, RedisWriter { lanes })
    }

    /// For health reports; stays valid when the sink has been given away.
    pub fn status(&self) -> RedisStatusHandle {
        RedisStatusHandle(self.shared.clone())
    }

    /// Batches of one topic always take the same connection, so they arrive in order.
    fn lane_of(&self, topic: &Topic) -> &LaneInput {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize]
    }

    async fn publish(&mut self, batch: &SnapshotBatch) -> Result<(), RedisError> {
        let permit = self.shared.breaker.permit(Instant::now()).inspect_err(|_| self.shared.batch_dropped());
        let keeps_last = self.config.last_values.is_some();
        if !keeps_last {
            permit.as_ref().map_err(|open| *open)?;
        }
        let encoded = self.encoder.encode(batch);
        let lane = self.lane_of(&batch.topic);
        if keeps_last {
            // Also while batches are not tried: after the outage the last values are right at once.
            lane.last_values.put(batch, &encoded);
        }
        let permit = permit?;
        let job = PublishJob {
            channel: self.keys.tick(&batch.topic),
            legacy_channel: legacy_channel(&batch.topic).filter(|_| self.config.legacy_channels),
            payload: encoded.payload().clone(),
            permit,
            handed_over: Instant::now(),
        };
        let limit = self.config.command_timeout;
        let error = match timeout(limit, lane.jobs.reserve()).await {
            Ok(Ok(place)) => {
                place.send(job);
                return Ok(());
            }
            Ok(Err(_)) => RedisError::WriterEnded,
            Err(_) => RedisError::Busy(limit),
        };
        self.shared.breaker.failure(job.permit, Instant::now());
        self.shared.batch_failed();
        self.shared.note_error(&error);
        Err(error)
    }

    fn append(&self, record: &HealthRecord) -> Result<(), RedisError> {
        let mut payload = Vec::new();
        let Some(kind) = encode_health(self.config.format, record, &mut payload) else {
            return Ok(());
        };
        let job = HealthJob { kind, source: record.source.clone(), payload: Bytes::from(payload) };
        self.health.try_send(job).map_err(|refused| {
            self.shared.health_dropped();
            match refused {
                mpsc::error::TrySendError::Full(_) => RedisError::HealthQueueFull,
                mpsc::error::TrySendError::Closed(_) => RedisError::WriterEnded,
            }
        })
    }
}

impl SnapshotSink for RedisSink {
    type Error = RedisError;

    /// Returns at once, or after [`RedisConfig::command_timeout`] when Redis does not keep up.
    ///
    /// # Errors
    /// [`RedisError::CircuitOpen`], [`RedisError::Busy`] or [`RedisError::WriterEnded`]; the batch is lost, counted.
    ///
    /// # Cancel safety
    /// A cancelled delivery may or may not have handed the batch over.
    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), RedisError> {
        self.publish(batch).await
    }

    /// Returns at once. Records wait, in order, while Redis is away.
    ///
    /// # Errors
    /// [`RedisError::HealthQueueFull`] or [`RedisError::WriterEnded`]; the record is lost, counted.
    async fn health(&mut self, record: &HealthRecord) -> Result<(), RedisError> {
        self.append(record)
    }
}

// === impl RedisWriter ===

impl RedisWriter {
    /// Runs until the sink is dropped, flushes for at most [`RedisConfig::drain_timeout`], and ends.
    ///
    /// # Cancel safety
    /// Dropping the future ends all connections; what was not written is lost.
    pub async fn run(self) {
        join_all(self.lanes.into_iter().map(Lane::run)).await;
    }
}
