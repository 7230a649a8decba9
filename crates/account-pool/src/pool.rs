//! The accounts in use, each with its token, its limits and its breaker.

mod order;
mod read;
mod session;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use market_model::Clock;
use metrics::Recorder;
use resilience::{BreakerConfig, CircuitBreaker};

pub use order::{OrderCall, OrderLease, OrderRefused};
pub use read::{NotReady, ReadCall, ReadError, ReadFailure, ReadLease, ReadScope, ReadVerdict};
pub use session::{Keeping, TokenKeeper};
pub use status::{AccountStatus, ClassStatus};

use crate::account::{Account, AccountName};
use crate::board::TokenBoard;
use crate::error::AccountError;
use crate::life::LifeConfig;
use crate::login::{LoginConfig, LoginDesk};
use crate::metrics::{AccountMetrics, PaceMetrics};
use crate::pace::{DayCounts, OrderBudget, PaceClass, PaceConfig, Pacer};

/// How accounts are used.
#[derive(Debug, Clone, Default)]
pub struct PoolConfig {
    /// The broker's limits.
    pub pace: PaceConfig,
    /// When tokens die.
    pub life: LifeConfig,
    /// Where logins happen.
    pub login: LoginConfig,
    /// When an account that keeps failing is left alone.
    pub breaker: BreakerConfig,
}

/// What a pool works with.
pub struct PoolParts {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where metrics of accounts, which come and go, are registered.
    pub recorder: Arc<dyn Recorder + Send + Sync>,
    /// Orders of the day.
    pub counts: Arc<dyn DayCounts>,
    /// Where tokens are kept for the next start; each is told of every token.
    pub keepers: Vec<Arc<dyn TokenKeeper>>,
}

/// The accounts in use. Shared by reference.
pub struct AccountPool {
    config: PoolConfig,
    parts: PoolParts,
    board: Arc<TokenBoard>,
    desk: LoginDesk,
    members: RwLock<BTreeMap<AccountName, Arc<Member>>>,
    /// Order limits by trading account. They live as long as an account or an order uses them.
    budgets: Mutex<BTreeMap<String, Weak<OrderBudget>>>,
}

/// One account in use.
struct Member {
    account: Arc<Account>,
    pacer: Pacer,
    breaker: Arc<CircuitBreaker>,
    metrics: AccountMetrics,
}

// === impl AccountPool ===

impl AccountPool {
    /// Without accounts.
    pub fn new(config: PoolConfig, parts: PoolParts) -> Self {
        let board = Arc::new(TokenBoard::new(Arc::clone(&parts.clock), config.life));
        let desk = LoginDesk::new(config.login.clone());
        Self { config, parts, board, desk, members: RwLock::default(), budgets: Mutex::default() }
    }

    /// The tokens of all accounts; tickers watch it.
    pub fn board(&self) -> &Arc<TokenBoard> {
        &self.board
    }

    /// Uses exactly these accounts from now on. An account that stays keeps its token and what it has used of its
    /// limits; one whose API key changed begins without a token. Tokens that come with an account are handed over.
    ///
    /// # Errors
    /// The first token that cannot be one; every account is in use nevertheless.
    pub fn set_accounts(&self, accounts: &[Account]) -> Result<(), AccountError> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|name, _| {
            let stays = accounts.iter().any(|account| account.name == *name);
            if !stays {
                self.board.remove(name.as_str());
            }
            stays
        });
        let mut problem = None;
        for account in accounts {
            let known = members.get(&account.name);
            if known.is_some_and(|member| member.account.api_key != account.api_key) {
                self.board.remove(account.name.as_str());
            }
            // A source repeats its token at each refresh; only a new one is news, else it would push out the token of a
            // login made since.
            let known_token = known.filter(|member| member.account.api_key == account.api_key);
            let known_token = known_token.and_then(|member| member.account.secrets.access_token.clone());
            let member = self.member(account, known);
            self.board.add(&account.name, member.metrics.clone());
            members.insert(account.name.clone(), Arc::new(member));
            if let Some(token) =
                account.secrets.access_token.as_ref().filter(|token| known_token.as_ref() != Some(token))
            {
                let obtained = account.secrets.token_obtained;
                if let Err(error) = self.board.hand_over(account.name.as_str(), token.clone(), obtained) {
                    problem.get_or_insert(error);
                }
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// [`AccountError::Unknown`].
    pub fn account(&self, name: &str) -> Result<Arc<Account>, AccountError> {
        self.find(name).map(|member| Arc::clone(&member.account))
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.all().iter().map(|member| Arc::clone(&member.account)).collect()
    }

    /// Gives reserved orders of the day back, at an orderly end.
    ///
    /// # Cancel safety
    /// What was not given back counts as used.
    pub async fn close(&self) {
        let budgets: Vec<Arc<OrderBudget>> = self.budgets().values().filter_map(Weak::upgrade).collect();
        for budget in budgets {
            budget.close().await;
        }
    }

    fn member(&self, account: &Account, known: Option<&Arc<Member>>) -> Member {
        let account = Arc::new(account.clone());
        if let Some(known) = known.filter(|known| {
            known.account.api_key == account.api_key
                && known.account.trading_account == account.trading_account
        }) {
            let Member { pacer, breaker, metrics, .. } = &**known;
            return Member {
                account,
                pacer: pacer.clone(),
                breaker: Arc::clone(breaker),
                metrics: metrics.clone(),
            };
        }
        let name = account.name.as_str();
        let metrics = AccountMetrics::register(&self.parts.recorder, name);
        let pacer = Pacer::new(
            &self.config.pace,
            Arc::clone(&self.parts.clock),
            self.budget(&account.trading_account),
            |class| PaceMetrics::register(&self.parts.recorder, name, class),
        );
        let breaker = Arc::new(CircuitBreaker::new(self.config.breaker, metrics.breaker.clone()));
        Member { account, pacer, breaker, metrics }
    }

    /// The order limits of a trading account, shared by all its apps.
    fn budget(&self, trading_account: &str) -> Arc<OrderBudget> {
        let mut budgets = self.budgets();
        budgets.retain(|_, budget| budget.strong_count() > 0);
        if let Some(budget) = budgets.get(trading_account).and_then(Weak::upgrade) {
            return budget;
        }
        let budget = Arc::new(OrderBudget::new(
            trading_account,
            &self.config.pace,
            Arc::clone(&self.parts.clock),
            Arc::clone(&self.parts.counts),
            PaceMetrics::register(&self.parts.recorder, trading_account, PaceClass::Orders),
        ));
        budgets.insert(trading_account.to_owned(), Arc::downgrade(&budget));
        budget
    }

    fn find(&self, name: &str) -> Result<Arc<Member>, AccountError> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.get(name).cloned().ok_or_else(|| AccountError::Unknown(name.to_owned()))
    }

    fn all(&self) -> Vec<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn budgets(&self) -> MutexGuard<'_, BTreeMap<String, Weak<OrderBudget>>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for AccountPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountPool").field("board", &self.board).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
