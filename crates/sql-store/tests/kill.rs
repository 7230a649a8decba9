//! `kill -9` at random moments: what was acknowledged is there, and nothing is there by half.
//!
//! A child writes transactions of two rows and a counter, and prints the number of each one after it was
//! acknowledged. The parent kills it and looks. `SQL_STORE_SERVER_KILLS` sets how often the Postgres server is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use sql_store::testing::{self, PostgresServer, ServerOptions};
use sql_store::{
    Atomic, Database, DatabaseConfig, Kind, Migration, Schema, Statement, StoreMetrics, Value, migrate,
};

const SCHEMA: Schema = Schema {
    name: "kill",
    migrations: &[Migration {
        version: 1,
        name: "pairs",
        sql: "create table left_half (id bigint primary key, round bigint not null);
              create table right_half (id bigint primary key, body bytea not null);
              create table tally (id bigint primary key, pairs bigint not null);
              insert into tally (id, pairs) values (1, 0);",
    }],
};
static LEFT: Statement =
    Statement::new("left", "insert into left_half (id, round) values ($1, $2)", &[Kind::Int, Kind::Int]);
static RIGHT: Statement =
    Statement::new("right", "insert into right_half (id, body) values ($1, $2)", &[Kind::Int, Kind::Blob]);
static TALLY: Statement = Statement::new("tally", "update tally set pairs = pairs + 1 where id = 1", &[]);
static IDS: Statement = Statement::new(
    "ids",
    "select l.id, r.id from left_half l left join right_half r on r.id = l.id order by 1",
    &[],
);
static COUNTS: Statement = Statement::new(
    "counts",
    "select (select count(*) from left_half), (select count(*) from right_half), (select max(pairs) from tally)",
    &[],
);

/// Writers of one child, so that commits share flushes.
const WRITERS: i64 = 4;

/// Run by the tests below in a process of its own, which names the database: writes until it is killed or the database is
/// gone. Run alone, it writes a little and looks at what is there, as the others do after a death.
#[tokio::test(flavor = "multi_thread")]
async fn writes_in_pairs() {
    let Ok(url) = std::env::var("SQL_STORE_URL") else {
        const PAIRS: i64 = 10;
        let folder = tempfile::tempdir().unwrap();
        let config =
            DatabaseConfig::from_url(&format!("embedded:{}", folder.path().join("one.db").display()))
                .unwrap();
        let db = Database::open(config, StoreMetrics::noop()).await.unwrap();
        migrate(&db, &[SCHEMA]).await.unwrap();
        write_all(&db, 0, PAIRS).await;
        let counts = db.query(&COUNTS, []).await.unwrap();
        assert_eq!([0, 1, 2].map(|at| counts[0].int(at).unwrap()), [WRITERS * PAIRS; 3]);
        return;
    };
    let round: i64 = std::env::var("SQL_STORE_ROUND").unwrap().parse().unwrap();
    let config = DatabaseConfig::from_url(&url).unwrap();
    let db = Database::open(config, StoreMetrics::noop()).await.unwrap();
    println!("ready");
    write_all(&db, round, i64::MAX).await;
}

async fn write_all(db: &Database, round: i64, pairs: i64) {
    let writers = (0..WRITERS).map(|writer| write(db.clone(), round, writer, pairs));
    futures_util::future::join_all(writers).await;
}

async fn write(db: Database, round: i64, writer: i64, pairs: i64) {
    for n in 0..pairs {
        let id = (round * WRITERS + writer) * 1_000_000 + n;
        let body = Value::from(vec![7_u8; 500]);
        let pair = Atomic::new()
            .execute(&LEFT, [id.into(), round.into()])
            .execute(&TALLY, [])
            .expect_rows(1)
            .execute(&RIGHT, [id.into(), body]);
        if db.atomic(pair).await.is_err() {
            return;
        }
        println!("ack {id}");
    }
}

struct Writer {
    process: Child,
    lines: Receiver<String>,
}

impl Writer {
    fn start(url: &str, round: u64) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_in_pairs", "--nocapture"])
            .env("SQL_STORE_URL", url)
            .env("SQL_STORE_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut writer = Self { process, lines };
        writer.until(|line| line.ends_with("ready"));
        writer
    }

    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<i64> {
        let mut acks = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("the child writes");
            acks.extend(ack(&line));
            if wanted(&line) {
                return acks;
            }
        }
    }

    /// Acknowledgements until it is killed after so many more microseconds, and those still in the pipe.
    fn kill_after(mut self, wait: Duration) -> Vec<i64> {
        let mut acks = self.until(|line| line.contains("ack"));
        let until = Instant::now() + wait;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            acks.extend(ack(&line));
        }
        self.process.kill().unwrap();
        self.ended(acks)
    }

    /// Everything it still says until it ends.
    fn ended(mut self, mut acks: Vec<i64>) -> Vec<i64> {
        acks.extend(self.lines.iter().filter_map(|line| ack(&line)));
        self.process.wait().unwrap();
        acks
    }
}

fn ack(line: &str) -> Option<i64> {
    // The last line of a killed child may be torn: only a whole one, with its end, counts; the reader drops none
    // but the last, and that one had been written whole or its number would not be in the table.
    line.strip_prefix("ack ")?.parse().ok()
}

/// What was found after a number of kills.
#[derive(Default)]
struct Found {
    acked: BTreeSet<i64>,
    kills: u64,
    unacknowledged: u64,
}

impl Found {
    async fn check(&mut self, db: &Database, acks: Vec<i64>) {
        self.kills += 1;
        self.acked.extend(acks);
        let rows = db.query(&IDS, []).await.unwrap();
        let whole: BTreeSet<i64> = rows.iter().map(|row| row.int(0).unwrap()).collect();
        let torn: Vec<_> = rows.iter().filter(|row| row.opt_int(1).unwrap().is_none()).collect();
        assert!(torn.is_empty(), "half of a transaction: {torn:?}");
        let lost: Vec<_> = self.acked.difference(&whole).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let counts = &db.query(&COUNTS, []).await.unwrap()[0];
        let counts = [0, 1, 2].map(|column| counts.int(column).unwrap());
        assert_eq!(counts, [whole.len() as i64; 3], "halves and tally agree");
        self.unacknowledged = whole.len() as u64 - self.acked.len() as u64;
    }

    fn report(&self, what: &str) {
        let Self { acked, kills, unacknowledged } = self;
        println!(
            "{what}: {kills} kills, {} acknowledged and found, {unacknowledged} more found",
            acked.len()
        );
        assert!(acked.len() as u64 > *kills);
    }
}

/// Kill after 0 to 8 ms, from a fixed seed.
fn waits(seed: u64) -> impl FnMut() -> Duration {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((state >> 33) % 8_000)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_of_the_embedded_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("kill.db").display());
    let open = async || Database::open(DatabaseConfig::from_url(&url).unwrap(), StoreMetrics::noop()).await;
    let db = open().await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    db.close().await;
    let (mut found, mut wait) = (Found::default(), waits(1));
    for round in 0..120 {
        let acks = Writer::start(&url, round).kill_after(wait());
        let db = open().await.unwrap();
        found.check(&db, acks).await;
        db.close().await;
    }
    found.report("embedded, writer killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_of_postgres() {
    let Some(server) = testing::server().await else { return };
    let name = testing::fresh_name();
    server.create_database(&name).await;
    let url = server.url(&name);
    let db = Database::open(DatabaseConfig::from_url(&url).unwrap(), StoreMetrics::noop()).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    let (mut found, mut wait) = (Found::default(), waits(2));
    for round in 0..100 {
        let acks = Writer::start(&url, round).kill_after(wait());
        server.until_alone(&name).await;
        found.check(&db, acks).await;
    }
    found.report("postgres, writer killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres() {
    let kills =
        std::env::var("SQL_STORE_SERVER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let options = ServerOptions { flush: true, ..Default::default() };
    let server = tokio::task::spawn_blocking(move || PostgresServer::start(&options)).await.unwrap();
    let Some(mut server) = server else { return };
    server.create_database("kill").await;
    let url = server.url("kill");
    let db = Database::open(DatabaseConfig::from_url(&url).unwrap(), StoreMetrics::noop()).await.unwrap();
    migrate(&db, &[SCHEMA]).await.unwrap();
    let (mut found, mut wait) = (Found::default(), waits(3));
    for round in 0..kills {
        let mut writer = Writer::start(&url, round);
        let until = Instant::now() + 20 * wait();
        let mut acks = writer.until(|line| line.contains("ack"));
        while let Ok(line) = writer.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            acks.extend(ack(&line));
        }
        server = tokio::task::spawn_blocking(move || {
            server.kill();
            server.start_again();
            server
        })
        .await
        .unwrap();
        // It ends by itself, because its writes fail; one that is tried again counts as well.
        writer.process.kill().unwrap();
        acks = writer.ended(acks);
        server.until_alone("kill").await;
        while db.probe().await.is_err() {}
        found.check(&db, acks).await;
    }
    found.report("postgres killed");
}
