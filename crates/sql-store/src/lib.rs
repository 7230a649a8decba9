//! How a database is reached: a Postgres pool or an embedded file under one set of statements, migrations, one
//! mapping of errors.
//!
//! This crate refuses to know what is stored: every table belongs to the crate that uses it. It never repeats a
//! statement by itself, and never answers that something was done before it would survive a loss of power.
//!
//! ```
//! use sql_store::{Atomic, Database, DatabaseConfig, Kind, Migration, Schema, Statement, StoreMetrics, migrate};
//!
//! const SCHEMA: Schema = Schema {
//!     name: "notes",
//!     migrations: &[Migration { version: 1, name: "note", sql: "create table note (id text primary key, words bigint)" }],
//! };
//! static INSERT: Statement =
//!     Statement::new("insert note", "insert into note (id, words) values ($1, $2)", &[Kind::Text, Kind::Int]);
//! static SELECT: Statement = Statement::new("note", "select words from note where id = $1", &[Kind::Text]);
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sql_store::StoreError> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let url = format!("embedded:{}", folder.path().join("notes.db").display());
//! let database = Database::open(DatabaseConfig::from_url(&url)?, StoreMetrics::noop()).await?;
//! migrate(&database, &[SCHEMA]).await?;
//! database.atomic(Atomic::new().execute(&INSERT, ["a".into(), 7_i64.into()]).expect_rows(1)).await?;
//! let rows = database.query(&SELECT, ["a".into()]).await?;
//! assert_eq!(rows[0].int(0)?, 7);
//! # Ok(()) }
//! ```

mod atomic;
mod config;
mod database;
mod embedded;
mod error;
pub mod lease;
mod metrics;
mod migrate;
mod postgres;
mod statement;
mod status;
#[cfg(feature = "test-util")]
pub mod testing;
mod value;

pub use crate::metrics::StoreMetrics;
pub use atomic::{Atomic, AtomicOutcome};
pub use config::{DatabaseConfig, EmbeddedConfig, PostgresConfig};
pub use database::{Database, EngineKind};
pub use error::StoreError;
pub use migrate::{Migration, Schema, migrate};
pub use postgres::PostgresUrl;
pub use statement::Statement;
pub use status::DatabaseStatus;
pub use value::{Kind, Row, Value};
