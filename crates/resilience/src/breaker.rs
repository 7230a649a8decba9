//! The one circuit breaker: stop asking what keeps failing, try again a little later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

/// When to open and when to close again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// This many failures in a row open it; 0 counts as 1.
    pub failures_to_open: u32,
    /// How long it stays open before a probe is allowed.
    pub open_for: Duration,
    /// How many probes may be under way at once while half-open; 0 counts as 1.
    pub probes: u32,
    /// This many probes must succeed in a row to close it; 0 counts as 1.
    pub successes_to_close: u32,
}

impl Default for BreakerConfig {
    /// Opens after 5 failures, probes one call after 5 s, closes after 1 success.
    fn default() -> Self {
        Self { failures_to_open: 5, open_for: Duration::from_secs(5), probes: 1, successes_to_close: 1 }
    }
}

/// Whether calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// All pass.
    Closed,
    /// A few probes pass.
    HalfOpen,
    /// None passes.
    Open,
}

/// The call was not made because the last ones failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker is open, try again in {} ms", retry_after.as_millis())]
pub struct CircuitOpen {
    /// How long until a probe may pass.
    pub retry_after: Duration,
}

/// Permission for one call. Report its end with [`CircuitBreaker::success`] or [`CircuitBreaker::failure`].
///
/// A permit that is dropped (the call was cancelled) proves nothing; a probe lost this way is given out again after
/// `open_for`.
#[derive(Debug)]
#[must_use = "report how the call ended"]
pub struct Permit {
    era: u64,
}

/// Handles of one breaker's metrics.
#[derive(Debug, Clone)]
pub struct BreakerMetrics {
    /// `circuit_breaker_state`: 0 closed, 1 half-open, 2 open.
    pub state: Gauge,
    /// `circuit_breaker_opened_total`.
    pub opened: Counter,
    /// `circuit_breaker_refused_total`: calls not made.
    pub refused: Counter,
}

/// Counts failures of one dependency and decides whether the next call is worth making.
///
/// Shared by reference; the lock inside is held for a few instructions. Time is an argument, so the breaker has no
/// clock of its own.
#[derive(Debug)]
pub struct CircuitBreaker {
    config: BreakerConfig,
    metrics: BreakerMetrics,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// Counts phase changes, so that a call begun before the change cannot decide about the phase after it.
    era: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { probes: u32, successes: u32, probes_expire: Instant },
}

// === impl CircuitBreaker ===

impl CircuitBreaker {
    /// Closed.
    pub fn new(config: BreakerConfig, metrics: BreakerMetrics) -> Self {
        metrics.state.set(BreakerState::Closed.as_gauge());
        Self { config, metrics, inner: Mutex::new(Inner { phase: Phase::Closed { failures: 0 }, era: 0 }) }
    }

    /// Asks whether a call may be made at `now`.
    ///
    /// # Errors
    /// [`CircuitOpen`] when it may not.
    pub fn permit(&self, now: Instant) -> Result<Permit, CircuitOpen> {
        let mut inner = self.lock();
        self.ripen(&mut inner, now);
        let probe_limit = self.config.probes.max(1);
        let retry_after = match &mut inner.phase {
            Phase::Closed { .. } => return Ok(Permit { era: inner.era }),
            Phase::Open { until } => until.saturating_duration_since(now),
            Phase::HalfOpen { probes, probes_expire, .. } => {
                if now >= *probes_expire {
                    *probes = 0;
                    *probes_expire = now + self.config.open_for;
                }
                if *probes < probe_limit {
                    *probes += 1;
                    return Ok(Permit { era: inner.era });
                }
                probes_expire.saturating_duration_since(now)
            }
        };
        drop(inner);
        self.metrics.refused.increment(1);
        Err(CircuitOpen { retry_after })
    }

    /// The call worked.
    pub fn success(&self, permit: Permit) {
        let mut inner = self.lock();
        if permit.era != inner.era {
            return;
        }
        match &mut inner.phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::HalfOpen { probes, successes, .. } => {
                *successes += 1;
                *probes = probes.saturating_sub(1);
                if *successes >= self.config.successes_to_close.max(1) {
                    self.enter(&mut inner, Phase::Closed { failures: 0 });
                }
            }
            // No permit is given out while open.
            Phase::Open { .. } => {}
        }
    }

    /// The call failed in a way that says something about the dependency (not, say, because the input was bad).
    pub fn failure(&self, permit: Permit, now: Instant) {
        let mut inner = self.lock();
        if permit.era != inner.era {
            return;
        }
        let opens = match &mut inner.phase {
            Phase::Closed { failures } => {
                *failures = failures.saturating_add(1);
                *failures >= self.config.failures_to_open.max(1)
            }
            Phase::HalfOpen { .. } => true,
            Phase::Open { .. } => false,
        };
        if opens {
            let until = now + self.config.open_for;
            self.enter(&mut inner, Phase::Open { until });
            self.metrics.opened.increment(1);
        }
    }

    /// Whether calls pass at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        let mut inner = self.lock();
        self.ripen(&mut inner, now);
        inner.phase.state()
    }

    /// Open turns into half-open by the passing of time alone.
    fn ripen(&self, inner: &mut Inner, now: Instant) {
        if let Phase::Open { until } = inner.phase
            && now >= until
        {
            // The first probe begins their time.
            self.enter(inner, Phase::HalfOpen { probes: 0, successes: 0, probes_expire: now });
        }
    }

    fn enter(&self, inner: &mut Inner, phase: Phase) {
        inner.phase = phase;
        inner.era += 1;
        self.metrics.state.set(phase.state().as_gauge());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BreakerState ===

impl BreakerState {
    /// The word used in health reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    const fn as_gauge(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

impl Phase {
    const fn state(&self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

// === impl BreakerMetrics ===

impl BreakerMetrics {
    /// Registers under the label `breaker = name`.
    pub fn register(recorder: &dyn Recorder, name: &'static str) -> Self {
        let metadata = Metadata::new("resilience", Level::INFO, Some(module_path!()));
        let key = |metric: &'static str| {
            Key::from_parts(KeyName::from_const_str(metric), vec![Label::from_static_parts("breaker", name)])
        };
        Self {
            state: recorder.register_gauge(&key("circuit_breaker_state"), &metadata),
            opened: recorder.register_counter(&key("circuit_breaker_opened_total"), &metadata),
            refused: recorder.register_counter(&key("circuit_breaker_refused_total"), &metadata),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self { state: Gauge::noop(), opened: Counter::noop(), refused: Counter::noop() }
    }
}

#[cfg(test)]
mod tests;
