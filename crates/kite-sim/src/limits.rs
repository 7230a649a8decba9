//! Requests per second, by class and API key.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::accounts::AppId;
use crate::config::Limits;

/// Requests that share one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// `/quote` and its relatives.
    Quote,
    /// Candles.
    Historical,
    /// Placing, modifying and cancelling orders.
    Orders,
    /// Everything else.
    Other,
}

/// Counts requests in windows of one second that start with the first request. Kite's own window is not known.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Limits,
    windows: HashMap<(AppId, Class), (Instant, u32)>,
}

// === impl RateLimiter ===

impl RateLimiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, windows: HashMap::new() }
    }

    /// Counts a request; `false` when it is one too many.
    pub(crate) fn admit(&mut self, app: AppId, class: Class) -> bool {
        if !self.limits.rate_limits {
            return true;
        }
        let limit = match class {
            Class::Quote => self.limits.quote_per_second,
            Class::Historical => self.limits.historical_per_second,
            Class::Orders => self.limits.orders_per_second,
            Class::Other => self.limits.other_per_second,
        };
        let now = Instant::now();
        let (started, count) = self.windows.entry((app, class)).or_insert((now, 0));
        if now.duration_since(*started) >= Duration::from_secs(1) {
            (*started, *count) = (now, 0);
        }
        *count += 1;
        *count <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_per_key_class_and_second() {
        let mut limiter = RateLimiter::new(Limits::default());
        let admitted = |limiter: &mut RateLimiter, app, class| {
            (0..20).filter(|_| limiter.admit(AppId(app), class)).count()
        };
        assert_eq!(admitted(&mut limiter, 0, Class::Quote), 1);
        assert_eq!(admitted(&mut limiter, 0, Class::Historical), 3);
        assert_eq!(admitted(&mut limiter, 0, Class::Other), 10);
        assert_eq!(admitted(&mut limiter, 0, Class::Orders), 10);
        assert_eq!(admitted(&mut limiter, 1, Class::Quote), 1);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(admitted(&mut limiter, 0, Class::Quote), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(admitted(&mut limiter, 0, Class::Quote), 1);
    }
}
