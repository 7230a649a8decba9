//! Accounts of a store with their secrets sealed on the way in and opened on the way out.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use market_model::UnixNanos;

use super::{AccountStore, Reseal, StoredAccount, StoredToken};
use crate::account::{Account, AccountName, AccountSecrets, SecretField};
use crate::error::{AccountError, Problems};
use crate::secret::Secret;
use crate::source::{AccountSource, Loaded, Loading};
use crate::token_file::KeptToken;
use crate::vault::{FernetKey, SealedSecret, Vault};

/// A `rekey` that meets changes made by others begins anew this often.
const MOST_TRIES: usize = 5;

/// The accounts of a store, sealed by a vault.
#[derive(Debug)]
pub struct AccountBook<S> {
    store: S,
    vault: Vault,
}

/// An account with the version to say when it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// The account, opened.
    pub account: Account,
    /// Its version.
    pub version: i64,
}

/// What a `rekey` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rekeyed {
    /// Accounts sealed anew.
    pub accounts: usize,
    /// Tokens sealed anew.
    pub tokens: usize,
    /// Accounts and tokens that had the new key already.
    pub kept: usize,
}

/// An account of the former service.
#[derive(Debug, Clone)]
pub struct FernetAccount {
    /// Everything that was not encrypted; its secrets are ignored.
    pub account: Account,
    /// The encrypted fields.
    pub blobs: Vec<(SecretField, String)>,
}

// === impl AccountBook ===

impl<S: AccountStore> AccountBook<S> {
    /// Of this store, under these keys.
    pub fn new(store: S, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// All accounts, opened, by name.
    ///
    /// # Errors
    /// [`AccountError::CannotOpen`] naming every account that the master key does not open, and opening none;
    /// [`AccountError::Source`] naming those that are damaged.
    pub async fn accounts(&self) -> Result<Vec<StoredVersion>, AccountError> {
        self.open_all(self.store.list().await?)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`AccountError::Taken`].
    pub async fn add(&self, account: &Account) -> Result<(), AccountError> {
        self.store.insert(&[self.seal(account, 0)?]).await
    }

    /// Replaces the account of that name, read at `version`; answers the new version.
    ///
    /// # Errors
    /// [`AccountError::Stale`] when somebody else changed it, [`AccountError::Taken`] when its new API key is another
    /// account's.
    pub async fn change(&self, account: &Account, version: i64) -> Result<i64, AccountError> {
        self.store.update(&self.seal(account, version)?).await
    }

    /// Removes an account read at `version`, and its token.
    ///
    /// # Errors
    /// [`AccountError::Stale`].
    pub async fn remove(&self, name: &AccountName, version: i64) -> Result<(), AccountError> {
        self.store.remove(name.as_str(), version).await
    }

    /// Keeps today's token of an account of any source, sealed, unless a newer one is kept.
    ///
    /// # Errors
    /// A database error.
    pub async fn keep_token(&self, account: &Account, kept: &KeptToken) -> Result<(), AccountError> {
        let token = StoredToken {
            account: account.name.to_string(),
            api_key_digest: digest_of(&account.api_key),
            sealed: self.vault.seal(account.name.as_str(), SecretField::AccessToken, &kept.token)?,
            obtained: kept.obtained.0,
        };
        self.store.put_token(&token).await.map(drop)
    }

    /// The tokens kept for `accounts`, in their order; `None` where none is kept or it is of another app.
    ///
    /// # Errors
    /// [`AccountError::CannotOpen`] naming every account whose token the master key does not open.
    pub async fn kept_tokens<A: AsRef<Account>>(
        &self,
        accounts: &[A],
    ) -> Result<Vec<Option<KeptToken>>, AccountError> {
        let tokens = self.store.tokens().await?;
        let unknown = tokens.iter().filter(|token| !self.vault.knows(&token.sealed));
        let unknown: Vec<String> = unknown.map(|token| token.account.clone()).collect();
        if !unknown.is_empty() {
            return Err(AccountError::CannotOpen(unknown));
        }
        let find = |account: &Account| {
            let token = tokens.iter().find(|token| token.account == account.name.as_str())?;
            if token.api_key_digest != digest_of(&account.api_key) {
                return None;
            }
            let opened = self.vault.open(account.name.as_str(), SecretField::AccessToken, &token.sealed);
            Some(opened.map(|opened| KeptToken { token: opened, obtained: UnixNanos(token.obtained) }))
        };
        accounts.iter().map(|account| find(account.as_ref()).transpose()).collect()
    }

    /// Forgets the token of an account.
    ///
    /// # Errors
    /// A database error.
    pub async fn forget_token(&self, account: &AccountName) -> Result<(), AccountError> {
        self.store.remove_token(account.as_str()).await
    }

    /// Seals everything with the vault's present key that an older one sealed, in one atomic change. The vault must have
    /// the older key too. Cut off at any moment, either nothing or everything was done, and a second run does what is
    /// left; until then the older key opens what it sealed.
    ///
    /// # Errors
    /// [`AccountError::CannotOpen`] when a row was sealed by neither key; nothing was changed.
    pub async fn rekey(&self) -> Result<Rekeyed, AccountError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (reseal, kept) = self.reseal_plan().await?;
            let rekeyed = Rekeyed { accounts: reseal.accounts.len(), tokens: reseal.tokens.len(), kept };
            if rekeyed.accounts + rekeyed.tokens == 0 {
                return Ok(rekeyed);
            }
            match self.store.reseal(&reseal).await {
                // Somebody changed a row meanwhile; what is there now is sealed.
                Err(AccountError::Stale { .. }) if tries < MOST_TRIES => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(rekeyed),
            }
        }
    }

    /// Takes over accounts of the former service, all or none.
    ///
    /// # Errors
    /// [`AccountError::Source`] naming every account and field that does not open; [`AccountError::Taken`].
    pub async fn import_fernet(
        &self,
        key: &FernetKey,
        rows: Vec<FernetAccount>,
    ) -> Result<usize, AccountError> {
        let (mut stored, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
        for FernetAccount { mut account, blobs } in rows {
            account.secrets = AccountSecrets::default();
            account.api_key = Secret::new("");
            for (field, blob) in blobs {
                match key.open(&blob, None) {
                    Ok(secret) => place(&mut account, field, secret),
                    Err(why) => {
                        problems.push(format!("account `{}`, {}: {why}", account.name, field.as_str()));
                    }
                }
            }
            if account.api_key.is_empty() {
                problems.push(format!("account `{}` has no api_key", account.name));
            }
            stored.push(self.seal(&account, 0)?);
        }
        if !problems.is_empty() {
            return Err(AccountError::Source(Problems(problems)));
        }
        self.store.insert(&stored).await?;
        Ok(stored.len())
    }

    async fn reseal_plan(&self) -> Result<(Reseal, usize), AccountError> {
        let is_current = |sealed: &SealedSecret| sealed.key_id() == Some(self.vault.key_id());
        let rows = self.store.list().await?;
        let opened = self.open_all(rows.clone())?;
        let mut reseal = Reseal::default();
        let mut kept = 0;
        for (row, opened) in rows.iter().zip(opened) {
            if row.sealed.values().all(is_current) {
                kept += 1;
            } else {
                reseal.accounts.push(self.seal(&opened.account, opened.version)?);
            }
        }
        let mut unknown = Vec::new();
        for token in self.store.tokens().await? {
            if is_current(&token.sealed) {
                kept += 1;
                continue;
            }
            match self.vault.open(&token.account, SecretField::AccessToken, &token.sealed) {
                Ok(secret) => {
                    let sealed = self.vault.seal(&token.account, SecretField::AccessToken, &secret)?;
                    let old = token.sealed.clone();
                    reseal.tokens.push((StoredToken { sealed, ..token }, old));
                }
                Err(_) => unknown.push(token.account),
            }
        }
        if unknown.is_empty() { Ok((reseal, kept)) } else { Err(AccountError::CannotOpen(unknown)) }
    }

    fn open_all(&self, rows: Vec<StoredAccount>) -> Result<Vec<StoredVersion>, AccountError> {
        let unknown: BTreeSet<String> = rows
            .iter()
            .filter(|row| {
                row.sealed.values().any(|sealed| sealed.key_id().is_some() && !self.vault.knows(sealed))
            })
            .map(|row| row.account.name.to_string())
            .collect();
        if !unknown.is_empty() {
            return Err(AccountError::CannotOpen(unknown.into_iter().collect()));
        }
        let (mut opened, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
        for StoredAccount { version, mut account, sealed, .. } in rows {
            for (field, sealed) in &sealed {
                match self.vault.open(account.name.as_str(), *field, sealed) {
                    Ok(secret) => place(&mut account, *field, secret),
                    Err(error) => {
                        problems.push(format!(
                            "database, account `{}`, {}: {error}",
                            account.name,
                            field.as_str()
                        ));
                    }
                }
            }
            opened.push(StoredVersion { account, version });
        }
        if problems.is_empty() { Ok(opened) } else { Err(AccountError::Source(Problems(problems))) }
    }

    fn seal(&self, account: &Account, version: i64) -> Result<StoredAccount, AccountError> {
        let name = account.name.as_str();
        let mut sealed = BTreeMap::new();
        let key = (SecretField::ApiKey, &account.api_key);
        // Tokens change every day and have a place of their own.
        let rest = account.secrets.fields().filter(|(field, _)| *field != SecretField::AccessToken);
        for (field, secret) in std::iter::once(key).chain(rest) {
            sealed.insert(field, self.vault.seal(name, field, secret)?);
        }
        let bare = Account {
            api_key: Secret::new(""),
            secrets: AccountSecrets::default(),
            origin: "database".to_owned(),
            ..account.clone()
        };
        Ok(StoredAccount { version, account: bare, api_key_digest: digest_of(&account.api_key), sealed })
    }
}

impl<S: AccountStore> AccountSource for AccountBook<S> {
    fn name(&self) -> String {
        "database".to_owned()
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            let accounts = self.accounts().await?;
            Ok(Loaded::new(accounts.into_iter().map(|stored| stored.account).collect()))
        })
    }
}

fn place(account: &mut Account, field: SecretField, secret: Secret) {
    let secrets = &mut account.secrets;
    match field {
        SecretField::ApiKey => account.api_key = secret,
        SecretField::ApiSecret => secrets.api_secret = Some(secret),
        SecretField::AccessToken => secrets.access_token = Some(secret),
        SecretField::Password => secrets.password = Some(secret),
        SecretField::TotpSeed => secrets.totp_seed = Some(secret),
    }
}

fn digest_of(api_key: &Secret) -> Vec<u8> {
    digest(&SHA256, api_key.expose().as_bytes()).as_ref().to_vec()
}
