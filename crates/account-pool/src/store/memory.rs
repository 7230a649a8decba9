//! Accounts that live as long as the process. Behaves as the SQL store does; the contract suite holds both to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{AccountStore, Reseal, StoredAccount, StoredToken};
use crate::error::AccountError;

/// An [`AccountStore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryAccountStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: BTreeMap<String, StoredAccount>,
    tokens: BTreeMap<String, StoredToken>,
}

impl MemoryAccountStore {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn at_version(&self, name: &str, expected: i64) -> Result<(), AccountError> {
        let found = self.accounts.get(name).map(|stored| stored.version);
        if found == Some(expected) {
            return Ok(());
        }
        Err(AccountError::Stale { account: name.to_owned(), expected, found })
    }

    fn key_owner(&self, digest: &[u8], except: &str) -> Option<&str> {
        let owner =
            self.accounts.iter().find(|(name, stored)| *name != except && stored.api_key_digest == digest);
        owner.map(|(name, _)| name.as_str())
    }
}

impl AccountStore for MemoryAccountStore {
    async fn list(&self) -> Result<Vec<StoredAccount>, AccountError> {
        Ok(self.lock().accounts.values().cloned().collect())
    }

    async fn insert(&self, accounts: &[StoredAccount]) -> Result<(), AccountError> {
        let mut inner = self.lock();
        let before = inner.accounts.clone();
        for stored in accounts {
            let name = stored.account.name.as_str();
            let problem = if inner.accounts.contains_key(name) {
                Some("the name is taken".to_owned())
            } else {
                let owner = inner.key_owner(&stored.api_key_digest, name);
                owner.map(|owner| format!("account `{owner}` has this api_key"))
            };
            if let Some(taken_by) = problem {
                inner.accounts = before;
                return Err(AccountError::Taken { account: name.to_owned(), taken_by });
            }
            inner.accounts.insert(name.to_owned(), StoredAccount { version: 1, ..stored.clone() });
        }
        Ok(())
    }

    async fn update(&self, stored: &StoredAccount) -> Result<i64, AccountError> {
        let mut inner = self.lock();
        let name = stored.account.name.as_str();
        inner.at_version(name, stored.version)?;
        if let Some(owner) = inner.key_owner(&stored.api_key_digest, name) {
            let taken_by = format!("account `{owner}` has this api_key");
            return Err(AccountError::Taken { account: name.to_owned(), taken_by });
        }
        let version = stored.version + 1;
        inner.accounts.insert(name.to_owned(), StoredAccount { version, ..stored.clone() });
        Ok(version)
    }

    async fn remove(&self, name: &str, version: i64) -> Result<(), AccountError> {
        let mut inner = self.lock();
        inner.at_version(name, version)?;
        inner.accounts.remove(name);
        inner.tokens.remove(name);
        Ok(())
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>, AccountError> {
        Ok(self.lock().tokens.values().cloned().collect())
    }

    async fn put_token(&self, token: &StoredToken) -> Result<bool, AccountError> {
        let mut inner = self.lock();
        if inner.tokens.get(&token.account).is_some_and(|kept| kept.obtained > token.obtained) {
            return Ok(false);
        }
        inner.tokens.insert(token.account.clone(), token.clone());
        Ok(true)
    }

    async fn remove_token(&self, account: &str) -> Result<(), AccountError> {
        self.lock().tokens.remove(account);
        Ok(())
    }

    async fn reseal(&self, reseal: &Reseal) -> Result<(), AccountError> {
        let mut inner = self.lock();
        for stored in &reseal.accounts {
            inner.at_version(stored.account.name.as_str(), stored.version)?;
        }
        for (token, old) in &reseal.tokens {
            if inner.tokens.get(&token.account).is_none_or(|kept| kept.sealed != *old) {
                return Err(AccountError::Stale { account: token.account.clone(), expected: 0, found: None });
            }
        }
        for stored in &reseal.accounts {
            let version = stored.version + 1;
            let name = stored.account.name.to_string();
            inner.accounts.insert(name, StoredAccount { version, ..stored.clone() });
        }
        for (token, _) in &reseal.tokens {
            inner.tokens.insert(token.account.clone(), token.clone());
        }
        Ok(())
    }
}
