//! What every account store does in the same way: memory, the embedded file, Postgres. One list of cases, run on each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use account_pool::testing::account;
use account_pool::{
    Account, AccountBook, AccountError, AccountSource, AccountStore, DayCounts, FernetAccount, FernetKey,
    IstDay, KeptToken, MasterKey, MemoryAccountStore, MemoryDayCounts, Rekeyed, SCHEMA, Secret, SecretField,
    SqlAccountStore, Vault,
};
use market_model::UnixNanos;
use sql_store::testing::{self, TestDatabase};

macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(std::sync::Arc::new(super::MemoryAccountStore::default())).await;
            })+
        }
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let database = super::testing::embedded().await;
                super::$case(super::sql(&database).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(database) = super::testing::postgres().await {
                    super::$case(super::sql(&database).await).await;
                }
            })+
        }
    };
}

contract!(
    accounts_come_back_as_they_went_in,
    changes_need_the_version,
    one_key_is_one_account,
    tokens_are_kept,
    keys_are_changed,
    a_wrong_key_names_all_and_opens_none,
    fernet_is_taken_over
);

async fn sql(database: &TestDatabase) -> std::sync::Arc<SqlAccountStore> {
    sql_store::migrate(&database.db, &[SCHEMA]).await.unwrap();
    std::sync::Arc::new(SqlAccountStore::new(database.db.clone()))
}

fn key(fill: u8) -> MasterKey {
    let text: String = std::iter::repeat_n(format!("{fill:02x}"), 32).collect();
    MasterKey::parse(&Secret::new(text)).unwrap()
}

fn full(name: &str) -> Account {
    let mut account = account(name);
    account.user_id = Some("AB1234".to_owned());
    account.trading_account = "AB1234".to_owned();
    account.secrets.password = Some(Secret::new("p\u{20b9}ss"));
    account.secrets.totp_seed = Some(Secret::new("GEZDGNBVGY3TQOJQ"));
    account.registered_addresses = vec!["203.0.113.7".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    (account.priority, account.weight, account.enabled, account.automatic_login) = (3, 7, false, true);
    account.origin = "database".to_owned();
    account
}

fn bare(name: &str) -> Account {
    Account {
        secrets: account_pool::AccountSecrets::default(),
        origin: "database".to_owned(),
        ..account(name)
    }
}

async fn accounts_come_back_as_they_went_in<S: AccountStore>(store: std::sync::Arc<S>) {
    let book = AccountBook::new(store, Vault::new(key(1)));
    assert_eq!(book.accounts().await.unwrap(), []);
    book.add(&full("b")).await.unwrap();
    book.add(&bare("a")).await.unwrap();
    let there: Vec<(Account, i64)> =
        book.accounts().await.unwrap().into_iter().map(|stored| (stored.account, stored.version)).collect();
    assert_eq!(there, [(bare("a"), 1), (full("b"), 1)]);
    assert_eq!(book.load().await.unwrap().accounts, [bare("a"), full("b")]);
}

async fn changes_need_the_version<S: AccountStore>(store: std::sync::Arc<S>) {
    let book = AccountBook::new(store, Vault::new(key(1)));
    book.add(&full("a")).await.unwrap();
    let changed = Account { weight: 9, ..full("a") };
    assert_eq!(book.change(&changed, 1).await.unwrap(), 2);
    let stale = book.change(&full("a"), 1).await.unwrap_err();
    assert!(matches!(stale, AccountError::Stale { expected: 1, found: Some(2), .. }), "{stale}");
    assert_eq!(book.accounts().await.unwrap()[0].account, changed);
    let stale = book.remove(&changed.name, 1).await.unwrap_err();
    assert!(matches!(stale, AccountError::Stale { found: Some(2), .. }), "{stale}");
    book.remove(&changed.name, 2).await.unwrap();
    let gone = book.change(&changed, 2).await.unwrap_err();
    assert!(matches!(gone, AccountError::Stale { found: None, .. }), "{gone}");
}

async fn one_key_is_one_account<S: AccountStore>(store: std::sync::Arc<S>) {
    let book = AccountBook::new(store, Vault::new(key(1)));
    book.add(&full("a")).await.unwrap();
    book.add(&full("b")).await.unwrap();
    let same_name = book.add(&Account { api_key: Secret::new("fresh"), ..full("a") }).await.unwrap_err();
    assert!(
        matches!(&same_name, AccountError::Taken { taken_by, .. } if taken_by == "the name is taken"),
        "{same_name}"
    );
    let thief = Account { api_key: full("a").api_key, ..full("c") };
    for error in [
        book.add(&thief).await.unwrap_err(),
        book.change(&Account { api_key: full("a").api_key, ..full("b") }, 1).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, AccountError::Taken { taken_by, .. } if taken_by.contains("`a` has this api_key")),
            "{error}"
        );
        assert!(!error.to_string().contains("key-of"), "{error}");
    }
    assert_eq!(book.accounts().await.unwrap().len(), 2);
}

async fn tokens_are_kept<S: AccountStore>(store: std::sync::Arc<S>) {
    let book = AccountBook::new(store, Vault::new(key(1)));
    let token = |text: &str, at| KeptToken { token: Secret::new(text), obtained: UnixNanos(at) };
    // Of an account that is not in the database, too.
    let (a, b) = (full("a"), full("b"));
    book.keep_token(&a, &token("t1", 10)).await.unwrap();
    book.keep_token(&a, &token("t2", 20)).await.unwrap();
    book.keep_token(&a, &token("late", 15)).await.unwrap();
    let kept = book.kept_tokens(&[b, a.clone()]).await.unwrap();
    assert_eq!(kept, [None, Some(token("t2", 20))]);
    let other_app = Account { api_key: Secret::new("fresh"), ..a.clone() };
    assert_eq!(book.kept_tokens(&[other_app]).await.unwrap(), [None]);
    book.forget_token(&a.name).await.unwrap();
    assert_eq!(book.kept_tokens(std::slice::from_ref(&a)).await.unwrap(), [None]);
    book.add(&a).await.unwrap();
    book.keep_token(&a, &token("t3", 30)).await.unwrap();
    book.remove(&a.name, 1).await.unwrap();
    assert_eq!(book.kept_tokens(&[a]).await.unwrap(), [None], "a removed account left its token");
}

async fn keys_are_changed<S: AccountStore>(store: std::sync::Arc<S>) {
    let old = AccountBook::new(store.clone(), Vault::new(key(1)));
    let token = KeptToken { token: Secret::new("t"), obtained: UnixNanos(1) };
    for name in ["a", "b"] {
        old.add(&full(name)).await.unwrap();
    }
    old.keep_token(&full("a"), &token).await.unwrap();

    let both = AccountBook::new(store.clone(), Vault::new(key(2)).with_older(key(1)));
    both.add(&full("c")).await.unwrap();
    // Until it is done, the old key reads what it sealed and the vault with both reads everything.
    assert_eq!(both.accounts().await.unwrap().len(), 3);
    assert_eq!(both.rekey().await.unwrap(), Rekeyed { accounts: 2, tokens: 1, kept: 1 });
    assert_eq!(both.rekey().await.unwrap(), Rekeyed { accounts: 0, tokens: 0, kept: 4 });

    let new = AccountBook::new(store, Vault::new(key(2)));
    let there = new.accounts().await.unwrap();
    assert_eq!(
        there.iter().map(|stored| &stored.account).collect::<Vec<_>>(),
        [&full("a"), &full("b"), &full("c")]
    );
    assert_eq!(new.kept_tokens(&[full("a")]).await.unwrap(), [Some(token)]);
    let error = old.accounts().await.unwrap_err().to_string();
    assert!(error.contains("a, b, c cannot be opened"), "{error}");
    // Who read a row before must read it again.
    assert!(matches!(new.change(&full("a"), 1).await, Err(AccountError::Stale { found: Some(2), .. })));
}

async fn a_wrong_key_names_all_and_opens_none<S: AccountStore>(store: std::sync::Arc<S>) {
    let right = AccountBook::new(store.clone(), Vault::new(key(1)));
    right.add(&full("a")).await.unwrap();
    right
        .keep_token(&full("a"), &KeptToken { token: Secret::new("t"), obtained: UnixNanos(1) })
        .await
        .unwrap();
    let wrong = AccountBook::new(store.clone(), Vault::new(key(3)));
    wrong.add(&full("mine")).await.unwrap();
    right.add(&full("b")).await.unwrap();
    for (book, names) in [(&wrong, ["a", "b"].as_slice()), (&right, &["mine"])] {
        let error = book.accounts().await.unwrap_err();
        assert!(matches!(&error, AccountError::CannotOpen(shut) if shut == names), "{error}");
        assert!(matches!(book.rekey().await.unwrap_err(), AccountError::CannotOpen(_)));
    }
    let error = wrong.kept_tokens(&[full("a")]).await.unwrap_err();
    assert!(matches!(&error, AccountError::CannotOpen(shut) if shut == &["a"]), "{error}");
    // A blob moved to another row is damaged, not another key's.
    let mut rows = store.list().await.unwrap();
    let stolen = rows[0].sealed[&SecretField::Password].clone();
    rows[1].sealed.insert(SecretField::Password, stolen);
    store.update(&rows[1]).await.unwrap();
    store.remove("mine", 1).await.unwrap();
    let error = right.accounts().await.unwrap_err().to_string();
    assert!(error.contains("account `b`, password") && error.contains("another account or field"), "{error}");
}

async fn fernet_is_taken_over<S: AccountStore>(store: std::sync::Arc<S>) {
    let book = AccountBook::new(store, Vault::new(key(1)));
    let key = FernetKey::parse(&Secret::new("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")).unwrap();
    let hello = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    let row = |name: &str, blobs: &[(SecretField, &str)]| FernetAccount {
        account: bare(name),
        blobs: blobs.iter().map(|(field, blob)| (*field, (*blob).to_owned())).collect(),
    };
    let broken = [row("a", &[(SecretField::ApiKey, hello)]), row("b", &[(SecretField::ApiSecret, "junk")])];
    let error = book.import_fernet(&key, broken.to_vec()).await.unwrap_err().to_string();
    assert!(
        error.contains("account `b`, api_secret") && error.contains("account `b` has no api_key"),
        "{error}"
    );
    assert_eq!(book.accounts().await.unwrap(), [], "half of an import was taken");
    let good = row("a", &[(SecretField::ApiKey, hello), (SecretField::Password, hello)]);
    assert_eq!(book.import_fernet(&key, vec![good]).await.unwrap(), 1);
    let there = book.accounts().await.unwrap();
    assert_eq!(there[0].account.api_key.expose(), "hello");
    assert_eq!(there[0].account.secrets.password, Some(Secret::new("hello")));
}

// === orders of the day ===

async fn days_are_counted(counts: &dyn DayCounts) {
    let (today, tomorrow) = (IstDay(20_777), IstDay(20_778));
    assert_eq!(counts.add("A", today, 50).await.unwrap(), 50);
    assert_eq!(counts.add("A", today, 7).await.unwrap(), 57);
    assert_eq!(counts.add("B", today, 1).await.unwrap(), 1);
    assert_eq!(counts.add("A", today, -60).await.unwrap(), 0);
    assert_eq!(counts.add("A", tomorrow, -3).await.unwrap(), 0);
    assert_eq!(counts.add("A", tomorrow, 3).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_the_day_on_every_store() {
    days_are_counted(&MemoryDayCounts::default()).await;
    let embedded = testing::embedded().await;
    days_are_counted(&*sql(&embedded).await).await;
    if let Some(postgres) = testing::postgres().await {
        days_are_counted(&*sql(&postgres).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_bars_are_shared() {
    let shares = async |database: &TestDatabase| {
        let (first, second) = (sql(database).await, sql(database).await);
        let (a, b) = (account("a").name, account("b").name);
        first.bar_login(&a, "wrong password").await.unwrap();
        second.bar_login(&a, "wrong code").await.unwrap();
        second.bar_login(&b, "captcha").await.unwrap();
        let bars = first.login_bars().await.unwrap();
        assert_eq!(bars.get(&a).map(String::as_str), Some("wrong code"));
        first.unbar_login(&b).await.unwrap();
        first.unbar_login(&b).await.unwrap();
        assert_eq!(second.login_bars().await.unwrap().into_keys().collect::<Vec<_>>(), [a]);
    };
    shares(&testing::embedded().await).await;
    if let Some(postgres) = testing::postgres().await {
        shares(&postgres).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_over_are_cleared() {
    let forgets = async |database: &TestDatabase| {
        let counts = sql(database).await;
        let days: Vec<IstDay> = (0..30).map(|day| IstDay(20_777 + day)).collect();
        for day in &days {
            counts.add("A", *day, 5).await.unwrap();
        }
        let mut kept = Vec::new();
        for day in &days {
            kept.push(counts.add("A", *day, 0).await.unwrap());
        }
        // The last day and the week before it.
        assert_eq!(kept.iter().filter(|count| **count == 5).count(), 8, "{kept:?}");
        assert_eq!(kept[22..], [5; 8]);
    };
    forgets(&testing::embedded().await).await;
    if let Some(postgres) = testing::postgres().await {
        forgets(&postgres).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_accounts_are_few_statements() {
    let database = testing::embedded().await;
    let store = sql(&database).await;
    let old = AccountBook::new(store.clone(), Vault::new(key(1)));
    for index in 0..30 {
        old.add(&full(&format!("a{index}"))).await.unwrap();
    }
    let both = AccountBook::new(store, Vault::new(key(2)).with_older(key(1)));
    let before = database.db.statements();
    both.accounts().await.unwrap();
    assert_eq!(database.db.statements() - before, 1);
    let before = database.db.statements();
    assert_eq!(both.rekey().await.unwrap().accounts, 30);
    let spent = database.db.statements() - before;
    assert!(spent <= 5, "{spent} statements for one rekey");
}
