//! What can go wrong on the way to Redis, and what to do about it.

use std::time::Duration;

use market_model::InstrumentToken;
use resilience::CircuitOpen;

/// Why something did not reach Redis, or cannot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The server is a replica: what is published there reaches only its own subscribers, and writes are refused.
    #[error("redis is a replica, not the master: {0}")]
    Replica(String),
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
    /// Redis has reached its memory limit and refuses to store anything. It still publishes.
    #[error("redis is out of memory: {0}")]
    OutOfMemory(String),
    /// The user's access list does not allow it.
    #[error("redis does not allow it: {0}")]
    Denied(String),
    /// Redis stands but cannot take writes at present.
    #[error("redis is not ready: {0}")]
    Unready(String),
    /// Redis answered with another error.
    #[error("redis answered with an error: {0}")]
    Reply(String),
    /// A last value is not what this version writes.
    #[error("the last value of instrument {0} in redis cannot be read")]
    Unreadable(InstrumentToken),
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
    /// What an error answer of the server means.
    pub(crate) fn of_reply(text: &str) -> Self {
        // Inside a script the word may stand after a prefix such as `ERR`.
        let says = |word: &str| text.contains(word);
        let text = text.to_owned();
        match () {
            () if says("READONLY") => Self::Replica(text),
            () if says("OOM") => Self::OutOfMemory(text),
            () if says("NOPERM") => Self::Denied(text),
            () if says("NOAUTH") || says("WRONGPASS") => Self::Credentials(text),
            () if UNREADY.iter().any(|word| says(word)) => Self::Unready(text),
            () => Self::Reply(text),
        }
    }

    /// What an operator can do about it, in one sentence without a full stop.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Url(_) => "correct the redis url",
            Self::Credentials(_) => "correct user and password in the redis url, or in redis",
            Self::Connect(_) | Self::Lost(_) | Self::NotConnected => {
                "check that redis runs and can be reached from here; it is tried again by itself"
            }
            Self::Replica(_) => {
                "name the master in the redis url, or let sentinels find it (redis-sentinel://)"
            }
            Self::Busy(_) | Self::Timeout(_) | Self::Frozen(_) => {
                "look at the load of redis (redis-cli --latency, SLOWLOG GET) and at the network to it"
            }
            Self::OutOfMemory(_) => "raise maxmemory of redis, choose an eviction policy or delete keys",
            Self::Denied(_) => "give the redis user the rights listed in docs/redis.md",
            Self::Unready(_) => {
                "look at redis-cli INFO persistence, replication and CLUSTER INFO; it is tried again by itself"
            }
            Self::Reply(_) => "compare the version and the settings of redis with docs/redis.md",
            Self::Unreadable(_) => {
                "give all instances one version, one REDIS_NAMESPACE and one REDIS_PAYLOAD"
            }
            Self::CircuitOpen(_) => {
                "nothing: redis is tried again by itself; the error before this one says why"
            }
            Self::HealthQueueFull => "bring redis back: records of the feed's health are being lost",
            Self::WriterEnded => "restart the gateway",
        }
    }

    /// Whether a new connection is the way out: this one is gone, or leads to a server that cannot take writes.
    pub(crate) fn needs_reconnect(&self) -> bool {
        match self {
            Self::Unready(text) => RECONNECT.iter().any(|word| text.contains(word)),
            Self::Lost(_) | Self::Credentials(_) | Self::Replica(_) => true,
            _ => false,
        }
    }

    /// Whether the server said something, be it an error.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Reply(_)
                | Self::Credentials(_)
                | Self::Replica(_)
                | Self::OutOfMemory(_)
                | Self::Denied(_)
                | Self::Unready(_)
                | Self::Unreadable(_)
        )
    }

    /// Whether the server has refused this very command and would refuse it again.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Reply(_) | Self::Denied(_) | Self::Unreadable(_))
    }
}

/// Answers of a server that is not ready; it may be later.
const UNREADY: [&str; 7] =
    ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "BUSY", "NOREPLICAS", "TRYAGAIN"];
/// Those of them that another connection may be spared.
const RECONNECT: [&str; 3] = ["LOADING", "MASTERDOWN", "CLUSTERDOWN"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_a_meaning_and_a_consequence() {
        let check = |text: &str, expect: fn(String) -> RedisError, reconnect: bool, is_final: bool| {
            let error = RedisError::of_reply(text);
            assert_eq!(error, expect(text.to_owned()));
            assert_eq!((error.needs_reconnect(), error.is_final()), (reconnect, is_final), "{text}");
            assert!(error.is_answer() && !error.next_step().is_empty());
        };
        check("READONLY You can't write against a read only replica.", RedisError::Replica, true, false);
        check(
            "OOM command not allowed when used memory > 'maxmemory'.",
            RedisError::OutOfMemory,
            false,
            false,
        );
        check("NOPERM this user has no permissions", RedisError::Denied, false, true);
        check("NOAUTH Authentication required.", RedisError::Credentials, true, false);
        check("LOADING Redis is loading the dataset in memory", RedisError::Unready, true, false);
        check("CLUSTERDOWN The cluster is down", RedisError::Unready, true, false);
        check("MISCONF Redis is configured to save RDB snapshots", RedisError::Unready, false, false);
        check("WRONGTYPE Operation against a key", RedisError::Reply, false, true);
    }
}
