//! Leases on both engines: the statements, two keepers, a killed one, a frozen one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sql_store::lease::{self, HeldLeases, LeaseConfig, LeaseKeeper, ManualUptime, SystemUptime, list};
use sql_store::testing::{self, Network, Proxy, TestDatabase};
use sql_store::{
    Atomic, Database, DatabaseConfig, EngineKind, Kind, PostgresConfig, Statement, StoreError, StoreMetrics,
    migrate,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

static WRITE: Statement =
    Statement::new("write", "insert into instance (id, since, expires_at) values ($1, 0, 0)", &[Kind::Text]);
static EXPIRE: Statement =
    Statement::new("expire", "update lease set expires_at = 1 where name = $1", &[Kind::Text]);

/// A keeper that runs.
struct Running {
    id: Arc<str>,
    held: watch::Receiver<HeldLeases>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), StoreError>>,
}

impl Running {
    /// With the times of the defaults divided by ten.
    fn start(db: &Database, instance: &str, names: &str) -> Self {
        let mut config = LeaseConfig::new(instance);
        config.ttl = Duration::from_millis(600);
        config.renew_every = Duration::from_millis(150);
        config.margin = Duration::from_millis(200);
        config.request_timeout = Duration::from_millis(300);
        config.hand_over = Duration::from_millis(100);
        config.settle = Duration::from_millis(300);
        let keeper = LeaseKeeper::new(db, config, watch::channel(set(names)).1, SystemUptime);
        let (stop, stopped) = oneshot::channel::<()>();
        let (id, held) = (keeper.id().clone(), keeper.held());
        #[expect(clippy::disallowed_methods, reason = "the test owns and joins it")]
        let task = tokio::spawn(keeper.run(async move { drop(stopped.await) }));
        Self { id, held, stop: Some(stop), task }
    }

    async fn until_held(&mut self, names: &str) -> HeldLeases {
        let wanted = set(names);
        let mut held = self.held.clone();
        let reached = held.wait_for(|held| held.keys().map(ToString::to_string).eq(wanted.iter().cloned()));
        match tokio::time::timeout(Duration::from_secs(20), reached).await {
            Ok(held) => held.unwrap().clone(),
            Err(_) => panic!("{} holds {:?}, not {names}", self.id, self.held.borrow()),
        }
    }

    async fn until_count(&mut self, count: usize) -> HeldLeases {
        let reached = self.held.wait_for(|held| held.len() == count);
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("in 20 s").unwrap().clone()
    }

    /// As `kill -9` does: nothing is freed.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn shut_down(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap().unwrap();
    }
}

fn set(names: &str) -> Arc<BTreeSet<String>> {
    Arc::new(names.split_whitespace().map(ToOwned::to_owned).collect())
}

async fn on_each(run: impl AsyncFn(TestDatabase)) {
    let all = [Some(testing::embedded().await), testing::postgres().await, testing::pgbouncer().await];
    for test in all.into_iter().flatten() {
        migrate(&test.db, &[lease::SCHEMA]).await.unwrap();
        run(test).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_takes_all_and_frees_all() {
    on_each(async |test| {
        let mut one = Running::start(&test.db, "one", "a b c");
        let held = one.until_held("a b c").await;
        assert!(held.values().all(|guard| guard.is_held() && guard.fence() == 1));
        let rows = list(&test.db).await.unwrap();
        assert!(rows.iter().all(|row| row.holder == *one.id && !row.remaining.is_zero()), "{rows:?}");
        one.shut_down().await;
        assert!(held.values().all(|guard| !guard.is_held()));
        let rows = list(&test.db).await.unwrap();
        assert!(rows.iter().all(|row| row.holder.is_empty() && row.remaining.is_zero()), "{rows:?}");
        // Free at once, under a new fence.
        let mut two = Running::start(&test.db, "two", "a b c");
        assert!(two.until_held("a b c").await.values().all(|guard| guard.fence() == 2));
        two.shut_down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_share_evenly_and_a_killed_ones_names_move() {
    on_each(async |test| {
        let mut one = Running::start(&test.db, "one", "a b c d");
        one.until_held("a b c d").await;
        let mut two = Running::start(&test.db, "two", "a b c d");
        let given = two.until_count(2).await;
        let kept = one.until_count(2).await;
        assert!(given.keys().all(|name| !kept.contains_key(name)), "{given:?} {kept:?}");
        assert!(
            given.values().all(|guard| guard.fence() == 2) && kept.values().all(|guard| guard.fence() == 1)
        );
        let begun = Instant::now();
        one.kill().await;
        let all = two.until_held("a b c d").await;
        // The lease's 600 ms and a round; a second for a busy machine.
        assert!(begun.elapsed() < Duration::from_millis(1_900), "took {:?}", begun.elapsed());
        assert!(kept.keys().all(|name| all[name].fence() == 2));
        assert!(kept.values().all(|guard| !guard.is_held()));
        two.shut_down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_with_an_old_fence_is_refused() {
    on_each(async |test| {
        let mut one = Running::start(&test.db, "one", "a");
        let guard = one.until_held("a").await["a"].clone();
        test.db.atomic(guard.fence_in(Atomic::new()).execute(&WRITE, ["x".into()])).await.unwrap();
        one.kill().await;
        test.db.execute(&EXPIRE, ["a".into()]).await.unwrap();
        let mut two = Running::start(&test.db, "two", "a");
        two.until_held("a").await;
        let late = test.db.atomic(guard.fence_in(Atomic::new()).execute(&WRITE, ["y".into()])).await;
        assert!(matches!(late, Err(StoreError::Conflict { statement: "fence", .. })), "{late:?}");
        two.shut_down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_statements_does_not_grow_with_the_names() {
    let test = testing::embedded().await;
    migrate(&test.db, &[lease::SCHEMA]).await.unwrap();
    let names: Vec<String> = (0..100).map(|name| format!("account-{name:03}")).collect();
    let before = test.db.statements();
    let mut one = Running::start(&test.db, "one", &names.join(" "));
    one.until_count(100).await;
    assert_eq!(test.db.statements() - before, 5, "a round of four, and one that takes");
    one.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_database_is_out_of_reach_ends_here_before_it_ends_there() {
    let Some(server) = testing::server().await else { return };
    let test = testing::postgres().await.unwrap();
    assert_eq!(test.db.engine(), EngineKind::Postgres);
    migrate(&test.db, &[lease::SCHEMA]).await.unwrap();
    let DatabaseConfig::Postgres(config) = &test.config else { unreachable!() };
    let name = config.url.to_string().rsplit('/').next().unwrap().to_owned();
    let proxy = Proxy::start(server.port()).await;
    let url = format!("postgres://admin@127.0.0.1:{}/{name}", proxy.port());
    let config = DatabaseConfig::Postgres(PostgresConfig::new(url.parse().unwrap()));
    let db = Database::open(config, StoreMetrics::noop()).await.unwrap();
    for bad in [Network::BlackHole, Network::Deaf, Network::Cut] {
        let mut one = Running::start(&db, "one", "a");
        let guard = one.until_held("a").await["a"].clone();
        proxy.set(bad);
        one.until_held("").await;
        assert!(!guard.is_held());
        let row = &list(&test.db).await.unwrap()[0];
        // `Deaf` lets renewals through to the end, so the table may even show more.
        assert!(row.holder == *one.id && !row.remaining.is_zero(), "{bad:?} {row:?}");
        let mut two = Running::start(&test.db, "two", "a");
        let taken = two.until_held("a").await["a"].clone();
        assert!(taken.fence() > guard.fence() && !guard.is_held());
        two.shut_down().await;
        // It recovers alone.
        proxy.set(Network::Good);
        assert!(one.until_held("a").await["a"].fence() > taken.fence());
        one.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_stopped_finds_its_lease_lost() {
    let test = testing::embedded().await;
    migrate(&test.db, &[lease::SCHEMA]).await.unwrap();
    let uptime = Arc::new(ManualUptime::default());
    let keeper =
        LeaseKeeper::new(&test.db, LeaseConfig::new("one"), watch::channel(set("a")).1, uptime.clone());
    let mut held = keeper.held();
    let (stop, stopped) = oneshot::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "the test owns and joins it")]
    let task = tokio::spawn(keeper.run(async move { drop(stopped.await) }));
    let guard = held.wait_for(|held| held.len() == 1).await.unwrap()["a"].clone();
    assert!(guard.is_held());
    // The process was stopped for ten seconds: the next look at the clock says so, before any timer has run.
    uptime.advance(Duration::from_secs(10));
    assert!(!guard.is_held());
    drop(stop);
    task.await.unwrap().unwrap();
}
