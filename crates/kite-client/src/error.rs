//! Why a conversation with Kite cannot even be tried.

/// A setting that makes a client impossible. What goes wrong later is data in the feed, not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KiteError {
    /// An address is not `ws://host[:port][/path]` (ticker) or `http://host[:port]` (REST), or either with TLS.
    #[error("the url is not usable: {reason}; write scheme://host:port")]
    InvalidUrl {
        /// What is wrong with it. Never repeats the address.
        reason: &'static str,
    },
    /// A number or duration in the ticker configuration cannot work.
    #[error("ticker setting {setting} is not usable: {reason}")]
    InvalidSetting {
        /// Name of the field in [`TickerConfig`](crate::TickerConfig).
        setting: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// An extra root certificate cannot be read, or the TLS library refuses its own defaults.
    #[error("tls cannot be set up: {0}")]
    Tls(String),
}
