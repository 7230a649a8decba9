//! Broker accounts: where they come from, their sealed secrets, the life of their tokens, their share of the broker's
//! limits, and reads that go on to another account when one fails.
//!
//! This crate refuses to speak to the broker: whatever does so is behind [`KiteLogin`] and [`WebLogin`], and a read or an
//! order is made by the caller with the lease it is given. A secret is never shown, an order never changes its account,
//! and nobody waits without a deadline.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use account_pool::*;
//!
//! # #[derive(Debug)] struct MyError;
//! # impl ReadFailure for MyError { fn verdict(&self) -> ReadVerdict { ReadVerdict::Failing } }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), AccountError> {
//! # let account = EnvironmentAccount { api_key: Some(Secret::new("key")), access_token: Some(Secret::new("token")), ..Default::default() };
//! let source = EnvironmentSource::new(account, AccountDefaults::default());
//! let directory = AccountDirectory::new(vec![Box::new(source)]);
//! directory.refresh().await?;
//! let pool = AccountPool::new(PoolConfig::default(), PoolParts {
//!     clock: Arc::new(market_model::SystemClock),
//!     recorder: Arc::new(metrics::NoopRecorder),
//!     counts: Arc::new(MemoryDayCounts::default()),
//!     keepers: Vec::new(), // token files, the database
//! });
//! pool.set_accounts(&directory.accounts())?;
//! let call = ReadCall {
//!     class: ReadClass::Quote,
//!     scope: ReadScope::Market { simulated: false },
//!     deadline: tokio::time::Instant::now() + Duration::from_secs(2),
//!     most_accounts: 3,
//! };
//! let answer = pool.read(&call, |lease| async move { Ok::<_, MyError>(lease.account.rest_url.clone()) }).await;
//! assert_eq!(answer.unwrap(), "https://api.kite.trade");
//! # Ok(()) }
//! ```

mod account;
mod address;
mod board;
mod error;
mod life;
mod login;
mod metrics;
mod pace;
mod pool;
mod secret;
mod source;
mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod token_file;
mod vault;

pub use account::{Account, AccountLimits, AccountName, AccountSecrets, MAX_NAME, SecretField};
pub use address::{AddressVerdict, Family, ObserveAddress, Observed, look_outside};
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
pub use pool::{
    AccountPool, AccountStatus, ClassStatus, Keeping, NotReady, OrderCall, OrderLease, OrderRefused,
    PoolConfig, PoolParts, ReadCall, ReadError, ReadFailure, ReadLease, ReadScope, ReadVerdict, TokenKeeper,
};
pub use secret::Secret;
pub use source::{
    AccountDefaults, AccountDirectory, AccountSource, EnvironmentAccount, EnvironmentSource, FetchAnswer,
    FetchJson, FetchRequest, FileSource, Loaded, Loading, Merged, Refreshed, ServiceConfig, ServiceSource,
    Variables, merge,
};
pub use store::{
    AccountBook, AccountStore, FernetAccount, MemoryAccountStore, Rekeyed, Reseal, SCHEMA, SqlAccountStore,
    StoredAccount, StoredToken, StoredVersion,
};
pub use token_file::{KeptToken, TokenFiles};
pub use vault::{
    FernetKey, FernetRefused, KeyId, MasterKey, MasterKeySource, SealedSecret, Vault, load_master_key,
};
