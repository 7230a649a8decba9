//! How fast recorded time passes.

use std::time::Duration;

use market_model::UnixNanos;
use tokio::time::Instant;

/// Lets recorded time pass at a multiple of real time.
#[derive(Debug, Clone)]
pub struct Pace {
    speed: f64,
    begun: Option<(UnixNanos, Instant)>,
}

// === impl Pace ===

impl Pace {
    /// `speed` times real time, such as 1.0 or 10.0; infinity never waits.
    pub fn new(speed: f64) -> Self {
        Self { speed, begun: None }
    }

    /// When `at` comes; the first time asked for is now.
    pub fn due(&mut self, at: UnixNanos) -> Instant {
        let (first, begun) = *self.begun.get_or_insert_with(|| (at, Instant::now()));
        let passed = at.saturating_since(first).as_secs_f64() / self.speed;
        // A speed of zero, or of none, would wait for ever: it is taken as fast as possible.
        begun + Duration::try_from_secs_f64(passed).unwrap_or_default()
    }

    /// Waits until `at` comes.
    ///
    /// # Cancel safety
    /// Safe: the next call waits for its own time.
    pub async fn wait(&mut self, at: UnixNanos) {
        let due = self.due(at);
        // A sleep costs a timer; most records of a burst are due already.
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_passes_at_the_speed_asked_for() {
        for (speed, takes) in [(1.0, 10_000), (20.0, 500), (f64::INFINITY, 0), (0.0, 0)] {
            let (begun, mut pace) = (Instant::now(), Pace::new(speed));
            for second in [5, 8, 15, 14] {
                pace.wait(UnixNanos::from_secs(second)).await;
            }
            assert_eq!(begun.elapsed().as_millis(), takes, "at {speed}");
        }
    }
}
