//! Logins without a human, for accounts that ask for it: when one is due, how often it is tried, and how it stands.
//!
//! An account logs in by itself while this instance holds its lease and its token is of no use. What the broker refuses is
//! not tried again before an operator says so (`account_pool::AutoLogin`); what it did not answer is tried later and later;
//! and a token that keeps dying, because somebody else logs in to the same app, is fetched anew a few times a day only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use account_pool::{
    Account, AccountError, AccountName, AccountPool, AutoLogin, IstDay, LoginBars, SqlAccountStore,
    TokenState,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use market_model::{Clock, UnixNanos};
use resilience::{Backoff, BackoffConfig, TaskExit};
use sql_store::lease::HeldLeases;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::adapters::broker::Broker;
use crate::adapters::web_login::BrokerPages;
use crate::feed::usable_token;

/// How often accounts are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// One login, which may have to wait for two fresh codes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens die at a fixed minute; a login right then might get one that dies with the others.
const AFTER_EXPIRY: Duration = Duration::from_secs(300);
/// Between two logins of one account that both brought a token.
const BETWEEN: Duration = Duration::from_secs(60);
/// Logins of one account that bring a token, a day.
const MOST_A_DAY: u32 = 8;
/// After a login that brought nothing.
const AGAIN: BackoffConfig = BackoffConfig {
    initial: Duration::from_secs(60),
    max: Duration::from_secs(900),
    multiplier: 2.0,
    jitter: 0.2,
};
/// A password that is on its way at the end may still be answered; cut off, it would bar the account.
const FINISH: Duration = Duration::from_secs(2);

/// Logs accounts in by themselves. Shared by reference.
pub(crate) struct AutomaticLogins {
    login: AutoLogin<BrokerPages>,
    pool: Arc<AccountPool>,
    broker: Broker,
    held: watch::Receiver<HeldLeases>,
    clock: Arc<dyn Clock>,
    tries: Mutex<HashMap<AccountName, Tries>>,
    store: SqlAccountStore,
    /// The bars in the database; `None` until they were read once.
    shared: Mutex<Option<BTreeMap<AccountName, String>>>,
    wake: Notify,
}

/// What was tried for one account.
struct Tries {
    backoff: Backoff,
    last: Option<Last>,
    day: IstDay,
    logins: u32,
    problem: Option<String>,
}

/// The last login, and how long it is left at that.
struct Last {
    at: UnixNanos,
    wait: Duration,
}

/// How the automatic login of an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AutomaticStatus {
    /// `on`, `waiting`, `stopped` or `barred`.
    pub(crate) state: &'static str,
    /// What went wrong last, and what to do.
    pub(crate) problem: Option<String>,
}

// === impl AutomaticLogins ===

impl AutomaticLogins {
    pub(crate) fn new(
        pages: BrokerPages,
        bars: LoginBars,
        broker: Broker,
        store: SqlAccountStore,
        held: watch::Receiver<HeldLeases>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let login = AutoLogin::new(pages, clock.clone(), bars, PATIENCE);
        let pool = broker.pool.clone();
        let (tries, shared, wake) = (Mutex::default(), Mutex::default(), Notify::new());
        Self { login, pool, broker, held, clock, tries, store, shared, wake }
    }

    /// Logs in what is due, until `stop`; what is under way then gets a moment to end.
    pub(crate) async fn run(&self, stop: CancellationToken) -> TaskExit {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut warned, mut running) = (BTreeSet::new(), BTreeSet::new());
        let mut logins = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(name) = logins.next(), if !logins.is_empty() => {
                    running.remove(&name);
                    continue;
                }
                () = self.wake.notified() => {}
                _ = looks.tick() => {}
            }
            let accounts = self.pool.accounts();
            let automatic: Vec<_> = accounts.iter().filter(|account| account.automatic_login).collect();
            if automatic.is_empty() {
                continue;
            }
            self.read_bars().await;
            for account in automatic {
                if warned.insert(account.name.clone()) {
                    self.warn(account);
                }
                if !running.contains(&account.name) && self.is_due(account) {
                    running.insert(account.name.clone());
                    logins.push(self.log_in(account.name.clone()));
                }
            }
        }
        let _ = timeout(FINISH, async { while logins.next().await.is_some() {} }).await;
        TaskExit::Cancelled
    }

    /// The operator corrected what was refused: the account may try again, now.
    ///
    /// # Errors
    /// When the bar cannot be taken away.
    pub(crate) async fn unbar(&self, account: &AccountName) -> Result<(), AccountError> {
        self.store.unbar_login(account).await?;
        self.login.unbar(account)?;
        if let Some(bars) = &mut *self.shared() {
            bars.remove(account);
        }
        self.tries().remove(account);
        self.wake.notify_one();
        Ok(())
    }

    /// How it stands; `None` for an account that does not log in by itself.
    pub(crate) fn status(&self, account: &Account) -> Option<AutomaticStatus> {
        if !account.automatic_login {
            return None;
        }
        if let Some(reason) = self.barred(&account.name) {
            let problem = format!("{reason}; correct it and run `accounts unbar {}`", account.name);
            return Some(AutomaticStatus { state: "barred", problem: Some(problem) });
        }
        let tries = self.tries();
        let Some(known) = tries.get(&account.name) else {
            return Some(AutomaticStatus { state: "on", problem: None });
        };
        let now = self.clock.now();
        let state = match known.problem {
            _ if known.is_used_up(IstDay::of(now)) => "stopped",
            Some(_) if known.waits(now) => "waiting",
            _ => "on",
        };
        // What was wrong yesterday, or before a wait that is over, is not what is wrong now.
        let problem = known.problem.clone().filter(|_| state != "on");
        Some(AutomaticStatus { state, problem })
    }

    /// Why an operator must act first: here, or on any instance that shares the database.
    fn barred(&self, account: &AccountName) -> Option<String> {
        let shared = || self.shared().as_ref().and_then(|bars| bars.get(account).cloned());
        self.login.barred(account).or_else(shared)
    }

    /// A database that does not answer leaves what was known.
    async fn read_bars(&self) {
        match self.store.login_bars().await {
            Ok(bars) => *self.shared() = Some(bars),
            Err(error) => debug!(%error, "login bars of other instances are not seen"),
        }
    }

    /// Tells every instance; the bar on the disk stays for as long as the database does not have it.
    async fn share_bar(&self, account: &AccountName) {
        let Some(reason) = self.login.barred(account) else { return };
        let shared = self.store.bar_login(account, &reason).await;
        if let Some(bars) = &mut *self.shared() {
            bars.insert(account.clone(), reason);
        }
        if let Err(error) = shared.and_then(|()| self.login.unbar(account)) {
            warn!(%account, %error, "other instances do not know that automatic login is barred");
        }
    }

    fn warn(&self, account: &Arc<Account>) {
        AutoLogin::<BrokerPages>::warn(&[Account::clone(account)]);
        if let Some(reason) = self.barred(&account.name) {
            warn!(
                account = %account.name,
                reason,
                "automatic login is barred since an earlier run; correct it and run `accounts unbar`"
            );
        }
    }

    fn is_due(&self, account: &Account) -> bool {
        let name = account.name.as_str();
        if !account.enabled || !self.held.borrow().contains_key(name) {
            return false;
        }
        let Some(view) = self.pool.board().view(name) else { return false };
        let now = self.clock.now();
        let just_expired = matches!(view.state, TokenState::Expired { since } if now < since + AFTER_EXPIRY);
        if just_expired
            || usable_token(account, &view).is_some()
            || self.shared().is_none()
            || self.barred(&account.name).is_some()
        {
            return false;
        }
        let tries = self.tries();
        tries.get(&account.name).is_none_or(|known| !known.is_used_up(IstDay::of(now)) && !known.waits(now))
    }

    /// One login; answers whose it was.
    async fn log_in(&self, name: AccountName) -> AccountName {
        let done = self.pool.log_in_automatically(&self.login, &self.broker, name.as_str()).await;
        self.share_bar(&name).await;
        let now = self.clock.now();
        let today = IstDay::of(now);
        let mut tries = self.tries();
        let known = tries.entry(name.clone()).or_insert_with(|| Tries::new(&name, today));
        if known.day != today {
            (known.day, known.logins) = (today, 0);
        }
        let wait = match done {
            Ok(generation) => {
                known.logins += 1;
                known.backoff.reset();
                known.problem = known.is_used_up(today).then(|| {
                    format!(
                        "it has logged in by itself {MOST_A_DAY} times today and each token died; look who else logs in to this app, then run `accounts unbar {name}`"
                    )
                });
                info!(account = %name, generation = generation.0, today = known.logins, "logged in without a human");
                BETWEEN
            }
            Err(error) => {
                let wait = known.backoff.next();
                if self.barred(&name).is_none() {
                    warn!(account = %name, %error, again_in_s = wait.as_secs(), "automatic login");
                }
                known.problem = Some(error.to_string());
                wait
            }
        };
        known.last = Some(Last { at: now, wait });
        drop(tries);
        name
    }

    fn shared(&self) -> MutexGuard<'_, Option<BTreeMap<AccountName, String>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tries(&self) -> MutexGuard<'_, HashMap<AccountName, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Tries ===

impl Tries {
    fn new(name: &AccountName, day: IstDay) -> Self {
        // Accounts that failed together come back one by one.
        let seed = name
            .as_str()
            .bytes()
            .fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self { backoff: Backoff::new(AGAIN, seed), last: None, day, logins: 0, problem: None }
    }

    /// A clock that was set back must not make anybody wait for it.
    fn waits(&self, now: UnixNanos) -> bool {
        self.last.as_ref().is_some_and(|last| now >= last.at && now < last.at + last.wait)
    }

    fn is_used_up(&self, today: IstDay) -> bool {
        self.day == today && self.logins >= MOST_A_DAY
    }
}
