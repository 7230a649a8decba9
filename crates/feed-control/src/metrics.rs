//! What is counted and measured, as handles on a recorder we are given.

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, NoopRecorder, Recorder, Unit,
};

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Handles of feed control.
#[derive(Debug, Clone)]
pub struct FeedControlMetrics {
    /// `active_subscriptions_total`: instruments that the accounts of this instance were told to stream.
    pub active: Gauge,
    /// `subscriptions_wanted`: instruments that wishes want.
    pub wanted: Gauge,
    /// `subscriptions_refused`: of them, those on no account.
    pub refused: Gauge,
    /// `subscriptions_leaving`: subscriptions that stand only until their successors tick.
    pub leaving: Gauge,
    /// `wishes_unmet`: wishes, or parts of them, that name nothing.
    pub unmet: Gauge,
    /// `feed_plans_total` by cause, in the order of [`PlanCause::ALL`].
    pub plans: [Counter; PlanCause::ALL.len()],
    /// `feed_reload_requests_total`: reasons to plan anew; many share one plan.
    pub requests: Counter,
    /// `feed_plan_duration_seconds`: resolving and planning.
    pub duration: Histogram,
    /// `feed_tokens_moved_total`: instruments that went from one account to another.
    pub moved: Counter,
    /// `feed_ladder_moves_total`: moves of a ladder's centre.
    pub ladder_moves: Counter,
    /// `wish_store_failures_total`: reads and writes of wishes and plans that failed.
    pub store_failures: Counter,
}

/// Why a plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanCause {
    /// The first one.
    Start,
    /// Wishes, catalog, prices or accounts changed, or somebody asked.
    Reload,
    /// An account was lost or changed hands.
    AccountLost,
    /// A contract ended, or a ladder got its first price.
    Due,
    /// Somebody asked for a spread that forgets where instruments were.
    Rebalance,
}

// === impl PlanCause ===

impl PlanCause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::Start, Self::Reload, Self::AccountLost, Self::Due, Self::Rebalance];

    /// The word used as a label and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::AccountLost => "account_lost",
            Self::Due => "due",
            Self::Rebalance => "rebalance",
        }
    }
}

// === impl FeedControlMetrics ===

impl FeedControlMetrics {
    /// Makes the handles on `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let counter = |name: &'static str, text: &'static str| {
            let name = KeyName::from_const_str(name);
            recorder.describe_counter(name.clone(), Some(Unit::Count), text.into());
            recorder.register_counter(&Key::from_name(name), &METADATA)
        };
        let gauge = |name: &'static str, text: &'static str| {
            let name = KeyName::from_const_str(name);
            recorder.describe_gauge(name.clone(), Some(Unit::Count), text.into());
            recorder.register_gauge(&Key::from_name(name), &METADATA)
        };
        let plans = |cause: PlanCause| {
            let name = KeyName::from_const_str("feed_plans_total");
            recorder.describe_counter(name.clone(), Some(Unit::Count), "Plans made, by cause".into());
            let key = Key::from_parts(name, vec![Label::new("cause", cause.as_str())]);
            recorder.register_counter(&key, &METADATA)
        };
        let seconds = KeyName::from_const_str("feed_plan_duration_seconds");
        recorder.describe_histogram(seconds.clone(), Some(Unit::Seconds), "Resolving and planning".into());
        Self {
            active: gauge("active_subscriptions_total", "Instruments this instance was told to stream"),
            wanted: gauge("subscriptions_wanted", "Instruments that wishes want"),
            refused: gauge("subscriptions_refused", "Wanted instruments on no account"),
            leaving: gauge("subscriptions_leaving", "Subscriptions that wait for their successors"),
            unmet: gauge("wishes_unmet", "Wishes, or parts of them, that name nothing"),
            plans: PlanCause::ALL.map(plans),
            requests: counter("feed_reload_requests_total", "Reasons to plan anew; many share one plan"),
            duration: recorder.register_histogram(&Key::from_name(seconds), &METADATA),
            moved: counter("feed_tokens_moved_total", "Instruments that changed their account"),
            ladder_moves: counter("feed_ladder_moves_total", "Moves of a ladder's centre"),
            store_failures: counter(
                "wish_store_failures_total",
                "Failed reads and writes of wishes and plans",
            ),
        }
    }

    /// Handles that count nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder)
    }

    pub(crate) fn plan(&self, cause: PlanCause) -> &Counter {
        let at = PlanCause::ALL.iter().position(|other| *other == cause).unwrap_or_default();
        &self.plans[at]
    }
}
