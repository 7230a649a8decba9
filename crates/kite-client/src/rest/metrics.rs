//! What the REST client counts.

use metrics::{Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use resilience::BreakerMetrics;

use kite_wire::api::RequestClass;

/// Every word of the label `outcome`.
const OUTCOMES: [&str; 9] =
    ["ok", "too_fast", "refused", "not_kite", "unreadable", "unreachable", "broken", "timeout", "not_tried"];

/// Handles of the REST client's metrics.
#[derive(Clone)]
pub struct RestMetrics {
    /// `kite_rest_requests_total`, by class and outcome: calls as their callers saw them.
    requests: [[Counter; OUTCOMES.len()]; RequestClass::ALL.len()],
    /// `kite_rest_request_duration_seconds`, by class: retries and waiting for the pace included.
    durations: [Histogram; RequestClass::ALL.len()],
    /// `kite_rest_retries_total`: tries beyond the first.
    pub(super) retries: Counter,
    /// `kite_rest_connections_opened_total`.
    pub(super) opened: Counter,
    /// The breaker before the reads, named `kite_rest`.
    pub(super) breaker: BreakerMetrics,
}

impl RestMetrics {
    /// Registers under the names above.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("kite_client", Level::INFO, Some(module_path!()));
        let key =
            |name: &'static str, labels: Vec<Label>| Key::from_parts(KeyName::from_const_str(name), labels);
        let class_label = |class: RequestClass| Label::from_static_parts("class", class.as_str());
        Self {
            requests: RequestClass::ALL.map(|class| {
                OUTCOMES.map(|outcome| {
                    let labels = vec![class_label(class), Label::from_static_parts("outcome", outcome)];
                    recorder.register_counter(&key("kite_rest_requests_total", labels), &metadata)
                })
            }),
            durations: RequestClass::ALL.map(|class| {
                let labels = vec![class_label(class)];
                recorder.register_histogram(&key("kite_rest_request_duration_seconds", labels), &metadata)
            }),
            retries: recorder.register_counter(&key("kite_rest_retries_total", Vec::new()), &metadata),
            opened: recorder
                .register_counter(&key("kite_rest_connections_opened_total", Vec::new()), &metadata),
            breaker: BreakerMetrics::register(recorder, "kite_rest"),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&metrics::NoopRecorder)
    }

    pub(super) fn ended(&self, class: RequestClass, outcome: &'static str, seconds: f64) {
        let row = class as usize;
        if let Some(column) = OUTCOMES.iter().position(|known| *known == outcome) {
            self.requests[row][column].increment(1);
        }
        self.durations[row].record(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_the_order_of_their_numbers() {
        for (at, class) in RequestClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
        }
    }
}
