//! Broker accounts: sealed credentials, token life, leases, pacing and failover.
//!
//! ```
//! // Nothing to see yet.
//! ```

mod account;
mod board;
mod error;
mod life;
mod login;
mod metrics;
mod pace;
mod secret;
mod source;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod token_file;
mod vault;

pub use account::{Account, AccountLimits, AccountName, AccountSecrets, MAX_NAME, SecretField};
pub use board::{TokenBoard, TokenView};
pub use error::{AccountError, Problems};
pub use life::{Generation, LifeConfig, TokenEvent, TokenLife, TokenState};
pub use login::{
    AUTOMATIC_LOGIN_WARNING, AutoLogin, ExchangeRequest, KiteLogin, LoginBars, LoginConfig, LoginDesk,
    LoginRefused, LoginStart, NewSession, Redirect, SecondFactor, Totp, TotpSeedRefused, WebLogin,
    WebRefused, WebSession, session_checksum,
};
pub use metrics::{AccountMetrics, PaceMetrics, RefusedBy};
pub use pace::{
    DayCounts, IstDay, LaneStatus, MemoryDayCounts, OrderBudget, OrderKind, OrderPermit, OrderStatus,
    PaceClass, PaceConfig, PaceError, Pacer, Permit, ReadClass, WindowReading,
};
pub use secret::Secret;
pub use source::{
    AccountDefaults, AccountDirectory, AccountSource, EnvironmentAccount, EnvironmentSource, FetchAnswer,
    FetchJson, FetchRequest, FileSource, Loaded, Loading, Merged, Refreshed, ServiceConfig, ServiceSource,
    Variables, merge,
};
pub use token_file::{KeptToken, TokenFiles};
pub use vault::{
    FernetKey, FernetRefused, KeyId, MasterKey, MasterKeySource, SealedSecret, Vault, load_master_key,
};
