//! Why a simulator could not be made.

use std::net::SocketAddr;

/// Why a simulator could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}: choose a free address")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A value of the configuration cannot be used.
    #[error("{setting}: {problem}")]
    Config {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// A fault that cannot be: in a script, a request or a plan.
    #[error("{place}: {problem}")]
    Fault {
        /// Line or number of the fault.
        place: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The certificate for TLS could not be made.
    #[error("cannot make a certificate for tls")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The calendar's index table and this crate's disagree, or two instruments got one token.
    #[error("cannot list instruments: {0}")]
    Listing(String),
}
