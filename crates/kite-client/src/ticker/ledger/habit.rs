//! How often an instrument usually ticks, to tell one that stopped from one that is rarely traded.

use std::time::Duration;

use market_model::{InstrumentToken, SessionPhase, Sessions, SubscriptionState, UnixNanos};

use crate::ticker::ledger::SubscriptionLedger;
use crate::ticker::ledger::holes::Seen;
use crate::ticker::rate::exchange_of;

/// Fewer intervals than this say nothing.
const ENOUGH: u16 = 16;
/// A pause this many times the usual interval is no chance any more: ticks that come at random leave one of this
/// length once in half a billion.
const PAUSE: i64 = 20;
/// The newest interval weighs one part in 2^3 against all before it.
const NEWEST_BITS: u32 = 3;
/// Intervals are kept in units of 2^20 nanoseconds, about a millisecond: integers, because this is done for every
/// tick.
const UNIT_BITS: u32 = 20;

/// The usual interval between two ticks of one instrument, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habit {
    interval: i32,
    intervals: u16,
}

// === impl Habit ===

impl Habit {
    /// It ticked `before`, and now again.
    #[inline]
    pub(super) fn ticked(&mut self, before: UnixNanos, now: UnixNanos) {
        // A day is 2^27 units, so the difference of two longer ones is still in range.
        let after = (now.0.saturating_sub(before.0) >> UNIT_BITS).clamp(0, 1 << 30) as i32;
        let weight_bits = if self.intervals == 0 { 0 } else { NEWEST_BITS };
        self.interval += (after - self.interval) >> weight_bits;
        self.intervals = self.intervals.saturating_add(1);
    }

    /// Whether a pause of this length, and of `at_least` that, means that it has stopped.
    fn has_stopped(self, pause: Duration, at_least: Duration) -> bool {
        let units = (pause.as_nanos() >> UNIT_BITS) as i64;
        self.intervals >= ENOUGH && pause >= at_least && units >= PAUSE * i64::from(self.interval)
    }
}

// === impl SubscriptionLedger ===

impl SubscriptionLedger {
    /// Marks as silent what ticked regularly and stopped although its exchange trades, and has its commands sent
    /// once more. One that is rarely traded is left alone, however long it rests.
    pub(crate) fn sweep_stopped(&mut self, now: UnixNanos, sessions: &Sessions) {
        let at_least = self.silent_after;
        let mut stopped: Vec<InstrumentToken> = (self.wanted.iter())
            .filter(|wish| wish.state == SubscriptionState::Live)
            .filter(|wish| match wish.seen {
                Seen::At(last) => wish.habit.has_stopped(now.saturating_since(last), at_least),
                Seen::Never | Seen::Lost(_) => false,
            })
            .map(|wish| wish.token)
            .filter(|token| may_tick(*token, sessions))
            .collect();
        stopped.sort_unstable();
        for token in stopped {
            self.silence(token);
        }
    }
}

/// Whether the exchange of `token` is in continuous trading, or nobody knows.
fn may_tick(token: InstrumentToken, sessions: &Sessions) -> bool {
    let phase = exchange_of(token).map(|exchange| sessions.phase(&exchange));
    matches!(phase, Some(SessionPhase::Continuous | SessionPhase::Unknown))
}

#[cfg(test)]
mod tests {
    use market_model::{Exchange, Mode, Subscription};
    use tokio::time::Instant;

    use super::*;

    const SILENT_AFTER: Duration = Duration::from_secs(30);
    const BUSY: InstrumentToken = InstrumentToken(257);
    const RARE: InstrumentToken = InstrumentToken(513);

    /// Both tick for a while, one each second and one each minute; answers when the last tick came.
    fn after_an_hour() -> (SubscriptionLedger, UnixNanos) {
        let mut ledger = SubscriptionLedger::new(10, SILENT_AFTER);
        let wanted = [BUSY, RARE].map(|token| Subscription { token, mode: Mode::Full });
        ledger.set_desired(&wanted.into_iter().collect());
        while ledger.next_command().is_some() {
            ledger.written(Instant::now());
        }
        for second in 0..=3600 {
            ledger.ticked(BUSY, Mode::Full, UnixNanos::from_secs(second));
            if second % 60 == 0 {
                ledger.ticked(RARE, Mode::Full, UnixNanos::from_secs(second));
            }
        }
        ledger.take_changes();
        (ledger, UnixNanos::from_secs(3600))
    }

    fn silent_after(
        ledger: &mut SubscriptionLedger,
        now: UnixNanos,
        sessions: &Sessions,
    ) -> Vec<InstrumentToken> {
        ledger.sweep_stopped(now, sessions);
        ledger.take_changes().iter().map(|change| change.token).collect()
    }

    #[test]
    fn one_that_stopped_is_silent_and_one_that_is_rarely_traded_is_not() {
        let (mut ledger, last) = after_an_hour();
        let (early, late) = (Duration::from_secs(29), Duration::from_secs(30));
        assert_eq!(silent_after(&mut ledger, last + early, &Sessions::default()), []);
        assert_eq!(silent_after(&mut ledger, last + late, &Sessions::default()), [BUSY]);
        assert!(ledger.next_command().is_some(), "its subscription is sent once more");
        let much_later = last + Duration::from_secs(600);
        assert_eq!(silent_after(&mut ledger, much_later, &Sessions::default()), []);
        let hour_later = last + Duration::from_secs(1200);
        assert_eq!(silent_after(&mut ledger, hour_later, &Sessions::default()), [RARE]);
        ledger.ticked(BUSY, Mode::Full, hour_later);
        assert_eq!(ledger.counts().live, 1, "a tick proves it again");
    }

    #[test]
    fn after_hours_nothing_has_stopped() {
        let (mut ledger, last) = after_an_hour();
        let closed = Sessions::new([(Exchange::Nse, SessionPhase::Closed)]);
        assert_eq!(silent_after(&mut ledger, last + Duration::from_secs(7200), &closed), []);
    }
}
