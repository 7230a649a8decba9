//! History in a database, the same on both engines.

use std::time::Duration;

use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentToken, UnixNanos};
use sql_store::{Atomic, Database, Migration, Row, Schema, StoreError, Value};

use self::row::{OPEN, day_number, day_of, instrument, values};
use self::statements as sql;
use super::{AsOf, Head, InstrumentHistory, StoredDay, Version, check_order};
use crate::{RegistryError, RowChange};

mod row;
mod statements;

/// The tables; for `sql_store::migrate`.
pub const SCHEMA: Schema = Schema {
    name: "instrument-registry",
    migrations: &[Migration {
        version: 1,
        name: "instruments",
        sql: include_str!("../../migrations/0001_instruments.sql"),
    }],
};

/// Rows read by one statement, and rows written by one transaction: other writers of an embedded file wait for so long.
const PAGE: usize = 20_000;
/// For one such statement or transaction; a day is nothing that anybody waits for.
const LONG: Duration = Duration::from_secs(60);
/// Before the first day.
const NO_DAY: i64 = -1_000_000;

/// An [`InstrumentHistory`] in a database that was migrated to [`SCHEMA`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqlHistory {
    database: Database,
}

// === impl SqlHistory ===

impl SqlHistory {
    /// History in this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    async fn stored(&self, day: Date) -> Result<Option<StoredDay>, RegistryError> {
        let rows = self.database.query(&sql::STORED_DAY, [day_number(day).into()]).await?;
        rows.first().map(|row| stored_day(row, 0)).transpose()
    }

    /// Writes the rows of a new day ahead of the day itself, part by part, so that no transaction is long. Nobody sees
    /// them before the day is stored; if that never happens, the next day clears them away.
    async fn write_ahead(
        &self,
        head: Head,
        day: i64,
        rows: &mut std::vec::IntoIter<Instrument>,
    ) -> Result<Head, RegistryError> {
        let finished = head.day.map_or(NO_DAY, |last| day_number(last.day));
        let claim = Atomic::new()
            .execute(&sql::CLAIM, [head.version.into()])
            .expect_rows(1)
            .execute(&sql::CLEAR_UNFINISHED, [finished.into()]);
        self.atomic(claim).await?;
        let head = Head { version: head.version + 1, ..head };
        while rows.len() > PAGE {
            let part = rows.by_ref().take(PAGE).map(|row| values(&row, day));
            let write = Atomic::new()
                .execute(&sql::HOLD, [head.version.into()])
                .expect_rows(1)
                .execute_many(&sql::INSERT, part);
            self.atomic(write).await?;
        }
        Ok(head)
    }

    async fn atomic(&self, statements: Atomic) -> Result<(), RegistryError> {
        match self.database.with_timeout(LONG).atomic(statements).await {
            Ok(_) => Ok(()),
            // All statements run before the guard is looked at, so a row of the other writer may be met first.
            Err(StoreError::Conflict { .. } | StoreError::Contended { .. } | StoreError::Unique { .. }) => {
                Err(RegistryError::Conflict)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn one(
        &self,
        day: Date,
        statement: &sql_store::Statement,
        values: Vec<Value>,
    ) -> Result<Option<AsOf<Option<Instrument>>>, RegistryError> {
        let Some(stored) = self.stored(day).await? else { return Ok(None) };
        let number = day_number(stored.day);
        let values = values.into_iter().chain([number.into(), number.into()]).collect::<Vec<Value>>();
        let rows = self.database.query(statement, values).await?;
        let value = rows.first().map(instrument).transpose()?;
        Ok(Some(AsOf { stored: stored.day, value }))
    }
}

impl InstrumentHistory for SqlHistory {
    async fn head(&self) -> Result<Head, RegistryError> {
        let rows = self.database.query(&sql::HEAD, Vec::new()).await?;
        let Some(row) = rows.first() else { return Ok(Head { version: 0, day: None }) };
        let day = match row.opt_int(1)? {
            Some(_) => Some(stored_day(row, 1)?),
            None => None,
        };
        Ok(Head { version: row.int(0)?, day })
    }

    async fn record(&self, head: Head, day: StoredDay, change: RowChange) -> Result<Head, RegistryError> {
        check_order(head, day.day)?;
        let number = day_number(day.day);
        let mut begun = change.begun.into_iter();
        let is_new = head.day.is_none_or(|last| last.day < day.day);
        let base = if is_new && begun.len() > PAGE {
            self.write_ahead(head, number, &mut begun).await?
        } else {
            head
        };
        let mut write =
            Atomic::new().execute(&sql::ADVANCE, [number.into(), base.version.into()]).expect_rows(1);
        if is_new && base.version == head.version {
            let finished = head.day.map_or(NO_DAY, |last| day_number(last.day));
            write = write.execute(&sql::CLEAR_UNFINISHED, [finished.into()]);
        }
        if !change.ended.is_empty() {
            let keys = change
                .ended
                .iter()
                .map(|(exchange, symbol)| vec![exchange.as_str().into(), (**symbol).into()]);
            write = write
                .execute(&sql::CLEAR_ENDING, [])
                .execute_many(&sql::INSERT_ENDING, keys)
                .execute(&sql::DROP_ENDING, [OPEN.into(), number.into()])
                .execute(&sql::END, [(number - 1).into(), OPEN.into(), number.into()])
                .execute(&sql::CLEAR_ENDING, []);
        }
        let listed = i64::try_from(day.listed).unwrap_or(i64::MAX);
        let write = write
            .execute_many(&sql::INSERT, begun.map(|row| values(&row, number)))
            .execute(&sql::STORE_DAY, [number.into(), listed.into(), day.taken_at.0.into()]);
        self.atomic(write).await?;
        Ok(Head { version: base.version + 1, day: Some(day) })
    }

    async fn rows(&self, day: Date) -> Result<Option<AsOf<Vec<Instrument>>>, RegistryError> {
        let Some(stored) = self.stored(day).await? else { return Ok(None) };
        let number = day_number(stored.day);
        let database = self.database.with_timeout(LONG);
        let mut all: Vec<Instrument> = Vec::with_capacity(stored.listed);
        loop {
            let (exchange, symbol) =
                all.last().map_or(("", ""), |last| (last.exchange.as_str(), &*last.tradingsymbol));
            let values: [Value; 5] =
                [number.into(), number.into(), exchange.into(), symbol.into(), (PAGE as i64).into()];
            let page = database.query(&sql::PAGE, values).await?;
            for row in &page {
                all.push(instrument(row)?);
            }
            if page.len() < PAGE {
                return Ok(Some(AsOf { stored: stored.day, value: all }));
            }
        }
    }

    async fn by_token(
        &self,
        token: InstrumentToken,
        day: Date,
    ) -> Result<Option<AsOf<Option<Instrument>>>, RegistryError> {
        self.one(day, &sql::BY_TOKEN, vec![token.0.into()]).await
    }

    async fn by_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        day: Date,
    ) -> Result<Option<AsOf<Option<Instrument>>>, RegistryError> {
        self.one(day, &sql::BY_SYMBOL, vec![exchange.as_str().into(), tradingsymbol.into()]).await
    }

    async fn by_name(
        &self,
        exchange: &Exchange,
        name: &str,
        day: Date,
        limit: usize,
    ) -> Result<Option<AsOf<Vec<Instrument>>>, RegistryError> {
        let Some(stored) = self.stored(day).await? else { return Ok(None) };
        let number = day_number(stored.day);
        let values: [Value; 5] =
            [name.into(), exchange.as_str().into(), number.into(), number.into(), count(limit)];
        let rows = self.database.query(&sql::BY_NAME, values).await?;
        let value = rows.iter().map(instrument).collect::<Result<_, _>>()?;
        Ok(Some(AsOf { stored: stored.day, value }))
    }

    async fn versions_of_symbol(
        &self,
        exchange: &Exchange,
        tradingsymbol: &str,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        let Some(last) = self.head().await?.day else { return Ok(Vec::new()) };
        let values: [Value; 4] =
            [exchange.as_str().into(), tradingsymbol.into(), day_number(last.day).into(), count(limit)];
        self.database.query(&sql::VERSIONS_OF_SYMBOL, values).await?.iter().map(version).collect()
    }

    async fn versions_of_token(
        &self,
        token: InstrumentToken,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        let Some(last) = self.head().await?.day else { return Ok(Vec::new()) };
        let values: [Value; 3] = [token.0.into(), day_number(last.day).into(), count(limit)];
        self.database.query(&sql::VERSIONS_OF_TOKEN, values).await?.iter().map(version).collect()
    }

    async fn days(&self, limit: usize) -> Result<Vec<StoredDay>, RegistryError> {
        let rows = self.database.query(&sql::DAYS, [count(limit)]).await?;
        rows.iter().map(|row| stored_day(row, 0)).collect()
    }

    async fn forget_before(&self, day: Date) -> Result<(), RegistryError> {
        let number = day_number(day);
        let forget = Atomic::new()
            .execute(&sql::FORGET_VERSIONS_BEFORE, [number.into()])
            .execute(&sql::FORGET_DAYS_BEFORE, [number.into()]);
        self.atomic(forget).await
    }

    async fn forget_after(&self, day: Date) -> Result<Head, RegistryError> {
        let number = day_number(day);
        let forget = Atomic::new()
            .execute(&sql::FORGET_DAYS_AFTER, [number.into()])
            .execute(&sql::HEAD_IS_LAST_DAY, [])
            .execute(&sql::CLEAR_UNFINISHED, [number.into()])
            .execute(&sql::REOPEN_AFTER, [OPEN.into(), number.into(), OPEN.into()])
            .execute(&sql::CLEAR_WITHOUT_DAYS, []);
        self.atomic(forget).await?;
        self.head().await
    }
}

fn count(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}

fn stored_day(row: &Row, column: usize) -> Result<StoredDay, RegistryError> {
    let bad = |field| RegistryError::BadStoredRow { symbol: "day".to_owned(), field };
    Ok(StoredDay {
        day: day_of(row.int(column)?).ok_or_else(|| bad("day"))?,
        listed: row.int(column + 1)?.try_into().map_err(|_| bad("listed"))?,
        taken_at: UnixNanos(row.int(column + 2)?),
    })
}

fn version(row: &Row) -> Result<Version, RegistryError> {
    let instrument = instrument(row)?;
    let bad = |field| RegistryError::BadStoredRow { symbol: instrument.tradingsymbol.to_string(), field };
    let first_day = day_of(row.int(10)?).ok_or_else(|| bad("first_day"))?;
    let last_day = match row.int(11)? {
        OPEN => None,
        number => Some(day_of(number).ok_or_else(|| bad("last_day"))?),
    };
    Ok(Version { instrument, first_day, last_day })
}
