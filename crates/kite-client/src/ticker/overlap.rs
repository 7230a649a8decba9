//! Two sockets of one connection side by side: what each was told, and when the newer one may take over.

use std::time::Duration;

use market_model::{SubscriptionSet, UnixNanos};
use tokio::time::Instant;

use crate::ticker::ledger::SubscriptionLedger;

/// After the last command is written, this long at least passes before the older socket is closed, so that the
/// server has read the commands; Kite ticks about once a second.
const SETTLE: Duration = Duration::from_millis(250);
/// When nothing trades there are no ticks to wait for: this long after the last command any frame will do.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which socket of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that serves.
    Current,
    /// One that is to take its place and has not proven itself.
    Newcomer,
    /// One whose place was taken and that is being closed.
    Leaver,
}

/// What is kept while two sockets stand.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// The newcomer's bookkeeping; after the change of places the former socket's.
    pub(crate) ledger: SubscriptionLedger,
    pub(crate) stands_since: Instant,
    changed_places: bool,
    told_at: Option<Instant>,
    ticked_since: bool,
    spoke_since: bool,
    /// The newest frame of the older socket before the change of places.
    former_spoke: Option<UnixNanos>,
    /// When the change of places was.
    changed_at: Option<UnixNanos>,
    /// The older socket was read up to its close frame, or to the end of the stream.
    read_to_end: bool,
    /// Since when ticks of the older socket were withheld for a newcomer that had not proven itself.
    withheld_from: Option<UnixNanos>,
}

// === impl Overlap ===

impl Overlap {
    /// A newcomer stands since `now`; `ledger` is for its commands.
    pub(crate) fn new(ledger: SubscriptionLedger, now: Instant) -> Self {
        Self {
            ledger,
            stands_since: now,
            changed_places: false,
            told_at: None,
            ticked_since: false,
            spoke_since: false,
            former_spoke: None,
            changed_at: None,
            read_to_end: false,
            withheld_from: None,
        }
    }

    /// A frame arrived at `at`, before it is sifted.
    pub(crate) fn heard(&mut self, side: Side, at: UnixNanos) {
        if !self.is_newer(side) && self.changed_at.is_none() {
            self.former_spoke = Some(at);
        }
    }

    /// The newcomer took the place of a socket whose newest frame came at `former_spoke`.
    pub(crate) fn changed(&mut self, former_spoke: Option<UnixNanos>, now: UnixNanos) {
        self.former_spoke = self.former_spoke.or(former_spoke);
        self.changed_at = Some(now);
    }

    /// The older socket has nothing more to say.
    pub(crate) fn read_to_end(&mut self) {
        self.read_to_end = true;
    }

    /// What may be missing when this ends now: from the last moment known to be good to the first one again.
    ///
    /// A socket that was read to its end had delivered all it was written. Of one that was not, frames may be on their
    /// way that were written before the newcomer carried anything, or it was dead for a while. And a newcomer that never
    /// proved itself may not have said what was withheld for its sake.
    pub(crate) fn missed(&self, now: UnixNanos) -> Option<(UnixNanos, UnixNanos)> {
        match self.changed_at {
            Some(_) if self.read_to_end => None,
            Some(changed_at) => Some((self.former_spoke.unwrap_or(changed_at), changed_at)),
            None => self.withheld_from.map(|from| (from, now)),
        }
    }

    /// Wants exactly `desired` from now on.
    pub(crate) fn set_desired(&mut self, desired: &SubscriptionSet) {
        if !self.changed_places {
            self.ledger.set_desired(desired);
        }
    }

    /// Everything wanted was written to the newcomer by `now`; `None` when there is more to write.
    pub(crate) fn told(&mut self, now: Option<Instant>) {
        match now {
            Some(now) => {
                self.told_at.get_or_insert(now);
            }
            None => (self.told_at, self.ticked_since, self.spoke_since) = (None, false, false),
        }
    }

    /// A frame of the newcomer: a heartbeat, or one with ticks.
    pub(crate) fn spoke(&mut self, with_ticks: bool) {
        self.spoke_since |= self.told_at.is_some();
        self.ticked_since |= self.told_at.is_some() && with_ticks;
    }

    /// Whether the newcomer has proven that it carries what is wanted.
    pub(crate) fn is_proven(&self, now: Instant) -> bool {
        let Some(told_at) = self.told_at.filter(|_| !self.changed_places) else {
            return false;
        };
        let since = now - told_at;
        let nothing_wanted = self.ledger.counts().total() == 0;
        (since >= SETTLE && self.ticked_since) || ((since >= PATIENCE || nothing_wanted) && self.spoke_since)
    }

    /// The newcomer's ledger takes the place of `current`.
    pub(crate) fn change_places(&mut self, current: &mut SubscriptionLedger) {
        std::mem::swap(current, &mut self.ledger);
        current.succeed(&mut self.ledger);
        self.changed_places = true;
    }

    /// Ticks of `side` were withheld.
    pub(crate) fn withheld(&mut self, side: Side) {
        if side == Side::Current && !self.changed_places {
            self.withheld_from = self.withheld_from.or(self.former_spoke);
        }
    }

    /// Whether the newcomer has taken the other one's place.
    pub(crate) const fn has_changed_places(&self) -> bool {
        self.changed_places
    }

    /// Whether `side` is the newer socket of the two.
    pub(crate) const fn is_newer(&self, side: Side) -> bool {
        match side {
            Side::Newcomer => true,
            Side::Leaver => false,
            Side::Current => self.changed_places,
        }
    }
}

#[cfg(test)]
mod tests {
    use market_model::{InstrumentToken, Mode, Subscription};

    use super::*;

    fn overlap(wanted: &[u32], now: Instant) -> Overlap {
        let mut ledger = SubscriptionLedger::new(10, Duration::from_secs(30));
        let wish = |token: &u32| Subscription { token: InstrumentToken(*token), mode: Mode::Ltp };
        ledger.set_desired(&wanted.iter().map(wish).collect());
        Overlap::new(ledger, now)
    }

    fn at(second: i64) -> UnixNanos {
        UnixNanos::from_secs(second)
    }

    /// Places were changed at 5; the former socket was heard at the given seconds before and after.
    fn changed(before: i64, after: Option<i64>) -> Overlap {
        let mut overlap = overlap(&[1], Instant::now());
        overlap.heard(Side::Current, at(before));
        let mut current = SubscriptionLedger::new(10, Duration::from_secs(30));
        overlap.change_places(&mut current);
        overlap.changed(Some(at(4)), at(5));
        overlap.heard(Side::Current, at(6));
        if let Some(after) = after {
            overlap.heard(Side::Leaver, at(after));
        }
        overlap
    }

    #[test]
    fn a_former_socket_that_was_not_read_to_its_end_may_have_had_more_to_say() {
        assert_eq!(changed(3, None).missed(at(9)), Some((at(3), at(5))), "it may have been dead");
        // What came was perhaps written long before the newcomer carried anything, and more of that is on its way.
        assert_eq!(changed(3, Some(6)).missed(at(9)), Some((at(3), at(5))));
        let mut overlap = changed(3, None);
        overlap.read_to_end();
        assert_eq!(overlap.missed(at(9)), None);
    }

    #[test]
    fn what_was_withheld_for_a_newcomer_that_failed_is_a_hole() {
        let mut overlap = overlap(&[1, 2], Instant::now());
        overlap.heard(Side::Newcomer, at(1));
        overlap.heard(Side::Current, at(2));
        assert_eq!(overlap.missed(at(9)), None, "nothing was withheld");
        for second in [3, 4] {
            overlap.heard(Side::Current, at(second));
            overlap.withheld(Side::Current);
        }
        assert_eq!(overlap.missed(at(9)), Some((at(3), at(9))));
    }

    #[test]
    fn a_newcomer_is_proven_by_a_tick_after_its_last_command() {
        let start = Instant::now();
        let mut overlap = overlap(&[1], start);
        overlap.spoke(true);
        assert!(!overlap.is_proven(start + PATIENCE), "commands are not written");
        overlap.told(Some(start));
        assert!(!overlap.is_proven(start + SETTLE), "no tick since");
        overlap.spoke(true);
        assert!(!overlap.is_proven(start), "the server may not have read everything");
        assert!(overlap.is_proven(start + SETTLE));
        overlap.told(None);
        assert!(!overlap.is_proven(start + PATIENCE), "wishes changed");
    }

    #[test]
    fn heartbeats_are_enough_where_nothing_ticks() {
        let start = Instant::now();
        let mut quiet = overlap(&[1], start);
        quiet.told(Some(start));
        quiet.spoke(false);
        assert!(!quiet.is_proven(start + SETTLE) && quiet.is_proven(start + PATIENCE));
        let mut empty = overlap(&[], start);
        empty.told(Some(start));
        assert!(!empty.is_proven(start));
        empty.spoke(false);
        assert!(empty.is_proven(start));
    }
}
