//! Holes instrument by instrument: from the last tick before one to the first tick after it.

use market_model::{GapCause, InstrumentToken, TokenGap, UnixNanos};

use crate::ticker::ledger::SubscriptionLedger;

/// When an instrument last ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Never since it is wanted: nothing can be missing.
    Never,
    /// Then, and nothing is known to be missing since.
    At(UnixNanos),
    /// Then, and a hole followed that is still open.
    Lost(UnixNanos),
}

/// Holes that have ended and have not been told.
#[derive(Debug, Default)]
pub(super) struct Holes {
    cause: Option<GapCause>,
    /// No more than instruments are wanted between two tellings, and one more each time a hole follows a hole.
    ended: Vec<TokenGap>,
}

// === impl Holes ===

impl Holes {
    #[cold]
    pub(super) fn end(&mut self, token: InstrumentToken, from: UnixNanos, to: UnixNanos) {
        self.ended.push(TokenGap { token, from, to });
    }
}

// === impl SubscriptionLedger ===

impl SubscriptionLedger {
    /// Ticks may be missing from now on. Tell what [`Self::take_gaps`] has before, because it had another cause.
    pub(crate) fn lost(&mut self, cause: GapCause) {
        self.holes.cause = Some(cause);
        for wish in self.wanted.iter_mut() {
            if let Seen::At(last) = wish.seen {
                wish.seen = Seen::Lost(last);
            }
        }
    }

    /// What `former` knew about ticks stays known: this ledger's socket took the place of that one's.
    pub(super) fn inherit_seen(&mut self, former: &mut Self) {
        let untold = std::mem::take(&mut former.holes);
        self.holes.ended.extend(untold.ended);
        self.holes.cause = self.holes.cause.or(untold.cause);
        for wish in self.wanted.iter_mut() {
            let Some(before) = former.wanted.get(wish.token) else { continue };
            wish.habit = before.habit;
            match (before.seen, wish.seen) {
                (Seen::Lost(from), Seen::At(to)) => self.holes.end(wish.token, from, to),
                (before, Seen::Never) => wish.seen = before,
                _ => {}
            }
        }
    }

    /// The holes that ended since the last call, by token, and why they were there.
    pub(crate) fn take_gaps(&mut self) -> Option<(GapCause, Vec<TokenGap>)> {
        if self.holes.ended.is_empty() {
            return None;
        }
        let mut gaps = std::mem::take(&mut self.holes.ended);
        gaps.sort_unstable_by_key(|gap| (gap.token, gap.from));
        Some((self.holes.cause.unwrap_or(GapCause::Disconnected), gaps))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use market_model::{Mode, Subscription};
    use tokio::time::Instant;

    use super::*;

    fn gap(token: u32, from: i64, to: i64) -> TokenGap {
        TokenGap { token: InstrumentToken(token), from: UnixNanos(from), to: UnixNanos(to) }
    }

    #[test]
    fn a_hole_reaches_from_the_last_tick_before_it_to_the_first_after_it() {
        let mut ledger = SubscriptionLedger::new(10, Duration::from_secs(30));
        let wish = |token| Subscription { token: InstrumentToken(token), mode: Mode::Full };
        ledger.set_desired(&(1..=3).map(wish).collect());
        let tick = |ledger: &mut SubscriptionLedger, token, at| {
            ledger.ticked(InstrumentToken(token), Mode::Full, UnixNanos(at));
        };
        tick(&mut ledger, 1, 10);
        tick(&mut ledger, 1, 11);
        tick(&mut ledger, 2, 12);
        assert_eq!(ledger.take_gaps(), None);
        ledger.lost(GapCause::Disconnected);
        ledger.disconnected();
        // A second fall before it ticked: still one hole.
        ledger.lost(GapCause::Disconnected);
        for (token, at) in [(2, 20), (2, 21), (3, 22), (1, 23)] {
            tick(&mut ledger, token, at);
        }
        let told = ledger.take_gaps();
        assert_eq!(told, Some((GapCause::Disconnected, vec![gap(1, 11, 23), gap(2, 12, 20)])));
        assert_eq!(ledger.take_gaps(), None, "each is told once");
        // What is wanted anew has missed nothing.
        ledger.set_desired(&[wish(2)].into_iter().collect());
        ledger.lost(GapCause::Silent);
        ledger.set_desired(&[wish(1), wish(2)].into_iter().collect());
        tick(&mut ledger, 1, 30);
        tick(&mut ledger, 2, 31);
        assert_eq!(ledger.take_gaps(), Some((GapCause::Silent, vec![gap(2, 21, 31)])));
        ledger.sweep(Instant::now());
    }
}
