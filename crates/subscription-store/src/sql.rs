//! Wishes in a database, Postgres or an embedded file, shared by any number of instances.

use std::sync::Arc;

use market_model::Mode;
use sql_store::{Atomic, Database, Kind, Migration, Row, Schema, Statement, StoreError, Value};

use crate::{
    AccountPreference, Generations, KeptPlan, Priority, SubscriptionStore, What, Wish, WishBook, WishError,
    WishId, WishLimits, WishSpec,
};

/// The tables of this crate, for [`sql_store::migrate`].
pub const SCHEMA: Schema = Schema {
    name: "subscription-store",
    migrations: &[Migration {
        version: 1,
        name: "wishes",
        sql: include_str!("../migrations/0001_wishes.sql"),
    }],
};

/// Keeps wishes in a database whose [`SCHEMA`] is migrated.
#[derive(Debug, Clone)]
pub struct SqlSubscriptionStore {
    database: Database,
    limits: WishLimits,
}

// The first statement of every change: it makes the change's generation, and the others of the transaction run only when
// no other writer is between them, so the counts they look at hold.
static NEXT_GENERATION: Statement =
    Statement::new("count the change", "update wish_book set generation = generation + 1 where id = 1", &[]);

static INSERT: Statement = Statement::new(
    "insert wish",
    "insert into wishes (id, version, owner, priority, mode, account_rule, account, what) \
     select $1, b.generation, $2, $3, $4, $5, $6, $7 from wish_book b \
     where b.id = 1 and (select count(*) from wishes) < $8 \
     and (select count(*) from wishes w where w.owner = $9) < $10 \
     on conflict do nothing",
    &[
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Int,
    ],
);

static UPDATE: Statement = Statement::new(
    "update wish",
    "update wishes set version = (select b.generation from wish_book b where b.id = 1), \
     owner = $1, priority = $2, mode = $3, account_rule = $4, account = $5, what = $6 \
     where id = $7 and version = $8 \
     and (owner = $9 or (select count(*) from wishes w where w.owner = $10) < $11)",
    &[
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Int,
    ],
);

static DELETE: Statement = Statement::new(
    "delete wish",
    "delete from wishes where id = $1 and version = $2",
    &[Kind::Text, Kind::Int],
);

static GET: Statement = Statement::new(
    "read wish",
    "select id, version, owner, priority, mode, account_rule, account, what from wishes where id = $1",
    &[Kind::Text],
);

static LIST: Statement = Statement::new(
    "list wishes",
    "select id, version, owner, priority, mode, account_rule, account, what from wishes",
    &[],
);

static LIST_OF_OWNER: Statement = Statement::new(
    "list wishes of an owner",
    "select id, version, owner, priority, mode, account_rule, account, what from wishes where owner = $1",
    &[Kind::Text],
);

// One statement sees one moment, so generation and wishes belong together.
static LOAD: Statement = Statement::new(
    "load wishes",
    "select w.id, w.version, w.owner, w.priority, w.mode, w.account_rule, w.account, w.what, b.generation \
     from wish_book b left join wishes w on 1 = 1 where b.id = 1",
    &[],
);

static GENERATIONS: Statement = Statement::new(
    "generations of wishes",
    "select b.generation, p.generation from wish_book b join kept_plan p on p.id = b.id where b.id = 1",
    &[],
);

static WHY_NOT: Statement = Statement::new(
    "why a wish was not written",
    "select (select w.version from wishes w where w.id = $1), (select count(*) from wishes), \
     (select count(*) from wishes w where w.owner = $2)",
    &[Kind::Text, Kind::Text],
);

static READ_PLAN: Statement =
    Statement::new("read the kept plan", "select generation, content from kept_plan where id = 1", &[]);

static KEEP_PLAN: Statement = Statement::new(
    "keep a plan",
    "update kept_plan set generation = generation + 1, content = $1 where id = 1 and generation = $2",
    &[Kind::Blob, Kind::Int],
);

// === impl SqlSubscriptionStore ===

impl SqlSubscriptionStore {
    /// Wishes in `database`. Every instance should be given the same limits.
    pub const fn new(database: Database, limits: WishLimits) -> Self {
        Self { database, limits }
    }

    /// Carries a change out; `None` when its guard did not hold.
    async fn change(&self, change: Atomic) -> Result<Option<Wish>, WishError> {
        match self.database.atomic(change).await {
            Ok(outcome) => match outcome.rows(2) {
                [row, ..] => wish_of(row).map(Some),
                [] => Err(WishError::Contended),
            },
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Version of the wish, number of wishes, number of wishes of the owner.
    async fn why_not(&self, id: &WishId, owner: &str) -> Result<(Option<u64>, usize, usize), WishError> {
        let rows = self.database.query(&WHY_NOT, [id.as_str().into(), owner.into()]).await?;
        let row = rows.first().ok_or(WishError::Contended)?;
        let version = row.opt_int(0)?.map(whole);
        Ok((version, whole(row.int(1)?) as usize, whole(row.int(2)?) as usize))
    }
}

impl SubscriptionStore for SqlSubscriptionStore {
    async fn create(&self, id: &WishId, spec: &WishSpec) -> Result<Wish, WishError> {
        spec.check()?;
        let mut values: Vec<Value> = vec![id.as_str().into()];
        values.extend(columns(spec));
        values.push((self.limits.in_all as i64).into());
        values.push((&*spec.owner).into());
        values.push((self.limits.per_owner as i64).into());
        let change = Atomic::new().execute(&NEXT_GENERATION, []).expect_rows(1);
        let change = change.execute(&INSERT, values).expect_rows(1).query(&GET, [id.as_str().into()]);
        if let Some(wish) = self.change(change).await? {
            return Ok(wish);
        }
        let (version, in_all, of_owner) = self.why_not(id, &spec.owner).await?;
        if let Some(current) = version {
            let taken = self.get(id).await?;
            return match taken.spec == *spec {
                true => Ok(taken),
                false => Err(WishError::AlreadyExists { id: id.clone(), current }),
            };
        }
        let WishLimits { per_owner, in_all: most } = self.limits;
        Err(if in_all >= most {
            WishError::TooMany { most }
        } else if of_owner >= per_owner {
            WishError::TooManyOfOwner { owner: (&*spec.owner).into(), most: per_owner }
        } else {
            WishError::Contended
        })
    }

    async fn get(&self, id: &WishId) -> Result<Wish, WishError> {
        let rows = self.database.query(&GET, [id.as_str().into()]).await?;
        rows.first().map_or_else(|| Err(WishError::NotFound { id: id.clone() }), wish_of)
    }

    async fn update(&self, id: &WishId, version: u64, spec: &WishSpec) -> Result<Wish, WishError> {
        spec.check()?;
        let mut values: Vec<Value> = columns(spec).into();
        values.push(id.as_str().into());
        values.push(stored(version).into());
        values.push((&*spec.owner).into());
        values.push((&*spec.owner).into());
        values.push((self.limits.per_owner as i64).into());
        let change = Atomic::new().execute(&NEXT_GENERATION, []).expect_rows(1);
        let change = change.execute(&UPDATE, values).expect_rows(1).query(&GET, [id.as_str().into()]);
        if let Some(wish) = self.change(change).await? {
            return Ok(wish);
        }
        let (current, _, of_owner) = self.why_not(id, &spec.owner).await?;
        Err(match current {
            None => WishError::NotFound { id: id.clone() },
            Some(current) if current != version => {
                WishError::Stale { id: id.clone(), given: version, current }
            }
            Some(_) if of_owner >= self.limits.per_owner => {
                WishError::TooManyOfOwner { owner: (&*spec.owner).into(), most: self.limits.per_owner }
            }
            Some(_) => WishError::Contended,
        })
    }

    async fn delete(&self, id: &WishId, version: u64) -> Result<(), WishError> {
        let change = Atomic::new().execute(&NEXT_GENERATION, []).expect_rows(1);
        let values = [id.as_str().into(), stored(version).into()];
        match self.database.atomic(change.execute(&DELETE, values).expect_rows(1)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(match self.why_not(id, "").await?.0 {
                None => WishError::NotFound { id: id.clone() },
                Some(current) if current != version => {
                    WishError::Stale { id: id.clone(), given: version, current }
                }
                Some(_) => WishError::Contended,
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self, owner: Option<&str>) -> Result<Vec<Wish>, WishError> {
        let rows = match owner {
            None => self.database.query(&LIST, []).await?,
            Some(owner) => self.database.query(&LIST_OF_OWNER, [owner.into()]).await?,
        };
        let mut wishes = rows.iter().map(wish_of).collect::<Result<Vec<_>, _>>()?;
        wishes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(wishes)
    }

    async fn load(&self) -> Result<WishBook, WishError> {
        let rows = self.database.query(&LOAD, []).await?;
        let (mut wishes, mut unreadable, mut generation) = (Vec::new(), Vec::new(), 0);
        for row in &rows {
            generation = whole(row.int(8)?);
            if row.opt_text(0)?.is_none() {
                continue;
            }
            match wish_of(row) {
                Ok(wish) => wishes.push(wish),
                Err(WishError::Unreadable { id, reason }) => unreadable.push((id, reason)),
                Err(error) => return Err(error),
            }
        }
        wishes.sort_by(|a, b| a.id.cmp(&b.id));
        unreadable.sort();
        Ok(WishBook { generation, wishes: wishes.into(), unreadable: unreadable.into() })
    }

    async fn generations(&self) -> Result<Generations, WishError> {
        let rows = self.database.query(&GENERATIONS, []).await?;
        let row = rows.first().ok_or_else(no_row)?;
        Ok(Generations { wishes: whole(row.int(0)?), plan: whole(row.int(1)?) })
    }

    async fn kept_plan(&self) -> Result<Option<KeptPlan>, WishError> {
        let rows = self.database.query(&READ_PLAN, []).await?;
        let row = rows.first().ok_or_else(no_row)?;
        let generation = whole(row.int(0)?);
        Ok(row.opt_blob(1)?.map(|content| KeptPlan { generation, content: content.to_vec() }))
    }

    async fn keep_plan(&self, after: u64, content: &[u8]) -> Result<u64, WishError> {
        match self.database.execute(&KEEP_PLAN, [content.into(), stored(after).into()]).await? {
            1 => Ok(after + 1),
            _ => Err(WishError::StalePlan { given: after, current: self.generations().await?.plan }),
        }
    }
}

/// What a spec says, in the order of the statements.
fn columns(spec: &WishSpec) -> [Value; 6] {
    let rule = match &spec.account {
        AccountPreference::Any => "any",
        AccountPreference::Prefer(_) => "prefer",
        AccountPreference::Only(_) => "only",
    };
    [
        (&*spec.owner).into(),
        i64::from(spec.priority.0).into(),
        spec.mode.as_str().into(),
        rule.into(),
        spec.account.name().map_or("", |name| name).into(),
        spec.what.to_string().into(),
    ]
}

fn wish_of(row: &Row) -> Result<Wish, WishError> {
    let text = row.text(0)?;
    let bad = |reason: String| WishError::Unreadable { id: text.into(), reason };
    let id = WishId::new(text).map_err(|error| bad(error.to_string()))?;
    let account: Arc<str> = row.text(6)?.into();
    let account = match row.text(5)? {
        "any" => AccountPreference::Any,
        "prefer" => AccountPreference::Prefer(account),
        "only" => AccountPreference::Only(account),
        other => return Err(bad(format!("there is no account rule `{other}`"))),
    };
    let priority = row.int(3)?;
    let mode = row.text(4)?;
    let spec = WishSpec {
        owner: row.text(2)?.into(),
        priority: Priority(u8::try_from(priority).map_err(|_| bad(format!("a priority of {priority}")))?),
        mode: Mode::from_word(mode).ok_or_else(|| bad(format!("there is no mode `{mode}`")))?,
        account,
        what: What::parse(row.text(7)?).map_err(bad)?,
    };
    spec.check().map_err(|error| bad(error.to_string()))?;
    Ok(Wish { id, version: whole(row.int(1)?), spec })
}

/// Counts are never negative.
fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A version nobody can have matches nothing.
fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

fn no_row() -> WishError {
    WishError::Unavailable { reason: "the tables of wishes have lost their first row".to_owned() }
}

impl From<StoreError> for WishError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Contended { .. } => Self::Contended,
            other => Self::Unavailable { reason: other.to_string() },
        }
    }
}
