//! Ticks per second of each connection, from its running count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use market_model::UnixNanos;

/// Rates over less than this say more about the moment of asking than about the feed.
const SHORTEST: Duration = Duration::from_secs(2);

/// Remembers one earlier count per connection; there are as many as accounts times connections.
#[derive(Debug, Default)]
pub(crate) struct RateMeter {
    connections: Mutex<HashMap<String, Sample>>,
}

#[derive(Debug)]
struct Sample {
    at: UnixNanos,
    ticks: u64,
    rate: Option<f64>,
}

impl RateMeter {
    /// Ticks per second since the sample before; `None` until there are two.
    pub(crate) fn rate(&self, connection: &str, ticks: u64, now: UnixNanos) -> Option<f64> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sample) = connections.get_mut(connection) else {
            connections.insert(connection.to_owned(), Sample { at: now, ticks, rate: None });
            return None;
        };
        let elapsed = now.saturating_since(sample.at);
        if elapsed >= SHORTEST {
            let counted = ticks.saturating_sub(sample.ticks) as f64;
            *sample = Sample { at: now, ticks, rate: Some(counted / elapsed.as_secs_f64()) };
        }
        sample.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_samples_far_enough_apart() {
        let meter = RateMeter::default();
        let at = |secs| UnixNanos::from_secs(secs);
        assert_eq!(meter.rate("a/0", 100, at(10)), None);
        assert_eq!(meter.rate("a/0", 300, at(11)), None);
        assert_eq!(meter.rate("a/0", 500, at(14)), Some(100.0));
        assert_eq!(meter.rate("a/0", 900, at(15)), Some(100.0));
        assert_eq!(meter.rate("a/0", 0, at(16)), Some(0.0), "a restarted feed counts anew");
    }
}
