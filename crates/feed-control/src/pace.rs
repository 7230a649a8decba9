//! When a reload is due: soon after it was asked for, together with what is asked for meanwhile, and not too often.

use std::time::Duration;

use tokio::time::Instant;

/// How reloads are coalesced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceConfig {
    /// A reload waits until nothing more has been asked for this long.
    pub debounce: Duration,
    /// At most one reload in this time; nor does one wait longer than this because of the debounce.
    pub interval: Duration,
}

impl Default for PaceConfig {
    /// 1 s after the last request, at most one each 5 s.
    fn default() -> Self {
        Self { debounce: Duration::from_secs(1), interval: Duration::from_secs(5) }
    }
}

/// Any number of requests, one date.
#[derive(Debug)]
pub struct ReloadPace {
    config: PaceConfig,
    ran: Option<Instant>,
    asked: Option<(Instant, Instant)>,
}

// === impl ReloadPace ===

impl ReloadPace {
    /// Nothing was asked for.
    pub const fn new(config: PaceConfig) -> Self {
        Self { config, ran: None, asked: None }
    }

    /// A reload is wanted.
    pub fn request(&mut self, now: Instant) {
        let first = self.asked.map_or(now, |(first, _)| first);
        self.asked = Some((first, now));
    }

    /// When the next reload is due.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = self.asked?;
        let settled = (last + self.config.debounce).min(first + self.config.interval);
        Some(self.ran.map_or(settled, |ran| settled.max(ran + self.config.interval)))
    }

    /// A reload was done, so everything asked for before is.
    pub const fn ran(&mut self, now: Instant) {
        self.ran = Some(now);
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ran: Option<u64>, requests: &[u64], due: Option<u64>) {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut pace = ReloadPace::new(PaceConfig::default());
        if let Some(ran) = ran {
            pace.ran(at(ran));
        }
        requests.iter().for_each(|request| pace.request(at(*request)));
        assert_eq!(pace.due(), due.map(at), "{requests:?}");
    }

    #[test]
    fn requests_wait_for_each_other_but_not_for_ever() {
        check(None, &[], None);
        check(None, &[0], Some(1000));
        check(None, &[0, 900, 1800], Some(2800));
        check(None, &[0, 900, 1800, 2700, 3600, 4500], Some(5000));
        check(Some(0), &[100], Some(5000));
        check(Some(0), &[4500], Some(5500));
        check(Some(0), &[100, 4900], Some(5100));
        check(Some(9000), &[20_000], Some(21_000));
    }

    #[test]
    fn a_reload_answers_every_request_before_it() {
        let mut pace = ReloadPace::new(PaceConfig::default());
        let now = Instant::now();
        pace.request(now);
        pace.ran(now);
        assert_eq!(pace.due(), None);
    }
}
