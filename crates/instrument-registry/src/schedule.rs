//! When the next dump is due: a pure answer from the clock, the calendar and the last good download.

use exchange_calendar::{Calendar, ist};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use market_model::UnixNanos;

/// A last download further in the future than this was stamped by a clock that was wrong.
const BELIEVABLE_AHEAD_SECS: i64 = 3600;
/// No exchange is closed for so long; beyond it a day is taken for a trading day.
const LONGEST_CLOSURE: usize = 14;

/// When dumps are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// Time of day in India from which on the day's dump is there. The broker makes it "about 08:30"; five minutes more
    /// keep yesterday's file from being taken for today's.
    pub at: Time,
    /// A day counts when one of these exchanges trades on it.
    pub exchanges: Vec<String>,
}

/// The answer of [`next_refresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// At this moment of the wall clock; ask again when it may have been set.
    At(UnixNanos),
}

impl Default for ScheduleConfig {
    /// 08:35 on days on which NSE, BSE or MCX trade.
    fn default() -> Self {
        Self { at: Time::constant(8, 35, 0, 0), exchanges: ["NSE", "BSE", "MCX"].map(str::to_owned).to_vec() }
    }
}

/// The day whose dump one gets at `now`: today in India once today's is made, else yesterday.
pub fn dump_day(now: UnixNanos, config: &ScheduleConfig) -> Date {
    let here = in_india(now);
    if here.time() < config.at { here.date().yesterday().unwrap_or(here.date()) } else { here.date() }
}

/// When to fetch the next dump, given when the last good one was fetched.
///
/// Each trading day has one moment, [`ScheduleConfig::at`]; a day the calendar does not know counts as a trading day.
/// A moment that passed since `last` makes the dump due now. With no `last`, or one that lies well in the future (the
/// clock was wrong then), it is due now on any day.
pub fn next_refresh(
    now: UnixNanos,
    calendar: &Calendar,
    config: &ScheduleConfig,
    last: Option<UnixNanos>,
) -> Due {
    let Some(last) = last.filter(|last| last.as_secs() <= now.as_secs() + BELIEVABLE_AHEAD_SECS) else {
        return Due::Now;
    };
    let mut day = in_india(last.min(now)).date();
    let mut closed = 0;
    loop {
        let wanted = closed >= LONGEST_CLOSURE || is_wanted(calendar, config, day);
        let moment = moment_of(day, config.at);
        if wanted && moment > last {
            return if moment <= now { Due::Now } else { Due::At(moment) };
        }
        closed = if wanted { 0 } else { closed + 1 };
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => return Due::Now,
        }
    }
}

fn is_wanted(calendar: &Calendar, config: &ScheduleConfig, day: Date) -> bool {
    let trades = |exchange: &String| calendar.is_trading_day(exchange, day).known().unwrap_or(true);
    config.exchanges.is_empty() || config.exchanges.iter().any(trades)
}

/// The wall clock of India at `now`.
pub(crate) fn in_india(now: UnixNanos) -> DateTime {
    let at = Timestamp::from_nanosecond(i128::from(now.0)).unwrap_or(Timestamp::UNIX_EPOCH);
    ist().to_datetime(at)
}

fn moment_of(day: Date, time: Time) -> UnixNanos {
    let at = ist().to_timestamp(day.to_datetime(time)).map(Timestamp::as_nanosecond).unwrap_or(i128::MAX);
    UnixNanos(i64::try_from(at).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(text: &str) -> UnixNanos {
        let moment = ist().to_timestamp(text.parse::<DateTime>().unwrap()).unwrap();
        UnixNanos(i64::try_from(moment.as_nanosecond()).unwrap())
    }

    fn check(now: &str, last: Option<&str>, expect: Option<&str>) {
        let due = next_refresh(at(now), &Calendar::builtin(), &ScheduleConfig::default(), last.map(at));
        assert_eq!(due, expect.map_or(Due::Now, |moment| Due::At(at(moment))), "{now} after {last:?}");
    }

    #[test]
    fn one_dump_each_trading_day() {
        // Thursday 19 and Friday 20 November 2026, a weekend, and Guru Nanak on Tuesday the 24th (MCX trades in the evening).
        check("2026-11-20T09:00:00", None, None);
        check("2026-11-22T03:00:00", None, None);
        check("2026-11-20T08:34:59", Some("2026-11-19T08:35:10"), Some("2026-11-20T08:35:00"));
        check("2026-11-20T08:35:00", Some("2026-11-19T08:35:10"), None);
        check("2026-11-20T08:36:00", Some("2026-11-20T08:35:04"), Some("2026-11-23T08:35:00"));
        check("2026-11-20T23:59:59", Some("2026-11-20T07:00:00"), None);
        check("2026-11-22T12:00:00", Some("2026-11-20T08:35:04"), Some("2026-11-23T08:35:00"));
        check("2026-12-24T10:00:00", Some("2026-12-24T08:35:04"), Some("2026-12-28T08:35:00"));
        // Slept through Monday's moment.
        check("2026-11-24T06:00:00", Some("2026-11-20T08:35:04"), None);
    }

    #[test]
    fn a_day_nobody_knows_is_a_trading_day() {
        // A Saturday and a Sunday outside the holiday lists.
        check("2035-06-02T08:00:00", Some("2035-06-01T08:35:00"), Some("2035-06-02T08:35:00"));
        check("2035-06-03T08:40:00", Some("2035-06-02T08:35:00"), None);
    }

    #[test]
    fn a_clock_set_back_repeats_no_dump_and_a_clock_that_was_wrong_is_not_believed() {
        check("2026-11-20T08:34:00", Some("2026-11-20T08:35:04"), Some("2026-11-23T08:35:00"));
        check("2026-11-20T08:40:00", Some("2036-11-20T08:35:04"), None);
    }

    #[test]
    fn a_dump_before_half_past_eight_is_yesterdays() {
        let config = ScheduleConfig::default();
        assert_eq!(dump_day(at("2026-11-20T08:34:59"), &config).to_string(), "2026-11-19");
        assert_eq!(dump_day(at("2026-11-20T08:35:00"), &config).to_string(), "2026-11-20");
        assert_eq!(dump_day(at("2026-11-20T23:59:59"), &config).to_string(), "2026-11-20");
    }

    proptest! {
        #[test]
        fn a_fresh_dump_is_never_due_at_once_and_the_next_one_within_two_weeks(
            secs in 1_700_000_000_i64..2_200_000_000,
            late in 0_u64..4_000_000,
        ) {
            let (calendar, config) = (Calendar::builtin(), ScheduleConfig::default());
            let now = UnixNanos::from_secs(secs);
            let Due::At(next) = next_refresh(now, &calendar, &config, Some(now)) else {
                return Err(TestCaseError::fail("due again at once"));
            };
            prop_assert!(next > now && next.saturating_since(now) <= Duration::from_secs(15 * 86_400));
            // Whoever looks later finds it due exactly from that moment on.
            let later = now + Duration::from_secs(late);
            let due = next_refresh(later, &calendar, &config, Some(now));
            prop_assert_eq!(due, if later >= next { Due::Now } else { Due::At(next) });
        }
    }
}
