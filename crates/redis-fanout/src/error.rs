//! What can go wrong on the way to Redis.

use std::time::Duration;

use resilience::CircuitOpen;

/// Why something did not reach Redis, or cannot.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address cannot be used. Names no credentials.
    #[error("redis url is not usable: {0}")]
    Url(String),
    /// Redis wants other credentials.
    #[error("redis refused the credentials, check user and password of the redis url: {0}")]
    Credentials(String),
    /// No connection could be made.
    #[error("cannot connect to redis: {0}")]
    Connect(String),
    /// The connection ended.
    #[error("redis connection lost: {0}")]
    Lost(String),
    /// There is no connection at the moment; one is being made.
    #[error("redis is not connected")]
    NotConnected,
    /// Redis answers too slowly: the queue to it stayed full for the command timeout.
    #[error("redis is too slow: no room in its queue for {} ms", .0.as_millis())]
    Busy(Duration),
    /// A command got no answer in time. Whether it was executed is unknown.
    #[error("redis did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Redis stands but has not answered anything for a while; the connection is given up.
    #[error("redis has answered nothing for {} ms", .0.as_millis())]
    Frozen(Duration),
    /// Redis answered with an error.
    #[error("redis answered with an error: {0}")]
    Reply(String),
    /// Redis failed too often of late; nothing was sent.
    #[error(transparent)]
    CircuitOpen(#[from] CircuitOpen),
    /// The queue of health records is full; the record was dropped and counted.
    #[error("queue of health records for redis is full")]
    HealthQueueFull,
    /// The writer has ended, so nothing can be delivered any more.
    #[error("redis writer has ended")]
    WriterEnded,
}

// === impl RedisError ===

impl RedisError {
    /// Whether a new connection is the way out: this one is gone, or leads to a server that cannot take writes.
    pub(crate) fn needs_reconnect(&self) -> bool {
        const UNFIT: [&str; 5] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH"];
        match self {
            Self::Reply(text) => UNFIT.iter().any(|word| text.contains(word)),
            Self::Lost(_) | Self::Credentials(_) => true,
            _ => false,
        }
    }

    /// Whether the server said something, be it an error.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(self, Self::Reply(_) | Self::Credentials(_))
    }
}
