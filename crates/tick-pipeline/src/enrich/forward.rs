//! Which forward an expiry is priced on: the best source that holds, without flapping between two.

use std::time::{Duration, Instant};

use crate::snapshot::ForwardSource;

/// Best first.
pub(super) const SOURCES: [ForwardSource; 3] =
    [ForwardSource::Parity, ForwardSource::Future, ForwardSource::SpotCarry];

/// A forward one source offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offer {
    pub(super) value: f64,
    /// Whether what it is made from is current.
    pub(super) fresh: bool,
}

/// The forward in use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Forward {
    pub(super) value: f64,
    pub(super) source: ForwardSource,
    pub(super) stale: bool,
}

/// How long a source must hold before it is trusted again, and may fail before it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardHysteresis {
    /// A better source that failed before is taken again only after it has held this long.
    pub hold: Duration,
    /// A source that fails is kept, with its last value, this long before a worse one replaces it.
    pub grace: Duration,
}

impl Default for ForwardHysteresis {
    fn default() -> Self {
        Self { hold: Duration::from_secs(2), grace: Duration::from_millis(500) }
    }
}

/// Chooses among the offers of one expiry over time.
#[derive(Debug, Default)]
pub(super) struct ForwardChoice {
    current: Option<Forward>,
    /// By source: since when it has made fresh offers without a break.
    fresh_since: [Option<Instant>; 3],
    /// By source: when it last stopped making them.
    failed_at: [Option<Instant>; 3],
}

// === impl ForwardChoice ===

impl ForwardChoice {
    pub(super) fn current(&self) -> Option<Forward> {
        self.current
    }

    /// Takes the offers of this moment, best source first.
    pub(super) fn update(
        &mut self,
        offers: [Option<Offer>; 3],
        now: Instant,
        rule: &ForwardHysteresis,
    ) -> Option<Forward> {
        let fresh = offers.map(|offer| offer.filter(|offer| offer.fresh).map(|offer| offer.value));
        for (source, offer) in fresh.iter().enumerate() {
            let since = &mut self.fresh_since[source];
            if offer.is_some() {
                since.get_or_insert(now);
            } else if since.take().is_some() {
                self.failed_at[source] = Some(now);
            }
        }
        let in_use = self.current.map(|forward| forward.source as usize);
        // The one in use needs no second proof, and anything is better than nothing.
        let trusted = |source: usize| {
            self.failed_at[source].is_none()
                || in_use.is_none_or(|in_use| in_use <= source)
                || self.fresh_since[source].is_some_and(|since| now.duration_since(since) >= rule.hold)
        };
        let best = (0..SOURCES.len()).find_map(|source| {
            let value = fresh[source].filter(|_| trusted(source))?;
            Some((source, value))
        });
        let in_grace = in_use.filter(|&source| {
            fresh[source].is_none()
                && self.failed_at[source].is_some_and(|failed| now.duration_since(failed) < rule.grace)
        });
        match (best, in_grace) {
            (Some((source, _)), Some(kept)) if kept < source => {}
            (Some((source, value)), _) => {
                self.current = Some(Forward { value, source: SOURCES[source], stale: false });
            }
            (None, Some(_)) => {}
            (None, None) => self.fall_back_to_stale(offers),
        }
        self.current
    }

    /// Nothing is fresh: the value in use stays and says so; with none in use the best stale one serves.
    fn fall_back_to_stale(&mut self, offers: [Option<Offer>; 3]) {
        let best = SOURCES.into_iter().zip(offers).find_map(|(source, offer)| {
            offer.map(|offer| Forward { value: offer.value, source, stale: true })
        });
        self.current = match self.current {
            Some(kept) => Some(Forward { stale: true, ..kept }),
            None => best,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        choice: ForwardChoice,
        start: Instant,
    }

    impl Case {
        fn new() -> Self {
            Self { choice: ForwardChoice::default(), start: Instant::now() }
        }

        /// Offers at `millis`, as (parity, future, spot); a negative value is a stale offer.
        fn check(&mut self, millis: u64, offers: [f64; 3], expect: (f64, ForwardSource, bool)) {
            let offers = offers
                .map(|value| (!value.is_nan()).then_some(Offer { value: value.abs(), fresh: value > 0.0 }));
            let now = self.start + Duration::from_millis(millis);
            let (value, source, stale) = expect;
            let got = self.choice.update(offers, now, &ForwardHysteresis::default());
            let expect = Some(Forward { value, source, stale });
            assert_eq!(got, expect, "at {millis} ms");
        }
    }

    const NONE: f64 = f64::NAN;
    use ForwardSource::{Future, Parity, SpotCarry};

    #[test]
    fn a_better_source_is_taken_at_once_the_first_time() {
        let mut case = Case::new();
        assert_eq!(case.choice.current(), None);
        case.check(0, [NONE, NONE, 100.0], (100.0, SpotCarry, false));
        case.check(1, [NONE, 101.0, 100.0], (101.0, Future, false));
        case.check(2, [102.0, 101.0, 100.0], (102.0, Parity, false));
    }

    #[test]
    fn a_source_that_comes_and_goes_does_not_make_the_forward_flap() {
        let mut case = Case::new();
        case.check(0, [102.0, 101.0, NONE], (102.0, Parity, false));
        case.check(100, [NONE, 101.0, NONE], (102.0, Parity, false));
        case.check(200, [103.0, 101.0, NONE], (103.0, Parity, false));
        case.check(1000, [NONE, 101.0, NONE], (103.0, Parity, false));
        case.check(1500, [NONE, 101.5, NONE], (101.5, Future, false));
        case.check(1600, [103.0, 101.5, NONE], (101.5, Future, false));
        case.check(3599, [103.0, 101.6, NONE], (101.6, Future, false));
        case.check(3600, [103.0, 101.6, NONE], (103.0, Parity, false));
    }

    #[test]
    fn when_nothing_is_fresh_the_value_stays_and_says_so() {
        let mut case = Case::new();
        case.check(0, [-102.0, NONE, NONE], (102.0, Parity, true));
        case.check(1, [-102.0, 101.0, NONE], (101.0, Future, false));
        case.check(2, [-102.0, -101.2, NONE], (101.0, Future, false));
        case.check(600, [-102.0, -101.2, NONE], (101.0, Future, true));
        case.check(700, [-102.0, 101.3, NONE], (101.3, Future, false));
    }
}
