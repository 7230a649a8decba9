//! What can go wrong with accounts, and what to do about it.

use std::fmt;

/// Everything wrong with a source of accounts, in one go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Why something about accounts failed. No text of it holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A source of accounts has mistakes in it; each is a line of its own.
    #[error("accounts cannot be used: {0}")]
    Source(Problems),
    /// A source could not be reached; what it said last still holds.
    #[error("accounts cannot be read from {origin}: {problem}")]
    Unreachable {
        /// Which source.
        origin: String,
        /// What happened.
        problem: String,
    },
    /// Nobody has this name.
    #[error("there is no account `{0}`; `accounts list` shows those there are")]
    Unknown(String),
    /// The name, or the API key, is taken.
    #[error("account `{account}` cannot be added: {taken_by}")]
    Taken {
        /// The one that was to be added.
        account: String,
        /// What is in the way, by name.
        taken_by: String,
    },
    /// Somebody else changed it since it was read.
    #[error(
        "account `{account}` was changed by somebody else (version {found:?}, not {expected}); read it again"
    )]
    Stale {
        /// Which account.
        account: String,
        /// The version the change was made from.
        expected: i64,
        /// The version there is now; `None` when the account is gone.
        found: Option<i64>,
    },
    /// The account is there, but switched off.
    #[error("account `{0}` is disabled; enable it first")]
    Disabled(String),
    /// The master key cannot be had.
    #[error("the master key cannot be used: {0}")]
    MasterKey(String),
    /// A master key is needed and none is configured.
    #[error("secrets in the database need a master key: set GATEWAY_MASTER_KEY, a key file or a key command")]
    NoMasterKey,
    /// Blobs that the present master key does not open. None was opened.
    #[error(
        "the secrets of {} cannot be opened with this master key; use the key they were sealed with, or `rekey` with both",
        .0.join(", ")
    )]
    CannotOpen(Vec<String>),
    /// A sealed blob is damaged, cut, or was sealed for another account or field.
    #[error("a sealed secret is not readable: {0}")]
    Sealed(&'static str),
    /// A token file that must not be trusted or could not be written.
    #[error("token file {path}: {problem}")]
    TokenFile {
        /// Where it is.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A login that did not lead to a token.
    #[error("login of account `{account}` failed: {problem}")]
    Login {
        /// Which account.
        account: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A redirect that belongs to no login begun here.
    #[error(
        "this login was not begun here, is older than {minutes} minutes, or was used before; begin again"
    )]
    UnknownLogin {
        /// How long a begun login waits.
        minutes: u64,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(#[from] sql_store::StoreError),
}
