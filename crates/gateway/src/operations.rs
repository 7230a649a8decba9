//! What an operator asks for over HTTP, carried out on the parts.

mod accounts;
mod instruments;
mod plan;
mod subscriptions;

use std::sync::Arc;

use account_pool::{AccountDefaults, AccountDirectory, AccountError, AccountPool};
use feed_control::ControlHandle;
use gateway_api::{
    ControlError, Elsewhere, FeedControl, LatestValues, Operation, OperationError, OperationFuture,
    Operations,
};
use instrument_registry::{Registry, RegistryError, SqlHistory};
use market_model::Clock;
use serde_json::Value;
use sql_store::Database;
use subscription_store::{SqlSubscriptionStore, WishError};
use tracing::info;

use crate::adapters::broker::Broker;
use crate::automatic::AutomaticLogins;
use crate::fleet::{ReloadAccounts, Roster};
use crate::health::Health;
use crate::tokens::Book;

/// Everything that can be asked or told.
pub(crate) struct Parts {
    pub(crate) directory: Arc<AccountDirectory>,
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) book: Option<Arc<Book>>,
    pub(crate) broker: Broker,
    pub(crate) automatic: Arc<AutomaticLogins>,
    pub(crate) reload: ReloadAccounts,
    pub(crate) roster: Roster,
    pub(crate) registry: Registry,
    pub(crate) history: SqlHistory,
    pub(crate) wishes: Arc<SqlSubscriptionStore>,
    pub(crate) control: ControlHandle,
    pub(crate) database: Database,
    pub(crate) latest: Arc<LatestValues>,
    pub(crate) elsewhere: Arc<dyn Elsewhere>,
    pub(crate) health: Arc<Health>,
    pub(crate) instance: Arc<str>,
    pub(crate) defaults: AccountDefaults,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Carries out what the doors are asked for. Clones share the parts.
#[derive(Clone)]
pub(crate) struct Commands {
    parts: Arc<Parts>,
}

// === impl Commands ===

impl Commands {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }
}

impl Operations for Commands {
    fn carry_out(&self, operation: Operation) -> OperationFuture {
        let parts = self.parts.clone();
        Box::pin(async move { parts.carry_out(operation).await })
    }
}

impl Parts {
    async fn carry_out(&self, operation: Operation) -> Result<Value, OperationError> {
        match operation {
            Operation::Accounts => Ok(self.accounts()),
            Operation::AddAccount(account) => self.add_account(account).await,
            Operation::RemoveAccount { account } => self.remove_account(&account).await,
            Operation::UnbarAccount { account } => self.unbar(&account).await,
            Operation::LoginAddress { account } => self.login_address(&account),
            Operation::FinishLogin(answer) => self.finish_login(&answer.0).await,
            Operation::SearchInstruments { words, limit } => Ok(self.search(&words, limit)),
            Operation::Instrument { symbol, as_of } => self.instrument(&symbol, as_of.as_deref()).await,
            Operation::Strikes { underlying, expiry, around } => {
                self.strikes(&underlying, expiry.as_deref(), around).await
            }
            Operation::InstrumentChanges => Ok(self.instrument_changes()),
            Operation::RefreshInstruments => self.refresh_instruments().await,
            Operation::Subscriptions => self.subscriptions().await,
            Operation::AddSubscription(wish) => self.add_subscription(wish).await,
            Operation::ChangeSubscription { id, version, wish } => {
                self.change_subscription(&id, version, wish).await
            }
            Operation::RemoveSubscription { id, version } => self.remove_subscription(&id, version).await,
            Operation::Plan { symbol: None } => Ok(self.plan()),
            Operation::Plan { symbol: Some(symbol) } => self.explain(&symbol),
            Operation::Instances => self.instances().await,
            _ => Err(OperationError::NotFound("this gateway does not have that".to_owned())),
        }
    }
}

impl FeedControl for Commands {
    fn renew_token<'a>(&'a self, account: &'a str, access_token: &'a str) -> gateway_api::Renewing<'a> {
        Box::pin(self.parts.hand_over(account, access_token))
    }

    fn reconnect(&self, account: &str, connection: Option<u8>) -> Result<(), ControlError> {
        let feed = self.parts.roster.feed(account);
        let feed = feed.ok_or_else(|| ControlError::UnknownAccount(account.to_owned()))?;
        info!(account, connection, "reconnect asked for");
        if feed.reconnect(connection) {
            return Ok(());
        }
        let connection = connection.unwrap_or_default();
        Err(ControlError::UnknownConnection { account: account.to_owned(), connection })
    }
}

fn of_account(error: AccountError) -> OperationError {
    let text = error.to_string();
    match error {
        AccountError::Unknown(_) => OperationError::NotFound(text),
        AccountError::Taken { .. } | AccountError::Stale { .. } => OperationError::Conflict(text),
        AccountError::Store(_) | AccountError::Unreachable { .. } => OperationError::Unavailable(text),
        _ => OperationError::Input(text),
    }
}

fn of_wish(error: &WishError) -> OperationError {
    let text = error.to_string();
    match error {
        WishError::NotFound { .. } => OperationError::NotFound(text),
        WishError::Stale { .. } | WishError::AlreadyExists { .. } => OperationError::Conflict(text),
        error if error.is_callers() => OperationError::Input(text),
        _ => OperationError::Unavailable(text),
    }
}

fn of_registry(error: &RegistryError) -> OperationError {
    OperationError::Unavailable(error.to_string())
}
