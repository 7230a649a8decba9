//! The contract, on both engines, and what only a database can do wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sql_store::testing::TestDatabase;
use sql_store::{Kind, Statement, migrate};
use subscription_store::contract::LIMITS;
use subscription_store::{
    SCHEMA, SqlSubscriptionStore, SubscriptionStore, WishError, WishId, WishLimits, WishSpec, store_contract,
};

async fn tested(
    database: Option<TestDatabase>,
    limits: WishLimits,
) -> Option<(SqlSubscriptionStore, TestDatabase)> {
    let database = database?;
    migrate(&database.db, &[SCHEMA]).await.expect("migrated");
    Some((SqlSubscriptionStore::new(database.db.clone(), limits), database))
}

mod embedded {
    use super::*;
    store_contract!(tested(Some(sql_store::testing::embedded().await), LIMITS).await);
}

mod postgres {
    use super::*;
    store_contract!(tested(sql_store::testing::postgres().await, LIMITS).await);
}

mod pgbouncer {
    use super::*;
    store_contract!(tested(sql_store::testing::pgbouncer().await, LIMITS).await);
}

#[tokio::test]
async fn a_wish_nobody_can_read_does_not_hide_the_others() {
    static SPOIL: Statement =
        Statement::new("spoil", "update wishes set what = $1 where id = $2", &[Kind::Text, Kind::Text]);
    let (store, database) =
        tested(Some(sql_store::testing::embedded().await), LIMITS).await.expect("embedded");
    let spec = WishSpec::parse("desk", "NIFTY:2w:20").unwrap();
    for name in ["a", "b"] {
        store.create(&WishId::new(name).unwrap(), &spec).await.unwrap();
    }
    database.db.execute(&SPOIL, ["NIFTY:2q:20".into(), "a".into()]).await.unwrap();
    let book = store.load().await.unwrap();
    assert_eq!((book.wishes.len(), book.unreadable.len(), book.generation), (1, 1, 2));
    assert_eq!(&*book.unreadable[0].0, "a");
    let error = store.get(&WishId::new("a").unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("wish `a` cannot be read: the number of expiries"), "{error}");
}

#[tokio::test]
async fn a_poll_is_one_statement_and_a_load_another_however_many_wishes() {
    let limits = WishLimits::default();
    let (store, database) =
        tested(Some(sql_store::testing::embedded().await), limits).await.expect("embedded");
    let spec = WishSpec::parse("desk", "NSE:INFY").unwrap();
    for number in 0..200 {
        store.create(&WishId::new(&format!("w{number}")).unwrap(), &spec).await.unwrap();
    }
    let before = database.db.statements();
    store.generations().await.unwrap();
    assert_eq!(database.db.statements() - before, 1);
    assert_eq!(store.load().await.unwrap().wishes.len(), 200);
    assert_eq!(database.db.statements() - before, 2);
    assert_eq!(store.list(Some("desk")).await.unwrap().len(), 200);
    assert_eq!(database.db.statements() - before, 3);
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_to_be() {
    let (store, database) =
        tested(Some(sql_store::testing::embedded().await), LIMITS).await.expect("embedded");
    database.db.close().await;
    let error = store.generations().await.unwrap_err();
    assert!(matches!(&error, WishError::Unavailable { .. }) && !error.is_callers(), "{error}");
}
