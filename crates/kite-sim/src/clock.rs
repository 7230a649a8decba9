//! The simulated exchange's idea of now.

use std::sync::{Arc, PoisonError, RwLock};

use exchange_calendar::ist as offset;
use jiff::civil::DateTime;
use market_model::{Clock, SystemClock, UnixNanos};
use tokio::time::Instant;

/// A clock that starts where it is told, runs at a multiple of real time and can be put forward. Clones are the same
/// clock.
#[derive(Debug, Clone)]
pub struct SimClock {
    pace: Arc<RwLock<Pace>>,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    Wall,
    Scaled { origin: Instant, start: UnixNanos, speed: f64 },
}

/// Simulated time does not run backwards: tokens would come to life again and prices change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated clock stands at {now} already and is only put forward")]
pub struct ClockRunsForward {
    /// What it shows.
    pub now: UnixNanos,
}

// === impl SimClock ===

impl SimClock {
    /// The machine's own time, until it is put forward.
    pub fn wall() -> Self {
        Self { pace: Arc::new(RwLock::new(Pace::Wall)) }
    }

    /// Starts at `start` now and passes `speed` seconds each real second.
    pub fn scaled(start: UnixNanos, speed: f64) -> Self {
        let pace = Pace::Scaled { origin: Instant::now(), start, speed };
        Self { pace: Arc::new(RwLock::new(pace)) }
    }

    /// Simulated seconds per real second.
    pub fn speed(&self) -> f64 {
        self.pace.read().unwrap_or_else(PoisonError::into_inner).speed()
    }

    /// Shows `at` from now on.
    ///
    /// # Errors
    /// [`ClockRunsForward`] when it shows a later time already.
    pub fn put_forward(&self, at: UnixNanos) -> Result<(), ClockRunsForward> {
        let mut pace = self.pace.write().unwrap_or_else(PoisonError::into_inner);
        let now = pace.now();
        if at < now {
            return Err(ClockRunsForward { now });
        }
        *pace = Pace::Scaled { origin: Instant::now(), start: at, speed: pace.speed() };
        Ok(())
    }

    /// Passes `speed` seconds each real second from now on; `speed` is above 0.
    pub fn set_speed(&self, speed: f64) {
        let mut pace = self.pace.write().unwrap_or_else(PoisonError::into_inner);
        *pace = Pace::Scaled { origin: Instant::now(), start: pace.now(), speed };
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixNanos {
        self.pace.read().unwrap_or_else(PoisonError::into_inner).now()
    }
}

// === impl Pace ===

impl Pace {
    fn now(&self) -> UnixNanos {
        match self {
            Self::Wall => SystemClock.now(),
            Self::Scaled { origin, start, speed } => {
                let passed = origin.elapsed().as_nanos() as f64 * speed;
                UnixNanos(start.0.saturating_add(passed as i64))
            }
        }
    }

    fn speed(&self) -> f64 {
        match self {
            Self::Wall => 1.0,
            Self::Scaled { speed, .. } => *speed,
        }
    }
}

/// The civil time in India at `at`, clamped to the years the date type can hold.
pub(crate) fn ist(at: UnixNanos) -> DateTime {
    let clamped = at.as_secs().clamp(0, 250_000_000_000);
    jiff::Timestamp::from_second(clamped).map_or(DateTime::default(), |stamp| offset().to_datetime(stamp))
}

/// The instant of a civil time in India.
pub(crate) fn from_ist(civil: DateTime) -> UnixNanos {
    offset().to_timestamp(civil).map_or(UnixNanos(0), |stamp| UnixNanos::from_secs(stamp.as_second()))
}

/// `YYYY-MM-DD hh:mm:ss` in India, as Kite's JSON has it.
pub(crate) fn ist_text(at: UnixNanos) -> String {
    ist(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_runs_fast_from_its_start() {
        let start = UnixNanos::from_secs(1_790_000_000);
        let clock = SimClock::scaled(start, 60.0);
        assert_eq!(clock.now(), start);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().as_secs(), 1_790_000_120);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_put_forward_and_never_back() {
        let start = UnixNanos::from_secs(1_790_000_000);
        let clock = SimClock::scaled(start, 60.0);
        let same = clock.clone();
        clock.put_forward(start + Duration::from_secs(3600)).unwrap();
        clock.set_speed(1.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        let now = start + Duration::from_secs(3605);
        assert_eq!((same.now(), same.speed()), (now, 1.0));
        assert_eq!(clock.put_forward(start), Err(ClockRunsForward { now }));
    }

    #[test]
    fn india_is_five_and_a_half_hours_ahead() {
        let at = UnixNanos::from_secs(1_625_461_887);
        assert_eq!(ist_text(at), "2021-07-05 10:41:27");
        assert_eq!(from_ist(ist(at)), at);
    }
}
