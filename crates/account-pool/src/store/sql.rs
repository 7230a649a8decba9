//! Accounts, tokens and order counts in the database, Postgres or the embedded file.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use sql_store::{Atomic, Database, Kind, Migration, Row, Schema, Statement, StoreError, Value};

use super::{AccountStore, Reseal, StoredAccount, StoredToken};
use crate::account::{Account, AccountLimits, AccountName, AccountSecrets, SecretField};
use crate::error::AccountError;
use crate::pace::{DayCounts, IstDay};
use crate::secret::Secret;
use crate::vault::SealedSecret;

/// The tables of this crate.
pub const SCHEMA: Schema = Schema {
    name: "account-pool",
    migrations: &[
        Migration { version: 1, name: "accounts", sql: include_str!("../../migrations/0001_accounts.sql") },
        Migration {
            version: 2,
            name: "login bars",
            sql: include_str!("../../migrations/0002_login_bars.sql"),
        },
    ],
};

static LIST: Statement = Statement::new(
    "list accounts",
    "select name, version, api_key, api_key_digest, api_secret, password, totp_seed, user_id, trading_account,
        rest_url, ticker_url, simulated, enabled, priority, weight, connections, tokens_per_connection,
        registered_addresses, automatic_login
     from account order by name",
    &[],
);

const ROW: &[Kind] = &[
    Kind::Text,
    Kind::Int,
    Kind::Blob,
    Kind::Blob,
    Kind::Blob,
    Kind::Blob,
    Kind::Blob,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Text,
    Kind::Int,
];

static INSERT: Statement = Statement::new(
    "insert accounts",
    "insert into account (name, version, api_key, api_key_digest, api_secret, password, totp_seed, user_id,
        trading_account, rest_url, ticker_url, simulated, enabled, priority, weight, connections,
        tokens_per_connection, registered_addresses, automatic_login)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    ROW,
);

/// Also serves a change of one account: the rows to change are joined with what they become.
static UPDATE: Statement = Statement::new(
    "update accounts",
    "with wanted (name, version, api_key, api_key_digest, api_secret, password, totp_seed, user_id, trading_account,
        rest_url, ticker_url, simulated, enabled, priority, weight, connections, tokens_per_connection,
        registered_addresses, automatic_login)
     as (values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19))
     update account set version = account.version + 1, api_key = wanted.api_key,
        api_key_digest = wanted.api_key_digest, api_secret = wanted.api_secret, password = wanted.password,
        totp_seed = wanted.totp_seed, user_id = wanted.user_id, trading_account = wanted.trading_account,
        rest_url = wanted.rest_url, ticker_url = wanted.ticker_url, simulated = wanted.simulated,
        enabled = wanted.enabled, priority = wanted.priority, weight = wanted.weight,
        connections = wanted.connections, tokens_per_connection = wanted.tokens_per_connection,
        registered_addresses = wanted.registered_addresses, automatic_login = wanted.automatic_login
     from wanted where account.name = wanted.name and account.version = wanted.version",
    ROW,
);

static DELETE: Statement = Statement::new(
    "delete account",
    "delete from account where name = $1 and version = $2",
    &[Kind::Text, Kind::Int],
);

static VERSION: Statement =
    Statement::new("version of account", "select version from account where name = $1", &[Kind::Text]);

static TOKENS: Statement = Statement::new(
    "list tokens",
    "select name, api_key_digest, token, obtained from account_token order by name",
    &[],
);

static PUT_TOKEN: Statement = Statement::new(
    "put token",
    "insert into account_token (name, api_key_digest, token, obtained) values ($1, $2, $3, $4)
     on conflict (name) do update set api_key_digest = excluded.api_key_digest, token = excluded.token,
        obtained = excluded.obtained
     where account_token.obtained <= excluded.obtained",
    &[Kind::Text, Kind::Blob, Kind::Blob, Kind::Int],
);

static DELETE_TOKEN: Statement =
    Statement::new("delete token", "delete from account_token where name = $1", &[Kind::Text]);

static RESEAL_TOKENS: Statement = Statement::new(
    "reseal tokens",
    "with wanted (name, token, old) as (values ($1, $2, $3))
     update account_token set token = wanted.token
     from wanted where account_token.name = wanted.name and account_token.token = wanted.old",
    &[Kind::Text, Kind::Blob, Kind::Blob],
);

static ADD_ORDERS: Statement = Statement::new(
    "add orders of day",
    "insert into account_order_day (trading_account, day, orders)
     values ($1, $2, case when $3 < 0 then 0 else $3 end)
     on conflict (trading_account, day) do update set orders =
        case when account_order_day.orders + $3 < 0 then 0 else account_order_day.orders + $3 end
     returning orders",
    &[Kind::Text, Kind::Int, Kind::Int],
);

static LOGIN_BARS: Statement =
    Statement::new("list login bars", "select name, reason from account_login_bar", &[]);

static PUT_LOGIN_BAR: Statement = Statement::new(
    "put login bar",
    "insert into account_login_bar (name, reason) values ($1, $2)
     on conflict (name) do update set reason = excluded.reason",
    &[Kind::Text, Kind::Text],
);

static DELETE_LOGIN_BAR: Statement =
    Statement::new("delete login bar", "delete from account_login_bar where name = $1", &[Kind::Text]);

static FORGET_DAYS: Statement =
    Statement::new("forget days of orders", "delete from account_order_day where day < $1", &[Kind::Int]);

/// Days of order counts that are kept, for whoever asks what happened last week.
const DAYS_KEPT: i32 = 7;

/// An [`AccountStore`] and [`DayCounts`] in a database that [`SCHEMA`] was applied to.
#[derive(Debug, Clone)]
pub struct SqlAccountStore {
    database: Database,
    /// The day on which old days were forgotten last.
    swept: Arc<AtomicI32>,
}

// === impl SqlAccountStore ===

impl SqlAccountStore {
    /// In this database.
    pub fn new(database: Database) -> Self {
        Self { database, swept: Arc::new(AtomicI32::new(i32::MIN)) }
    }

    /// Accounts that do not log in by themselves, with the reason, as every instance that shares the database knows them.
    ///
    /// # Errors
    /// A database error.
    pub async fn login_bars(&self) -> Result<BTreeMap<AccountName, String>, AccountError> {
        let rows = self.database.query(&LOGIN_BARS, []).await?;
        let mut bars = BTreeMap::new();
        for row in &rows {
            // A name that cannot be is no account's.
            if let Ok(name) = AccountName::new(row.text(0)?) {
                bars.insert(name, row.text(1)?.to_owned());
            }
        }
        Ok(bars)
    }

    /// Keeps `account` from logging in by itself, on every instance.
    ///
    /// # Errors
    /// A database error.
    pub async fn bar_login(&self, account: &AccountName, reason: &str) -> Result<(), AccountError> {
        self.database.execute(&PUT_LOGIN_BAR, [account.as_str().into(), reason.into()]).await?;
        Ok(())
    }

    /// Takes the bar of `account` away, if there is one.
    ///
    /// # Errors
    /// A database error.
    pub async fn unbar_login(&self, account: &AccountName) -> Result<(), AccountError> {
        self.database.execute(&DELETE_LOGIN_BAR, [account.as_str().into()]).await?;
        Ok(())
    }

    async fn stale(&self, account: &str, expected: i64) -> AccountError {
        match self.database.query(&VERSION, [account.into()]).await {
            Ok(rows) => {
                let found = rows.first().and_then(|row| row.int(0).ok());
                AccountError::Stale { account: account.to_owned(), expected, found }
            }
            Err(error) => error.into(),
        }
    }
}

impl AccountStore for SqlAccountStore {
    async fn list(&self) -> Result<Vec<StoredAccount>, AccountError> {
        let rows = self.database.query(&LIST, []).await?;
        rows.iter().map(account_of).collect()
    }

    async fn insert(&self, accounts: &[StoredAccount]) -> Result<(), AccountError> {
        let rows = accounts.iter().map(|stored| row_of(&StoredAccount { version: 1, ..stored.clone() }));
        match self.database.execute_many(&INSERT, rows).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.taken(error, accounts).await),
        }
    }

    async fn update(&self, stored: &StoredAccount) -> Result<i64, AccountError> {
        match self.database.execute(&UPDATE, row_of(stored)).await {
            Ok(1) => Ok(stored.version + 1),
            Ok(_) => Err(self.stale(stored.account.name.as_str(), stored.version).await),
            Err(error) => Err(self.taken(error, std::slice::from_ref(stored)).await),
        }
    }

    async fn remove(&self, name: &str, version: i64) -> Result<(), AccountError> {
        let steps = Atomic::new()
            .execute(&DELETE, [name.into(), version.into()])
            .expect_rows(1)
            .execute(&DELETE_TOKEN, [name.into()]);
        match self.database.atomic(steps).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(self.stale(name, version).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>, AccountError> {
        let rows = self.database.query(&TOKENS, []).await?;
        rows.iter()
            .map(|row| {
                Ok(StoredToken {
                    account: row.text(0)?.to_owned(),
                    api_key_digest: row.blob(1)?.to_vec(),
                    sealed: SealedSecret::from_bytes(row.blob(2)?.to_vec()),
                    obtained: row.int(3)?,
                })
            })
            .collect()
    }

    async fn put_token(&self, token: &StoredToken) -> Result<bool, AccountError> {
        let values = [
            token.account.as_str().into(),
            Value::Blob(token.api_key_digest.clone()),
            Value::Blob(token.sealed.as_bytes().to_vec()),
            token.obtained.into(),
        ];
        Ok(self.database.execute(&PUT_TOKEN, values).await? > 0)
    }

    async fn remove_token(&self, account: &str) -> Result<(), AccountError> {
        self.database.execute(&DELETE_TOKEN, [account.into()]).await?;
        Ok(())
    }

    async fn reseal(&self, reseal: &Reseal) -> Result<(), AccountError> {
        let tokens = reseal.tokens.iter().map(|(token, old)| {
            vec![
                token.account.as_str().into(),
                Value::Blob(token.sealed.as_bytes().to_vec()),
                Value::Blob(old.as_bytes().to_vec()),
            ]
        });
        let mut steps = Atomic::new();
        if !reseal.accounts.is_empty() {
            let rows = reseal.accounts.iter().map(row_of);
            steps = steps.execute_many(&UPDATE, rows).expect_rows(reseal.accounts.len() as u64);
        }
        if !reseal.tokens.is_empty() {
            steps = steps.execute_many(&RESEAL_TOKENS, tokens).expect_rows(reseal.tokens.len() as u64);
        }
        match self.database.atomic(steps).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => {
                let account = "one of them".to_owned();
                Err(AccountError::Stale { account, expected: 0, found: None })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl SqlAccountStore {
    /// Says who is in the way of `wanted`.
    async fn taken(&self, error: StoreError, wanted: &[StoredAccount]) -> AccountError {
        if !matches!(error, StoreError::Unique { .. }) {
            return error.into();
        }
        let there = match self.list().await {
            Ok(there) => there,
            Err(error) => return error,
        };
        let mut known: Vec<(&StoredAccount, bool)> = there.iter().map(|stored| (stored, true)).collect();
        for stored in wanted {
            let name = &stored.account.name;
            // An update meets its own row under its own name, which is not in its way.
            let own = wanted.len() == 1
                && there.iter().any(|other| other.account.name == *name && other.version == stored.version);
            let clash = known.iter().find_map(|(other, _)| {
                if other.account.name == *name {
                    (!own).then(|| "the name is taken".to_owned())
                } else {
                    (other.api_key_digest == stored.api_key_digest)
                        .then(|| format!("account `{}` has this api_key", other.account.name))
                }
            });
            if let Some(taken_by) = clash {
                return AccountError::Taken { account: name.to_string(), taken_by };
            }
            known.push((stored, false));
        }
        error.into()
    }
}

impl DayCounts for SqlAccountStore {
    fn add<'a>(
        &'a self,
        trading_account: &'a str,
        day: IstDay,
        by: i64,
    ) -> Pin<Box<dyn Future<Output = Result<u64, AccountError>> + Send + 'a>> {
        Box::pin(async move {
            let rows =
                self.database.query(&ADD_ORDERS, [trading_account.into(), day.0.into(), by.into()]).await?;
            let count = rows.first().map_or(Ok(0), |row| row.int(0))?;
            // Once a day; a failure is made up for tomorrow, and must not cost the count.
            if self.swept.fetch_max(day.0, Ordering::Relaxed) < day.0
                && let Err(error) = self.database.execute(&FORGET_DAYS, [(day.0 - DAYS_KEPT).into()]).await
            {
                tracing::warn!(%error, "order counts of earlier days are not cleared");
            }
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }
}

// === rows ===

const SEALED: [(usize, SecretField); 4] = [
    (2, SecretField::ApiKey),
    (4, SecretField::ApiSecret),
    (5, SecretField::Password),
    (6, SecretField::TotpSeed),
];

fn row_of(stored: &StoredAccount) -> Vec<Value> {
    let account = &stored.account;
    let sealed =
        |field| stored.sealed.get(&field).map_or(Value::Null, |seal| Value::Blob(seal.as_bytes().to_vec()));
    let addresses: Vec<String> = account.registered_addresses.iter().map(ToString::to_string).collect();
    vec![
        account.name.as_str().into(),
        stored.version.into(),
        sealed(SecretField::ApiKey),
        Value::Blob(stored.api_key_digest.clone()),
        sealed(SecretField::ApiSecret),
        sealed(SecretField::Password),
        sealed(SecretField::TotpSeed),
        account.user_id.as_deref().map_or(Value::Null, Value::from),
        account.trading_account.as_str().into(),
        account.rest_url.as_str().into(),
        account.ticker_url.as_str().into(),
        account.simulated.into(),
        account.enabled.into(),
        account.priority.into(),
        account.weight.into(),
        account.limits.connections.into(),
        account.limits.tokens_per_connection.into(),
        addresses.join(",").into(),
        account.automatic_login.into(),
    ]
}

fn account_of(row: &Row) -> Result<StoredAccount, AccountError> {
    let name = AccountName::new(row.text(0)?)
        .map_err(|_| AccountError::Sealed("an account in the database has an impossible name"))?;
    let mut sealed = BTreeMap::new();
    for (column, field) in SEALED {
        if let Some(bytes) = row.opt_blob(column)? {
            sealed.insert(field, SealedSecret::from_bytes(bytes.to_vec()));
        }
    }
    let number = |column| row.int(column).map(|number| u32::try_from(number).unwrap_or_default());
    let addresses = row.text(17)?.split(',').filter_map(|text| text.parse().ok()).collect();
    let account = Account {
        name,
        api_key: Secret::new(""),
        secrets: AccountSecrets::default(),
        user_id: row.opt_text(7)?.map(str::to_owned),
        trading_account: row.text(8)?.to_owned(),
        rest_url: row.text(9)?.to_owned(),
        ticker_url: row.text(10)?.to_owned(),
        simulated: row.bool(11)?,
        enabled: row.bool(12)?,
        priority: number(13)?,
        weight: number(14)?.max(1),
        limits: AccountLimits { connections: number(15)?, tokens_per_connection: number(16)? },
        registered_addresses: addresses,
        automatic_login: row.bool(18)?,
        origin: "database".to_owned(),
    };
    Ok(StoredAccount { version: row.int(1)?, account, api_key_digest: row.blob(3)?.to_vec(), sealed })
}
