//! Metrics of the way to Redis.

use metrics::{Counter, Gauge, Histogram, Key, Level, Metadata, Recorder};
use resilience::BreakerMetrics;

/// Handles of this crate's metrics.
#[derive(Debug, Clone)]
pub struct RedisMetrics {
    /// `redis_publish_failures`: batches that Redis did not take, however far they came.
    pub publish_failures: Counter,
    /// `redis_circuit_open_drops`: batches not tried because the breaker was open.
    pub circuit_open_drops: Counter,
    /// `redis_batches_published_total`.
    pub batches: Counter,
    /// `redis_published_bytes_total`: payload bytes, once per batch.
    pub bytes: Counter,
    /// `redis_publish_duration_seconds`: from the hand-over to Redis' answer.
    pub duration: Histogram,
    /// `redis_last_values_written_total`.
    pub last_values: Counter,
    /// `redis_last_values_failures_total`: writes that failed, wholly or in part. They are
    /// repeated unless Redis refused them.
    pub last_values_failures: Counter,
    /// `redis_health_records_written_total`.
    pub health_records: Counter,
    /// `redis_health_records_dropped_total`.
    pub health_dropped: Counter,
    /// `redis_connections`: how many stand.
    pub connections: Gauge,
    /// `redis_connections_lost_total`.
    pub connections_lost: Counter,
    /// `redis_ticks_offered_total`: ticks that batches given to the sink stand for.
    pub ticks_offered: Counter,
    /// `redis_ticks_published_total`: those of batches that Redis took.
    pub ticks_published: Counter,
    /// `redis_ticks_failed_total`: those of batches that Redis did not take.
    pub ticks_failed: Counter,
    /// `redis_ticks_dropped_total`: those of batches not tried.
    pub ticks_dropped: Counter,
    /// The breaker's own, labelled `redis`.
    pub breaker: BreakerMetrics,
}

// === impl RedisMetrics ===

impl RedisMetrics {
    /// Registers on `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("redis_fanout", Level::INFO, Some(module_path!()));
        let counter = |name: &'static str| recorder.register_counter(&Key::from_static_name(name), &metadata);
        Self {
            publish_failures: counter("redis_publish_failures"),
            circuit_open_drops: counter("redis_circuit_open_drops"),
            batches: counter("redis_batches_published_total"),
            bytes: counter("redis_published_bytes_total"),
            duration: recorder
                .register_histogram(&Key::from_static_name("redis_publish_duration_seconds"), &metadata),
            last_values: counter("redis_last_values_written_total"),
            last_values_failures: counter("redis_last_values_failures_total"),
            health_records: counter("redis_health_records_written_total"),
            health_dropped: counter("redis_health_records_dropped_total"),
            connections: recorder.register_gauge(&Key::from_static_name("redis_connections"), &metadata),
            connections_lost: counter("redis_connections_lost_total"),
            ticks_offered: counter("redis_ticks_offered_total"),
            ticks_published: counter("redis_ticks_published_total"),
            ticks_failed: counter("redis_ticks_failed_total"),
            ticks_dropped: counter("redis_ticks_dropped_total"),
            breaker: BreakerMetrics::register(recorder, "redis"),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&metrics::NoopRecorder)
    }
}
