//! Composition only: configuration, wiring, adapters, shutdown.
//!
//! This crate refuses to hold any policy of its own. It is the one place that knows both the broker's side and the
//! sinks; a program, or a test with two gateways in one process, gives it a [`Config`] and a clock.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{collections::BTreeMap, sync::Arc};
//! use gateway::{Config, Gateway};
//!
//! // No account configured: the gateway brings its own simulated market.
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path().display().to_string();
//! let settings = [("GATEWAY_LISTEN", "127.0.0.1:0".to_owned()), ("GATEWAY_DATA_DIR", data)];
//! let env = BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value)));
//! let gateway = Gateway::build(Config::read(&env, None)?, Arc::new(market_model::SystemClock), None).await?;
//! println!("http://{}/", gateway.address());
//! let stop = tokio_util::sync::CancellationToken::new();
//! stop.cancel(); // usually by SIGTERM
//! let report = gateway.run(stop).await;
//! assert!(report.is_clean(), "{report:?}");
//! # Ok(()) }
//! ```

mod adapters;
mod address;
mod automatic;
mod build;
mod catalog;
pub mod cli;
pub mod config;
mod database;
pub mod doctor;
mod error;
mod feed;
mod fleet;
mod health;
mod import;
mod latency;
mod link;
pub mod logging;
mod operations;
mod order_counts;
mod ownership;
mod rekey;
mod secret;
mod sessions;
mod standing;
mod telemetry;
mod tokens;
mod usual_rates;

pub use build::Gateway;
pub use config::{Config, ConfigError, Env, ProcessEnv, SETTINGS};
pub use error::StartError;
pub use import::{FERNET_KEY, import_fernet};
pub use rekey::{NEW_MASTER_KEY, rekey};
pub use secret::Secret;
