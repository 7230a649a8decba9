//! Metrics: one Prometheus recorder per gateway, handed to every part, rendered at `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use resilience::TaskExit;
use tokio_util::sync::CancellationToken;

use crate::latency::LatencyWindow;
use crate::logging::Logging;

/// Latencies from a socket to a sink: the interesting range is microseconds to seconds.
const LATENCY_SECONDS: [f64; 16] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 5.0,
];

/// Histograms keep raw samples until drained; this often is enough at any rate we take.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything about metrics that the wiring needs.
pub(crate) struct Telemetry {
    pub(crate) recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Telemetry {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_SECONDS)?
            .build_recorder();
        Ok(Self { handle: recorder.handle(), recorder: Arc::new(recorder) })
    }

    /// Renders the page that `/metrics` answers.
    pub(crate) fn text(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let handle = self.handle.clone();
        Arc::new(move || handle.render())
    }

    /// What keeps histogram memory bounded and reads the window of latencies.
    pub(crate) fn upkeep(&self, latency: Arc<LatencyWindow>, logging: Option<Logging>) -> Upkeep {
        let metadata = Metadata::new("gateway", Level::INFO, Some(module_path!()));
        let dropped_lines =
            self.recorder.register_counter(&Key::from_static_name("log_lines_dropped_total"), &metadata);
        Upkeep { handle: self.handle.clone(), latency, logging, dropped_lines }
    }
}

/// The chores of every few seconds.
pub(crate) struct Upkeep {
    handle: PrometheusHandle,
    latency: Arc<LatencyWindow>,
    logging: Option<Logging>,
    dropped_lines: Counter,
}

impl Upkeep {
    pub(crate) async fn run(&self, stop: CancellationToken) -> TaskExit {
        let mut rounds = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                _ = rounds.tick() => {}
            }
            self.handle.run_upkeep();
            self.latency.read(&self.handle.render());
            if let Some(logging) = &self.logging {
                self.dropped_lines.absolute(logging.dropped_lines() as u64);
            }
        }
    }
}
