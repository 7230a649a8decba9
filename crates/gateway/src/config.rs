//! Configuration: plain data, read once from environment and file, every problem reported in one go.

mod accounts;
mod env;
mod read;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use accounts::{AccountSettings, ServiceSettings};
pub use env::{Env, ProcessEnv};
pub use settings::{SETTINGS, Setting};

use kite_client::AddressFamily;
use snapshot_wire::WireFormat;
use subscription_store::WishSpec;

use crate::secret::Secret;

/// Everything the gateway can be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the HTTP API and the page.
    pub listen: SocketAddr,
    /// Key that API clients must send.
    pub api_key: Option<Secret>,
    /// Folder for log files.
    pub data_dir: PathBuf,
    /// What to stream beside the wishes in the database.
    pub wishes: Vec<WishSpec>,
    /// Where durable state is kept; `None` for a file in the data folder.
    pub database: Option<Secret>,
    /// What this process is called among those that share the database.
    pub instance: String,
    /// What this process does.
    pub roles: Roles,
    /// How long a lease lasts without being renewed.
    pub lease: Duration,
    /// No other instance is ever started on this database.
    pub sole_instance: bool,
    /// How often the wall clock is looked at for what happens by the hour.
    pub clock_look: Duration,
    /// Discount rate for Greeks.
    pub rate: f64,
    /// How long a stopping gateway may take.
    pub shutdown_deadline: Duration,
    /// Text of the calendar override file.
    pub calendar_overrides: Option<String>,
    /// How batches are cut.
    pub batch: BatchConfig,
    /// Where to publish; `None` leaves Redis out.
    pub redis: Option<RedisConfig>,
    /// Where broker accounts come from. Without any the built-in simulated market is used.
    pub accounts: AccountSettings,
    /// How connections to the broker are made and watched.
    pub link: LinkConfig,
    /// Where and how much to record; `None` records nothing.
    pub record: Option<RecordConfig>,
    /// Most bytes of values that may wait for one sink.
    pub sink_queue_bytes: usize,
    /// The built-in simulated market, used when there are no accounts.
    pub sim: SimSettings,
    /// Logging.
    pub log: LogConfig,
    /// What the operator should know although nothing is wrong.
    pub notices: Vec<String>,
}

/// How batches are cut.
#[derive(Debug, Clone, Copy)]
pub struct BatchConfig {
    /// Oldest age before a batch is sent.
    pub window: Duration,
    /// Most ticks in a batch.
    pub max_ticks: usize,
    /// Most bytes in a batch.
    pub max_bytes: usize,
    /// A channel for every share without derivatives, in place of one for all of an exchange.
    pub equity_per_symbol: bool,
}

/// How to publish to Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Address with credentials.
    pub url: Secret,
    /// First part of every channel and key.
    pub namespace: String,
    /// How payloads are written.
    pub format: WireFormat,
    /// Connections.
    pub pool: usize,
    /// How often the last values that changed are stored; `None` stores none.
    pub last_values_every: Option<Duration>,
    /// Also publish on the former service's channels.
    pub compat_channels: bool,
}

/// What a process does of what a gateway does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Takes leases of accounts and streams them.
    pub feed: bool,
    /// Answers the HTTP API and the page. Health and metrics are always there.
    pub api: bool,
}

/// How connections to the broker are made and watched.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// PEM text of roots trusted beside the public ones.
    pub extra_roots: Option<String>,
    /// Which family of addresses to use.
    pub family: AddressFamily,
    /// The address of this machine that connections leave from.
    pub local_address: Option<std::net::IpAddr>,
    /// Who is asked how this machine is seen from outside; `None` asks nobody.
    pub address_source: Option<String>,
    /// A connection this old is replaced by a new one; `None` for never.
    pub rotate_after: Option<Duration>,
    /// Whether a connection whose rate collapsed is made anew, beside the alarm.
    pub reconnect_on_rate_collapse: bool,
}

/// What to keep of the raw feed.
#[derive(Debug, Clone)]
pub struct RecordConfig {
    /// Where the files go.
    pub folder: PathBuf,
    /// Above this the oldest files go.
    pub max_bytes: u64,
    /// Files older than this go.
    pub max_age: Duration,
}

/// The built-in simulated market.
#[derive(Debug, Clone, Copy)]
pub struct SimSettings {
    /// Seed of the prices.
    pub seed: u64,
    /// How fast simulated time runs.
    pub speed: f64,
    /// Load mode: instruments and ticks per second of each.
    pub load: Option<(u32, f64)>,
}

/// Logging.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// JSON lines on standard output in place of text.
    pub json: bool,
    /// Lowest level shown.
    pub level: tracing::Level,
    /// Size at which the file is rotated.
    pub file_bytes: u64,
    /// How many rotated files are kept.
    pub files: usize,
}

/// Every problem of a configuration, one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s):\n{}", .0.len(), .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the environment and, if named, a TOML file. The environment wins.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem there is, not only the first.
    pub fn read(env: &dyn Env, file: Option<&std::path::Path>) -> Result<Self, ConfigError> {
        read::read(env, file)
    }

    /// Every secret value in it, for the log filter.
    pub fn secrets(&self) -> Vec<String> {
        let accounts = self.accounts.configured.iter();
        let accounts = accounts.flat_map(|account| {
            std::iter::once(&account.api_key).chain(account.secrets.fields().map(|(_, secret)| secret))
        });
        let redis_url = self.redis.iter().map(|redis| &redis.url);
        let redis_password = self.redis.iter().filter_map(|redis| {
            let (credentials, _) = redis.url.expose().split_once("://")?.1.rsplit_once('@')?;
            credentials.split_once(':').map(|(_, password)| password.to_owned())
        });
        let service = self.accounts.service.iter().map(|service| &service.token);
        let master_key = self.accounts.master_key.iter().filter_map(|source| match source {
            account_pool::MasterKeySource::Value(key) => Some(key),
            _ => None,
        });
        let more = service.chain(master_key).chain(&self.database);
        let whole = accounts
            .chain(&self.api_key)
            .chain(redis_url)
            .chain(more)
            .map(|secret| secret.expose().to_owned());
        let database_password = self.database.iter().filter_map(|url| {
            let (credentials, _) = url.expose().split_once("://")?.1.rsplit_once('@')?;
            credentials.split_once(':').map(|(_, password)| password.to_owned())
        });
        whole.chain(redis_password).chain(database_password).collect()
    }
}

#[cfg(test)]
mod tests;
