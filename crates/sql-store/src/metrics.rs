//! Metrics of the way to the database.

use metrics::{Counter, Gauge, Histogram, Key, Level, Metadata, Recorder};

/// Handles of this crate's metrics.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// `database_statements_total`: sent to the database; one statement for many rows counts once.
    pub statements: Counter,
    /// `database_transactions_total`: committed on the embedded file (a group counts once) or answered by Postgres.
    pub transactions: Counter,
    /// `database_errors_total`: calls that failed, whatever the reason.
    pub errors: Counter,
    /// `database_timeouts_total`: calls that took too long.
    pub timeouts: Counter,
    /// `database_pool_exhausted_total`: calls that got no connection in time.
    pub pool_exhausted: Counter,
    /// `database_connections_discarded_total`: connections thrown away because a call on them did not end well.
    pub discarded: Counter,
    /// `database_call_duration_seconds`: from the call to the answer, waiting for a connection included.
    pub duration: Histogram,
    /// `database_up`: 1 while it answers.
    pub up: Gauge,
}

// === impl StoreMetrics ===

impl StoreMetrics {
    /// Registers on `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("sql_store", Level::INFO, Some(module_path!()));
        let counter = |name: &'static str| recorder.register_counter(&Key::from_static_name(name), &metadata);
        Self {
            statements: counter("database_statements_total"),
            transactions: counter("database_transactions_total"),
            errors: counter("database_errors_total"),
            timeouts: counter("database_timeouts_total"),
            pool_exhausted: counter("database_pool_exhausted_total"),
            discarded: counter("database_connections_discarded_total"),
            duration: recorder
                .register_histogram(&Key::from_static_name("database_call_duration_seconds"), &metadata),
            up: recorder.register_gauge(&Key::from_static_name("database_up"), &metadata),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&metrics::NoopRecorder)
    }
}
