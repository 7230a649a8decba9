//! One broker account: who it is, where its broker is, what it may use, and its secrets.

use std::fmt;
use std::net::IpAddr;

use market_model::UnixNanos;

use crate::secret::Secret;

/// Most characters of an account's name.
pub const MAX_NAME: usize = 64;

/// The name of an account, as logs, metrics and payloads show it: letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(Box<str>);

/// One broker account, or one account of a simulator. Prints without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// Kite's API key. Half of a secret, so it prints as `[redacted]`.
    pub api_key: Secret,
    /// What must not be shown.
    pub secrets: AccountSecrets,
    /// The client id at the broker, such as `AB1234`, when known. A login by anybody else is refused.
    pub user_id: Option<String>,
    /// Whose order limits it shares; the user id, else the name of the account. Two apps of one user share them.
    pub trading_account: String,
    /// Where its REST API is.
    pub rest_url: String,
    /// Where its ticker is.
    pub ticker_url: String,
    /// Whether those addresses are a simulator. Fixed for the life of the process.
    pub simulated: bool,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// Reads go to the lowest number first while it is healthy, 0 by default.
    pub priority: u32,
    /// Its share of the load among accounts of one priority, 1 or more.
    pub weight: u32,
    /// What the broker allows it.
    pub limits: AccountLimits,
    /// Addresses registered for its orders; empty when not told.
    pub registered_addresses: Vec<IpAddr>,
    /// Whether the operator asked for a login without a human. Off by default; see [`crate::AutoLogin`].
    pub automatic_login: bool,
    /// Where it was read from, such as `environment` or `accounts.toml, line 3`.
    pub origin: String,
}

/// What must not be shown, each where it is known. Prints which are there, never what they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AccountSecrets {
    /// The app's secret, needed to log in.
    pub api_secret: Option<Secret>,
    /// Today's access token, when it was handed over with the account.
    pub access_token: Option<Secret>,
    /// When that token was got, if the source said so.
    pub token_obtained: Option<UnixNanos>,
    /// The user's password, only for an automatic login.
    pub password: Option<Secret>,
    /// The seed of the user's second factor (base32), only for an automatic login.
    pub totp_seed: Option<Secret>,
}

/// What the broker allows one account on its ticker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Ticker connections; Kite allows 3.
    pub connections: u32,
    /// Instruments per connection; Kite allows 3000.
    pub tokens_per_connection: u32,
}

/// Which secret of an account; part of what a sealed blob is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretField {
    /// Kite's API key.
    ApiKey,
    /// The app's secret.
    ApiSecret,
    /// Today's access token.
    AccessToken,
    /// The user's password.
    Password,
    /// The seed of the second factor.
    TotpSeed,
}

// === impl AccountName ===

impl AccountName {
    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it, to be read after "the name".
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > MAX_NAME {
            return Err("has more than 64 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err("has letters, digits, `-` and `_` only");
        }
        Ok(Self(text.into()))
    }

    /// Stands in for a name that was refused, until the refusal is told.
    pub(crate) fn unnamed() -> Self {
        Self("unnamed".into())
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<Account> for Account {
    fn as_ref(&self) -> &Account {
        self
    }
}

// === impl AccountSecrets ===

impl AccountSecrets {
    /// Every secret there is, with the field it belongs to.
    pub fn fields(&self) -> impl Iterator<Item = (SecretField, &Secret)> {
        [
            (SecretField::ApiSecret, &self.api_secret),
            (SecretField::AccessToken, &self.access_token),
            (SecretField::Password, &self.password),
            (SecretField::TotpSeed, &self.totp_seed),
        ]
        .into_iter()
        .filter_map(|(field, secret)| secret.as_ref().map(|secret| (field, secret)))
    }
}

impl fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields().map(|(field, _)| field.as_str())).finish()
    }
}

// === impl AccountLimits ===

impl Default for AccountLimits {
    /// What Kite documents: 3 connections of 3000 instruments.
    fn default() -> Self {
        Self { connections: 3, tokens_per_connection: 3000 }
    }
}

// === impl SecretField ===

impl SecretField {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ApiKey, Self::ApiSecret, Self::AccessToken, Self::Password, Self::TotpSeed];

    /// The word that files and sealed blobs know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ApiSecret => "api_secret",
            Self::AccessToken => "access_token",
            Self::Password => "password",
            Self::TotpSeed => "totp_seed",
        }
    }
}
