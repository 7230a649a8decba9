//! What is counted about accounts, as handles on a recorder we are given.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, NoopRecorder, Recorder};
use resilience::BreakerMetrics;

use crate::pace::PaceClass;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Counters of one class of one account (or, for orders, of one trading account).
#[derive(Debug, Clone)]
pub struct PaceMetrics {
    /// `account_calls_granted_total`.
    pub granted: Counter,
    /// `account_calls_refused_total`, by [`RefusedBy`].
    pub refused: [Counter; 2],
    /// `account_calls_throttled_total`: answers "too many requests".
    pub throttled: Counter,
    /// `account_calls_in_flight`.
    pub in_flight: Gauge,
    /// `account_calls_waiting`.
    pub waiting: Gauge,
    /// `account_pace_wait_seconds`.
    pub wait: Histogram,
}

/// Why a call got no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// Its turn comes after its deadline.
    Deadline,
    /// Too many wait.
    Queue,
}

/// Counters of one account.
#[derive(Debug, Clone)]
pub struct AccountMetrics {
    /// `account_token_usable`: 1 or 0.
    pub token_usable: Gauge,
    /// `account_token_seconds_left`; 0 without a usable token.
    pub token_seconds_left: Gauge,
    /// `account_token_refusals_total`.
    pub token_refusals: Counter,
    /// `account_logins_total`: tokens taken, by hand-over or login.
    pub logins: Counter,
    /// `account_reads_moved_total`: reads that went on to another account.
    pub reads_moved: Counter,
    /// Of the account's breaker.
    pub breaker: BreakerMetrics,
}

// === impl PaceMetrics ===

impl PaceMetrics {
    /// For one class of one account.
    pub fn register(recorder: &dyn Recorder, account: &str, class: PaceClass) -> Self {
        let labels =
            [Label::new("account", account.to_owned()), Label::from_static_parts("class", class.as_str())];
        let of = Maker { recorder, labels: &labels };
        let refused = |reason| of.counter_with("account_calls_refused_total", Some(("reason", reason)));
        Self {
            granted: of.counter("account_calls_granted_total"),
            refused: [refused("deadline"), refused("queue")],
            throttled: of.counter("account_calls_throttled_total"),
            in_flight: of.gauge("account_calls_in_flight"),
            waiting: of.gauge("account_calls_waiting"),
            wait: recorder.register_histogram(&of.key("account_pace_wait_seconds", None), &METADATA),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder, "none", PaceClass::Other)
    }

    pub(crate) fn refused(&self, by: RefusedBy) {
        self.refused[by as usize].increment(1);
    }
}

// === impl AccountMetrics ===

impl AccountMetrics {
    /// For one account.
    pub fn register(recorder: &dyn Recorder, account: &str) -> Self {
        let labels = [Label::new("account", account.to_owned())];
        let of = Maker { recorder, labels: &labels };
        // The crate `resilience` names its breakers by fixed words; an account's name is not one.
        let breaker = [Label::new("breaker", format!("account/{account}"))];
        let breaker = Maker { recorder, labels: &breaker };
        Self {
            token_usable: of.gauge("account_token_usable"),
            token_seconds_left: of.gauge("account_token_seconds_left"),
            token_refusals: of.counter("account_token_refusals_total"),
            logins: of.counter("account_logins_total"),
            reads_moved: of.counter("account_reads_moved_total"),
            breaker: BreakerMetrics {
                state: breaker.gauge("circuit_breaker_state"),
                opened: breaker.counter("circuit_breaker_opened_total"),
                refused: breaker.counter("circuit_breaker_refused_total"),
            },
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder, "none")
    }
}

struct Maker<'a> {
    recorder: &'a dyn Recorder,
    labels: &'a [Label],
}

impl Maker<'_> {
    fn key(&self, name: &'static str, more: Option<(&'static str, &'static str)>) -> Key {
        let mut labels = self.labels.to_vec();
        labels.extend(more.map(|(name, value)| Label::from_static_parts(name, value)));
        Key::from_parts(KeyName::from_const_str(name), labels)
    }

    fn counter(&self, name: &'static str) -> Counter {
        self.counter_with(name, None)
    }

    fn counter_with(&self, name: &'static str, more: Option<(&'static str, &'static str)>) -> Counter {
        self.recorder.register_counter(&self.key(name, more), &METADATA)
    }

    fn gauge(&self, name: &'static str) -> Gauge {
        self.recorder.register_gauge(&self.key(name, None), &METADATA)
    }
}
