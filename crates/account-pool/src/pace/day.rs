//! Orders of the day, counted where a restart does not forget them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use market_model::UnixNanos;

use crate::error::AccountError;

/// An Indian calendar day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IstDay(pub i32);

/// A count per trading account and day that several instances may share.
pub trait DayCounts: Send + Sync + 'static {
    /// Adds `by` (below zero to give back) to the count of `trading_account` on `day`; answers the new count, which is
    /// never below zero. One atomic step.
    ///
    /// # Errors
    /// When the store does not answer. The caller goes on with a count of its own.
    fn add<'a>(
        &'a self,
        trading_account: &'a str,
        day: IstDay,
        by: i64,
    ) -> Pin<Box<dyn Future<Output = Result<u64, AccountError>> + Send + 'a>>;
}

/// Counts that live as long as the process, for when there is no database.
#[derive(Debug, Default)]
pub struct MemoryDayCounts(Mutex<BTreeMap<(String, IstDay), u64>>);

// === impl IstDay ===

impl IstDay {
    /// The day that `at` falls on.
    pub fn of(at: UnixNanos) -> Self {
        let day = (at.as_secs() + 5 * 3600 + 1800).div_euclid(86_400);
        Self(i32::try_from(day).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for IstDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = jiff::civil::date(1970, 1, 1);
        match first.checked_add(jiff::Span::new().days(self.0.clamp(-700_000, 2_900_000))) {
            Ok(date) => date.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

// === impl MemoryDayCounts ===

impl DayCounts for MemoryDayCounts {
    fn add<'a>(
        &'a self,
        trading_account: &'a str,
        day: IstDay,
        by: i64,
    ) -> Pin<Box<dyn Future<Output = Result<u64, AccountError>> + Send + 'a>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Only today's and yesterday's are of use.
        counts.retain(|(_, kept), _| kept.0 >= day.0 - 1);
        let count = counts.entry((trading_account.to_owned(), day)).or_default();
        *count = count.saturating_add_signed(by);
        let count = *count;
        Box::pin(async move { Ok(count) })
    }
}
