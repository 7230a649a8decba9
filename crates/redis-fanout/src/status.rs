//! What the health report says about Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use resilience::{BreakerState, CircuitBreaker};
use tokio::time::Instant;

use crate::fault::{Faults, RedisFault, RedisPart};
use crate::{RedisConfig, RedisError, RedisMetrics};

/// The state of the way to Redis at one moment, with counts since the start.
///
/// Every batch has exactly one outcome: offered = published + failed + dropped + those still under way. A batch that
/// got no answer in time counts as failed even if Redis published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStatus {
    /// Where Redis is, without credentials.
    pub server: String,
    /// How many connections are wanted; in a cluster one more than configured, which stores.
    pub connections: usize,
    /// How many of them stand.
    pub connected: usize,
    /// Whether batches are tried.
    pub breaker: BreakerState,
    /// What does not work at present, worst first, each with what to do about it.
    pub faults: Vec<RedisFault>,
    /// The first of them in one line; `None` while everything works.
    pub last_error: Option<String>,
    /// Batches that Redis took.
    pub batches: u64,
    /// Batches that Redis did not take.
    pub publish_failures: u64,
    /// Batches not tried because the breaker was open.
    pub circuit_open_drops: u64,
    /// Ticks that the batches given to the sink stand for.
    pub ticks_offered: u64,
    /// Ticks of the batches that Redis took.
    pub ticks_published: u64,
    /// Ticks of the batches that Redis did not take.
    pub ticks_failed: u64,
    /// Ticks of the batches not tried.
    pub ticks_dropped: u64,
    /// Last values written.
    pub last_values: u64,
    /// Writes of last values that failed. Those that can be are tried again.
    pub last_values_failures: u64,
    /// Health records written.
    pub health_records: u64,
    /// Health records dropped because their queue was full or Redis refused them.
    pub health_dropped: u64,
    /// Connections lost.
    pub connections_lost: u64,
}

/// Tells the present [`RedisStatus`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct RedisStatusHandle(pub(crate) Arc<Shared>);

/// What the sink, its writer and status handles share. Nothing in it is locked across an await.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) faults: Faults,
    metrics: RedisMetrics,
    server: String,
    connections: usize,
    connected: AtomicUsize,
    batches: AtomicU64,
    publish_failures: AtomicU64,
    circuit_open_drops: AtomicU64,
    ticks_offered: AtomicU64,
    ticks_published: AtomicU64,
    ticks_failed: AtomicU64,
    ticks_dropped: AtomicU64,
    last_values: AtomicU64,
    last_values_failures: AtomicU64,
    health_records: AtomicU64,
    health_dropped: AtomicU64,
    connections_lost: AtomicU64,
}

// === impl RedisStatus ===

impl RedisStatus {
    /// Ticks whose batches are under way: neither published nor given up.
    pub const fn ticks_under_way(&self) -> u64 {
        self.ticks_offered.saturating_sub(self.ticks_published + self.ticks_failed + self.ticks_dropped)
    }
}

// === impl RedisStatusHandle ===

impl RedisStatusHandle {
    /// The state at this moment.
    pub fn now(&self) -> RedisStatus {
        let shared = &*self.0;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let faults = shared.faults.at(Instant::now());
        RedisStatus {
            server: shared.server.clone(),
            connections: shared.connections,
            connected: shared.connected.load(Ordering::Relaxed),
            breaker: shared.breaker.state(Instant::now()),
            last_error: faults.first().map(ToString::to_string),
            faults,
            batches: count(&shared.batches),
            publish_failures: count(&shared.publish_failures),
            circuit_open_drops: count(&shared.circuit_open_drops),
            ticks_published: count(&shared.ticks_published),
            ticks_failed: count(&shared.ticks_failed),
            ticks_dropped: count(&shared.ticks_dropped),
            // After the outcomes, so that a report never shows more of them than were offered.
            ticks_offered: count(&shared.ticks_offered),
            last_values: count(&shared.last_values),
            last_values_failures: count(&shared.last_values_failures),
            health_records: count(&shared.health_records),
            health_dropped: count(&shared.health_dropped),
            connections_lost: count(&shared.connections_lost),
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: &RedisConfig, connections: usize, metrics: RedisMetrics) -> Self {
        Self {
            breaker: CircuitBreaker::new(config.breaker, metrics.breaker.clone()),
            faults: Faults::default(),
            metrics,
            server: config.url.to_string(),
            connections,
            connected: AtomicUsize::new(0),
            batches: AtomicU64::new(0),
            publish_failures: AtomicU64::new(0),
            circuit_open_drops: AtomicU64::new(0),
            ticks_offered: AtomicU64::new(0),
            ticks_published: AtomicU64::new(0),
            ticks_failed: AtomicU64::new(0),
            ticks_dropped: AtomicU64::new(0),
            last_values: AtomicU64::new(0),
            last_values_failures: AtomicU64::new(0),
            health_records: AtomicU64::new(0),
            health_dropped: AtomicU64::new(0),
            connections_lost: AtomicU64::new(0),
        }
    }

    /// Notes what does not work and logs it, unless the log has said so shortly before.
    pub(crate) fn failed(&self, part: RedisPart, error: &RedisError) {
        if self.faults.set(part, error, Instant::now()) {
            tracing::warn!(part = part.as_str(), %error, next_step = error.next_step(), "redis does not work");
        }
    }

    pub(crate) fn connected(&self) {
        let now = self.connected.fetch_add(1, Ordering::Relaxed) + 1;
        self.metrics.connections.set(now as f64);
        if now == self.connections {
            self.faults.clear(RedisPart::Connection);
        }
    }

    /// Redis has answered, so what failed because it did not is over, even when nothing is published meanwhile.
    pub(crate) fn answers(&self) {
        self.faults.clear_if(RedisPart::Ticks, |error| !error.is_answer());
        if self.connected.load(Ordering::Relaxed) == self.connections {
            self.faults.clear(RedisPart::Connection);
        }
    }

    pub(crate) fn disconnected(&self) {
        let before = self.connected.fetch_sub(1, Ordering::Relaxed);
        self.metrics.connections.set(before.saturating_sub(1) as f64);
    }

    pub(crate) fn connection_lost(&self) {
        self.connections_lost.fetch_add(1, Ordering::Relaxed);
        self.metrics.connections_lost.increment(1);
    }

    /// A batch came to the sink. One of the next three follows.
    pub(crate) fn batch_offered(&self, ticks: u64) {
        self.ticks_offered.fetch_add(ticks, Ordering::Relaxed);
        self.metrics.ticks_offered.increment(ticks);
    }

    pub(crate) fn batch_published(&self, ticks: u64, bytes: usize, took: Duration) {
        self.faults.clear(RedisPart::Ticks);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.ticks_published.fetch_add(ticks, Ordering::Relaxed);
        self.metrics.batches.increment(1);
        self.metrics.ticks_published.increment(ticks);
        self.metrics.bytes.increment(bytes as u64);
        self.metrics.duration.record(took.as_secs_f64());
    }

    pub(crate) fn batch_failed(&self, ticks: u64) {
        self.publish_failures.fetch_add(1, Ordering::Relaxed);
        self.ticks_failed.fetch_add(ticks, Ordering::Relaxed);
        self.metrics.publish_failures.increment(1);
        self.metrics.ticks_failed.increment(ticks);
    }

    pub(crate) fn batch_dropped(&self, ticks: u64) {
        self.circuit_open_drops.fetch_add(1, Ordering::Relaxed);
        self.ticks_dropped.fetch_add(ticks, Ordering::Relaxed);
        self.metrics.circuit_open_drops.increment(1);
        self.metrics.ticks_dropped.increment(ticks);
    }

    pub(crate) fn last_values_written(&self, count: u64) {
        self.last_values.fetch_add(count, Ordering::Relaxed);
        self.metrics.last_values.increment(count);
    }

    pub(crate) fn last_values_failed(&self, count: u64) {
        self.last_values_failures.fetch_add(count, Ordering::Relaxed);
        self.metrics.last_values_failures.increment(count);
    }

    pub(crate) fn health_written(&self) {
        self.faults.clear(RedisPart::Health);
        self.health_records.fetch_add(1, Ordering::Relaxed);
        self.metrics.health_records.increment(1);
    }

    pub(crate) fn health_dropped(&self) {
        self.health_dropped.fetch_add(1, Ordering::Relaxed);
        self.metrics.health_dropped.increment(1);
    }
}
