//! Fresh databases for tests: a file in a temporary folder, a database on a private Postgres server.
//!
//! `KITE_TEST_POSTGRES_BIN` names the folder with `initdb` and `postgres`; without it they are looked for on PATH and
//! in Debian's folders, and a test that finds none says so and skips. With `KITE_TEST_REQUIRE_SERVICES` it fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod pgbouncer;
mod proxy;
mod server;
mod watchdog;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub use pgbouncer::PgBouncer;
pub use proxy::{Network, Proxy};
pub use server::{PostgresServer, ServerOptions};
use tempfile::TempDir;

use crate::{Database, DatabaseConfig, EmbeddedConfig, PostgresConfig, StoreMetrics};

/// A database of a test, gone when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// The database.
    pub db: Database,
    /// Opens it once more, on Postgres only while this one is open.
    pub config: DatabaseConfig,
    folder: Option<TempDir>,
}

// === impl TestDatabase ===

impl TestDatabase {
    /// The folder of the embedded file; `None` on Postgres.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().to_path_buf())
    }
}

/// A fresh file that is not flushed, so it is fast.
pub async fn embedded() -> TestDatabase {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = EmbeddedConfig::new(folder.path().join("test.db"));
    config.durable = false;
    let config = DatabaseConfig::Embedded(config);
    let db = Database::open(config.clone(), StoreMetrics::noop()).await.expect("a fresh file");
    TestDatabase { db, config, folder: Some(folder) }
}

/// A fresh database on the one server of this test binary, which does not flush. `None`, with a printed line, when
/// there is no Postgres here.
pub async fn postgres() -> Option<TestDatabase> {
    Some(fresh_on(server().await?).await)
}

/// As [`postgres`], through a PgBouncer in transaction mode.
pub async fn pgbouncer() -> Option<TestDatabase> {
    static POOLER: OnceLock<Option<PgBouncer>> = OnceLock::new();
    let server = server().await?;
    let pooler = tokio::task::spawn_blocking(|| POOLER.get_or_init(|| PgBouncer::start(server, "")).as_ref());
    let pooler = pooler.await.expect("the pooler starts")?;
    let name = fresh_name();
    server.create_database(&name).await;
    Some(open_at(&pooler.url(&name)).await)
}

/// The one server of this test binary.
pub async fn server() -> Option<&'static PostgresServer> {
    static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
    let server = tokio::task::spawn_blocking(|| {
        SERVER.get_or_init(|| PostgresServer::start(&ServerOptions::default())).as_ref()
    });
    server.await.expect("the server starts")
}

/// A fresh database on this server.
pub async fn fresh_on(server: &PostgresServer) -> TestDatabase {
    let name = fresh_name();
    server.create_database(&name).await;
    open_at(&server.url(&name)).await
}

async fn open_at(url: &str) -> TestDatabase {
    let config = DatabaseConfig::Postgres(PostgresConfig::new(url.parse().expect("a url")));
    let db = Database::open(config.clone(), StoreMetrics::noop()).await.expect("a fresh database");
    TestDatabase { db, config, folder: None }
}

/// A name no other test of this process has.
pub fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Reports that a test cannot run; fails where services are required.
pub(crate) fn skipped(what: &str, variable: &str) {
    let text = format!("skipped: {what} not found on PATH or in {variable}");
    assert!(std::env::var_os("KITE_TEST_REQUIRE_SERVICES").is_none(), "{text}");
    // Straight to the terminal: a skipped test must not be silent because it passes.
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
