//! Holes instrument by instrument: from the last tick before one to the first tick after it.

use std::sync::Arc;

use market_model::{GapCause, InstrumentToken, TokenGap, UnixNanos};

use crate::ticker::carriers::Carriers;
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
    /// The same of instruments that another connection carried before.
    moved: Vec<TokenGap>,
}

/// Instruments that began to tick here with one frame, and ticked nowhere for a while before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The earliest of their last ticks elsewhere.
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
    /// One for each, from its own last tick.
    pub(crate) gaps: Vec<TokenGap>,
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
        let mut ceased = Vec::new();
        for wish in self.wanted.iter_mut() {
            if let Seen::At(last) = wish.seen {
                wish.seen = Seen::Lost(last);
                ceased.push((wish.token, last));
            }
        }
        self.cease(ceased);
    }

    /// Tells `carriers` which instruments tick here.
    pub(crate) fn with_carriers(mut self, carriers: Option<Arc<Carriers>>) -> Self {
        self.carriers = carriers;
        self
    }

    /// `token` ticks here from `since` on, after it had not. Without `since` the hole before is told as this connection's own.
    #[cold]
    pub(super) fn begin(
        holes: &mut Holes,
        carriers: Option<&Carriers>,
        token: InstrumentToken,
        since: Option<UnixNanos>,
    ) {
        let last = carriers.and_then(|carriers| carriers.begins(token));
        if let (Some(from), Some(to)) = (last, since) {
            holes.moved.push(TokenGap { token, from, to });
        }
    }

    /// These tick here no longer.
    pub(super) fn cease(&self, ceased: Vec<(InstrumentToken, UnixNanos)>) {
        if let Some(carriers) = self.carriers.as_deref().filter(|_| !ceased.is_empty()) {
            carriers.end(ceased);
        }
    }

    /// What `former` knew about ticks stays known: this ledger's socket took the place of that one's.
    pub(super) fn inherit_seen(&mut self, former: &mut Self) {
        let untold = std::mem::take(&mut former.holes);
        self.holes.ended.extend(untold.ended);
        self.holes.moved.extend(untold.moved);
        self.holes.cause = self.holes.cause.or(untold.cause);
        self.carriers = former.carriers.take();
        for wish in self.wanted.iter_mut() {
            let Some(before) = former.wanted.get(wish.token) else { continue };
            wish.habit = before.habit;
            match (before.seen, wish.seen) {
                (Seen::Lost(from), Seen::At(to)) => {
                    self.holes.end(wish.token, from, to);
                    Self::begin(&mut self.holes, self.carriers.as_deref(), wish.token, None);
                }
                (Seen::Never, Seen::At(to)) => {
                    Self::begin(&mut self.holes, self.carriers.as_deref(), wish.token, Some(to));
                }
                (before, Seen::Never) => wish.seen = before,
                _ => {}
            }
        }
    }

    /// The holes since the last call of what another connection carried before, frame by frame.
    pub(crate) fn take_moved(&mut self) -> Vec<Moved> {
        let mut gaps = std::mem::take(&mut self.holes.moved);
        gaps.sort_unstable_by_key(|gap| (gap.to, gap.token));
        let frames = gaps.chunk_by(|one, next| one.to == next.to);
        let moved = frames.filter_map(|frame| {
            let from = frame.iter().map(|gap| gap.from).min()?;
            Some(Moved { from, to: frame[0].to, gaps: frame.to_vec() })
        });
        moved.collect()
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

/// Of a connection that is gone nothing ticks any more.
impl Drop for SubscriptionLedger {
    fn drop(&mut self) {
        self.cease(self.wanted.iter().filter_map(|wish| Some((wish.token, wish.ticks_until()?))).collect());
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

    #[test]
    fn what_moves_from_connection_to_connection_tells_its_hole_if_it_had_one() {
        let carriers = Arc::new(Carriers::new());
        let new =
            || SubscriptionLedger::new(10, Duration::from_secs(30)).with_carriers(Some(carriers.clone()));
        let tokens = |tokens: &[u32]| tokens.iter().copied().map(InstrumentToken).collect::<Vec<_>>();
        let wishes = |wanted: &[u32]| {
            let wish = |token| Subscription { token, mode: Mode::Full };
            tokens(wanted).into_iter().map(wish).collect()
        };
        let tick = |ledger: &mut SubscriptionLedger, token, at| {
            ledger.ticked(InstrumentToken(token), Mode::Full, UnixNanos(at));
        };
        carriers.want(tokens(&[1, 2, 3, 4]), UnixNanos(0));
        let (mut old, mut new_home) = (new(), new());
        old.set_desired(&wishes(&[1, 2, 3, 4]));
        for (token, at) in [(1, 10), (2, 12), (3, 13), (4, 14)] {
            tick(&mut old, token, at);
        }
        // 4 moves before the loss, make before break; 1 and 2 after it; 3 has not ticked there yet.
        new_home.set_desired(&wishes(&[4]));
        tick(&mut new_home, 4, 15);
        old.set_desired(&wishes(&[1, 2, 3]));
        old.lost(GapCause::Disconnected);
        old.set_desired(&wishes(&[]));
        new_home.set_desired(&wishes(&[1, 2, 3, 4]));
        for (token, at) in [(4, 19), (2, 20), (1, 20), (1, 21)] {
            tick(&mut new_home, token, at);
        }
        let moved = |from, to, gaps: &[TokenGap]| Moved {
            from: UnixNanos(from),
            to: UnixNanos(to),
            gaps: gaps.to_vec(),
        };
        assert_eq!(new_home.take_moved(), [moved(10, 20, &[gap(1, 10, 20), gap(2, 12, 20)])]);
        assert_eq!(new_home.take_gaps(), None, "it is told once, and not as the connection's own");
        tick(&mut new_home, 3, 30);
        assert_eq!(new_home.take_moved(), [moved(13, 30, &[gap(3, 13, 30)])]);

        // Sockets that change places carry it only once; a ledger that is dropped carries nothing.
        let mut newcomer = SubscriptionLedger::new(10, Duration::from_secs(30));
        newcomer.set_desired(&wishes(&[1, 2, 3, 4]));
        tick(&mut newcomer, 1, 31);
        newcomer.succeed(&mut new_home);
        drop(new_home);
        drop(newcomer);
        old.set_desired(&wishes(&[1, 4]));
        tick(&mut old, 1, 40);
        tick(&mut old, 4, 40);
        assert_eq!(old.take_moved(), [moved(19, 40, &[gap(1, 31, 40), gap(4, 19, 40)])]);
    }
}
