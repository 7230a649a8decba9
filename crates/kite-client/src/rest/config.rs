//! How patient the REST client is, and how much it takes.

use std::time::Duration;

use resilience::{BackoffConfig, BreakerConfig};

/// How patient the REST client is, and how much it takes. The defaults suit Kite; every one is a choice, not a fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestConfig {
    /// For opening a connection, every address and TLS included, and for a free place in the pool.
    pub connect_timeout: Duration,
    /// For one try of a read, from the connection to the last byte of the answer.
    pub read_timeout: Duration,
    /// For the answer to a call that changes something, from the moment it is handed to an open connection. Longer than
    /// for reads, because giving up here means not knowing.
    pub write_timeout: Duration,
    /// For the whole of an instrument dump.
    pub dump_timeout: Duration,
    /// A connection that was idle this long is not used again: servers close idle ones, and a request that meets the
    /// closing is lost.
    pub idle_for: Duration,
    /// Idle connections kept, for reads and for writes each.
    pub max_idle: usize,
    /// Connections in use at once, for reads and for writes each. More callers wait within their connect timeout.
    pub max_connections: usize,
    /// Most bytes of an answer, decompressed. Sixty days of minute candles are two million.
    pub max_body: usize,
    /// Most bytes of an instrument dump, decompressed. The usual one has eight million.
    pub max_dump: usize,
    /// Tries of a read, the first included; 0 counts as 1. Calls that change something are tried once.
    pub tries: u32,
    /// Waits between them.
    pub backoff: BackoffConfig,
    /// When to stop asking for a while.
    pub breaker: BreakerConfig,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            // What the official clients wait.
            read_timeout: Duration::from_secs(7),
            write_timeout: Duration::from_secs(10),
            dump_timeout: Duration::from_secs(60),
            idle_for: Duration::from_secs(15),
            // Ten calls in a second is all Kite takes of most classes.
            max_idle: 4,
            max_connections: 16,
            max_body: 16 * 1024 * 1024,
            max_dump: 80 * 1024 * 1024,
            tries: 3,
            // The slowest class allows one call in a second.
            backoff: BackoffConfig {
                initial: Duration::from_millis(400),
                max: Duration::from_secs(3),
                multiplier: 2.5,
                jitter: 0.5,
            },
            breaker: BreakerConfig::default(),
        }
    }
}
