//! What the health report says about Redis.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use resilience::{BreakerState, CircuitBreaker};
use tokio::time::Instant;

use crate::{RedisConfig, RedisError, RedisMetrics};

/// The state of the way to Redis at one moment, with counts since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStatus {
    /// Where Redis is, without credentials.
    pub server: String,
    /// How many connections are wanted.
    pub connections: usize,
    /// How many of them stand.
    pub connected: usize,
    /// Whether batches are tried.
    pub breaker: BreakerState,
    /// The newest error; `None` when batches have been published since.
    pub last_error: Option<String>,
    /// Batches that Redis took.
    pub batches: u64,
    /// Batches that Redis did not take.
    pub publish_failures: u64,
    /// Batches not tried because the breaker was open.
    pub circuit_open_drops: u64,
    /// Last values written.
    pub last_values: u64,
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
    metrics: RedisMetrics,
    server: String,
    connections: usize,
    connected: AtomicUsize,
    last_error: Mutex<LastError>,
    batches: AtomicU64,
    publish_failures: AtomicU64,
    circuit_open_drops: AtomicU64,
    last_values: AtomicU64,
    health_records: AtomicU64,
    health_dropped: AtomicU64,
    connections_lost: AtomicU64,
}

#[derive(Debug, Default)]
struct LastError {
    current: Option<RedisError>,
    /// Text of the error that was logged last, and when.
    logged: Option<(String, Instant)>,
}

/// The same error is not logged more often.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(30);

// === impl RedisStatusHandle ===

impl RedisStatusHandle {
    /// The state at this moment.
    pub fn now(&self) -> RedisStatus {
        let shared = &*self.0;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisStatus {
            server: shared.server.clone(),
            connections: shared.connections,
            connected: shared.connected.load(Ordering::Relaxed),
            breaker: shared.breaker.state(Instant::now()),
            last_error: shared.last_error().current.as_ref().map(ToString::to_string),
            batches: count(&shared.batches),
            publish_failures: count(&shared.publish_failures),
            circuit_open_drops: count(&shared.circuit_open_drops),
            last_values: count(&shared.last_values),
            health_records: count(&shared.health_records),
            health_dropped: count(&shared.health_dropped),
            connections_lost: count(&shared.connections_lost),
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: &RedisConfig, metrics: RedisMetrics) -> Self {
        Self {
            breaker: CircuitBreaker::new(config.breaker, metrics.breaker.clone()),
            metrics,
            server: config.url.to_string(),
            connections: config.connections.max(1),
            connected: AtomicUsize::new(0),
            last_error: Mutex::default(),
            batches: AtomicU64::new(0),
            publish_failures: AtomicU64::new(0),
            circuit_open_drops: AtomicU64::new(0),
            last_values: AtomicU64::new(0),
            health_records: AtomicU64::new(0),
            health_dropped: AtomicU64::new(0),
            connections_lost: AtomicU64::new(0),
        }
    }

    /// Notes an error; answers whether it deserves a log line, being new or not logged for a while.
    pub(crate) fn note_error(&self, error: &RedisError) -> bool {
        let (text, now) = (error.to_string(), Instant::now());
        let mut last = self.last_error();
        last.current = Some(error.clone());
        let known =
            matches!(&last.logged, Some((logged, at)) if *logged == text && now - *at < LOG_AGAIN_AFTER);
        if !known {
            last.logged = Some((text, now));
        }
        !known
    }

    pub(crate) fn connected(&self) {
        let now = self.connected.fetch_add(1, Ordering::Relaxed) + 1;
        self.metrics.connections.set(now as f64);
        if now == self.connections {
            self.last_error().current = None;
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

    pub(crate) fn batch_published(&self, bytes: usize, took: Duration) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.last_error().current = None;
        self.metrics.batches.increment(1);
        self.metrics.bytes.increment(bytes as u64);
        self.metrics.duration.record(took.as_secs_f64());
    }

    pub(crate) fn batch_failed(&self) {
        self.publish_failures.fetch_add(1, Ordering::Relaxed);
        self.metrics.publish_failures.increment(1);
    }

    pub(crate) fn batch_dropped(&self) {
        self.circuit_open_drops.fetch_add(1, Ordering::Relaxed);
        self.metrics.circuit_open_drops.increment(1);
    }

    pub(crate) fn last_values_written(&self, count: u64) {
        self.last_values.fetch_add(count, Ordering::Relaxed);
        self.metrics.last_values.increment(count);
    }

    pub(crate) fn last_values_failed(&self, count: u64) {
        self.metrics.last_values_failures.increment(count);
    }

    pub(crate) fn health_written(&self) {
        self.health_records.fetch_add(1, Ordering::Relaxed);
        self.metrics.health_records.increment(1);
    }

    pub(crate) fn health_dropped(&self) {
        self.health_dropped.fetch_add(1, Ordering::Relaxed);
        self.metrics.health_dropped.increment(1);
    }

    fn last_error(&self) -> MutexGuard<'_, LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
