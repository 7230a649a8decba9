//! Wall time inside a simulation: virtual time plus what somebody corrected by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use market_model::{Clock, UnixNanos};

/// 2026-11-20 09:30:00 in India, a Friday.
const START: UnixNanos = UnixNanos::from_secs(1_795_147_200);

/// The wall clock of the simulated machine.
#[derive(Debug, Default)]
pub(crate) struct SimulatedClock {
    /// Nanoseconds by which the clock was set forward (or back).
    offset: AtomicI64,
    /// The newest virtual time seen, for callers outside of a host.
    latest: AtomicI64,
}

// === impl SimulatedClock ===

impl SimulatedClock {
    /// Sets the clock forward, or back.
    pub(crate) fn jump(&self, millis: i64) {
        self.offset.fetch_add(millis * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> UnixNanos {
        if let Some(elapsed) = virtual_time() {
            self.latest.store(elapsed.as_nanos() as i64, Ordering::Relaxed);
        }
        let nanos = self.latest.load(Ordering::Relaxed) + self.offset.load(Ordering::Relaxed);
        UnixNanos(START.0 + nanos)
    }
}

/// How long the simulation has run; `None` outside of a simulated host.
pub(crate) fn virtual_time() -> Option<Duration> {
    turmoil::sim_elapsed()
}
