//! Historical candles of the same price processes that the ticker shows.

use jiff::ToSpan;
use jiff::civil::Date;
use kite_wire::rest::Candle;
use market_model::{Price, UnixNanos};

use crate::clock::{from_ist, ist};
use crate::listing::{Kind, Listed};
use crate::market::{Basis, open_interest, round, volume};
use crate::random::YEAR_SECONDS;

/// Prices looked at within an intraday candle.
const INTRADAY_SAMPLES: i64 = 4;
/// Prices looked at within a day.
const DAY_SAMPLES: i64 = 48;

/// Length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    /// So many minutes, counted from the opening of each day.
    Minutes(i64),
    /// A trading day.
    Day,
    /// Monday to Sunday.
    Week,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) interval: Interval,
    /// First start of a candle, inclusive.
    pub(crate) from: UnixNanos,
    /// Last start of a candle, inclusive.
    pub(crate) to: UnixNanos,
    /// Whether candles carry open interest.
    pub(crate) oi: bool,
    /// Whether the front future is shown in place of the one asked for.
    pub(crate) continuous: bool,
}

// === impl Interval ===

impl Interval {
    /// Kite's word for it, documented or not.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "minute" => Self::Minutes(1),
            "2minute" => Self::Minutes(2),
            "3minute" => Self::Minutes(3),
            "4minute" => Self::Minutes(4),
            "5minute" => Self::Minutes(5),
            "10minute" => Self::Minutes(10),
            "15minute" => Self::Minutes(15),
            "30minute" => Self::Minutes(30),
            "60minute" | "hour" => Self::Minutes(60),
            "2hour" => Self::Minutes(120),
            "3hour" => Self::Minutes(180),
            "4hour" => Self::Minutes(240),
            "day" => Self::Day,
            "week" => Self::Week,
            _ => return None,
        })
    }

    /// Longest range of one call, in days.
    pub(crate) const fn max_days(self) -> i64 {
        match self {
            Self::Minutes(..=2) => 60,
            Self::Minutes(3..=10) => 100,
            Self::Minutes(11..=30) => 200,
            Self::Minutes(_) => 400,
            Self::Day | Self::Week => 2000,
        }
    }
}

/// The candles of `listed` in `range`, nothing of them later than `now`. A minute without trades has no candle.
pub(crate) fn candles(basis: &Basis, listed: &Listed, range: &Range, now: UnixNanos) -> Vec<Candle> {
    let source = Source { basis, listed, range, now };
    let mut candles: Vec<Candle> = Vec::new();
    let mut date = ist(range.from).date();
    if range.interval == Interval::Week {
        // Start with the whole week, whose candle is stamped with its Monday.
        let back = i64::from(date.weekday().to_monday_zero_offset());
        date = date.checked_sub(back.days()).unwrap_or(date);
    }
    let last = ist(range.to.min(now)).date();
    while date <= last {
        if let Some((open, close)) = basis.rules.hours(listed.board(), date) {
            match range.interval {
                Interval::Minutes(minutes) => source.intraday(minutes, open, close.min(now), &mut candles),
                Interval::Day => candles.extend(source.day(date, open, close)),
                Interval::Week => source.week(date, open, close, &mut candles),
            }
        }
        let Ok(next) = date.tomorrow() else { break };
        date = next;
    }
    candles.retain(|candle| (range.from..=range.to).contains(&candle.start));
    candles
}

struct Source<'a> {
    basis: &'a Basis,
    listed: &'a Listed,
    range: &'a Range,
    now: UnixNanos,
}

// === impl Source ===

impl Source<'_> {
    fn intraday(&self, minutes: i64, open: UnixNanos, end: UnixNanos, candles: &mut Vec<Candle>) {
        let length = minutes * 60_000_000_000;
        let mut start = open;
        while start < end && start <= self.range.to {
            let close = UnixNanos((start.0 + length).min(end.0));
            if UnixNanos(start.0) >= self.range.from {
                candles.extend(self.candle(start, start, close, open, INTRADAY_SAMPLES));
            }
            start = UnixNanos(start.0 + length);
        }
    }

    fn day(&self, date: Date, open: UnixNanos, close: UnixNanos) -> Option<Candle> {
        let close = close.min(self.now);
        (open < close).then(|| self.candle(midnight(date), open, close, open, DAY_SAMPLES))?
    }

    fn week(&self, date: Date, open: UnixNanos, close: UnixNanos, candles: &mut Vec<Candle>) {
        let Some(day) = self.day(date, open, close) else {
            return;
        };
        let back = i64::from(date.weekday().to_monday_zero_offset());
        let monday = midnight(date.checked_sub(back.days()).unwrap_or(date));
        match candles.last_mut().filter(|week| week.start == monday) {
            Some(week) => {
                week.high = week.high.max(day.high);
                week.low = week.low.min(day.low);
                week.close = day.close;
                week.volume += day.volume;
                week.oi = day.oi;
            }
            None => candles.push(Candle { start: monday, ..day }),
        }
    }

    /// One candle from prices between `from` and `to`; `None` when nothing was traded.
    fn candle(
        &self,
        start: UnixNanos,
        from: UnixNanos,
        to: UnixNanos,
        open: UnixNanos,
        samples: i64,
    ) -> Option<Candle> {
        let traded = volume(self.listed, open, to) - volume(self.listed, open, from);
        if traded == 0 && !self.listed.is_index() {
            return None;
        }
        // The last price belongs to this candle, not to the next.
        let last = to.0 - 1;
        let at = |sample: i64| UnixNanos(from.0 + (last - from.0) / (samples - 1) * sample);
        let price = |sample: i64| round(self.listed, self.fair(at(sample)));
        let first = price(0);
        let mut candle = Candle {
            start,
            open: first,
            high: first,
            low: first,
            close: first,
            volume: traded.into(),
            oi: self.range.oi.then(|| open_interest(self.listed, UnixNanos(last)).into()),
        };
        for sample in 1..samples {
            let price: Price = price(sample);
            candle.high = candle.high.max(price);
            candle.low = candle.low.min(price);
            candle.close = price;
        }
        Some(candle)
    }

    fn fair(&self, at: UnixNanos) -> f64 {
        match self.listed.kind {
            Kind::Future { index, .. } if self.range.continuous => {
                // Days to the end of the front contract fall from thirty to none; the carry they make up is all that
                // distinguishes one month's contract from another's.
                let model = &self.basis.model;
                let level = model.index(index, model.common(at), at);
                let phase = (at.0 as f64 * 1e-9 / YEAR_SECONDS * 12.0).fract();
                let left = std::time::Duration::from_secs_f64((1.0 - phase) * YEAR_SECONDS / 12.0);
                model.curve(index, &level, at + left, at).forward
            }
            _ => self.basis.fair_at(self.listed, at),
        }
    }
}

fn midnight(date: Date) -> UnixNanos {
    from_ist(date.to_datetime(jiff::civil::Time::midnight()))
}

#[cfg(test)]
mod tests;
