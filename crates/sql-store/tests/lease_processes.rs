//! Leases between processes, with the default times: one is killed, one is stopped and goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use sql_store::lease::{self, LeaseConfig, LeaseKeeper, SystemUptime};
use sql_store::testing::{self, TestDatabase};
use sql_store::{Database, DatabaseConfig, StoreMetrics, migrate};
use tokio::sync::watch;
use tokio::task::JoinSet;

fn keeper(db: &Database, instance: &str) -> LeaseKeeper {
    let names: BTreeSet<String> = ["account".to_owned()].into();
    LeaseKeeper::new(db, LeaseConfig::new(instance), watch::channel(Arc::new(names)).1, SystemUptime)
}

/// Run by the tests below in a process of its own, which names the database: acts all the time, but only while it holds
/// the lease. Run alone, it takes the lease and gives it back.
#[tokio::test(flavor = "multi_thread")]
async fn acts_while_it_holds_the_lease() {
    let Ok(url) = std::env::var("SQL_STORE_URL") else { return take_and_give_back().await };
    let config = DatabaseConfig::from_url(&url).unwrap();
    let db = Database::open(config, StoreMetrics::noop()).await.unwrap();
    let keeper = keeper(&db, "child");
    let mut held = keeper.held();
    let mut running = JoinSet::new();
    running.spawn(keeper.run(std::future::pending()));
    let guard = held.wait_for(|held| !held.is_empty()).await.unwrap()["account"].clone();
    let mut pause = tokio::time::interval(Duration::from_millis(1));
    while guard.is_held() {
        let mut out = std::io::stdout();
        writeln!(out, "acts {}", guard.fence()).unwrap();
        pause.tick().await;
    }
    println!("stopped");
}

async fn take_and_give_back() {
    let Some((test, _)) = database().await else { return };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let first = keeper(&test.db, "first");
    let mut held = first.held();
    let mut running = JoinSet::new();
    running.spawn(first.run(async move {
        let _ = stopped.await;
    }));
    let guard = held.wait_for(|held| !held.is_empty()).await.unwrap()["account"].clone();
    assert!(guard.is_held());
    stop.send(()).unwrap();
    running.join_next().await.unwrap().unwrap().unwrap();
    assert!(!guard.is_held());
    assert_eq!(take_over(&test.db, &mut JoinSet::new()).await.0, guard.fence() + 1);
}

struct Instance {
    process: Child,
    lines: Receiver<String>,
}

impl Instance {
    fn start(url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "acts_while_it_holds_the_lease", "--nocapture"])
            .env("SQL_STORE_URL", url)
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
        let instance = Self { process, lines };
        while !instance.lines.recv_timeout(Duration::from_secs(30)).expect("it acts").contains("acts 1") {}
        instance
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// What it said until it is silent for a while.
    fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_millis(300)) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return said,
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn database() -> Option<(TestDatabase, String)> {
    let test = testing::postgres().await?;
    migrate(&test.db, &[lease::SCHEMA]).await.unwrap();
    let DatabaseConfig::Postgres(config) = &test.config else { unreachable!() };
    let url = format!("postgres://admin@{}", config.url);
    Some((test, url))
}

/// Waits until this process has the lease; how long it took.
async fn take_over(
    db: &Database,
    running: &mut JoinSet<Result<(), sql_store::StoreError>>,
) -> (i64, Duration) {
    let begun = Instant::now();
    let keeper = keeper(db, "parent");
    let mut held = keeper.held();
    running.spawn(keeper.run(std::future::pending()));
    let fence = held.wait_for(|held| !held.is_empty()).await.unwrap()["account"].fence();
    (fence, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instances_account_is_taken_within_ten_seconds() {
    let Some((test, url)) = database().await else { return };
    let child = Instance::start(&url);
    child.signal("KILL");
    let (fence, took) = take_over(&test.db, &mut JoinSet::new()).await;
    println!("taken over {took:?} after the kill");
    assert!(fence == 2 && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_does_not_act_when_it_goes_on() {
    let Some((test, url)) = database().await else { return };
    let child = Instance::start(&url);
    child.signal("STOP");
    let (fence, took) = take_over(&test.db, &mut JoinSet::new()).await;
    println!("taken over {took:?} after the stop");
    assert_eq!(fence, 2);
    child.said();
    child.signal("CONT");
    let said = child.said();
    // One line may have been half-way into the pipe when it was stopped.
    let acts = said.iter().filter(|line| line.contains("acts")).count();
    assert!(acts <= 1, "it acted {acts} times after another had its lease");
    assert!(said.iter().any(|line| line.contains("stopped")), "{said:?}");
}
