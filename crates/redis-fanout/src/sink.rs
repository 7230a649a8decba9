//! The sink that the pipeline sees.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use rustc_hash::FxHashMap;
use snapshot_wire::{BatchEncoder, encode_health};
use tick_pipeline::{HealthRecord, SnapshotBatch, SnapshotSink, Topic};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::connection::{Reach, is_cluster};
use crate::fault::RedisPart;
use crate::lane::{HealthJob, Lane, PublishJob};
use crate::last_values::LastValues;
use crate::outcome::Outcome;
use crate::status::Shared;
use crate::{Keys, RedisConfig, RedisError, RedisMetrics, RedisStatusHandle, legacy_channel};

/// Health records that may wait while Redis is away: hours of them, unless everything flaps.
const HEALTH_QUEUE: usize = 1024;

/// Bytes of payloads that may wait for one connection beside what is under way: enough to keep it busy while the
/// encoder is not on a processor, little enough that they are in its cache still when they are written.
const BYTES_WAITING: usize = 1024 * 1024;

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
    /// One entry per topic seen, so as many as the catalog has.
    channels: FxHashMap<Arc<Topic>, Channels>,
    /// So many of `lanes`, from the first, take batches.
    tick_lanes: usize,
    lanes: Vec<LaneInput>,
    health: mpsc::Sender<HealthJob>,
}

/// Writes to Redis what the sink hands over. Run it under a supervisor; it cannot be started twice.
#[must_use = "nothing is written unless it runs"]
pub struct RedisWriter {
    lanes: Vec<Lane>,
}

/// Where the batches of a topic go.
#[derive(Debug)]
struct Channels {
    channel: Bytes,
    legacy: Option<Bytes>,
    /// Batches of one topic always take the same connection, so they arrive in order.
    lane: usize,
}

#[derive(Debug)]
struct LaneInput {
    jobs: mpsc::Sender<PublishJob>,
    /// Bytes that may still join them.
    room: Arc<Semaphore>,
    last_values: Arc<LastValues>,
}

// === impl RedisSink ===

impl RedisSink {
    /// A sink and its writer. Nothing is connected before the writer runs.
    pub fn new(config: RedisConfig, metrics: RedisMetrics) -> (Self, RedisWriter) {
        // In a cluster one more connection stores, so that a node or slot that is lost does not hold up the ticks.
        let tick_lanes = config.connections.max(1);
        let stores_apart = is_cluster(&config.url);
        let lanes = tick_lanes + usize::from(stores_apart);
        let shared = Arc::new(Shared::new(&config, lanes, metrics));
        let config = Arc::new(config);
        let (health, health_jobs) = mpsc::channel(HEALTH_QUEUE);
        // Health records keep their order by using one connection.
        let health_lane = if stores_apart { tick_lanes } else { 0 };
        let mut health_jobs = Some(health_jobs);
        let (mut inputs, lanes): (Vec<_>, Vec<_>) = (0..lanes)
            .map(|index| {
                let (jobs_in, jobs) = mpsc::channel(config.queue.max(1));
                let last_values = Arc::new(LastValues::default());
                let lane = Lane {
                    index,
                    reach: if stores_apart && index < tick_lanes { Reach::AnyNode } else { Reach::Named },
                    config: config.clone(),
                    shared: shared.clone(),
                    jobs,
                    health: health_jobs
                        .take_if(|_| index == health_lane)
                        .unwrap_or_else(|| mpsc::channel(1).1),
                    last_values: last_values.clone(),
                };
                let room = Arc::new(Semaphore::new(BYTES_WAITING));
                (LaneInput { jobs: jobs_in, room, last_values }, lane)
            })
            .unzip();
        if stores_apart {
            let apart = inputs[tick_lanes].last_values.clone();
            inputs.iter_mut().for_each(|input| input.last_values = apart.clone());
        }
        let sink = Self {
            keys: Keys::new(&config.namespace),
            encoder: BatchEncoder::new(config.format),
            channels: FxHashMap::default(),
            config,
            shared,
            tick_lanes,
            lanes: inputs,
            health,
        };
        (sink, RedisWriter { lanes })
    }

    /// For health reports; stays valid when the sink has been given away.
    pub fn status(&self) -> RedisStatusHandle {
        RedisStatusHandle(self.shared.clone())
    }

    async fn publish(&mut self, batch: &SnapshotBatch) -> Result<(), RedisError> {
        self.shared.batch_offered(batch.tick_count);
        let now = Instant::now();
        let permit = self.shared.breaker.permit(now);
        let permit = permit.inspect_err(|_| self.shared.batch_dropped(batch.tick_count));
        let keeps_last = self.config.last_values.is_some();
        if !keeps_last {
            permit.as_ref().map_err(|open| *open)?;
        }
        let encoded = self.encoder.encode(batch);
        let channels = self
            .channels
            .entry(batch.topic.clone())
            .or_insert_with_key(|topic| Channels::new(&self.keys, &self.config, topic, self.tick_lanes));
        let lane = &self.lanes[channels.lane];
        if keeps_last {
            // Also while batches are not tried: after the outage the last values are right at once.
            lane.last_values.put(batch, &encoded);
        }
        let payload = encoded.payload().clone();
        let job = PublishJob {
            channel: channels.channel.clone(),
            legacy_channel: channels.legacy.clone(),
            outcome: Outcome::new(&self.shared, permit?, now, batch.tick_count, payload.len()),
            payload,
            room: None,
        };
        let limit = self.config.command_timeout;
        // Dropped by then, the job counts as failed.
        let error = match timeout(limit, lane.take(job)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => RedisError::Busy(limit),
        };
        self.shared.failed(RedisPart::Ticks, &error);
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
    /// A cancelled delivery may or may not have handed the batch over; it is counted once in either case.
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

// === impl LaneInput ===

impl LaneInput {
    /// Hands `job` over as soon as there is room for it.
    async fn take(&self, mut job: PublishJob) -> Result<(), RedisError> {
        // One that is larger than everything waits until it is alone.
        let bytes = job.payload.len().min(BYTES_WAITING) as u32;
        let room = self.room.clone().acquire_many_owned(bytes).await;
        job.room = Some(room.map_err(|_| RedisError::WriterEnded)?);
        self.jobs.send(job).await.map_err(|_| RedisError::WriterEnded)
    }
}

// === impl Channels ===

impl Channels {
    fn new(keys: &Keys, config: &RedisConfig, topic: &Topic, lanes: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        Self {
            channel: keys.tick(topic).into(),
            legacy: legacy_channel(topic).filter(|_| config.legacy_channels).map(Bytes::from),
            lane: (hasher.finish() % lanes as u64) as usize,
        }
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
