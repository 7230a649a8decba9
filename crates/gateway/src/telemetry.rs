//! Metrics: one Prometheus recorder per gateway, handed to every part, rendered at `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use resilience::TaskExit;
use tokio_util::sync::CancellationToken;

/// Latencies from a socket to a sink: the interesting range is microseconds to seconds.
const LATENCY_SECONDS: [f64; 16] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Histograms keep raw samples until drained; this often is enough at any rate we take.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything about metrics that the wiring needs.
pub(crate) struct Telemetry {
    pub(crate) recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Telemetry {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_SECONDS)?
            .build_recorder();
        Ok(Self { handle: recorder.handle(), recorder })
    }

    /// Renders the page that `/metrics` answers.
    pub(crate) fn text(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let handle = self.handle.clone();
        Arc::new(move || handle.render())
    }

    /// Keeps histogram memory bounded until told to stop.
    pub(crate) fn upkeep(&self) -> impl Fn(CancellationToken) -> futures_util::future::BoxFuture<'static, TaskExit> + use<> {
        let handle = self.handle.clone();
        move |stop| {
            let handle = handle.clone();
            Box::pin(async move {
                let mut ticks = tokio::time::interval(UPKEEP);
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return TaskExit::Cancelled,
                        _ = ticks.tick() => handle.run_upkeep(),
                    }
                }
            })
        }
    }
}
