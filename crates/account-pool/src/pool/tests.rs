//! Reads go where they are answered, orders only where they are sent, and tokens are found again after a restart.

use std::time::Duration;

use market_model::UnixNanos;
use metrics_util::debugging::DebuggingRecorder;
use tokio::time::{Instant, advance};

use super::*;
use crate::pace::{MemoryDayCounts, OrderKind, PaceError, ReadClass};
use crate::secret::Secret;
use crate::store::{AccountBook, MemoryAccountStore};
use crate::testing::{RuntimeClock, ScriptedLogin, account};
use crate::token_file::TokenFiles;
use crate::vault::{MasterKey, Vault};

/// 2026-11-20 09:00 IST.
const NINE: UnixNanos = UnixNanos::from_secs(1_795_145_400);
const SECOND: Duration = Duration::from_secs(1);

fn pool_with(accounts: &[Account], keepers: Vec<Arc<dyn TokenKeeper>>) -> AccountPool {
    let mut config = PoolConfig::default();
    config.pace.guard = Duration::ZERO;
    config.pace.backoff.jitter = 0.0;
    config.breaker.failures_to_open = 2;
    let parts = PoolParts {
        clock: Arc::new(RuntimeClock::starting_at(NINE)),
        recorder: Arc::new(DebuggingRecorder::new()),
        counts: Arc::new(MemoryDayCounts::default()),
        keepers,
    };
    let pool = AccountPool::new(config, parts);
    pool.set_accounts(accounts).unwrap();
    pool
}

/// Accounts with a token each.
fn pool(names: &[&str]) -> AccountPool {
    let accounts: Vec<Account> = names.iter().map(|name| with_token(name)).collect();
    pool_with(&accounts, Vec::new())
}

fn with_token(name: &str) -> Account {
    let mut account = account(name);
    account.secrets.access_token = Some(Secret::new(format!("t-{name}")));
    account
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}")]
struct Said(ReadVerdict);

impl ReadFailure for Said {
    fn verdict(&self) -> ReadVerdict {
        self.0
    }
}

const FAILING: Said = Said(ReadVerdict::Failing);
const THROTTLED: Said = Said(ReadVerdict::Throttled { retry_after: None });

fn market(class: ReadClass) -> ReadCall {
    let scope = ReadScope::Market { simulated: true };
    ReadCall { class, scope, deadline: Instant::now() + SECOND / 10, most_accounts: 3 }
}

/// Makes a read that fails on the accounts named and answers the account that did not, and all that were asked.
async fn read(
    pool: &AccountPool,
    call: &ReadCall,
    fails: &[(&str, Said)],
) -> (Result<String, String>, Vec<String>) {
    let asked = Mutex::new(Vec::new());
    let answer = pool
        .read(call, |lease| {
            let name = lease.account.name.to_string();
            assert_eq!(lease.token.expose(), format!("t-{name}"));
            asked.lock().unwrap().push(name.clone());
            let failure = fails.iter().find(|(failing, _)| *failing == name).map(|(_, said)| said.clone());
            async move { failure.map_or(Ok(name), Err) }
        })
        .await;
    (answer.map_err(|error| error.to_string()), asked.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn reads_spread_over_accounts() {
    let pool = pool(&["a", "b", "c"]);
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(read(&pool, &market(ReadClass::Quote), &[]).await.0.unwrap());
    }
    assert_eq!(answered, ["a", "b", "c"]);
    // One a second each: the fourth would have to wait too long.
    let (answer, asked) = read(&pool, &market(ReadClass::Quote), &[]).await;
    assert!(answer.unwrap_err().contains("no account can be asked") && asked.is_empty());
    advance(SECOND).await;
    assert!(read(&pool, &market(ReadClass::Quote), &[]).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_goes_on_to_each_other_account_once() {
    let pool = pool(&["a", "b", "c", "d"]);
    let call = market(ReadClass::Other);
    let (answer, asked) = read(&pool, &call, &[("a", FAILING), ("b", THROTTLED)]).await;
    assert_eq!((answer.unwrap().as_str(), asked.len()), ("c", 3));
    let all = ["a", "b", "c", "d"].map(|name| (name, FAILING));
    let (answer, asked) = read(&pool, &call, &all).await;
    assert_eq!(asked.len(), 3, "more accounts were tried than allowed");
    assert!(answer.unwrap_err().contains("after 3 tried"));
    let mut unique = asked.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), asked.len(), "an account was asked twice");
    // What is wrong with the call itself is wrong everywhere.
    let pool = self::pool(&["a", "b"]);
    let (answer, asked) = read(&pool, &call, &[("a", Said(ReadVerdict::Final))]).await;
    assert!(answer.is_err() && asked == ["a"], "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_class_rests_and_a_failing_account_too() {
    let pool = pool(&["a", "b"]);
    read(&pool, &market(ReadClass::Other), &[("a", THROTTLED)]).await.0.unwrap();
    for _ in 0..5 {
        assert_eq!(read(&pool, &market(ReadClass::Other), &[]).await.1, ["b"]);
    }
    assert_eq!(read(&pool, &market(ReadClass::Historical), &[]).await.1, ["a"]);
    advance(2 * SECOND).await;
    for _ in 0..2 {
        read(&pool, &market(ReadClass::Other), &[("a", FAILING), ("b", FAILING)]).await.0.unwrap_err();
    }
    let (answer, asked) = read(&pool, &market(ReadClass::Other), &[]).await;
    assert!(answer.unwrap_err().contains("`a` failed too often lately") && asked.is_empty());
    assert_eq!(pool.status()[0].breaker, "open");
    advance(6 * SECOND).await;
    read(&pool, &market(ReadClass::Other), &[]).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_learnt_from_a_read() {
    let pool = pool(&["a", "b"]);
    let dead = Said(ReadVerdict::TokenRefused);
    assert_eq!(read(&pool, &market(ReadClass::Other), &[("a", dead)]).await.0.unwrap(), "b");
    assert_eq!(pool.board().view("a").unwrap().state.as_str(), "refused");
    let status = &pool.status()[0];
    assert!(!status.ready && status.token_left.is_none());
    let call = OrderCall {
        account: AccountName::new("a").unwrap(),
        kind: OrderKind::Place,
        orders: 1,
        deadline: Instant::now() + SECOND,
    };
    let refused = pool.order(&call).await.unwrap_err();
    assert!(matches!(refused, OrderRefused::Token { state: "refused", .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn live_and_simulated_never_stand_in_for_each_other() {
    let live = Account { simulated: false, ..with_token("live") };
    let off = Account { enabled: false, ..with_token("off") };
    let pool = pool_with(&[with_token("sim"), live, off], Vec::new());
    let call = ReadCall { scope: ReadScope::Market { simulated: false }, ..market(ReadClass::Other) };
    let (answer, asked) = read(&pool, &call, &[("live", FAILING)]).await;
    assert!(answer.is_err() && asked == ["live"], "{asked:?}");
    let only = |name: &str| ReadCall {
        scope: ReadScope::Only(AccountName::new(name).unwrap()),
        ..market(ReadClass::Other)
    };
    let (answer, asked) = read(&pool, &only("sim"), &[("sim", FAILING)]).await;
    assert!(answer.is_err() && asked == ["sim"], "{asked:?}");
    assert!(read(&pool, &only("off"), &[]).await.0.unwrap_err().contains("is disabled"));
    assert!(read(&pool, &only("nobody"), &[]).await.0.unwrap_err().contains("there is none"));
}

#[tokio::test(start_paused = true)]
async fn priority_and_weight_are_obeyed() {
    let first = Account { priority: 0, ..with_token("z") };
    let heavy = Account { priority: 1, weight: 3, ..with_token("h") };
    let light = Account { priority: 1, weight: 1, ..with_token("l") };
    let pool = pool_with(&[first, heavy, light], Vec::new());
    let mut asked = Vec::new();
    for _ in 0..18 {
        asked.extend(read(&pool, &market(ReadClass::Other), &[]).await.1);
    }
    let count = |name: &str| asked.iter().filter(|asked| *asked == name).count();
    assert_eq!((count("z"), count("h"), count("l")), (10, 6, 2), "{asked:?}");
}

// === orders ===

#[tokio::test(start_paused = true)]
async fn two_apps_of_one_user_share_the_order_limits() {
    let mut accounts = [with_token("a"), with_token("b")];
    for account in &mut accounts {
        account.trading_account = "AB1234".to_owned();
    }
    let pool = pool_with(&accounts, Vec::new());
    let call = |name: &str| OrderCall {
        account: AccountName::new(name).unwrap(),
        kind: OrderKind::Place,
        orders: 1,
        deadline: Instant::now() + SECOND / 2,
    };
    for _ in 0..5 {
        for name in ["a", "b"] {
            let lease = pool.order(&call(name)).await.unwrap();
            assert_eq!(lease.account.name.as_str(), name);
            lease.permit.sent().answered();
        }
    }
    let refused = pool.order(&call("b")).await.unwrap_err();
    assert!(matches!(refused, OrderRefused::Pace(PaceError::TooLate { .. })), "{refused}");
    // A refresh of the accounts forgets nothing of it.
    pool.set_accounts(&accounts).unwrap();
    assert!(pool.order(&call("a")).await.is_err());
    assert_eq!(pool.status()[1].orders.day_used, 10);
    assert!(matches!(pool.order(&call("x")).await, Err(OrderRefused::Unknown(_))));
}

// === tokens ===

#[tokio::test(start_paused = true)]
async fn tokens_are_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = MasterKey::generate().unwrap();
    let book = Arc::new(AccountBook::new(MemoryAccountStore::default(), Vault::new(key)));
    let files = TokenFiles::within(folder.path());
    let keepers = |files: bool| -> Vec<Arc<dyn TokenKeeper>> {
        let mut keepers: Vec<Arc<dyn TokenKeeper>> = vec![book.clone()];
        if files {
            keepers.push(Arc::new(TokenFiles::within(folder.path())));
        }
        keepers
    };
    let login = ScriptedLogin::default();
    let pool = pool_with(&[account("a"), account("b")], keepers(true));
    let start = pool.begin_login("a").unwrap();
    let query = format!("status=success&request_token=rt&state={}", start.state.expose());
    assert_eq!(pool.finish_login(&login, &query).await.unwrap().as_str(), "a");
    pool.hand_over("b", Secret::new("tb"), None).await.unwrap();

    for use_files in [true, false] {
        let again = pool_with(&[account("a"), account("b")], keepers(use_files));
        assert_eq!(again.restore().await, Vec::<String>::new());
        assert_eq!(again.board().view("a").unwrap().token, Some(Secret::new("token-for-rt")));
        assert_eq!(again.board().view("b").unwrap().token, Some(Secret::new("tb")));
    }
    pool.log_out(&login, "a").await.unwrap();
    assert_eq!((login.logged_out(), pool.board().view("a").unwrap().token), (1, None));
    assert_eq!(files.read(&account("a")).unwrap(), None);
    let again = pool_with(&[account("a"), account("b")], keepers(true));
    again.restore().await;
    assert_eq!(again.board().view("a").unwrap().token, None);
    // Another app of the same name begins without a token.
    let other = Account { api_key: Secret::new("new-key"), ..account("b") };
    pool.set_accounts(std::slice::from_ref(&other)).unwrap();
    assert_eq!(pool.board().view("b").unwrap().token, None);
    assert!(pool.board().view("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_repeats_its_token_does_not_push_out_a_newer_one() {
    let pool = pool(&["a"]);
    pool.exchange(&ScriptedLogin::default(), "a", &Secret::new("rt")).await.unwrap();
    advance(SECOND).await;
    pool.set_accounts(&[Account { weight: 2, ..with_token("a") }]).unwrap();
    assert_eq!(pool.board().view("a").unwrap().token, Some(Secret::new("token-for-rt")));
    let mut newer = with_token("a");
    newer.secrets.access_token = Some(Secret::new("t-new"));
    pool.set_accounts(&[newer]).unwrap();
    assert_eq!(pool.board().view("a").unwrap().token, Some(Secret::new("t-new")));
}
