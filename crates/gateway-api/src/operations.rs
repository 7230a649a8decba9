//! What an operator asks of the whole gateway beyond the feed: accounts, instruments, subscriptions, the plan.

mod handlers;

use std::future::Future;
use std::pin::Pin;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Refusal;

pub(crate) use handlers::{
    add_account, add_subscription, callback, change_subscription, changes, instances, instrument,
    list_accounts, login, plan, refresh_instruments, remove_account, remove_subscription, search, strikes,
    subscriptions, unbar_account,
};

/// Carries out what the door is asked for.
pub trait Operations: Send + Sync + 'static {
    /// Answers the JSON that stands under `data`.
    ///
    /// # Cancel safety
    /// A client that goes away drops the future: what was begun must be complete or not have happened.
    fn carry_out(&self, operation: Operation) -> OperationFuture;
}

/// The answer to an [`Operation`], on its way.
pub type OperationFuture = Pin<Box<dyn Future<Output = Result<Value, OperationError>> + Send>>;

/// What can be asked for. Every text comes from outside and is not checked yet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Every account: its token, who streams it, what it carries.
    Accounts,
    /// Keeps one more account in the database.
    AddAccount(NewAccount),
    /// Takes an account out of the database.
    RemoveAccount {
        /// Its name.
        account: String,
    },
    /// Lets an account log in by itself again after it was barred from it.
    UnbarAccount {
        /// Its name.
        account: String,
    },
    /// Where a browser has to go to log in to an account: `{"url"}`.
    LoginAddress {
        /// Its name.
        account: String,
    },
    /// The broker sent the browser back.
    FinishLogin(LoginAnswer),
    /// What matches the words.
    SearchInstruments {
        /// Parts of a symbol or a name.
        words: String,
        /// At most this many.
        limit: usize,
    },
    /// One instrument by token or `EXCHANGE:TRADINGSYMBOL`, today or on a day.
    Instrument {
        /// Token or symbol.
        symbol: String,
        /// `YYYY-MM-DD`.
        as_of: Option<String>,
    },
    /// The strikes of one expiry of an underlying.
    Strikes {
        /// The name derivatives carry.
        underlying: String,
        /// `YYYY-MM-DD`; the nearest one when absent.
        expiry: Option<String>,
        /// This many on each side of the money; all when absent.
        around: Option<usize>,
    },
    /// What the last dump changed.
    InstrumentChanges,
    /// Asks the broker for the dump now.
    RefreshInstruments,
    /// Every wish.
    Subscriptions,
    /// One more wish.
    AddSubscription(WishBody),
    /// Another text, mode or priority for a wish, if it still has that version.
    ChangeSubscription {
        /// Its number.
        id: String,
        /// The version the caller has seen.
        version: u64,
        /// What it shall be.
        wish: WishBody,
    },
    /// A wish less.
    RemoveSubscription {
        /// Its number.
        id: String,
        /// The version the caller has seen; any when absent.
        version: Option<u64>,
    },
    /// Which account carries how much; with a symbol, why that one is where it is.
    Plan {
        /// Token or symbol.
        symbol: Option<String>,
    },
    /// The instances that share the database, and what each holds.
    Instances,
}

/// An account to keep.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Kite's API key.
    pub api_key: String,
    /// Signs the session exchange; needed to log in by the page.
    #[serde(default)]
    pub api_secret: Option<String>,
    /// The user's password, only for logins without a human.
    #[serde(default)]
    pub password: Option<String>,
    /// The seed of the user's second factor, only for logins without a human.
    #[serde(default)]
    pub totp_seed: Option<String>,
    /// Whether it logs in by itself, at the operator's own risk; needs password, seed, user id and API secret.
    #[serde(default)]
    pub automatic_login: bool,
    /// Addresses that its orders may come from.
    #[serde(default)]
    pub registered_addresses: Vec<String>,
    /// The broker's user id.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Share of the instruments it should carry, 1 when absent.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Where its REST API is, the usual place when absent.
    #[serde(default)]
    pub rest_url: Option<String>,
    /// Where its ticker is, the usual place when absent.
    #[serde(default)]
    pub ticker_url: Option<String>,
    /// Whether those addresses are a simulator.
    #[serde(default)]
    pub simulated: bool,
}

/// A wish as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishBody {
    /// As in `GATEWAY_SUBSCRIBE`: `NIFTY:2:20:full`, `NSE:INFY:quote`, `NSE:*:ltp`.
    pub wish: String,
    /// Who wants it; `api` when absent.
    #[serde(default)]
    pub owner: Option<String>,
    /// Wishes of a higher number keep their place when there is too little room; 0 when absent.
    #[serde(default)]
    pub priority: Option<i32>,
    /// The account that should carry it, if it can.
    #[serde(default)]
    pub account: Option<String>,
}

/// The query of the broker's redirect, as it came. Prints without its content.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginAnswer(pub String);

/// Why an operation was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// It makes no sense, and what would.
    #[error("{0}")]
    Input(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Somebody else changed it meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// Nothing is wrong with it, but what it needs does not answer; nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// The broker said no.
    #[error("{0}")]
    Refused(String),
}

/// A door in front of nothing: it refuses every operation.
#[derive(Debug, Clone, Copy)]
pub struct NoOperations;

// === impl NoOperations ===

impl Operations for NoOperations {
    fn carry_out(&self, _operation: Operation) -> OperationFuture {
        Box::pin(async { Err(OperationError::NotFound("this gateway does not have that".to_owned())) })
    }
}

// === impl NewAccount, LoginAnswer ===

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LoginAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginAnswer([redacted])")
    }
}

impl From<OperationError> for Refusal {
    fn from(error: OperationError) -> Self {
        let message = error.to_string();
        match error {
            OperationError::Input(_) => Self::input(message),
            OperationError::NotFound(_) => Self::not_found(message),
            OperationError::Conflict(_) => Self::conflict(message),
            OperationError::Unavailable(_) => Self::unavailable(message),
            OperationError::Refused(_) => Self::upstream(message),
        }
    }
}
