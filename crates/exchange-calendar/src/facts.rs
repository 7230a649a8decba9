//! The rows of the data files, typed. Order matters: of two rows that apply, the later one wins.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday};

use crate::answer::Fact;
use crate::contract::StrikeStep;
use crate::expiry::ExpiryKind;
use crate::session::{Session, SessionKind};

/// All rows read so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) coverage: Vec<CoverageRow>,
    pub(crate) timetables: Vec<TimetableRow>,
    pub(crate) days: Vec<DayRow>,
    pub(crate) expiry_times: Vec<ExpiryTimeRow>,
    pub(crate) expiry_rules: Vec<ExpiryRuleRow>,
    pub(crate) lots: Vec<LotRow>,
    pub(crate) freezes: Vec<FreezeRow>,
    pub(crate) strike_steps: Vec<StrikeStepRow>,
    pub(crate) indices: Vec<IndexRow>,
}

/// Where a row stands and what backs it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) path: String,
    pub(crate) source: String,
    pub(crate) doubt: Option<String>,
}

/// First and last date a row is good for; no last date means "until further notice".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Date,
    pub(crate) until: Option<Date>,
}

/// The calendar answers for these exchanges and dates.
#[derive(Debug, Clone)]
pub(crate) struct CoverageRow {
    pub(crate) exchanges: Vec<String>,
    pub(crate) span: Span,
    pub(crate) origin: Origin,
}

/// The hours of an ordinary day.
#[derive(Debug, Clone)]
pub(crate) struct TimetableRow {
    pub(crate) exchanges: Vec<String>,
    pub(crate) span: Span,
    pub(crate) sessions: Vec<Session>,
    pub(crate) origin: Origin,
}

/// One date that is not ordinary.
#[derive(Debug, Clone)]
pub(crate) struct DayRow {
    pub(crate) exchanges: Vec<String>,
    pub(crate) date: Date,
    pub(crate) name: String,
    pub(crate) trading: Trading,
    /// Whether contracts can expire and settlement days count; `None` when not known.
    pub(crate) trading_day: Option<bool>,
    pub(crate) origin: Origin,
}

/// What trades on such a date.
#[derive(Debug, Clone)]
pub(crate) enum Trading {
    None,
    Normal,
    Unknown,
    Only(SessionKind),
    Hours(Vec<Session>),
}

/// When a contract stops trading on its last day.
#[derive(Debug, Clone)]
pub(crate) struct ExpiryTimeRow {
    pub(crate) exchanges: Vec<String>,
    pub(crate) span: Span,
    pub(crate) at: ExpiryTime,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ExpiryTime {
    At(Time),
    SessionEnd,
}

/// Which weekday a kind of contract expires on, and how many are listed.
#[derive(Debug, Clone)]
pub(crate) struct ExpiryRuleRow {
    pub(crate) exchange: String,
    /// Names, or `*` for everything without a row of its own on that exchange.
    pub(crate) underlyings: Vec<String>,
    pub(crate) kind: ExpiryKind,
    pub(crate) weekday: Weekday,
    pub(crate) count: usize,
    pub(crate) count_doubt: Option<String>,
    /// By nominal expiry date.
    pub(crate) span: Span,
    pub(crate) origin: Origin,
}

/// Units per lot, by the contract's expiry and, during a transition, by the day one looks.
#[derive(Debug, Clone)]
pub(crate) struct LotRow {
    pub(crate) underlying: String,
    pub(crate) size: u32,
    pub(crate) expiry_from: Date,
    pub(crate) expiry_until: Option<Date>,
    pub(crate) from: Option<Date>,
    pub(crate) until: Option<Date>,
    pub(crate) origin: Origin,
}

/// Largest order in units, per underlying.
#[derive(Debug, Clone)]
pub(crate) struct FreezeRow {
    pub(crate) span: Span,
    pub(crate) quantities: Vec<(String, u32)>,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct StrikeStepRow {
    pub(crate) underlying: String,
    pub(crate) span: Span,
    pub(crate) step: StrikeStep,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct IndexRow {
    pub(crate) name: String,
    pub(crate) symbol: String,
    pub(crate) exchange: String,
    pub(crate) origin: Origin,
}

// === impl Span ===

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "{} to {until}", self.from),
            None => write!(f, "from {}", self.from),
        }
    }
}

impl Span {
    pub(crate) fn contains(&self, date: Date) -> bool {
        self.from <= date && self.until.is_none_or(|until| date <= until)
    }
}

// === impl Origin ===

impl Origin {
    /// `value` with what backs it.
    pub(crate) fn fact<T>(&self, value: T) -> Fact<'_, T> {
        Fact { value, source: &self.source, doubt: self.doubt.as_deref() }
    }
}
