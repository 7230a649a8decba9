//! History in memory: for tests, and for a gateway that keeps nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentToken};

use super::{AsOf, Head, InstrumentHistory, StoredDay, Version, check_order};
use crate::{RegistryError, RowChange};

/// An [`InstrumentHistory`] that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryHistory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    version: i64,
    days: BTreeMap<Date, StoredDay>,
    versions: BTreeMap<(Exchange, Box<str>), Vec<Version>>,
}

// === impl MemoryHistory ===

impl MemoryHistory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InstrumentHistory for MemoryHistory {
    async fn head(&self) -> Result<Head, RegistryError> {
        Ok(self.lock().head())
    }

    async fn record(&self, head: Head, day: StoredDay, change: RowChange) -> Result<Head, RegistryError> {
        check_order(head, day.day)?;
        let mut inner = self.lock();
        if inner.version != head.version {
            return Err(RegistryError::Conflict);
        }
        let before = day.day.yesterday().ok();
        for key in change.ended {
            let Some(versions) = inner.versions.get_mut(&key) else { continue };
            versions.retain(|version| !(version.last_day.is_none() && version.first_day == day.day));
            for version in versions.iter_mut().filter(|version| version.last_day.is_none()) {
                version.last_day = before;
            }
            if versions.is_empty() {
                inner.versions.remove(&key);
            }
        }
        for mut instrument in change.begun {
            forget_instant(&mut instrument);
            let key = (instrument.exchange.clone(), instrument.tradingsymbol.clone());
            let version = Version { instrument, first_day: day.day, last_day: None };
            inner.versions.entry(key).or_default().push(version);
        }
        inner.days.insert(day.day, day);
        inner.version += 1;
        Ok(inner.head())
    }

    async fn rows(&self, day: Date) -> Result<Option<AsOf<Vec<Instrument>>>, RegistryError> {
        let inner = self.lock();
        Ok(inner.as_of(day, |stored| inner.valid(stored).cloned().collect()))
    }

    async fn by_token(
        &self,
        token: InstrumentToken,
        day: Date,
    ) -> Result<Option<AsOf<Option<Instrument>>>, RegistryError> {
        let inner = self.lock();
        Ok(inner.as_of(day, |stored| inner.valid(stored).find(|row| row.token == token).cloned()))
    }

    async fn by_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        day: Date,
    ) -> Result<Option<AsOf<Option<Instrument>>>, RegistryError> {
        let inner = self.lock();
        let versions = inner.versions.get(&(exchange.clone(), tradingsymbol.into()));
        let mut versions = versions.into_iter().flatten();
        Ok(inner.as_of(day, |stored| {
            versions.find(|version| version.holds_on(stored)).map(|version| version.instrument.clone())
        }))
    }

    async fn by_name(
        &self,
        exchange: &Exchange,
        name: &str,
        day: Date,
        limit: usize,
    ) -> Result<Option<AsOf<Vec<Instrument>>>, RegistryError> {
        let inner = self.lock();
        let named = |row: &&Instrument| row.exchange == *exchange && *row.name == *name;
        Ok(inner.as_of(day, |stored| inner.valid(stored).filter(named).take(limit).cloned().collect()))
    }

    async fn versions_of_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        let inner = self.lock();
        let versions = inner.versions.get(&(exchange.clone(), tradingsymbol.into()));
        Ok(versions.into_iter().flatten().rev().take(limit).cloned().collect())
    }

    async fn versions_of_token(
        &self,
        token: InstrumentToken,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        let inner = self.lock();
        let all = inner.versions.values().flatten();
        let mut versions: Vec<Version> =
            all.filter(|version| version.instrument.token == token).cloned().collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.first_day));
        versions.truncate(limit);
        Ok(versions)
    }

    async fn days(&self, limit: usize) -> Result<Vec<StoredDay>, RegistryError> {
        Ok(self.lock().days.values().rev().take(limit).copied().collect())
    }

    async fn forget_before(&self, day: Date) -> Result<(), RegistryError> {
        let mut inner = self.lock();
        let Some((&last, _)) = inner.days.last_key_value() else { return Ok(()) };
        let day = day.min(last);
        inner.days.retain(|stored, _| *stored >= day);
        inner.keep(|version| version.last_day.is_none_or(|last| last >= day));
        Ok(())
    }

    async fn forget_after(&self, day: Date) -> Result<Head, RegistryError> {
        let mut inner = self.lock();
        inner.days.retain(|stored, _| *stored <= day);
        inner.keep(|version| version.first_day <= day);
        for version in inner.versions.values_mut().flatten() {
            version.last_day = version.last_day.filter(|last| *last < day);
        }
        if inner.days.is_empty() {
            inner.versions.clear();
        }
        inner.version += 1;
        Ok(inner.head())
    }
}

fn forget_instant(row: &mut Instrument) {
    use market_model::InstrumentKind::{Future, Option};
    if let Future { expiry } | Option { expiry, .. } = &mut row.kind {
        expiry.instant = None;
    }
}

// === impl Inner ===

impl Inner {
    fn head(&self) -> Head {
        Head { version: self.version, day: self.days.last_key_value().map(|(_, day)| *day) }
    }

    fn as_of<T>(&self, day: Date, answer: impl FnOnce(Date) -> T) -> Option<AsOf<T>> {
        let (&stored, _) = self.days.range(..=day).next_back()?;
        Some(AsOf { stored, value: answer(stored) })
    }

    fn valid(&self, stored: Date) -> impl Iterator<Item = &Instrument> {
        let versions = self.versions.values().flatten();
        versions.filter(move |version| version.holds_on(stored)).map(|version| &version.instrument)
    }

    fn keep(&mut self, wanted: impl Fn(&Version) -> bool) {
        self.versions.retain(|_, versions| {
            versions.retain(&wanted);
            !versions.is_empty()
        });
    }
}

// === impl Version ===

impl Version {
    /// Whether it was so on `day`.
    pub fn holds_on(&self, day: Date) -> bool {
        self.first_day <= day && self.last_day.is_none_or(|last| day <= last)
    }
}
