//! Migrations: once each, whole, in order, by however many instances start together.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sql_store::testing::{self, TestDatabase};
use sql_store::{Database, Kind, Migration, Schema, Statement, StoreError, StoreMetrics, migrate};

const ONE: Migration = Migration { version: 1, name: "one", sql: "create table a (x bigint)" };
const TWO: Migration = Migration {
    version: 2,
    name: "two",
    sql: "insert into a (x) values (1); create table b (x bigint);\ninsert into b (x) select x + 1 from a;",
};
const OLD: Schema = Schema { name: "s", migrations: &[ONE] };
const NEW: Schema = Schema { name: "s", migrations: &[ONE, TWO] };
const OTHER: Schema = Schema {
    name: "other",
    migrations: &[Migration { version: 1, name: "one", sql: "create table c (x bigint)" }],
};

static ROWS: Statement = Statement::new("rows", "select count(*), max(x) from b", &[]);
static APPLIED: Statement = Statement::new(
    "applied",
    "select component, version, name, applied_at from schema_migrations order by component, version",
    &[],
);
static TABLES: Statement = Statement::for_engines(
    "table exists",
    "select count(*) from information_schema.tables where table_schema = 'public' and table_name = $1",
    "select count(*) from sqlite_master where type = 'table' and name = $1",
    &[Kind::Text],
);

async fn on_each(run: impl AsyncFn(TestDatabase)) {
    run(testing::embedded().await).await;
    if let Some(test) = testing::postgres().await {
        run(test).await;
    }
    if let Some(test) = testing::pgbouncer().await {
        run(test).await;
    }
}

async fn exists(db: &Database, table: &str) -> bool {
    db.query(&TABLES, [table.into()]).await.unwrap()[0].int(0).unwrap() == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_applied_once_and_in_order() {
    on_each(async |test| {
        migrate(&test.db, &[OLD, OTHER]).await.unwrap();
        migrate(&test.db, &[OLD, OTHER]).await.unwrap();
        migrate(&test.db, &[NEW, OTHER]).await.unwrap();
        let rows = test.db.query(&ROWS, []).await.unwrap();
        assert_eq!((rows[0].int(0).unwrap(), rows[0].int(1).unwrap()), (1, 2));
        let applied = test.db.query(&APPLIED, []).await.unwrap();
        let words: Vec<String> = applied
            .iter()
            .map(|row| format!("{} {} {}", row.text(0).unwrap(), row.int(1).unwrap(), row.text(2).unwrap()))
            .collect();
        assert_eq!(words, ["other 1 one", "s 1 one", "s 2 two"]);
        let at = applied[0].int(3).unwrap();
        assert!((1_600_000_000_000_000..4_000_000_000_000_000).contains(&at), "{at}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_database_is_refused_and_left_alone() {
    on_each(async |test| {
        migrate(&test.db, &[NEW]).await.unwrap();
        let refused = migrate(&test.db, &[OTHER, OLD]).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the database is newer than this program: `s` stands at 2, the program knows 1; start the newer program"
        );
        assert!(!exists(&test.db, "c").await, "nothing was applied before the refusal");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_migration_is_refused() {
    on_each(async |test| {
        migrate(&test.db, &[OLD]).await.unwrap();
        const EDITED: Migration = Migration { sql: "create table a (x bigint, y bigint)", ..ONE };
        let edited = Schema { name: "s", migrations: &[EDITED, TWO] };
        let refused = migrate(&test.db, &[edited]).await.unwrap_err();
        assert_eq!(refused, StoreError::MigrationChanged { component: "s".to_owned(), version: 1 });
        assert!(!exists(&test.db, "b").await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_one_leaves_nothing_of_itself() {
    on_each(async |test| {
        const BROKEN: Migration = Migration {
            version: 2,
            name: "broken",
            sql: "create table half (x bigint); insert into half (x) values (1); insert into nowhere (x) values (1)",
        };
        let refused = migrate(&test.db, &[Schema { name: "s", migrations: &[ONE, BROKEN] }]).await.unwrap_err();
        assert!(matches!(refused, StoreError::Migration { version: 2, .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("migration 2 of `s` failed and was undone") && text.contains("nowhere"), "{text}");
        assert!(exists(&test.db, "a").await && !exists(&test.db, "half").await);
        // The corrected program goes on from there.
        migrate(&test.db, &[NEW]).await.unwrap();
        assert!(exists(&test.db, "b").await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_instances_that_start_together_apply_each_once() {
    for test in [testing::postgres().await, testing::pgbouncer().await].into_iter().flatten() {
        let starts = (0..6).map(|_| {
            let config = test.config.clone();
            async move {
                let db = Database::open(config, StoreMetrics::noop()).await?;
                migrate(&db, &[NEW, OTHER]).await
            }
        });
        for outcome in futures_util::future::join_all(starts).await {
            outcome.unwrap();
        }
        let rows = test.db.query(&ROWS, []).await.unwrap();
        assert_eq!((rows[0].int(0).unwrap(), rows[0].int(1).unwrap()), (1, 2));
        assert_eq!(test.db.query(&APPLIED, []).await.unwrap().len(), 3);
    }
}
