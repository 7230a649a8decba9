//! Why a gateway cannot start.

use std::io;
use std::net::SocketAddr;

/// Why a gateway cannot start. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The HTTP address is taken or not ours.
    #[error("cannot listen on {address}: {source}; stop what uses it or set GATEWAY_LISTEN")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The calendar override file has mistakes.
    #[error("GATEWAY_CALENDAR_FILE: {0}")]
    Calendar(#[from] exchange_calendar::CalendarError),
    /// The database cannot be used.
    #[error("DATABASE_URL: {0}")]
    Database(#[from] sql_store::StoreError),
    /// Accounts cannot be read, or their secrets not be opened.
    #[error("{0}")]
    Accounts(#[from] account_pool::AccountError),
    /// The built-in simulator does not start.
    #[error("the simulated market: {0}")]
    Simulator(#[from] kite_sim::SimError),
    /// An account's address is not usable.
    #[error("account {account}: {source}")]
    Account {
        /// The account's name.
        account: String,
        /// What is wrong.
        source: kite_client::KiteError,
    },
    /// The certificates to trust cannot be read.
    #[error("KITE_CA_FILE: {source}")]
    Roots {
        /// What is wrong.
        source: kite_client::KiteError,
    },
    /// The recorder cannot be set up.
    #[error("RECORD_DIR: {0}")]
    Recording(#[from] feed_recorder::RecordingError),
    /// The Redis address is not usable.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] redis_fanout::RedisError),
    /// The API key cannot be sent in a header.
    #[error("GATEWAY_API_KEY: {0}")]
    ApiKey(#[from] gateway_api::ApiError),
    /// The metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A logger was installed before.
    #[error("another logger is installed already")]
    SecondLogger,
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}
