//! The tables of leases and instances, and every statement on them. Time is the database's.

use std::time::Duration;

use crate::{Atomic, Database, Kind, Migration, Row, Schema, Statement, StoreError, Value};

/// The tables; give it to [`crate::migrate()`].
pub const SCHEMA: Schema = Schema {
    name: "lease",
    migrations: &[Migration {
        version: 1,
        name: "leases and instances",
        sql: "create table lease (
                  name text primary key,
                  holder text not null,
                  fence bigint not null,
                  expires_at bigint not null
              );
              create table instance (
                  id text primary key,
                  since bigint not null,
                  expires_at bigint not null
              );",
    }],
};

/// A lease as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// What is leased.
    pub name: String,
    /// By which instance; empty once released.
    pub holder: String,
    /// How often it was taken.
    pub fence: i64,
    /// For how long the database still keeps it; zero when it is free.
    pub remaining: Duration,
}

/// A live instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InstanceRow {
    pub(super) id: String,
    pub(super) age: Duration,
}

/// What one round of renewing brings.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    /// Names and fences that are ours for another `ttl`.
    pub(super) renewed: Vec<(String, i64)>,
    pub(super) instances: Vec<InstanceRow>,
    pub(super) leases: Vec<LeaseRow>,
}

/// A statement in which `now` stands for the database's time in microseconds.
macro_rules! timed {
    ($name:literal, [$($kind:ident),*], $first:literal $(, now, $rest:literal)*) => {
        Statement::for_engines(
            $name,
            concat!($first $(, "(extract(epoch from statement_timestamp()) * 1000000)::bigint", $rest)*),
            concat!($first $(, "cast(unixepoch('subsec') * 1000000 as integer)", $rest)*),
            &[$(Kind::$kind),*],
        )
    };
}

static BEAT: Statement = timed!(
    "beat",
    [Text, Int],
    "insert into instance (id, since, expires_at) values ($1, ",
    now,
    ", ",
    now,
    " + $2)
     on conflict (id) do update set expires_at = excluded.expires_at"
);
static FORGET: Statement =
    timed!("forget dead instances", [Int], "delete from instance where expires_at < ", now, " - $1");
/// One that has run out is not renewed: its holder has counted it as lost, and another may be taking it.
static RENEW: Statement = timed!(
    "renew leases",
    [Int, Text],
    "update lease set expires_at = ",
    now,
    " + $1 where holder = $2 and expires_at > ",
    now,
    "
     returning name, fence"
);
static INSTANCES: Statement = timed!(
    "live instances",
    [],
    "select id, ",
    now,
    " - since from instance where expires_at > ",
    now,
    " order by id"
);
static LEASES: Statement =
    timed!("leases", [], "select name, holder, fence, expires_at - ", now, " from lease order by name");
static TAKE: Statement = timed!(
    "take leases",
    [Text, Text, Int],
    "insert into lease (name, holder, fence, expires_at) values ($1, $2, 1, ",
    now,
    " + $3)
     on conflict (name) do update
         set holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
         where lease.expires_at <= ",
    now,
    "
     returning name, fence"
);
static RELEASE: Statement = Statement::new(
    "release leases",
    "with given (name, holder, fence) as (values ($1, $2, $3))
     update lease set holder = '', expires_at = 0 from given
     where lease.name = given.name and lease.holder = given.holder and lease.fence = given.fence",
    &[Kind::Text, Kind::Text, Kind::Int],
);
static RELEASE_ALL: Statement = Statement::new(
    "release all leases",
    "update lease set holder = '', expires_at = 0 where holder = $1",
    &[Kind::Text],
);
static LEAVE: Statement = Statement::new("leave", "delete from instance where id = $1", &[Kind::Text]);
pub(super) static FENCE: Statement = Statement::for_engines(
    "fence",
    "select fence from lease where name = $1 and holder = $2 and fence = $3 for share",
    "select fence from lease where name = $1 and holder = $2 and fence = $3",
    &[Kind::Text, Kind::Text, Kind::Int],
);

/// Dead instances are forgotten after a day: until then `list` and the logs can be held against them.
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// Every lease there ever was, by name; for a report.
///
/// # Errors
/// As [`Database::query`].
///
/// # Cancel safety
/// Safe.
pub async fn list(database: &Database) -> Result<Vec<LeaseRow>, StoreError> {
    database.query(&LEASES, []).await?.iter().map(lease).collect()
}

/// What a keeper asks of the table. The database; or, in a test, a model of it.
pub(super) trait LeaseTable: Clone + Send + Sync + 'static {
    /// Says that `id` lives, renews what it holds and reads the rest: one transaction.
    fn round(&self, id: &str, ttl: Duration) -> impl Future<Output = Result<Round, StoreError>> + Send;

    /// Takes those of `names` that are free; answers what was got.
    fn take(
        &self,
        id: &str,
        ttl: Duration,
        names: &[String],
    ) -> impl Future<Output = Result<Vec<(String, i64)>, StoreError>> + Send;

    /// Frees those that are still ours under this fence.
    fn release(
        &self,
        id: &str,
        leases: &[(String, i64)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Frees everything and signs off.
    fn leave(&self, id: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl LeaseTable for Database {
    async fn round(&self, id: &str, ttl: Duration) -> Result<Round, StoreError> {
        let atomic = Atomic::new()
            .execute(&BEAT, [id.into(), micros(ttl)])
            .query(&RENEW, [micros(ttl), id.into()])
            .query(&INSTANCES, [])
            .query(&LEASES, []);
        let outcome = self.atomic(atomic).await?;
        Ok(Round {
            renewed: outcome.rows(1).iter().map(held).collect::<Result<_, _>>()?,
            instances: outcome.rows(2).iter().map(instance).collect::<Result<_, _>>()?,
            leases: outcome.rows(3).iter().map(lease).collect::<Result<_, _>>()?,
        })
    }

    async fn take(
        &self,
        id: &str,
        ttl: Duration,
        names: &[String],
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = names.iter().map(|name| vec![name.as_str().into(), id.into(), micros(ttl)]);
        self.query_many(&TAKE, rows).await?.iter().map(held).collect()
    }

    async fn release(&self, id: &str, leases: &[(String, i64)]) -> Result<(), StoreError> {
        let rows = leases.iter().map(|(name, fence)| vec![name.as_str().into(), id.into(), (*fence).into()]);
        self.execute_many(&RELEASE, rows).await.map(drop)
    }

    async fn leave(&self, id: &str) -> Result<(), StoreError> {
        let atomic = Atomic::new()
            .execute(&RELEASE_ALL, [id.into()])
            .execute(&LEAVE, [id.into()])
            .execute(&FORGET, [micros(REMEMBERED)]);
        self.atomic(atomic).await.map(drop)
    }
}

fn held(row: &Row) -> Result<(String, i64), StoreError> {
    Ok((row.text(0)?.to_owned(), row.int(1)?))
}

fn instance(row: &Row) -> Result<InstanceRow, StoreError> {
    Ok(InstanceRow { id: row.text(0)?.to_owned(), age: duration(row.int(1)?) })
}

fn lease(row: &Row) -> Result<LeaseRow, StoreError> {
    Ok(LeaseRow {
        name: row.text(0)?.to_owned(),
        holder: row.text(1)?.to_owned(),
        fence: row.int(2)?,
        remaining: duration(row.int(3)?),
    })
}

fn micros(duration: Duration) -> Value {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).into()
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
