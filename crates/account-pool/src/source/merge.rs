//! Several sources as one list: the first that names an account wins.

use std::sync::{Arc, Mutex, PoisonError};

use super::AccountSource;
use crate::account::{Account, AccountName};
use crate::error::{AccountError, Problems};

/// Accounts of all sources as one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Each name once, in the order of the sources.
    pub accounts: Vec<Account>,
    /// Accounts that gave way to one of the same name, in words.
    pub notices: Vec<String>,
}

/// What a refresh changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// New ones.
    pub added: Vec<AccountName>,
    /// Those that are gone.
    pub removed: Vec<AccountName>,
    /// Those that say something else now.
    pub changed: Vec<AccountName>,
    /// What the operator should know: warnings of sources, accounts that gave way.
    pub notices: Vec<String>,
}

/// All sources in order, and the list they make.
pub struct AccountDirectory {
    sources: Vec<Box<dyn AccountSource>>,
    current: Mutex<Arc<Vec<Account>>>,
}

/// Merges lists, the most important first. Of one name the first account wins.
///
/// # Errors
/// [`AccountError::Source`] naming all accounts that share an API key: the broker's limits and sessions belong to the
/// key, so two accounts on one key would break each other.
pub fn merge(lists: impl IntoIterator<Item = Vec<Account>>) -> Result<Merged, AccountError> {
    let (mut accounts, mut notices, mut problems) = (Vec::<Account>::new(), Vec::new(), Vec::new());
    for account in lists.into_iter().flatten() {
        if let Some(first) = accounts.iter().find(|first| first.name == account.name) {
            notices.push(format!(
                "account `{}` of {} is not used, the one of {} comes first",
                account.name, account.origin, first.origin
            ));
        } else if let Some(other) = accounts.iter().find(|other| other.api_key == account.api_key) {
            problems.push(format!(
                "account `{}` ({}) has the api_key of account `{}` ({}); each key is one account",
                account.name, account.origin, other.name, other.origin
            ));
        } else {
            accounts.push(account);
        }
    }
    if problems.is_empty() {
        Ok(Merged { accounts, notices })
    } else {
        Err(AccountError::Source(Problems(problems)))
    }
}

// === impl AccountDirectory ===

impl AccountDirectory {
    /// Sources, the most important first. Nothing is read yet.
    pub fn new(sources: Vec<Box<dyn AccountSource>>) -> Self {
        Self { sources, current: Mutex::default() }
    }

    /// The accounts as of the last good refresh.
    pub fn accounts(&self) -> Arc<Vec<Account>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads all sources and takes their list as a whole, or leaves the present one as it is.
    ///
    /// # Errors
    /// Every mistake of every source in one go, and an account that changed between live and simulated: that is fixed
    /// for the life of the process.
    ///
    /// # Cancel safety
    /// The present list stays.
    pub async fn refresh(&self) -> Result<Refreshed, AccountError> {
        let (mut lists, mut notices, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for source in &self.sources {
            match source.load().await {
                Ok(loaded) => {
                    notices.extend(loaded.warning);
                    lists.push(loaded.accounts);
                }
                Err(AccountError::Source(Problems(more))) => problems.extend(more),
                // What cannot be reached, opened or read is told with the rest.
                Err(other) => problems.push(other.to_string()),
            }
        }
        if !problems.is_empty() {
            return Err(AccountError::Source(Problems(problems)));
        }
        let merged = merge(lists)?;
        notices.extend(merged.notices);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let refreshed = compare(&current, &merged.accounts, notices)?;
        *current = Arc::new(merged.accounts);
        Ok(refreshed)
    }
}

impl std::fmt::Debug for AccountDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}

fn compare(old: &[Account], new: &[Account], notices: Vec<String>) -> Result<Refreshed, AccountError> {
    let mut refreshed = Refreshed { notices, ..Refreshed::default() };
    let mut problems = Vec::new();
    for account in new {
        match old.iter().find(|known| known.name == account.name) {
            None => refreshed.added.push(account.name.clone()),
            Some(known) if known.simulated != account.simulated => problems.push(format!(
                "account `{}` ({}) changed between live and simulated; restart for that",
                account.name, account.origin
            )),
            Some(known) if known != account => refreshed.changed.push(account.name.clone()),
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|known| !new.iter().any(|account| account.name == known.name));
    refreshed.removed.extend(gone.map(|account| account.name.clone()));
    if problems.is_empty() { Ok(refreshed) } else { Err(AccountError::Source(Problems(problems))) }
}
