//! What is counted about instruments.

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder};

/// Handles of the registry's metrics.
#[derive(Debug, Clone)]
pub struct RegistryMetrics {
    /// Dumps that were taken.
    pub refreshed: Counter,
    /// Dumps that did not arrive.
    pub unfetched: Counter,
    /// Dumps that arrived and were refused.
    pub refused: Counter,
    /// Rows of dumps that were taken which are not in the catalog.
    pub skipped_rows: Counter,
    /// Instruments listed now.
    pub listed: Gauge,
    /// Seconds since the dump in use was fetched.
    pub age: Gauge,
    /// Days that could not be stored.
    pub unstored: Counter,
}

// === impl RegistryMetrics ===

impl RegistryMetrics {
    /// Registers on `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("instruments", Level::INFO, Some(module_path!()));
        let outcome = |outcome: &'static str| {
            let labels = vec![Label::from_static_parts("outcome", outcome)];
            let key = Key::from_parts(KeyName::from_const_str("instrument_refreshes_total"), labels);
            recorder.register_counter(&key, &metadata)
        };
        let counter = |name| recorder.register_counter(&Key::from_static_name(name), &metadata);
        let gauge = |name| recorder.register_gauge(&Key::from_static_name(name), &metadata);
        Self {
            refreshed: outcome("taken"),
            unfetched: outcome("not_fetched"),
            refused: outcome("refused"),
            skipped_rows: counter("instrument_skipped_rows_total"),
            listed: gauge("instruments_listed"),
            age: gauge("instruments_age_seconds"),
            unstored: counter("instrument_store_failures_total"),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&metrics::NoopRecorder)
    }
}
