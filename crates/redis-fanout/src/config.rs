//! What can be set.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use resilience::{BackoffConfig, BreakerConfig};
use snapshot_wire::WireFormat;

use crate::RedisError;
use crate::connection::parse_url;

/// Where Redis is: `redis://[user:password@]host[:port][/database]`, with `rediss` for TLS and the suffixes
/// `-cluster` and `-sentinel`, further nodes in `?node=host:port` and the master's name in
/// `?sentinelServiceName=name`.
///
/// Shows itself without credentials and query.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

/// What is published and how hard it is tried.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where Redis is.
    pub url: RedisUrl,
    /// First part of every channel and key.
    pub namespace: String,
    /// How payloads are written.
    pub format: WireFormat,
    /// Whether batches are published on `ticker:<underlying>:options|underlying` too.
    pub legacy_channels: bool,
    /// How many connections; batches of one topic always take the same one. 0 counts as 1.
    pub connections: usize,
    /// Batches that may wait for one connection: the topics of one batch window, so that they are sent together.
    /// No more, because a waiting price is an old price.
    pub queue: usize,
    /// Commands under way at once on one connection: enough to fill a round trip of a few milliseconds.
    pub in_flight: usize,
    /// How long one command may take.
    pub command_timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// A connection whose commands have gone unanswered for this long is given up and made anew.
    pub frozen_after: Duration,
    /// Delays between attempts to connect.
    pub reconnect: BackoffConfig,
    /// When batches are no longer tried.
    pub breaker: BreakerConfig,
    /// Whether and how the last value of every instrument is kept.
    pub last_values: Option<LastValuesConfig>,
    /// About how many records the health stream keeps.
    pub health_records: u32,
    /// How long the writer may take to flush when the sink is dropped.
    pub drain_timeout: Duration,
}

/// How last values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastValuesConfig {
    /// At most one write per instrument in this time; the newest value wins.
    pub interval: Duration,
    /// Age at which Redis forgets an instrument that is written no longer. Refreshed a few times in that time.
    pub expiry: Duration,
}

// === impl RedisConfig ===

impl RedisConfig {
    /// The defaults: namespace `kg`, JSON, two connections, last values once a second.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            namespace: "kg".to_owned(),
            format: WireFormat::Json,
            legacy_channels: false,
            connections: 2,
            queue: 64,
            in_flight: 16,
            command_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
            frozen_after: Duration::from_secs(1),
            reconnect: BackoffConfig {
                initial: Duration::from_millis(100),
                max: Duration::from_secs(1),
                multiplier: 2.0,
                jitter: 0.2,
            },
            breaker: BreakerConfig { open_for: Duration::from_millis(250), ..BreakerConfig::default() },
            last_values: Some(LastValuesConfig::default()),
            health_records: 10_000,
            drain_timeout: Duration::from_secs(2),
        }
    }
}

impl Default for LastValuesConfig {
    /// Every second, forgotten after a day.
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), expiry: Duration::from_secs(86_400) }
    }
}

// === impl RedisUrl ===

impl RedisUrl {
    /// The whole text, with credentials.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = RedisError;

    fn from_str(text: &str) -> Result<Self, RedisError> {
        let url = Self(text.to_owned());
        parse_url(&url)?;
        Ok(url)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", ""));
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        // A password may contain '@' only when it is percent-encoded, but a wrong URL must not leak either.
        let host = shown.rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        match (text.parse::<RedisUrl>(), expect) {
            (Ok(url), Ok(shown)) => assert_eq!(url.to_string(), shown, "{text}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
            (got, expect) => panic!("{text}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn urls_of_every_deployment() {
        check("redis://localhost", Ok("redis://localhost"));
        check("redis://:s3cret@10.0.0.1:6380/3", Ok("redis://10.0.0.1:6380/3"));
        check("rediss://user:s3cret@cache.example:6379", Ok("rediss://cache.example:6379"));
        check("redis-cluster://user:s3cret@a:7000?node=b:7001&node=c:7002", Ok("redis-cluster://a:7000"));
        check(
            "redis-sentinel://a:26379/1?sentinelServiceName=main&node=b:26379&sentinelPassword=s3cret",
            Ok("redis-sentinel://a:26379/1"),
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        check("", Err("url is not usable"));
        check("localhost:6379", Err("scheme"));
        check("http://:s3cret@localhost:6379", Err("scheme `http`"));
        check("redis://:s3cret@", Err("host"));
        check("redis://localhost:99999", Err("port"));
        check("redis://localhost/one", Err("database"));
        check("redis-sentinel://a:26379", Err("sentinelServiceName"));
        check("redis-cluster://a:7000?node=b", Err("host:port"));
    }
}
