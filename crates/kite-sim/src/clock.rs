//! The simulated exchange's idea of now.

use exchange_calendar::ist as offset;
use jiff::civil::DateTime;
use market_model::{Clock, SystemClock, UnixNanos};
use tokio::time::Instant;

/// A clock that starts where it is told and runs at a multiple of real time.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Wall,
    Scaled { origin: Instant, start: UnixNanos, speed: f64 },
}

// === impl SimClock ===

impl SimClock {
    /// The machine's own time.
    pub const fn wall() -> Self {
        Self { kind: Kind::Wall }
    }

    /// Starts at `start` now and passes `speed` seconds each real second.
    pub fn scaled(start: UnixNanos, speed: f64) -> Self {
        let origin = Instant::now();
        Self { kind: Kind::Scaled { origin, start, speed } }
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixNanos {
        match self.kind {
            Kind::Wall => SystemClock.now(),
            Kind::Scaled { origin, start, speed } => {
                let passed = origin.elapsed().as_nanos() as f64 * speed;
                UnixNanos(start.0.saturating_add(passed as i64))
            }
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

    #[test]
    fn india_is_five_and_a_half_hours_ahead() {
        let at = UnixNanos::from_secs(1_625_461_887);
        assert_eq!(ist_text(at), "2021-07-05 10:41:27");
        assert_eq!(from_ist(ist(at)), at);
    }
}
