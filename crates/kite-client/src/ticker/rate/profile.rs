//! How fast a connection usually ticks at which time of the day, in a form that outlives the process.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use market_model::UnixNanos;

/// Length of one slot of the day.
const SLOT: i64 = 15 * 60;
/// India is this far ahead of UTC, all year.
const INDIA: i64 = 19_800;
/// Slots of a day.
const SLOTS: u8 = 96;
/// A day counts for a slot when at least this much of the slot was seen.
const ENOUGH: Duration = Duration::from_secs(300);
/// What the newest day weighs against all days before it: after five days the first one weighs a sixth.
const NEWEST: f64 = 0.3;
/// Carrying more, or fewer, instruments than this many times what was learned from says nothing.
const COMPARABLE: f64 = 2.0;
/// First line of the text form; the number is its version.
const HEADING: &str = "kite-rate-profile 1";

/// What is usual for the connections of one account, by time of day. Plain data: keep it over a restart, as text by
/// `Display` and `FromStr`, or field by field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RateProfile {
    /// One for each connection and slot that is known.
    pub slots: Vec<RateSlot>,
}

/// A quarter of an hour of the trading day on one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateSlot {
    /// Index of the connection.
    pub connection: u8,
    /// Which quarter of an hour of the Indian day, from 0 (midnight) to 95.
    pub slot: u8,
    /// Usual ticks per second for one instrument in full mode.
    pub rate_per_unit: f64,
    /// How many such instruments it was learned from; one in LTP mode counts as half.
    pub units: f64,
    /// From how many days.
    pub days: u32,
}

/// The text is not a rate profile of a version this program knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of a rate profile this version knows; delete the file to learn anew")]
pub struct RateProfileError {
    /// Which line, from 1.
    pub line: usize,
}

/// One connection's part of the profile, and what it learns today.
#[derive(Debug, Default)]
pub(super) struct Learned {
    known: Vec<RateSlot>,
    today: Option<Today>,
}

/// The slot that is under way.
#[derive(Debug, Clone, Copy)]
struct Today {
    slot: u8,
    ticks: f64,
    /// Units times seconds.
    units: f64,
    seen: Duration,
}

/// Which slot of the Indian day it is.
fn slot_of(at: UnixNanos) -> u8 {
    let second = (at.as_secs() + INDIA).rem_euclid(86_400);
    u8::try_from(second / SLOT).unwrap_or_default()
}

// === impl RateProfile ===

impl fmt::Display for RateProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}")?;
        for RateSlot { connection, slot, rate_per_unit, units, days } in &self.slots {
            writeln!(f, "{connection} {slot} {rate_per_unit} {units} {days}")?;
        }
        Ok(())
    }
}

impl FromStr for RateProfile {
    type Err = RateProfileError;

    fn from_str(text: &str) -> Result<Self, RateProfileError> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) {
            return Err(RateProfileError { line: 1 });
        }
        let numbered = lines.enumerate().filter(|(_, line)| !line.trim().is_empty());
        let slots = numbered.map(|(at, line)| slot(line).ok_or(RateProfileError { line: at + 2 }));
        Ok(Self { slots: slots.collect::<Result<_, _>>()? })
    }
}

fn slot(line: &str) -> Option<RateSlot> {
    let mut words = line.split_ascii_whitespace();
    let read = RateSlot {
        connection: words.next()?.parse().ok()?,
        slot: words.next()?.parse().ok()?,
        rate_per_unit: words.next()?.parse().ok()?,
        units: words.next()?.parse().ok()?,
        days: words.next()?.parse().ok()?,
    };
    (words.next().is_none() && read.is_sound()).then_some(read)
}

// === impl RateSlot ===

impl RateSlot {
    fn is_sound(&self) -> bool {
        self.slot < SLOTS
            && self.days > 0
            && [self.rate_per_unit, self.units].iter().all(|number| number.is_finite() && *number > 0.0)
    }
}

// === impl Learned ===

impl Learned {
    /// What `profile` knows about `connection`.
    pub(super) fn new(profile: &RateProfile, connection: u8) -> Self {
        let own = |slot: &&RateSlot| slot.connection == connection && slot.is_sound();
        let mut known: Vec<RateSlot> = profile.slots.iter().filter(own).copied().collect();
        known.sort_by_key(|slot| slot.slot);
        known.dedup_by_key(|slot| slot.slot);
        Self { known, today: None }
    }

    /// Ticks per second that are usual at this time for `units`; `None` when that is not known.
    pub(super) fn usual(&self, at: UnixNanos, units: f64) -> Option<f64> {
        let at = self.known.binary_search_by_key(&slot_of(at), |known| known.slot).ok()?;
        let known = &self.known[at];
        let comparable = units <= known.units * COMPARABLE && known.units <= units * COMPARABLE;
        comparable.then_some(known.rate_per_unit * units)
    }

    /// In the time `over` that ended at `at` there were `ticks`, all of it as usual. Answers whether a slot ended
    /// and was learned.
    pub(super) fn learn(&mut self, at: UnixNanos, over: Duration, ticks: f64, units: f64) -> bool {
        let slot = slot_of(at);
        let ended = self.today.is_some_and(|today| today.slot != slot) && self.settle();
        let today = self.today.get_or_insert(Today { slot, ticks: 0.0, units: 0.0, seen: Duration::ZERO });
        today.ticks += ticks;
        today.units += units * over.as_secs_f64();
        today.seen += over;
        ended
    }

    /// The slot under way ends here. Answers whether something was learned.
    pub(super) fn settle(&mut self) -> bool {
        let Some(today) = self.today.take().filter(|today| today.seen >= ENOUGH && today.units > 0.0) else {
            return false;
        };
        let seen = RateSlot {
            connection: 0,
            slot: today.slot,
            rate_per_unit: today.ticks / today.units,
            units: today.units / today.seen.as_secs_f64(),
            days: 1,
        };
        match self.known.binary_search_by_key(&today.slot, |known| known.slot) {
            Ok(at) => self.known[at] = self.known[at].then(seen),
            Err(at) if seen.is_sound() => self.known.insert(at, seen),
            Err(_) => return false,
        }
        true
    }

    /// Everything known, as of `connection`.
    pub(super) fn slots(&self, connection: u8) -> impl Iterator<Item = RateSlot> + '_ {
        self.known.iter().map(move |slot| RateSlot { connection, ..*slot })
    }
}

impl RateSlot {
    /// This and a newer day. A day with another number of instruments replaces what cannot be compared.
    fn then(self, newer: Self) -> Self {
        if !newer.is_sound() {
            return self;
        }
        if newer.units > self.units * COMPARABLE || self.units > newer.units * COMPARABLE {
            return newer;
        }
        let mix = |old: f64, new: f64| old + (new - old) * NEWEST;
        Self {
            rate_per_unit: mix(self.rate_per_unit, newer.rate_per_unit),
            units: mix(self.units, newer.units),
            days: self.days.saturating_add(1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 09:15 in India.
    const OPEN: UnixNanos =
        UnixNanos::from_secs(1_700_000_000 / 86_400 * 86_400 + 9 * 3600 + 15 * 60 - INDIA);

    fn learn(learned: &mut Learned, day: i64, rate: f64, units: f64) {
        let from = OPEN + Duration::from_secs(86_400) * u32::try_from(day).unwrap();
        for second in 0..900 {
            learned.learn(from + Duration::from_secs(second), Duration::from_secs(1), rate, units);
        }
        learned.settle();
    }

    #[test]
    fn days_are_mixed_and_the_newest_counts_most() {
        let mut learned = Learned::default();
        assert_eq!(learned.usual(OPEN, 100.0), None);
        learn(&mut learned, 0, 200.0, 100.0);
        assert_eq!(learned.usual(OPEN, 100.0), Some(200.0));
        assert_eq!(learned.usual(OPEN, 150.0), Some(300.0), "scaled by what is carried");
        assert_eq!(learned.usual(OPEN, 201.0), None, "but not beyond what can be compared");
        assert_eq!(learned.usual(OPEN + Duration::from_secs(900), 100.0), None, "another time of day");
        learn(&mut learned, 1, 100.0, 100.0);
        assert_eq!(learned.usual(OPEN, 100.0), Some(170.0));
        learn(&mut learned, 2, 900.0, 1000.0);
        assert_eq!(learned.usual(OPEN, 1000.0), Some(900.0), "another load is learned anew");
    }

    #[test]
    fn a_glance_is_not_a_day() {
        let mut learned = Learned::default();
        for second in 0..200 {
            learned.learn(OPEN + Duration::from_secs(second), Duration::from_secs(1), 5.0, 1.0);
        }
        assert!(!learned.settle());
        assert_eq!(learned.usual(OPEN, 1.0), None);
    }

    #[test]
    fn text_and_back() {
        let mut learned = Learned::default();
        learn(&mut learned, 0, 212.5, 100.0);
        let profile = RateProfile { slots: learned.slots(2).collect() };
        let text = profile.to_string();
        assert_eq!(text, "kite-rate-profile 1\n2 37 2.125 100 1\n");
        assert_eq!(text.parse(), Ok(profile.clone()));
        assert_eq!(Learned::new(&profile, 2).usual(OPEN, 100.0), Some(212.5));
        assert_eq!(Learned::new(&profile, 1).usual(OPEN, 100.0), None);
        for (text, line) in [
            ("", 1),
            ("kite-rate-profile 2\n", 1),
            ("kite-rate-profile 1\n0 96 1 1 1\n", 2),
            ("kite-rate-profile 1\n0 1 1 1 1\n0 2 NaN 1 1\n", 3),
            ("kite-rate-profile 1\n0 1 1 1 1 1\n", 2),
        ] {
            assert_eq!(text.parse::<RateProfile>(), Err(RateProfileError { line }), "{text}");
        }
    }
}
