//! Tokens come in by hand-over and by login, and are kept for the next start.

use std::pin::Pin;
use std::sync::Arc;

use market_model::UnixNanos;

use super::AccountPool;
use crate::account::{Account, AccountName};
use crate::error::AccountError;
use crate::life::Generation;
use crate::login::{AutoLogin, KiteLogin, LoginStart, NewSession, WebLogin};
use crate::secret::Secret;
use crate::store::{AccountBook, AccountStore};
use crate::token_file::{KeptToken, TokenFiles};

/// The future of a [`TokenKeeper`]'s methods.
pub type Keeping<'a, T> = Pin<Box<dyn Future<Output = Result<T, AccountError>> + Send + 'a>>;

/// Where tokens outlive the process: files, the database.
pub trait TokenKeeper: Send + Sync + 'static {
    /// Keeps `kept` for `account`.
    ///
    /// # Errors
    /// What kept it from being kept; the token is in use nevertheless.
    fn keep<'a>(&'a self, account: &'a Account, kept: &'a KeptToken) -> Keeping<'a, ()>;

    /// What is kept for `accounts`, in their order.
    ///
    /// # Errors
    /// What kept it from being read.
    fn kept<'a>(&'a self, accounts: &'a [Arc<Account>]) -> Keeping<'a, Vec<Option<KeptToken>>>;

    /// Forgets the token of `account`.
    ///
    /// # Errors
    /// What kept it from being forgotten.
    fn forget<'a>(&'a self, account: &'a AccountName) -> Keeping<'a, ()>;
}

impl AccountPool {
    /// Takes a token that was got elsewhere (API, CLI) and keeps it. Without `obtained` a person hands it over now, and it
    /// is tried even when it is the one held already.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], or a text that cannot be a token.
    pub async fn hand_over(
        &self,
        name: &str,
        token: Secret,
        obtained: Option<UnixNanos>,
    ) -> Result<Generation, AccountError> {
        let account = self.account(name)?;
        let generation = match obtained {
            Some(_) => self.board.hand_over(name, token.clone(), obtained)?,
            None => self.board.exchanged(name, token.clone())?,
        };
        let obtained = obtained.unwrap_or_else(|| self.parts.clock.now());
        // An older token than the one held was not taken, so it is not kept either.
        if self.board.view(name).is_some_and(|view| view.token.as_ref() == Some(&token)) {
            self.keep(&account, KeptToken { token, obtained }).await;
        }
        Ok(generation)
    }

    /// Begins a login by redirect: send the user to the address that comes back.
    ///
    /// # Errors
    /// As [`crate::LoginDesk::begin`].
    pub fn begin_login(&self, name: &str) -> Result<LoginStart, AccountError> {
        self.desk.begin(&*self.account(name)?)
    }

    /// Finishes a login with the query string of the redirect.
    ///
    /// # Errors
    /// As [`crate::LoginDesk::recognise`] and [`crate::LoginDesk::exchange`].
    ///
    /// # Cancel safety
    /// The request token counts as used.
    pub async fn finish_login(
        &self,
        login: &impl KiteLogin,
        query: &str,
    ) -> Result<AccountName, AccountError> {
        let redirect = self.desk.recognise(query)?;
        self.exchange(login, redirect.account.as_str(), &redirect.request_token).await?;
        Ok(redirect.account)
    }

    /// Exchanges a request token that the operator copied from a redirect.
    ///
    /// # Errors
    /// As [`crate::LoginDesk::exchange`].
    ///
    /// # Cancel safety
    /// The request token counts as used.
    pub async fn exchange(
        &self,
        login: &impl KiteLogin,
        name: &str,
        request_token: &Secret,
    ) -> Result<Generation, AccountError> {
        let account = self.account(name)?;
        let session = self.desk.exchange(login, &account, request_token).await?;
        self.take(&account, session).await
    }

    /// Logs an account in without a human; see [`AutoLogin`] for what that means.
    ///
    /// # Errors
    /// As [`AutoLogin::log_in`].
    ///
    /// # Cancel safety
    /// As [`AutoLogin::log_in`].
    pub async fn log_in_automatically<W: WebLogin>(
        &self,
        automatic: &AutoLogin<W>,
        login: &impl KiteLogin,
        name: &str,
    ) -> Result<Generation, AccountError> {
        let account = self.account(name)?;
        let session = automatic.log_in(&self.desk, login, &account).await?;
        self.take(&account, session).await
    }

    /// Ends the session at the broker and forgets the token. The token is not used any more even when the broker cannot
    /// be told.
    ///
    /// # Errors
    /// [`AccountError::Login`] when the broker could not be told.
    pub async fn log_out(&self, login: &impl KiteLogin, name: &str) -> Result<(), AccountError> {
        let account = self.account(name)?;
        let Some(view) = self.board.view(name) else { return Ok(()) };
        self.board.logged_out(name, view.generation);
        for keeper in &self.parts.keepers {
            if let Err(error) = keeper.forget(&account.name).await {
                tracing::warn!(account = name, %error, "a token that was logged out is still kept");
            }
        }
        let Some(token) = view.token else { return Ok(()) };
        login.log_out(&account, &token).await.map_err(|refused| {
            let words = crate::secret::scrub(&refused.to_string(), [&token, &account.api_key]);
            AccountError::Login {
                account: name.to_owned(),
                problem: format!("the logout was not confirmed: {words}"),
            }
        })
    }

    /// Takes up the tokens that were kept, newest first; answers what could not be read, in words.
    pub async fn restore(&self) -> Vec<String> {
        let accounts = self.accounts();
        let mut notices = Vec::new();
        for keeper in &self.parts.keepers {
            let kept = match keeper.kept(&accounts).await {
                Ok(kept) => kept,
                Err(error) => {
                    notices.push(error.to_string());
                    continue;
                }
            };
            for (account, kept) in accounts.iter().zip(kept) {
                let Some(KeptToken { token, obtained }) = kept else { continue };
                if let Err(error) = self.board.hand_over(account.name.as_str(), token, Some(obtained)) {
                    notices.push(error.to_string());
                }
            }
        }
        notices
    }

    async fn take(&self, account: &Account, session: NewSession) -> Result<Generation, AccountError> {
        let token = session.access_token;
        let generation = self.board.exchanged(account.name.as_str(), token.clone())?;
        self.keep(account, KeptToken { token, obtained: self.parts.clock.now() }).await;
        Ok(generation)
    }

    async fn keep(&self, account: &Account, kept: KeptToken) {
        for keeper in &self.parts.keepers {
            if let Err(error) = keeper.keep(account, &kept).await {
                tracing::warn!(account = %account.name, %error, "the token is in use, but a restart needs a login");
            }
        }
    }
}

impl TokenKeeper for TokenFiles {
    /// A small file; the executor is held up for as long as the disk takes, once a day and account.
    fn keep<'a>(&'a self, account: &'a Account, kept: &'a KeptToken) -> Keeping<'a, ()> {
        Box::pin(async move { self.write(account, kept) })
    }

    fn kept<'a>(&'a self, accounts: &'a [Arc<Account>]) -> Keeping<'a, Vec<Option<KeptToken>>> {
        Box::pin(async move {
            let read = |account: &Arc<Account>| {
                self.read(account).unwrap_or_else(|error| {
                    // One bad file costs one login, not all tokens.
                    tracing::warn!(account = %account.name, %error, "a kept token is not used");
                    None
                })
            };
            Ok(accounts.iter().map(read).collect())
        })
    }

    fn forget<'a>(&'a self, account: &'a AccountName) -> Keeping<'a, ()> {
        Box::pin(async move { self.remove(account) })
    }
}

impl<S: AccountStore> TokenKeeper for AccountBook<S> {
    fn keep<'a>(&'a self, account: &'a Account, kept: &'a KeptToken) -> Keeping<'a, ()> {
        Box::pin(self.keep_token(account, kept))
    }

    fn kept<'a>(&'a self, accounts: &'a [Arc<Account>]) -> Keeping<'a, Vec<Option<KeptToken>>> {
        Box::pin(self.kept_tokens(accounts))
    }

    fn forget<'a>(&'a self, account: &'a AccountName) -> Keeping<'a, ()> {
        Box::pin(self.forget_token(account))
    }
}
