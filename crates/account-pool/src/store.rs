//! Accounts in a database: rows with sealed secrets, versions, and today's tokens beside them.
//!
//! A store keeps what it is given and never sees a secret; [`AccountBook`] seals and opens.

mod book;
mod memory;
mod sql;

use std::collections::BTreeMap;

pub use book::{AccountBook, FernetAccount, Rekeyed, StoredVersion};
pub use memory::MemoryAccountStore;
pub use sql::{SCHEMA, SqlAccountStore};

use crate::account::{Account, SecretField};
use crate::error::AccountError;
use crate::vault::SealedSecret;

/// One account as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccount {
    /// Goes up by one with each change.
    pub version: i64,
    /// Everything but the secrets: those in here are empty.
    pub account: Account,
    /// SHA-256 of the API key, so that no key is stored twice.
    pub api_key_digest: Vec<u8>,
    /// The secrets; the API key is always among them, the access token never.
    pub sealed: BTreeMap<SecretField, SealedSecret>,
}

/// The token of one account as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Whose.
    pub account: String,
    /// SHA-256 of the API key it belongs to.
    pub api_key_digest: Vec<u8>,
    /// The token.
    pub sealed: SealedSecret,
    /// When it was got, in nanoseconds since 1970.
    pub obtained: i64,
}

/// New seals for rows that say otherwise the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reseal {
    /// Rows by name and the version that was read.
    pub accounts: Vec<StoredAccount>,
    /// New seal and the old one that it replaces.
    pub tokens: Vec<(StoredToken, SealedSecret)>,
}

/// Where accounts are kept. All changes are durable when they are answered.
pub trait AccountStore: Send + Sync + 'static {
    /// All accounts, by name.
    ///
    /// # Errors
    /// A database error.
    fn list(&self) -> impl Future<Output = Result<Vec<StoredAccount>, AccountError>> + Send;

    /// Adds accounts, all or none; their versions begin at 1 whatever they say.
    ///
    /// # Errors
    /// [`AccountError::Taken`] when a name or an API key is there already.
    fn insert(&self, accounts: &[StoredAccount]) -> impl Future<Output = Result<(), AccountError>> + Send;

    /// Replaces the account of that name if it still has the version given; answers the new version.
    ///
    /// # Errors
    /// [`AccountError::Stale`], [`AccountError::Taken`] when the API key is another account's.
    fn update(&self, account: &StoredAccount) -> impl Future<Output = Result<i64, AccountError>> + Send;

    /// Removes the account and its token if it still has this version.
    ///
    /// # Errors
    /// [`AccountError::Stale`].
    fn remove(&self, name: &str, version: i64) -> impl Future<Output = Result<(), AccountError>> + Send;

    /// The tokens of all accounts, by name.
    ///
    /// # Errors
    /// A database error.
    fn tokens(&self) -> impl Future<Output = Result<Vec<StoredToken>, AccountError>> + Send;

    /// Keeps a token unless a newer one is kept; answers whether it was.
    ///
    /// # Errors
    /// A database error.
    fn put_token(&self, token: &StoredToken) -> impl Future<Output = Result<bool, AccountError>> + Send;

    /// Forgets the token of an account.
    ///
    /// # Errors
    /// A database error.
    fn remove_token(&self, account: &str) -> impl Future<Output = Result<(), AccountError>> + Send;

    /// Replaces seals, all or none.
    ///
    /// # Errors
    /// [`AccountError::Stale`] when a row changed since it was read; nothing was changed.
    fn reseal(&self, reseal: &Reseal) -> impl Future<Output = Result<(), AccountError>> + Send;
}

impl<S: AccountStore> AccountStore for std::sync::Arc<S> {
    async fn list(&self) -> Result<Vec<StoredAccount>, AccountError> {
        (**self).list().await
    }

    async fn insert(&self, accounts: &[StoredAccount]) -> Result<(), AccountError> {
        (**self).insert(accounts).await
    }

    async fn update(&self, account: &StoredAccount) -> Result<i64, AccountError> {
        (**self).update(account).await
    }

    async fn remove(&self, name: &str, version: i64) -> Result<(), AccountError> {
        (**self).remove(name, version).await
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>, AccountError> {
        (**self).tokens().await
    }

    async fn put_token(&self, token: &StoredToken) -> Result<bool, AccountError> {
        (**self).put_token(token).await
    }

    async fn remove_token(&self, account: &str) -> Result<(), AccountError> {
        (**self).remove_token(account).await
    }

    async fn reseal(&self, reseal: &Reseal) -> Result<(), AccountError> {
        (**self).reseal(reseal).await
    }
}
