//! Contract and session rules on a date: the calendar's answer, or a plain weekly pattern where it has none.

use exchange_calendar::{Answer, Calendar, Day, ExpiryKind, SessionKind};
use jiff::ToSpan;
use jiff::civil::{Date, Time, Weekday, time};
use market_model::{Exchange, UnixNanos};

use crate::clock::{from_ist, ist};
use crate::config::Sessions;
use crate::listing::IndexSpec;

/// A listed end date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedExpiry {
    /// Last trading day.
    pub(crate) date: Date,
    /// When trading ends on it.
    pub(crate) instant: UnixNanos,
    /// Whether it is the last one of its month, which futures share and symbols show.
    pub(crate) monthly: bool,
}

/// The trading day whose prices show at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TradingDay {
    /// First instant.
    pub(crate) open: UnixNanos,
    /// End of trading.
    pub(crate) close: UnixNanos,
    /// End of trading of the day before.
    pub(crate) previous_close: UnixNanos,
}

/// The two session plans the simulator distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Board {
    /// Shares and indices.
    Cash,
    /// Futures and options.
    Derivatives,
}

/// Rules of the simulated exchanges.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    sessions: Sessions,
    calendar: Calendar,
}

// === impl TradingDay ===

impl TradingDay {
    /// `at` while the market is open, else the moment it closed.
    pub(crate) fn market_time(&self, at: UnixNanos) -> UnixNanos {
        at.clamp(self.open, self.close)
    }

    /// Whether prices move at `at`.
    pub(crate) fn is_open(&self, at: UnixNanos) -> bool {
        (self.open..self.close).contains(&at)
    }
}

// === impl Rules ===

impl Rules {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self { sessions, calendar: Calendar::builtin() }
    }

    /// The trading day that prices belong to at `now`: today's once it has opened, else the last one.
    pub(crate) fn trading_day(&self, board: Board, now: UnixNanos) -> TradingDay {
        let today = ist(now).date();
        let mut found = self.days_back(board, today).filter(|&(open, _)| open <= now);
        let (open, close) = found.next().unwrap_or((now, now));
        let previous_close = found.next().map_or(open, |(_, close)| close);
        TradingDay { open, close, previous_close }
    }

    /// When `date` trades, first and last instant; `None` on a day without trading.
    pub(crate) fn hours(&self, board: Board, date: Date) -> Option<(UnixNanos, UnixNanos)> {
        match self.sessions {
            Sessions::AlwaysOpen => {
                let next = date.checked_add(1.day()).ok()?;
                Some((at(date, Time::midnight()), at(next, Time::midnight())))
            }
            Sessions::Calendar => self.session_hours(board, date),
        }
    }

    /// The next `count` expiries of options on `index`, and the monthly ones of the next `futures` futures, merged.
    pub(crate) fn expiries(
        &self,
        index: &IndexSpec,
        now: UnixNanos,
        count: usize,
        futures: usize,
    ) -> Vec<ListedExpiry> {
        let today = ist(now).date();
        let candidates = self.expiry_dates(index, today);
        let mut options = 0;
        let mut monthlies = 0;
        candidates
            .into_iter()
            .filter(|expiry| expiry.instant > now)
            .filter(|expiry| {
                options += 1;
                monthlies += usize::from(expiry.monthly);
                options <= count || (expiry.monthly && monthlies <= futures)
            })
            .collect()
    }

    /// Units per lot of the contract on `index` that ends on `expiry`.
    pub(crate) fn lot_size(&self, index: &IndexSpec, expiry: Date) -> u32 {
        match self.calendar.lot_size(index.name, expiry) {
            Answer::Known(lot) => lot,
            Answer::Unknown => index.fallback.lot_size,
        }
    }

    /// Distance in rupees between strikes of options on `index`, near the money.
    pub(crate) fn strike_step(&self, index: &IndexSpec, on: Date) -> i64 {
        match self.calendar.strike_step(index.name, on) {
            Answer::Known(step) => (step.near_paise / 100).max(1),
            Answer::Unknown => index.fallback.strike_step,
        }
    }

    fn days_back(&self, board: Board, from: Date) -> impl Iterator<Item = (UnixNanos, UnixNanos)> {
        let mut date = Some(from);
        std::iter::from_fn(move || {
            let current = date?;
            date = current.yesterday().ok();
            Some(current)
        })
        // The longest break of the exchanges is under a week.
        .take(30)
        .filter_map(move |date| self.hours(board, date))
    }

    fn session_hours(&self, board: Board, date: Date) -> Option<(UnixNanos, UnixNanos)> {
        let exchange = match board {
            Board::Cash => "NSE",
            Board::Derivatives => "NFO",
        };
        match self.calendar.day(exchange, date) {
            Answer::Known(Day::Open { sessions, .. }) => {
                let mut continuous = sessions
                    .iter()
                    .filter(|session| session.kind == SessionKind::Continuous && session.scope.is_main());
                let first = continuous.next()?;
                let last = continuous.next_back().unwrap_or(first);
                Some((at(date, first.start), at(date, last.end)))
            }
            Answer::Known(Day::Closed { .. }) => None,
            Answer::Unknown if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) => None,
            Answer::Unknown => {
                let end = match board {
                    Board::Cash => time(15, 30, 0, 0),
                    Board::Derivatives => LAST_TRADE,
                };
                Some((at(date, time(9, 15, 0, 0)), at(date, end)))
            }
        }
    }

    fn expiry_dates(&self, index: &IndexSpec, today: Date) -> Vec<ListedExpiry> {
        let listed = |date, monthly| ListedExpiry {
            date,
            instant: self.expiry_instant(&index.derivatives, date),
            monthly,
        };
        match self.calendar.expiries(index.derivatives.as_str(), index.name, today) {
            Answer::Known(expiries) => {
                expiries.iter().map(|expiry| listed(expiry.date, expiry.kind != ExpiryKind::Weekly)).collect()
            }
            Answer::Unknown => weekly_pattern(index, today)
                .into_iter()
                .map(|(date, monthly)| listed(date, monthly))
                .collect(),
        }
    }

    fn expiry_instant(&self, exchange: &Exchange, date: Date) -> UnixNanos {
        match self.calendar.expiry_instant(exchange.as_str(), date) {
            Answer::Known(instant) => UnixNanos::from_secs(instant.as_second()),
            Answer::Unknown => at(date, LAST_TRADE),
        }
    }
}

/// When derivatives stop trading on days the calendar does not know.
const LAST_TRADE: Time = time(15, 40, 0, 0);

/// Expiries from `today` on for some months, with whether each is the last of its month, by weekday alone.
fn weekly_pattern(index: &IndexSpec, today: Date) -> Vec<(Date, bool)> {
    let weekday = index.fallback.expiry_weekday;
    // Eighteen weeks hold the three monthly contracts that are listed at any time.
    (0..18 * 7)
        .filter_map(|days: i64| today.checked_add(days.days()).ok())
        .filter(|date| date.weekday() == weekday)
        .map(|date| {
            let next = date.checked_add(7.days());
            (date, next.is_ok_and(|next| next.month() != date.month()))
        })
        .filter(|(_, monthly)| *monthly || index.fallback.weekly)
        .collect()
}

fn at(date: Date, time: Time) -> UnixNanos {
    from_ist(date.to_datetime(time))
}

#[cfg(test)]
mod tests;
