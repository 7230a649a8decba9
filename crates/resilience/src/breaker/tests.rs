use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn breaker(config: BreakerConfig) -> CircuitBreaker {
    CircuitBreaker::new(config, BreakerMetrics::noop())
}

fn config() -> BreakerConfig {
    BreakerConfig { failures_to_open: 3, open_for: 10 * SECOND, probes: 1, successes_to_close: 2 }
}

fn fail(breaker: &CircuitBreaker, now: Instant, times: u32) {
    for _ in 0..times {
        breaker.failure(breaker.permit(now).unwrap(), now);
    }
}

#[test]
fn opens_after_failures_in_a_row_and_refuses_until_time_has_passed() {
    let (breaker, t0) = (breaker(config()), Instant::now());
    fail(&breaker, t0, 2);
    breaker.success(breaker.permit(t0).unwrap());
    fail(&breaker, t0, 2);
    assert_eq!(breaker.state(t0), BreakerState::Closed, "a success in between starts the count again");
    fail(&breaker, t0, 1);
    assert_eq!(breaker.state(t0), BreakerState::Open);
    let refused = breaker.permit(t0 + 4 * SECOND).unwrap_err();
    assert_eq!(refused.retry_after, 6 * SECOND);
    assert_eq!(refused.to_string(), "circuit breaker is open, try again in 6000 ms");
}

#[test]
fn half_open_lets_one_probe_through_and_closes_after_enough_successes() {
    let (breaker, t0) = (breaker(config()), Instant::now());
    fail(&breaker, t0, 3);
    let t1 = t0 + 10 * SECOND;
    let probe = breaker.permit(t1).unwrap();
    assert_eq!(breaker.state(t1), BreakerState::HalfOpen);
    assert!(breaker.permit(t1).is_err(), "one probe at a time");
    breaker.success(probe);
    assert_eq!(breaker.state(t1), BreakerState::HalfOpen);
    breaker.success(breaker.permit(t1).unwrap());
    assert_eq!(breaker.state(t1), BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_again_for_the_whole_time() {
    let (breaker, t0) = (breaker(config()), Instant::now());
    fail(&breaker, t0, 3);
    let t1 = t0 + 12 * SECOND;
    fail(&breaker, t1, 1);
    assert_eq!(breaker.permit(t1).unwrap_err().retry_after, 10 * SECOND);
}

#[test]
fn a_probe_that_never_reports_does_not_lock_the_breaker_for_ever() {
    let (breaker, t0) = (breaker(config()), Instant::now());
    fail(&breaker, t0, 3);
    let t1 = t0 + 10 * SECOND;
    drop(breaker.permit(t1).unwrap());
    assert_eq!(breaker.permit(t1 + SECOND).unwrap_err().retry_after, 9 * SECOND);
    assert!(breaker.permit(t1 + 10 * SECOND).is_ok());
    assert_eq!(breaker.permit(t1 + 10 * SECOND).unwrap_err().retry_after, 10 * SECOND, "again one at a time");
}

#[test]
fn states_have_the_words_of_the_reports() {
    let words = [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open].map(BreakerState::as_str);
    assert_eq!(words, ["closed", "half_open", "open"]);
}

#[test]
fn a_call_begun_before_the_breaker_opened_decides_nothing_after_it() {
    let (breaker, t0) = (breaker(config()), Instant::now());
    let (late_success, late_failure) = (breaker.permit(t0).unwrap(), breaker.permit(t0).unwrap());
    fail(&breaker, t0, 3);
    breaker.success(late_success);
    assert_eq!(breaker.state(t0), BreakerState::Open);
    let t1 = t0 + 10 * SECOND;
    assert_eq!(breaker.state(t1), BreakerState::HalfOpen);
    breaker.failure(late_failure, t1);
    assert_eq!(breaker.state(t1), BreakerState::HalfOpen);
}

#[test]
fn the_state_is_a_gauge_and_refusals_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let breaker = CircuitBreaker::new(config(), BreakerMetrics::register(&recorder, "redis"));
    let t0 = Instant::now();
    fail(&breaker, t0, 3);
    let _ = breaker.permit(t0);
    assert_eq!(
        values(&snapshotter),
        [
            "circuit_breaker_opened_total{redis} 1",
            "circuit_breaker_refused_total{redis} 1",
            "circuit_breaker_state{redis} 2",
        ]
    );
}

fn values(snapshotter: &Snapshotter) -> Vec<String> {
    let mut lines: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => f64::NAN,
            };
            let labels: Vec<&str> = key.key().labels().map(metrics::Label::value).collect();
            format!("{}{{{}}} {value}", key.key().name(), labels.join(","))
        })
        .collect();
    lines.sort();
    lines
}
