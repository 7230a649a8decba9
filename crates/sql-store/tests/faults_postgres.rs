//! Postgres in trouble: wrong logins, killed, frozen, cut off, full pools; and TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use sql_store::testing::{self, Network, PgBouncer, PostgresServer, Proxy, ServerOptions, fresh_on};
use sql_store::{
    Atomic, Database, DatabaseConfig, DatabaseStatus, Kind, PostgresConfig, Statement, StoreError,
    StoreMetrics,
};

static ONE: Statement = Statement::new("one", "select 1", &[]);
static SLEEP: Statement = Statement::new("sleep", "select pg_sleep($1)", &[Kind::Real]);
static WRITE: Statement = Statement::new("write", "insert into t (id) values ($1)", &[Kind::Int]);
static SLOW_WRITE: Statement =
    Statement::new("slow write", "insert into t (id) select $1 from pg_sleep(20)", &[Kind::Int]);

fn config(url: &str) -> PostgresConfig {
    let mut config = PostgresConfig::new(url.parse().unwrap());
    config.connect_timeout = Duration::from_millis(1_000);
    config.acquire_timeout = Duration::from_millis(500);
    config.statement_timeout = Duration::from_millis(1_000);
    config
}

async fn open(config: PostgresConfig) -> Result<Database, StoreError> {
    Database::open(DatabaseConfig::Postgres(config), StoreMetrics::noop()).await
}

async fn refused(url: &str, expect: &str) -> StoreError {
    let begun = Instant::now();
    let error = open(config(url)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(expect), "{text}");
    assert!(!text.contains("s3cret") && !text.contains("wr0ng") && !text.contains('\n'), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    error
}

async fn status_when(db: &Database, wanted: impl Fn(&DatabaseStatus) -> bool) -> DatabaseStatus {
    let mut status = db.status();
    let reached = status.wait_for(wanted);
    let found = tokio::time::timeout(Duration::from_secs(20), reached).await.expect("within 20 s");
    found.unwrap().clone()
}

/// A server of the test's own; `None` where there is none.
async fn server(options: ServerOptions) -> Option<PostgresServer> {
    tokio::task::spawn_blocking(move || PostgresServer::start(&options)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_or_login_is_one_clear_line() {
    let Some(server) = server(ServerOptions { password: true, ..Default::default() }).await else { return };
    server.create_database("shop").await;
    let port = server.port();
    open(config(&server.url("shop"))).await.unwrap();
    let at = |user: &str, database: &str| format!("postgres://{user}@127.0.0.1:{port}/{database}");
    let error = refused(&at("kite:wr0ng", "shop"), "password authentication failed for user").await;
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}/shop")), "{error}");
    refused(&at("nobody:s3cret", "shop"), "password authentication failed").await;
    refused(&at("kite:s3cret", "nowhere"), "database \"nowhere\" does not exist").await;
    let error = refused("postgres://kite:s3cret@127.0.0.1:1/shop", "Connection refused").await;
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    refused("postgres://kite:s3cret@no-such-host.invalid/shop", "lookup address").await;
    let tls = refused(&format!("{}?sslmode=require", at("kite:s3cret", "shop")), "TLS").await;
    assert!(matches!(tls, StoreError::Unavailable { .. }), "{tls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_answers_within_the_acquire_timeout() {
    let Some(test) = testing::postgres().await else { return };
    let DatabaseConfig::Postgres(mut config) = test.config.clone() else { unreachable!() };
    (config.max_connections, config.acquire_timeout) = (2, Duration::from_millis(200));
    let db = open(config).await.unwrap();
    let busy = || db.query(&SLEEP, [1.0.into()]);
    let late = async {
        tokio::task::yield_now().await;
        let begun = Instant::now();
        let outcome = db.query(&ONE, []).await;
        (begun.elapsed(), outcome)
    };
    let (first, second, (took, outcome)) = tokio::join!(busy(), busy(), late);
    assert!(first.is_ok() && second.is_ok());
    let waited = Duration::from_millis(200);
    assert_eq!(outcome, Err(StoreError::PoolExhausted { waited }));
    assert!(took < Duration::from_millis(900), "{took:?}");
    assert!(db.status().borrow().is_up(), "a busy pool is not a database that is down");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_remains_of_a_write_that_took_too_long() {
    for test in [testing::postgres().await, testing::pgbouncer().await].into_iter().flatten() {
        static MAKE: Statement = Statement::new("make", "create table t (id bigint primary key)", &[]);
        static COUNT: Statement = Statement::new("count", "select count(*) from t", &[]);
        test.db.execute(&MAKE, []).await.unwrap();
        let short = test.db.with_timeout(Duration::from_millis(150));
        let late = short.execute(&SLOW_WRITE, [1_i64.into()]).await.unwrap_err();
        assert!(matches!(late, StoreError::Timeout { answered: true, .. }), "{late:?}");
        let atomic = Atomic::new().execute(&WRITE, [2_i64.into()]).execute(&SLOW_WRITE, [3_i64.into()]);
        let late = short.atomic(atomic).await.unwrap_err();
        assert!(matches!(late, StoreError::Timeout { answered: true, .. }), "{late:?}");
        let count = test.db.query(&COUNT, []).await.unwrap();
        assert_eq!(count[0].int(0).unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_noticed_and_found_again() {
    let Some(mut server) = server(ServerOptions { flush: true, ..Default::default() }).await else { return };
    let test = fresh_on(&server).await;
    let db = test.db.clone();
    let watched = db.clone();
    let mut health = tokio::task::JoinSet::new();
    health.spawn(async move { watched.watch_health(Duration::from_millis(100)).await });
    let mut server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    let down = status_when(&db, |status| !status.is_up()).await;
    assert!(!down.down.as_deref().unwrap_or_default().contains('\n'), "{down:?}");
    let begun = Instant::now();
    let error = db.query(&ONE, []).await.unwrap_err();
    assert!(error.is_unavailable() && begun.elapsed() < Duration::from_secs(4), "{error:?}");
    let _server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    let up = status_when(&db, DatabaseStatus::is_up).await;
    assert!(up.since > down.since);
    db.query(&ONE, []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_noticed_and_found_again() {
    let Some(server) = server(ServerOptions::default()).await else { return };
    let test = fresh_on(&server).await;
    let DatabaseConfig::Postgres(frozen) = test.config.clone() else { unreachable!() };
    let db = open(PostgresConfig { statement_timeout: Duration::from_millis(500), ..frozen }).await.unwrap();
    server.signal("STOP");
    let begun = Instant::now();
    let error = db.query(&ONE, []).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout { .. }) && error.is_unavailable(), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    server.signal("CONT");
    let watched = db.clone();
    let mut health = tokio::task::JoinSet::new();
    health.spawn(async move { watched.watch_health(Duration::from_millis(100)).await });
    status_when(&db, DatabaseStatus::is_up).await;
    db.query(&ONE, []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_is_noticed_and_every_connection_made_anew() {
    let Some(server) = testing::server().await else { return };
    let proxy = Proxy::start(server.port()).await;
    let url = format!("postgres://admin@127.0.0.1:{}/postgres", proxy.port());
    let db =
        open(PostgresConfig { statement_timeout: Duration::from_millis(300), ..config(&url) }).await.unwrap();
    for bad in [Network::BlackHole, Network::Deaf, Network::Cut] {
        // Eight idle connections, each of which would be met.
        let calls = (0..8).map(|_| db.query(&SLEEP, [0.05.into()]));
        assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
        proxy.set(bad);
        let begun = Instant::now();
        let error = db.query(&ONE, []).await.unwrap_err();
        assert!(error.is_unavailable(), "{bad:?} {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{bad:?} {:?}", begun.elapsed());
        assert!(!db.status().borrow().is_up(), "{bad:?} {error:?}");
        proxy.set(Network::Good);
        if bad == Network::Cut {
            // Its connections are closed, which each call finds out by itself at most once.
            let _ = db.probe().await;
        }
        // The first call is on a new connection: none of the eight dead ones is tried.
        db.query(&ONE, []).await.unwrap_or_else(|error| panic!("{bad:?} {error}"));
        assert!(db.status().borrow().is_up());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_loses_its_server_is_an_error_that_passes() {
    let Some(mut server) = server(ServerOptions { flush: true, ..Default::default() }).await else { return };
    let Some(pooler) = PgBouncer::start(&server, "server_login_retry = 1\nquery_wait_timeout = 2") else {
        return;
    };
    server.create_database("shop").await;
    let db = open(config(&pooler.url("shop"))).await.unwrap();
    let mut server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    let error = db.query(&ONE, []).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let _server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    let watched = db.clone();
    let mut health = tokio::task::JoinSet::new();
    health.spawn(async move { watched.watch_health(Duration::from_millis(200)).await });
    status_when(&db, DatabaseStatus::is_up).await;
    db.query(&ONE, []).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_has_the_grades_of_libpq() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    std::fs::write(&ours, authority_certificate.pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
    std::fs::write(&others, other.cert.pem()).unwrap();
    let tls = Some((certificate.pem(), server_key.serialize_pem()));
    let Some(server) = server(ServerOptions { tls, ..Default::default() }).await else { return };
    let url = |host: &str, mode: &str, roots: &str| {
        format!("postgres://admin@{host}:{}/postgres?sslmode={mode}{roots}", server.port())
    };
    let with = |file: &std::path::Path| format!("&sslrootcert={}", file.display());
    static IS_ENCRYPTED: Statement =
        Statement::new("ssl", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]);
    for (url, encrypted) in [
        (url("localhost", "disable", ""), false),
        (url("localhost", "prefer", ""), true),
        (url("127.0.0.1", "require", ""), true),
        (url("127.0.0.1", "verify-ca", &with(&ours)), true),
        (url("localhost", "verify-full", &with(&ours)), true),
    ] {
        let db = open(config(&url)).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let rows = db.query(&IS_ENCRYPTED, []).await.unwrap();
        assert_eq!(rows[0].bool(0).unwrap(), encrypted, "{url}");
        // A cancel goes the same way.
        let late =
            db.with_timeout(Duration::from_millis(150)).query(&SLEEP, [20.0.into()]).await.unwrap_err();
        assert!(matches!(late, StoreError::Timeout { answered: true, .. }), "{url}: {late:?}");
    }
    refused(&url("localhost", "verify-full", ""), "invalid peer certificate").await;
    refused(&url("127.0.0.1", "verify-full", &with(&ours)), "certificate not valid for name").await;
    refused(&url("localhost", "verify-ca", &with(&others)), "invalid peer certificate").await;
    refused(&url("localhost", "require", &with(&others)), "invalid peer certificate").await;
    refused(&url("localhost", "verify-full", "&sslrootcert=/nowhere.pem"), "sslrootcert /nowhere.pem").await;
}
