//! Counts requests by route and outcome.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};

use crate::hub::StreamMetrics;
use crate::routes::{ROUTES, Route};

/// Handles of the door's metrics.
#[derive(Debug, Clone)]
pub struct ApiMetrics {
    /// One per route, in the order of the route table, then one for paths that do not exist.
    routes: Vec<RouteMetrics>,
    /// `http_connections_refused_total`: beyond the limit.
    pub(crate) refused_connections: Counter,
    /// The streams.
    pub stream: StreamMetrics,
}

#[derive(Debug, Clone)]
struct RouteMetrics {
    /// `http_requests_total{route, status}`, by [`CLASSES`].
    requests: [Counter; CLASSES.len()],
    /// `http_request_duration_seconds{route}`: until the head of the answer is ready. For a stream that is its
    /// handshake.
    duration: Histogram,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

// === impl ApiMetrics ===

impl ApiMetrics {
    /// Registers the handles.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("gateway-api", Level::INFO, Some(module_path!()));
        let key = |name: &'static str, labels: &[(&'static str, &'static str)]| {
            let labels =
                labels.iter().map(|&(name, value)| Label::from_static_parts(name, value)).collect::<Vec<_>>();
            Key::from_parts(KeyName::from_const_str(name), labels)
        };
        let paths = ROUTES.iter().map(|route| route.path).chain(["other"]);
        let routes = paths.map(|path| RouteMetrics {
            requests: CLASSES.map(|class| {
                let key = key("http_requests_total", &[("route", path), ("status", class)]);
                recorder.register_counter(&key, &metadata)
            }),
            duration: recorder
                .register_histogram(&key("http_request_duration_seconds", &[("route", path)]), &metadata),
        });
        Self {
            routes: routes.collect(),
            refused_connections: recorder
                .register_counter(&key("http_connections_refused_total", &[]), &metadata),
            stream: StreamMetrics::register(recorder),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        let route =
            || RouteMetrics { requests: CLASSES.map(|_| Counter::noop()), duration: Histogram::noop() };
        Self {
            routes: (0..=ROUTES.len()).map(|_| route()).collect(),
            refused_connections: Counter::noop(),
            stream: StreamMetrics::noop(),
        }
    }

    pub(crate) fn record(&self, path: &str, status: StatusCode, took: Duration) {
        let Some(route) = self.routes.get(Route::index_of(path)) else { return };
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        route.requests[class].increment(1);
        route.duration.record(took);
    }
}
