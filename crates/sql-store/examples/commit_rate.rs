//! Durable commits per second by the number of callers: what group commit brings.
//!
//! `cargo run --release -p sql-store --features test-util --example commit_rate`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sql_store::testing::{PostgresServer, ServerOptions};
use sql_store::{Database, DatabaseConfig, Kind, Migration, Schema, Statement, StoreMetrics, migrate};

const SCHEMA: Schema = Schema {
    name: "rate",
    migrations: &[Migration {
        version: 1,
        name: "row",
        sql: "create table entry (id bigint primary key, body bytea not null)",
    }],
};
static INSERT: Statement =
    Statement::new("insert", "insert into entry (id, body) values ($1, $2)", &[Kind::Int, Kind::Blob]);

/// Long enough for some hundred flushes of a slow disk.
const ROUND: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    measure("embedded", &format!("embedded:{}", folder.path().join("rate.db").display())).await;
    let options = ServerOptions { flush: true, ..Default::default() };
    let server = tokio::task::spawn_blocking(move || PostgresServer::start(&options)).await.unwrap();
    if let Some(server) = server {
        server.create_database("rate").await;
        measure("postgres", &server.url("rate")).await;
    }
}

async fn measure(engine: &str, url: &str) {
    let db = Database::open(DatabaseConfig::from_url(url).unwrap(), StoreMetrics::noop()).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    println!("{engine:<10}{:>10}{:>14}{:>14}", "callers", "commits/s", "median ms");
    let mut next = 0;
    for callers in [1_i64, 8, 64, 256] {
        let mut rates = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            let each = (0..callers).map(|caller| commit(&db, next + (caller << 32), begun));
            let times: Vec<Duration> = join_all(each).await.into_iter().flatten().collect();
            rates.push(times.len() as f64 / begun.elapsed().as_secs_f64());
            waits.extend(times);
            next += callers << 32;
        }
        rates.sort_by(f64::total_cmp);
        waits.sort();
        let wait = waits[waits.len() / 2].as_secs_f64() * 1e3;
        println!("{:<10}{callers:>10}{:>14.0}{wait:>14.2}", "", rates[rates.len() / 2]);
    }
    db.close().await;
}

/// Commits one row after the other until the round is over; how long each took.
async fn commit(db: &Database, first: i64, begun: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    for id in first.. {
        if begun.elapsed() >= ROUND {
            break;
        }
        let asked = Instant::now();
        db.execute(&INSERT, [id.into(), vec![7; 100].into()]).await.unwrap();
        times.push(asked.elapsed());
    }
    times
}
