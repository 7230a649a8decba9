//! What a tick says an instrument is worth.

use market_model::{Price, Tick};

use crate::snapshot::Quality;

/// Best bid, best offer and last price as doubles; what is missing is NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quote {
    pub(super) bid: f64,
    pub(super) ask: f64,
    pub(super) last: f64,
}

/// When the two sides of a quote are close enough together for their middle to mean something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpreadRule {
    /// A spread up to this many rupees is narrow whatever the price: cheap options move in steps of 0.05.
    pub narrow_absolute: f64,
    /// A spread up to this fraction of the middle is narrow.
    pub narrow_relative: f64,
    /// Above this fraction of the middle (and above `narrow_absolute`) the quote is not used at all.
    pub unusable_relative: f64,
}

impl Default for SpreadRule {
    fn default() -> Self {
        Self { narrow_absolute: 0.15, narrow_relative: 0.05, unusable_relative: 0.5 }
    }
}

// === impl Quote ===

impl Quote {
    pub(super) const NONE: Self = Self { bid: f64::NAN, ask: f64::NAN, last: f64::NAN };

    pub(super) fn of(tick: &Tick) -> Self {
        let positive = |price: Price| {
            if price.is_positive() { price.to_f64() } else { f64::NAN }
        };
        let (bid, ask) = tick.depth().map_or((None, None), |depth| (depth.best_bid(), depth.best_offer()));
        Self {
            bid: bid.map_or(f64::NAN, |level| positive(level.price)),
            ask: ask.map_or(f64::NAN, |level| positive(level.price)),
            last: positive(tick.last_price),
        }
    }

    pub(super) fn has_both(&self) -> bool {
        self.bid > 0.0 && self.ask > 0.0
    }

    /// The middle and how good it is; `None` when a side is missing, the quote is crossed or absurdly wide.
    pub(super) fn middle(&self, rule: &SpreadRule) -> Option<(f64, Quality)> {
        // Also refuses NaN.
        let spread = Some(self.ask - self.bid).filter(|spread| *spread > 0.0)?;
        let middle = self.bid.midpoint(self.ask);
        if spread <= rule.narrow_absolute || spread <= rule.narrow_relative * middle {
            Some((middle, Quality::Good))
        } else if spread <= rule.unusable_relative * middle {
            Some((middle, Quality::Wide))
        } else {
            None
        }
    }

    /// The middle, else the last price.
    pub(super) fn price(&self, rule: &SpreadRule) -> Option<(f64, Quality)> {
        let last = (self.last > 0.0).then_some((self.last, Quality::LastPrice));
        self.middle(rule).or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bid: f64, ask: f64, last: f64, expect: Option<(f64, Quality)>) {
        assert_eq!(Quote { bid, ask, last }.price(&SpreadRule::default()), expect);
    }

    #[test]
    fn the_middle_of_a_usable_quote_else_the_last_price() {
        let missing = f64::NAN;
        check(100.0, 102.0, 90.0, Some((101.0, Quality::Good)));
        check(0.05, 0.15, 0.1, Some((0.1, Quality::Good)));
        check(90.0, 110.0, 99.0, Some((100.0, Quality::Wide)));
        check(10.0, 110.0, 99.0, Some((99.0, Quality::LastPrice)));
        check(102.0, 100.0, 99.0, Some((99.0, Quality::LastPrice)));
        check(100.0, 100.0, 99.0, Some((99.0, Quality::LastPrice)));
        check(missing, 100.0, 99.0, Some((99.0, Quality::LastPrice)));
        check(100.0, missing, missing, None);
        check(missing, missing, missing, None);
    }
}
