//! What every engine does in the same way: the embedded file, Postgres, and Postgres behind PgBouncer in transaction
//! mode. One list of cases, run three times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use sql_store::testing;
use sql_store::{
    Atomic, Database, EngineKind, Kind, Migration, Schema, Statement, StoreError, Value, migrate,
};

const SCHEMA: Schema = Schema {
    name: "contract",
    migrations: &[Migration {
        version: 1,
        name: "tables",
        sql: "create table thing (
                  id bigint primary key,
                  name text not null,
                  weight double precision,
                  body bytea,
                  size bigint not null default 0 constraint size_not_negative check (size >= 0)
              );
              create unique index thing_name on thing (name);
              create table part (
                  id bigint primary key,
                  thing bigint not null constraint part_of_thing references thing (id)
              );",
    }],
};

static INSERT: Statement = Statement::new(
    "insert thing",
    "insert into thing (id, name, weight, body, size) values ($1, $2, $3, $4, $5)",
    &[Kind::Int, Kind::Text, Kind::Real, Kind::Blob, Kind::Int],
);
static SELECT: Statement =
    Statement::new("select things", "select id, name, weight, body, size from thing order by id", &[]);
static ADD: Statement = Statement::new(
    "insert name",
    "insert into thing (id, name) values ($1, $2) on conflict (id) do nothing",
    &[Kind::Int, Kind::Text],
);
static GROW: Statement = Statement::new(
    "grow",
    "update thing set size = size + $1 where id = $2 and size = $3",
    &[Kind::Int, Kind::Int, Kind::Int],
);
static COUNT: Statement = Statement::new("count", "select count(*), coalesce(max(size), 0) from thing", &[]);
static PART: Statement =
    Statement::new("insert part", "insert into part (id, thing) values ($1, $2)", &[Kind::Int, Kind::Int]);

macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let test = sql_store::testing::embedded().await;
                super::run(&test.db, super::$case).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(test) = sql_store::testing::postgres().await else { return };
                super::run(&test.db, super::$case).await;
            })+
        }
        mod pgbouncer {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(test) = sql_store::testing::pgbouncer().await else { return };
                super::run(&test.db, super::$case).await;
            })+
        }
    };
}

contract!(
    types_come_back_as_they_went_in,
    a_value_of_the_wrong_kind_is_not_sent,
    a_broken_rule_has_a_name,
    returning_answers_rows,
    all_or_nothing,
    a_guard_undoes_everything,
    many_rows_are_one_statement,
    rows_past_the_limit_of_one_statement_are_still_one_transaction,
    many_keys_are_asked_for_at_once,
    a_read_in_an_atomic_sees_its_writes,
    concurrent_guards_let_one_through,
    a_dropped_call_leaves_the_database_usable,
    a_long_statement_ends_at_its_limit,
    a_wrong_statement_is_an_error_of_its_own,
    closed_is_closed,
);

async fn run<F: Future<Output = ()>>(db: &Database, case: impl FnOnce(Database) -> F) {
    migrate(db, &[SCHEMA]).await.unwrap();
    case(db.clone()).await;
    // Whatever happened, the status of a database that answers is up.
    db.probe().await.ok();
}

fn thing(id: i64, name: &str) -> Vec<Value> {
    vec![id.into(), name.into(), Value::Null, Value::Null, 0_i64.into()]
}

async fn count(db: &Database) -> i64 {
    db.query(&COUNT, []).await.unwrap()[0].int(0).unwrap()
}

async fn types_come_back_as_they_went_in(db: Database) {
    let long = "x".repeat(2_000);
    let rows: Vec<Vec<Value>> = vec![
        vec![i64::MIN.into(), "".into(), f64::MIN_POSITIVE.into(), Vec::new().into(), i64::MAX.into()],
        vec![
            0_i64.into(),
            "naïve \u{1f980} ' $1 \\ \n".into(),
            (-0.1).into(),
            vec![0, 255, 39].into(),
            1_i64.into(),
        ],
        // An order id of 19 digits, as text would be read as a number by a careless column.
        vec![1_i64.into(), "0012345678901234567890".into(), f64::INFINITY.into(), Value::Null, 0_i64.into()],
        vec![i64::MAX.into(), long.as_str().into(), Value::Null, vec![7; 1 << 20].into(), 0_i64.into()],
    ];
    for row in rows.clone() {
        assert_eq!(db.execute(&INSERT, row).await.unwrap(), 1);
    }
    let found = db.query(&SELECT, []).await.unwrap();
    assert_eq!(found.len(), rows.len());
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(found.values(), row);
    }
    assert_eq!(found[1].text(1).unwrap(), "naïve \u{1f980} ' $1 \\ \n");
    assert_eq!(found[2].opt_blob(3).unwrap(), None);
    assert!(found[1].bool(4).unwrap());
    let wrong = found[2].blob(3).unwrap_err().to_string();
    assert_eq!(wrong, "column 3 of `select things` is null, not blob");
    assert!(found[0].int(9).unwrap_err().to_string().contains("absent"));
}

async fn a_value_of_the_wrong_kind_is_not_sent(db: Database) {
    let sent = db.statements();
    let check = |refused: StoreError, expect: &str| {
        assert!(refused.to_string().contains(expect), "{refused}");
        assert!(!refused.is_unavailable() && !refused.is_retryable());
    };
    check(db.execute(&ADD, [1_i64.into()]).await.unwrap_err(), "takes 2 values");
    check(db.execute(&ADD, ["1".into(), "a".into()]).await.unwrap_err(), "$1 is text");
    check(db.execute(&ADD, [1_i64.into(), "a\0".into()]).await.unwrap_err(), "NUL");
    let mut row = thing(1, "a");
    row[2] = f64::NAN.into();
    check(db.execute(&INSERT, row).await.unwrap_err(), "not a number");
    let short = vec![vec![1_i64.into(), "a".into()], vec![2_i64.into()]];
    check(db.execute_many(&ADD, short).await.unwrap_err(), "takes 2 values");
    assert_eq!(db.statements(), sent);
}

async fn a_broken_rule_has_a_name(db: Database) {
    db.execute(&INSERT, thing(1, "a")).await.unwrap();
    let twice = db.execute(&INSERT, thing(1, "b")).await.unwrap_err();
    assert!(matches!(twice, StoreError::Unique { statement: "insert thing", .. }), "{twice:?}");
    let name = db.execute(&INSERT, thing(2, "a")).await.unwrap_err();
    assert!(name.to_string().contains("name"), "{name}");
    assert!(name.is_conflict() && !name.is_retryable() && !name.is_unavailable());
    let mut small = thing(2, "b");
    small[4] = (-1_i64).into();
    let small = db.execute(&INSERT, small).await.unwrap_err();
    assert!(matches!(&small, StoreError::Check { constraint, .. } if constraint == "size_not_negative"));
    let null = db.execute(&INSERT, [3_i64.into(), Value::Null, Value::Null, Value::Null, 0_i64.into()]).await;
    assert!(matches!(null, Err(StoreError::Check { .. })), "{null:?}");
    let orphan = db.execute(&PART, [1_i64.into(), 99_i64.into()]).await.unwrap_err();
    assert!(matches!(orphan, StoreError::Reference { .. }), "{orphan:?}");
    assert_eq!(count(&db).await, 1);
    assert!(db.status().borrow().is_up());
}

async fn returning_answers_rows(db: Database) {
    static RETURNING: Statement = Statement::new(
        "insert returning",
        "insert into thing (id, name) values ($1, $2) on conflict (id) do nothing returning size, name",
        &[Kind::Int, Kind::Text],
    );
    let rows = db.query(&RETURNING, [1_i64.into(), "a".into()]).await.unwrap();
    assert_eq!((rows[0].int(0).unwrap(), rows[0].text(1).unwrap()), (0, "a"));
    assert!(db.query(&RETURNING, [1_i64.into(), "b".into()]).await.unwrap().is_empty());
    assert_eq!(db.execute(&RETURNING, [2_i64.into(), "b".into()]).await.unwrap(), 1);
}

async fn all_or_nothing(db: Database) {
    let broken = Atomic::new()
        .execute(&INSERT, thing(1, "a"))
        .execute(&PART, [1_i64.into(), 1_i64.into()])
        .execute(&INSERT, thing(1, "again"))
        .execute(&INSERT, thing(2, "b"));
    let refused = db.atomic(broken).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unique { statement: "insert thing", .. }), "{refused:?}");
    assert_eq!(count(&db).await, 0);
    let good = Atomic::new().execute(&INSERT, thing(1, "a")).execute(&PART, [1_i64.into(), 1_i64.into()]);
    let outcome = db.atomic(good).await.unwrap();
    assert_eq!((outcome.changed(0), outcome.changed(1), outcome.changed(2)), (1, 1, 0));
    assert_eq!(db.atomic(Atomic::new()).await.unwrap().changed(0), 0);
}

async fn a_guard_undoes_everything(db: Database) {
    db.execute(&INSERT, thing(1, "a")).await.unwrap();
    let stale = Atomic::new()
        .execute(&INSERT, thing(2, "b"))
        .execute(&GROW, [5_i64.into(), 1_i64.into(), 77_i64.into()])
        .expect_rows(1)
        .execute(&INSERT, thing(3, "c"));
    let refused = db.atomic(stale).await.unwrap_err();
    assert_eq!(refused, StoreError::Conflict { statement: "grow", expected: 1, found: 0 });
    assert_eq!(count(&db).await, 1);
    let fresh = Atomic::new().execute(&GROW, [5_i64.into(), 1_i64.into(), 0_i64.into()]).expect_rows(1);
    assert_eq!(db.atomic(fresh).await.unwrap().changed(0), 1);
}

async fn many_rows_are_one_statement(db: Database) {
    let before = db.statements();
    let rows = (0..5_000_i64).map(|id| vec![id.into(), format!("thing {id}").into()]);
    assert_eq!(db.execute_many(&ADD, rows).await.unwrap(), 5_000);
    assert_eq!(db.statements() - before, 1);
    let again = (4_990..5_010_i64).map(|id| vec![id.into(), format!("thing {id}").into()]);
    assert_eq!(db.execute_many(&ADD, again).await.unwrap(), 10);
    assert_eq!(db.execute_many(&ADD, []).await.unwrap(), 0);
    assert_eq!(db.statements() - before, 2);
    assert_eq!(count(&db).await, 5_010);
}

async fn rows_past_the_limit_of_one_statement_are_still_one_transaction(db: Database) {
    let row = |id: i64| vec![id.into(), format!("thing {id}").into()];
    // The last row breaks a rule: the first 15,000, which went in another statement, are gone too.
    let broken = (0..40_000).map(row).chain([vec![50_000_i64.into(), "thing 7".into()]]);
    let refused = db.execute_many(&ADD, broken).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unique { .. }), "{refused:?}");
    assert_eq!(count(&db).await, 0);
    let before = db.statements();
    assert_eq!(db.execute_many(&ADD, (0..40_000).map(row)).await.unwrap(), 40_000);
    assert_eq!(db.statements() - before, 3);
    assert_eq!(count(&db).await, 40_000);
    let part = Atomic::new().execute_many(&ADD, (30_000..60_000).map(row)).expect_rows(20_000);
    assert_eq!(db.atomic(part).await.unwrap().changed(0), 20_000);
}

async fn many_keys_are_asked_for_at_once(db: Database) {
    static WANTED: Statement = Statement::new(
        "wanted",
        "with wanted (id) as (values ($1)) select t.id, t.name from thing t join wanted w on w.id = t.id order by 1",
        &[Kind::Int],
    );
    static RENAME: Statement = Statement::new(
        "rename",
        "with new (id, name) as (values ($1, $2))
         update thing set name = new.name from new where thing.id = new.id",
        &[Kind::Int, Kind::Text],
    );
    let rows = (0..100_i64).map(|id| vec![id.into(), format!("thing {id}").into()]);
    db.execute_many(&ADD, rows).await.unwrap();
    let renamed = [7_i64, 8, 200].map(|id| vec![id.into(), format!("new {id}").into()]);
    assert_eq!(db.execute_many(&RENAME, renamed).await.unwrap(), 2);
    let found = db.query_many(&WANTED, [8_i64, 300, 9].map(|id| vec![id.into()])).await.unwrap();
    let found: Vec<&str> = found.iter().map(|row| row.text(1).unwrap()).collect();
    assert_eq!(found, ["new 8", "thing 9"]);
}

async fn a_read_in_an_atomic_sees_its_writes(db: Database) {
    let outcome = db
        .atomic(Atomic::new().execute(&INSERT, thing(1, "a")).query(&COUNT, []).expect_rows(1))
        .await
        .unwrap();
    assert_eq!(outcome.rows(1)[0].int(0).unwrap(), 1);
}

async fn concurrent_guards_let_one_through(db: Database) {
    db.execute(&INSERT, thing(1, "a")).await.unwrap();
    // Twenty callers read the same state and want to change it: one at a time wins, nothing is lost.
    for round in 0..10_i64 {
        let tries = (0..20).map(|_| {
            let atomic =
                Atomic::new().execute(&GROW, [1_i64.into(), 1_i64.into(), round.into()]).expect_rows(1);
            let db = db.clone();
            async move { db.atomic(atomic).await }
        });
        let outcomes = futures_util::future::join_all(tries).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        let rest = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(rest.into_iter().all(|error| matches!(error, StoreError::Conflict { .. })), "{outcomes:?}");
    }
}

/// A statement that takes about as long as it is let.
fn slow(db: &Database) -> (&'static Statement, Vec<Value>) {
    static SLEEP: Statement = Statement::new("slow", "select pg_sleep(20)", &[]);
    static LOOP: Statement = Statement::new(
        "slow",
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 400000000) select count(*) from n",
        &[],
    );
    match db.engine() {
        EngineKind::Postgres => (&SLEEP, Vec::new()),
        EngineKind::Embedded => (&LOOP, Vec::new()),
    }
}

async fn a_dropped_call_leaves_the_database_usable(db: Database) {
    let (statement, values) = slow(&db);
    // More than the pool has connections: a connection that came back busy would be met.
    let short = db.with_timeout(Duration::from_secs(2));
    for _ in 0..10 {
        let call = short.query(statement, values.clone());
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    }
    let begun = std::time::Instant::now();
    db.execute(&INSERT, thing(1, "a")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(count(&db).await, 1);
}

async fn a_long_statement_ends_at_its_limit(db: Database) {
    let (statement, values) = slow(&db);
    let (limit, begun) = (Duration::from_millis(200), std::time::Instant::now());
    let late = db.with_timeout(limit).query(statement, values).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(late, StoreError::Timeout { statement: "slow", limit, answered: true, may_have_run: false });
    assert!(late.is_unavailable() && late.is_retryable());
    // It answered that it gave up, so it is not down.
    assert!(db.status().borrow().is_up());
    assert_eq!(count(&db).await, 0);
}

async fn a_wrong_statement_is_an_error_of_its_own(db: Database) {
    static WRONG: Statement = Statement::new("wrong", "select id from nowhere", &[]);
    let wrong = db.query(&WRONG, []).await.unwrap_err();
    assert!(matches!(wrong, StoreError::Statement { statement: "wrong", .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("nowhere") && !wrong.to_string().contains('\n'), "{wrong}");
    assert!(!wrong.is_unavailable() && !wrong.is_retryable());
    let within = Atomic::new().execute(&INSERT, thing(1, "a")).query(&WRONG, []);
    assert!(matches!(db.atomic(within).await, Err(StoreError::Statement { statement: "wrong", .. })));
    assert_eq!(count(&db).await, 0);
}

async fn closed_is_closed(db: Database) {
    db.close().await;
    db.close().await;
    assert_eq!(db.query(&COUNT, []).await.unwrap_err(), StoreError::Closed);
    assert!(!db.status().borrow().is_up());
}

#[tokio::test]
async fn a_bool_and_an_option_are_values() {
    let test = testing::embedded().await;
    static ECHO: Statement = Statement::new("echo", "select $1, $2", &[Kind::Int, Kind::Text]);
    let rows = test.db.query(&ECHO, [true.into(), None::<&str>.into()]).await.unwrap();
    assert!(rows[0].bool(0).unwrap() && rows[0].opt_text(1).unwrap().is_none());
}
