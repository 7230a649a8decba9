//! Where accounts come from: the environment, a file, the database, a user service. All behind one trait.

mod draft;
mod environment;
mod file;
mod merge;
mod service;
mod yaml;

use std::pin::Pin;

pub use environment::{EnvironmentAccount, EnvironmentSource};
pub use file::{FileSource, Variables};
pub use merge::{AccountDirectory, Merged, Refreshed, merge};
pub use service::{FetchAnswer, FetchJson, FetchRequest, ServiceConfig, ServiceSource};

use crate::account::{Account, AccountLimits};
use crate::error::AccountError;

/// Values for what an account does not say itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDefaults {
    /// REST address of accounts that name none.
    pub rest_url: String,
    /// Ticker address of accounts that name none.
    pub ticker_url: String,
    /// What the broker allows accounts that do not say it.
    pub limits: AccountLimits,
}

/// What a source said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The accounts, in the order of the source.
    pub accounts: Vec<Account>,
    /// Something the operator should know although there are accounts, such as that they are yesterday's.
    pub warning: Option<String>,
}

/// The future of [`AccountSource::load`].
pub type Loading<'a> = Pin<Box<dyn Future<Output = Result<Loaded, AccountError>> + Send + 'a>>;

/// One place that accounts come from.
pub trait AccountSource: Send + Sync + 'static {
    /// How it is called in reports.
    fn name(&self) -> String;

    /// Reads all accounts there are now.
    ///
    /// # Errors
    /// [`AccountError::Source`] with every mistake in one go, [`AccountError::Unreachable`], or a database error.
    fn load(&self) -> Loading<'_>;
}

// === impl AccountDefaults ===

impl Default for AccountDefaults {
    /// Kite's own addresses and limits.
    fn default() -> Self {
        Self {
            rest_url: "https://api.kite.trade".to_owned(),
            ticker_url: "wss://ws.kite.trade".to_owned(),
            limits: AccountLimits::default(),
        }
    }
}

impl Loaded {
    /// Accounts with nothing to say about them.
    pub fn new(accounts: Vec<Account>) -> Self {
        Self { accounts, warning: None }
    }
}

#[cfg(test)]
mod tests;
