//! The calendar itself: days, sessions, trading days.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::answer::Answer;
use crate::days::{DayTable, Plan};
use crate::error::CalendarError;
use crate::facts::Facts;
use crate::load::load;
use crate::session::{Scope, Session, SessionKind};

const BUILTIN: [(&str, &str); 4] = [
    ("data/sessions.toml", include_str!("../data/sessions.toml")),
    ("data/days.toml", include_str!("../data/days.toml")),
    ("data/expiries.toml", include_str!("../data/expiries.toml")),
    ("data/contracts.toml", include_str!("../data/contracts.toml")),
];

/// Dated facts of the Indian exchanges. Immutable, cheap to clone, free to share between threads.
///
/// Exchanges are named as Kite names them: `NSE BSE NFO BFO CDS BCD MCX NCO`.
#[derive(Clone)]
pub struct Calendar {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) facts: Facts,
    pub(crate) days: DayTable,
}

/// How one exchange spends one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day<'a> {
    /// There is trading.
    Open {
        /// The day's sessions, ordered by start; windows run beside the others, scopes may differ.
        sessions: &'a [Session],
        /// Why the day is special, such as `Union Budget`; `None` on an ordinary day.
        name: Option<&'a str>,
        /// What is not certain about it; `None` when nothing is.
        doubt: Option<&'a str>,
    },
    /// There is none.
    Closed {
        /// The holiday's name, `Saturday` or `Sunday`.
        reason: &'a str,
        /// What is not certain about it; `None` when nothing is.
        doubt: Option<&'a str>,
    },
}

/// Indian Standard Time: five and a half hours ahead of UTC, all year.
pub fn ist() -> Offset {
    Offset::constant(5).saturating_add(SignedDuration::from_mins(30))
}

// === impl Calendar ===

impl Calendar {
    /// The calendar as shipped.
    pub fn builtin() -> Self {
        let mut facts = Facts::default();
        let problems = BUILTIN.iter().flat_map(|(file, text)| load(file, text, &mut facts)).collect();
        #[expect(clippy::expect_used, reason = "the data is part of this crate and a test builds it")]
        Self::compile(facts, problems).expect("built-in calendar data is sound")
    }

    /// This calendar with the rows of `toml` behind its own; of two rows that apply the later one wins.
    ///
    /// # Errors
    ///
    /// [`CalendarError::BadData`] lists every problem of the text with its position; nothing is taken from it.
    pub fn with_overrides(self, toml: &str) -> Result<Self, CalendarError> {
        self.with_overrides_from("overrides", toml)
    }

    /// [`Calendar::with_overrides`], naming the file in error messages.
    ///
    /// # Errors
    ///
    /// As [`Calendar::with_overrides`].
    pub fn with_overrides_from(self, file: &str, toml: &str) -> Result<Self, CalendarError> {
        let mut facts = self.inner.facts.clone();
        let problems = load(file, toml, &mut facts);
        Self::compile(facts, problems)
    }

    fn compile(facts: Facts, mut problems: Vec<crate::Problem>) -> Result<Self, CalendarError> {
        match DayTable::compile(&facts) {
            Ok(days) if problems.is_empty() => Ok(Self { inner: Arc::new(Inner { facts, days }) }),
            Ok(_) => Err(CalendarError::BadData { problems }),
            Err(more) => {
                problems.extend(more);
                problems.sort_by_key(|problem| (problem.line, problem.column));
                Err(CalendarError::BadData { problems })
            }
        }
    }

    /// The exchanges it knows.
    pub fn exchanges(&self) -> impl Iterator<Item = &str> {
        self.inner.days.exchanges()
    }

    /// First and last date its holiday lists reach for `exchange`.
    pub fn range(&self, exchange: &str) -> Answer<(Date, Date)> {
        self.inner.days.range(exchange).into()
    }

    /// How `exchange` spends `date`. No allocation: two array lookups.
    pub fn day(&self, exchange: &str, date: Date) -> Answer<Day<'_>> {
        match self.inner.days.plan(exchange, date) {
            None | Some(Plan::Unknown { .. }) => Answer::Unknown,
            Some(Plan::Closed { reason, doubt }) => {
                Answer::Known(Day::Closed { reason, doubt: doubt.as_deref() })
            }
            Some(Plan::Open { sessions, name, doubt, .. }) => {
                Answer::Known(Day::Open { sessions, name: name.as_deref(), doubt: doubt.as_deref() })
            }
        }
    }

    /// Why [`Calendar::day`] says `Unknown` for a date within the tables, such as a session whose hours are not out.
    pub fn unknown_because(&self, exchange: &str, date: Date) -> Option<&str> {
        match self.inner.days.plan(exchange, date)? {
            Plan::Unknown { note, .. } => Some(note),
            Plan::Closed { .. } | Plan::Open { .. } => None,
        }
    }

    /// Whether `date` is an ordinary business day of `exchange`, one on which contracts can expire.
    ///
    /// A Muhurat session does not make one; a Budget Sunday and a commodity day with an evening session only do.
    pub fn is_trading_day(&self, exchange: &str, date: Date) -> Answer<bool> {
        let answer = match self.inner.days.plan(exchange, date) {
            None => None,
            Some(Plan::Unknown { trading_day, .. }) => *trading_day,
            Some(Plan::Closed { .. }) => Some(false),
            Some(Plan::Open { trading_day, .. }) => Some(*trading_day),
        };
        answer.into()
    }

    /// The first trading day after `date`.
    pub fn next_trading_day(&self, exchange: &str, date: Date) -> Answer<Date> {
        self.walk(exchange, date, Date::tomorrow)
    }

    /// The last trading day before `date`.
    pub fn previous_trading_day(&self, exchange: &str, date: Date) -> Answer<Date> {
        self.walk(exchange, date, Date::yesterday)
    }

    fn walk(&self, exchange: &str, date: Date, step: fn(Date) -> Result<Date, jiff::Error>) -> Answer<Date> {
        let mut date = date;
        loop {
            let Ok(next) = step(date) else { return Answer::Unknown };
            match self.is_trading_day(exchange, next) {
                Answer::Known(true) => return Answer::Known(next),
                Answer::Known(false) => date = next,
                Answer::Unknown => return Answer::Unknown,
            }
        }
    }

    /// Every trading day from `first` to `last`, both included; `Unknown` when one of the dates is.
    pub fn trading_days(&self, exchange: &str, first: Date, last: Date) -> Answer<Vec<Date>> {
        let mut days = Vec::new();
        for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
            match self.is_trading_day(exchange, date) {
                Answer::Known(true) => days.push(date),
                Answer::Known(false) => {}
                Answer::Unknown => return Answer::Unknown,
            }
        }
        Answer::Known(days)
    }

    /// What is going on at `at`: `Known(None)` when nothing is.
    ///
    /// Speaks for stocks with derivatives and for derivatives, see [`Calendar::session_for`]; a session goes before
    /// a window that runs beside it.
    pub fn session_at(&self, exchange: &str, at: Timestamp) -> Answer<Option<SessionKind>> {
        self.session_where(exchange, at, Scope::is_main)
    }

    /// [`Calendar::session_at`] for one group of instruments.
    pub fn session_for(&self, exchange: &str, group: Scope, at: Timestamp) -> Answer<Option<SessionKind>> {
        self.session_where(exchange, at, |scope| scope.covers(group))
    }

    fn session_where(
        &self,
        exchange: &str,
        at: Timestamp,
        concerns: impl Fn(Scope) -> bool,
    ) -> Answer<Option<SessionKind>> {
        let now = ist().to_datetime(at);
        self.day(exchange, now.date()).map(|day| {
            let running = |session: &&Session| concerns(session.scope) && session.contains(now.time());
            let sessions = day.sessions();
            let session = sessions.iter().filter(running).min_by_key(|session| session.kind.is_window());
            session.map(|session| session.kind)
        })
    }

    /// From `at` to the end of the day's last continuous session (of stocks with derivatives, and derivatives).
    ///
    /// `Known(None)` on a closed day and after that end. Before the open it counts from `at` as well.
    pub fn time_to_close(&self, exchange: &str, at: Timestamp) -> Answer<Option<SignedDuration>> {
        let now = ist().to_datetime(at);
        self.day(exchange, now.date()).map(|day| {
            let left = now.time().duration_until(day.close()?);
            left.is_positive().then_some(left)
        })
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchanges: Vec<&str> = self.exchanges().collect();
        f.debug_struct("Calendar").field("exchanges", &exchanges).finish_non_exhaustive()
    }
}

// === impl Day ===

impl<'a> Day<'a> {
    /// Its sessions; none on a closed day.
    pub const fn sessions(&self) -> &'a [Session] {
        match self {
            Self::Open { sessions, .. } => sessions,
            Self::Closed { .. } => &[],
        }
    }

    /// What is not certain about it; `None` when nothing is.
    pub const fn doubt(&self) -> Option<&'a str> {
        match self {
            Self::Open { doubt, .. } | Self::Closed { doubt, .. } => *doubt,
        }
    }

    /// Start of the first continuous session (of stocks with derivatives, and derivatives), IST.
    pub fn open(&self) -> Option<jiff::civil::Time> {
        self.continuous().map(|session| session.start).min()
    }

    /// End of the last continuous session (of stocks with derivatives, and derivatives), IST.
    pub fn close(&self) -> Option<jiff::civil::Time> {
        self.continuous().map(|session| session.end).max()
    }

    fn continuous(&self) -> impl Iterator<Item = &'a Session> {
        self.sessions().iter().filter(|session| session.kind.is_continuous() && session.scope.is_main())
    }
}
