//! The embedded file in trouble: held by another, damaged, read-only, on a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sql_store::{
    Database, DatabaseConfig, EmbeddedConfig, Kind, Migration, Schema, Statement, StoreError, StoreMetrics,
    migrate,
};
use tempfile::TempDir;

const SCHEMA: Schema = Schema {
    name: "t",
    migrations: &[Migration {
        version: 1,
        name: "t",
        sql: "create table t (id bigint primary key, body bytea not null)",
    }],
};
static INSERT: Statement =
    Statement::new("insert", "insert into t (id, body) values ($1, $2)", &[Kind::Int, Kind::Blob]);
static COUNT: Statement = Statement::new("count", "select count(*) from t", &[]);
static DELETE: Statement = Statement::new("delete", "delete from t where id > $1", &[Kind::Int]);

fn config(file: &Path) -> DatabaseConfig {
    DatabaseConfig::from_url(&format!("embedded:{}", file.display())).unwrap()
}

async fn open(file: &Path) -> Result<Database, StoreError> {
    Database::open(config(file), StoreMetrics::noop()).await
}

async fn refused(file: &Path, expect: &str) -> StoreError {
    let error = open(file).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(expect) && text.contains(&file.display().to_string()), "{text}");
    assert!(!text.contains('\n'), "{text}");
    error
}

async fn count(db: &Database) -> i64 {
    db.query(&COUNT, []).await.unwrap()[0].int(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_opens_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("one.db");
    let first = open(&file).await.unwrap();
    let error = refused(&file, &format!("(pid {})", std::process::id())).await;
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    first.close().await;
    let second = open(&file).await.unwrap();
    drop(second);
    open(&file).await.unwrap();
}

/// Run by the test below in a process of its own, which names a file that is open; run alone, it opens one first.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_is_in_use() {
    let folder = TempDir::new().unwrap();
    let own = folder.path().join("one.db");
    let (file, _first) = match std::env::var_os("SQL_STORE_FILE") {
        Some(file) => (file.into(), None),
        None => (own.clone(), Some(open(&own).await.unwrap())),
    };
    let error = open(&file).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_does_not_open_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("one.db");
    let _first = open(&file).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "an_open_file_is_in_use"]).env("SQL_STORE_FILE", &file);
    let output = child.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_none_is_named() {
    let folder = TempDir::new().unwrap();
    let error = open(&folder.path().join("missing/one.db")).await.unwrap_err().to_string();
    assert!(error.contains("missing/one.db.lock") && error.contains("No such file"), "{error}");
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    refused(&folder.path().join("folder.db"), "unable to open database file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("one.db");
    std::fs::write(&file, "dear diary, ".repeat(1000)).unwrap();
    let error = refused(&file, "put back a copy").await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found_when_it_is_read() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("one.db");
    let db = open(&file).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    let rows = (0..2_000_i64).map(|id| vec![id.into(), vec![7_u8; 200].into()]);
    db.execute_many(&INSERT, rows).await.unwrap();
    db.close().await;
    let mut bytes = std::fs::read(&file).unwrap();
    let length = bytes.len();
    bytes[8192..length - 4096].fill(0xA5);
    std::fs::write(&file, bytes).unwrap();
    let db = open(&file).await.unwrap();
    let error = db.query(&COUNT, []).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(!db.status().borrow().is_up());
}

/// Files whose rights even root keeps to: immutable would need a capability, a read-only mount is plain.
fn mount(kind: &str, options: &str, at: &Path) -> Option<Mount> {
    let mounted = Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(at).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user may not mount");
        return None;
    }
    Some(Mount(at.to_path_buf()))
}

struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_named() {
    let folder = TempDir::new().unwrap();
    let Some(_mount) = mount("tmpfs", "size=1m,ro", folder.path()) else { return };
    let error = open(&folder.path().join("one.db")).await.unwrap_err().to_string();
    assert!(error.contains("one.db.lock") && error.contains("Read-only file system"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_while_reads_go_on() {
    let folder = TempDir::new().unwrap();
    let Some(_mount) = mount("tmpfs", "size=2m", folder.path()) else { return };
    let db = open(&folder.path().join("one.db")).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    db.execute(&INSERT, [0_i64.into(), vec![1].into()]).await.unwrap();
    // Thirty callers at once, so that the disk gets full inside a group.
    let mut stored = 1;
    let mut full = false;
    for round in 0..40_i64 {
        let calls = (0..30).map(|n| {
            let db = db.clone();
            let row = [(1 + round * 30 + n).into(), vec![7_u8; 4_000].into()];
            async move { db.execute(&INSERT, row).await }
        });
        for outcome in futures_util::future::join_all(calls).await {
            match outcome {
                Ok(changed) => stored += changed,
                Err(error) => {
                    assert_eq!(error, StoreError::DiskFull { statement: "insert" });
                    assert!(error.is_unavailable());
                    full = true;
                }
            }
        }
    }
    assert!(full, "40 x 30 x 4 KB do not fit into 2 MB");
    // What was acknowledged is there, what was refused is not.
    assert_eq!(count(&db).await, stored as i64);
    let status = db.status();
    assert!(status.borrow().writes_refused.as_deref().unwrap().contains("disk"), "{:?}", status.borrow());
    assert!(status.borrow().down.is_none() && !status.borrow().is_up());
    // With room again it goes on by itself.
    let more = Command::new("mount").args(["-o", "remount,size=16m"]).arg(folder.path()).status();
    assert!(more.unwrap().success());
    db.execute(&INSERT, [900_000_i64.into(), vec![1].into()]).await.unwrap();
    assert!(status.borrow().is_up());
    db.execute(&DELETE, [0_i64.into()]).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_answers_within_the_acquire_timeout() {
    static SLOW: Statement = Statement::new(
        "slow",
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 400000000)
         insert into t (id, body) select i, '' from n where i < 0",
        &[],
    );
    let folder = TempDir::new().unwrap();
    let mut config = EmbeddedConfig::new(folder.path().join("one.db"));
    (config.queue, config.group) = (1, 1);
    config.acquire_timeout = Duration::from_millis(100);
    config.statement_timeout = Duration::from_secs(2);
    let db = Database::open(DatabaseConfig::Embedded(config), StoreMetrics::noop()).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    let slow = db.execute(&SLOW, []);
    let others = async {
        let calls = (0..10_i64).map(|id| db.execute(&INSERT, [id.into(), vec![1].into()]));
        let begun = std::time::Instant::now();
        let outcomes = futures_util::future::join_all(calls).await;
        (begun.elapsed(), outcomes)
    };
    let (slow, (_, outcomes)) = tokio::join!(slow, others);
    assert!(matches!(slow, Err(StoreError::Timeout { may_have_run: false, .. })), "{slow:?}");
    let waited = Duration::from_millis(100);
    let exhausted = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::PoolExhausted { waited }));
    assert!(exhausted.count() >= 8, "{outcomes:?}");
    // Reads had threads of their own all the time, and the writer is free again.
    db.execute(&INSERT, [99_i64.into(), vec![1].into()]).await.unwrap();
}
