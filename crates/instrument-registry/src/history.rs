//! What was listed on a past day: validity intervals per symbol, so that a day costs only its changes.

use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentToken, UnixNanos};

pub use memory::MemoryHistory;
pub use sql::{SCHEMA, SqlHistory};

use crate::{RegistryError, RowChange};

mod memory;
mod sql;

/// The last day that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Grows with every change of the store; a change made for another version is refused.
    pub version: i64,
    /// The last stored day; `None` while nothing is stored.
    pub day: Option<StoredDay>,
}

/// One stored day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredDay {
    /// The day.
    pub day: Date,
    /// How many instruments were listed.
    pub listed: usize,
    /// When its dump was fetched.
    pub taken_at: UnixNanos,
}

/// An answer about a day, with the stored day it rests on: the day asked for, or the last one stored before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf<T> {
    /// The stored day.
    pub stored: Date,
    /// What was so on it.
    pub value: T,
}

/// An instrument with the days on which it was so. Days without a dump count to the dump before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The instrument; its expiry has no instant.
    pub instrument: Instrument,
    /// The first stored day.
    pub first_day: Date,
    /// The last day; `None` when it is so on the last stored day.
    pub last_day: Option<Date>,
}

/// Keeps days. Rows are known by exchange and tradingsymbol, because tokens are used again after an expiry.
///
/// Days are stored in order; the last one may be stored again with other rows. Expiries come back without their
/// instant, which the calendar knows.
pub trait InstrumentHistory: Send + Sync + 'static {
    /// The last stored day.
    ///
    /// # Errors
    /// [`RegistryError::Store`]; so for all that follow.
    fn head(&self) -> impl Future<Output = Result<Head, RegistryError>> + Send;

    /// Stores `day`: the rows of `head` changed by `change`. Returns the new head.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when the store is not at `head` any more, [`RegistryError::DayBeforeStored`] for a day
    /// before the last one. Nothing is stored then.
    ///
    /// # Cancel safety
    /// The day is stored whole or not at all.
    fn record(
        &self,
        head: Head,
        day: StoredDay,
        change: RowChange,
    ) -> impl Future<Output = Result<Head, RegistryError>> + Send;

    /// Every instrument of a day; `None` when nothing was stored until then.
    fn rows(
        &self,
        day: Date,
    ) -> impl Future<Output = Result<Option<AsOf<Vec<Instrument>>>, RegistryError>> + Send;

    /// What `token` was on a day; the value is `None` when it was nothing.
    fn by_token(
        &self,
        token: InstrumentToken,
        day: Date,
    ) -> impl Future<Output = Result<Option<AsOf<Option<Instrument>>>, RegistryError>> + Send;

    /// What `exchange` listed as `tradingsymbol` on a day; the value is `None` when it was nothing.
    fn by_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        day: Date,
    ) -> impl Future<Output = Result<Option<AsOf<Option<Instrument>>>, RegistryError>> + Send;

    /// The rows of `exchange` with `name` on a day, at most `limit`: with the name that derivatives carry, all of them.
    fn by_name(
        &self,
        exchange: &Exchange,
        name: &str,
        day: Date,
        limit: usize,
    ) -> impl Future<Output = Result<Option<AsOf<Vec<Instrument>>>, RegistryError>> + Send;

    /// What `exchange` listed as `tradingsymbol` over time, newest first, at most `limit`.
    fn versions_of_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Version>, RegistryError>> + Send;

    /// What `token` was over time, newest first, at most `limit`.
    fn versions_of_token(
        &self,
        token: InstrumentToken,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Version>, RegistryError>> + Send;

    /// Stored days, newest first, at most `limit`.
    fn days(&self, limit: usize) -> impl Future<Output = Result<Vec<StoredDay>, RegistryError>> + Send;

    /// Drops days before `day` and what ended before it; the last stored day stays. Bounds the store.
    fn forget_before(&self, day: Date) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Takes back every day after `day`, as if they had never been stored; for days that a wrong clock made.
    fn forget_after(&self, day: Date) -> impl Future<Output = Result<Head, RegistryError>> + Send;
}

/// Refuses a day before the last one.
fn check_order(head: Head, day: Date) -> Result<(), RegistryError> {
    match head.day {
        Some(last) if day < last.day => Err(RegistryError::DayBeforeStored { day, stored: last.day }),
        _ => Ok(()),
    }
}
