//! One connection to Redis, and what can be asked on it.
//!
//! A server, the master behind sentinels, and one node of a cluster are spoken to by a [`Wire`] of our own
//! ([why](../../../docs/adr/0011-redis-wire.md)); a cluster with all its nodes through the client library, which also
//! reads the URL.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use fred::error::ErrorKind;
use fred::types::config::{Config, Server, ServerConfig};
use futures_util::future::Either;
use market_model::InstrumentToken;
use tokio::time::timeout;

use self::library::Library;
use self::wire::Wire;
use crate::lane::{HealthJob, PublishJob};
use crate::last_values::LastValue;
use crate::reader::StoredFields;
use crate::{Keys, RedisConfig, RedisError, RedisUrl};

mod answer;
mod commands;
mod dial;
mod library;
mod resp;
mod wire;

const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// Whom a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What the URL names: a master, or a cluster with all its nodes.
    Named,
    /// Any one node of a cluster. It passes messages on to the others, so publishing needs no more.
    AnyNode,
}

/// How a connection is made.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    url: RedisUrl,
    reach: Reach,
    command_timeout: Duration,
    connect_timeout: Duration,
}

/// A standing connection. Dropping it ends it at once.
pub(crate) struct Connection {
    link: Link,
    reach: Reach,
}

enum Link {
    Wire(Wire),
    Library(Library),
}

/// What Redis refused of a command's work: why, and which of its items, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: RedisError,
    pub(crate) items: Vec<usize>,
}

/// A last value to write, and whether its key's expiry is to be set.
pub(crate) struct LastWrite {
    pub(crate) value: LastValue,
    pub(crate) expiry: Option<Duration>,
}

/// What the client library makes of a URL.
///
/// # Errors
/// [`RedisError::Url`], without credentials.
pub(crate) fn parse_url(url: &RedisUrl) -> Result<Config, RedisError> {
    let bad = |detail: String| RedisError::Url(detail);
    let Some((scheme, _)) = url.expose().split_once("://") else {
        return Err(bad("it must begin with a scheme such as redis://".to_owned()));
    };
    let base = scheme.strip_suffix("-cluster").or(scheme.strip_suffix("-sentinel")).unwrap_or(scheme);
    if !SCHEMES.contains(&base) {
        return Err(bad(format!(
            "scheme `{scheme}` is none of {} with an optional -cluster or -sentinel",
            SCHEMES.join(", ")
        )));
    }
    Config::from_url(url.expose()).map_err(|error| {
        bad(match (error.kind(), error.details()) {
            (ErrorKind::Parse, _) => "the database must be a number from 0 to 255".to_owned(),
            (_, details) if details.contains("EmptyHost") => "the host is missing".to_owned(),
            (_, details) if details.contains("InvalidPort") => {
                "the port must be a number below 65536".to_owned()
            }
            (_, details) if details.contains("sentinel") => "?sentinelServiceName=... is missing".to_owned(),
            (_, details) => details.to_owned(),
        })
    })
}

/// Whether a URL names a cluster.
pub(crate) fn is_cluster(url: &RedisUrl) -> bool {
    parse_url(url).is_ok_and(|config| nodes_of(&config).is_some())
}

/// The nodes of a cluster that the URL names, at least one.
fn nodes_of(config: &Config) -> Option<&[Server]> {
    match &config.server {
        ServerConfig::Clustered { hosts, .. } if !hosts.is_empty() => Some(hosts),
        _ => None,
    }
}

// === impl Connector ===

impl Connector {
    pub(crate) fn new(config: &RedisConfig, reach: Reach) -> Self {
        Self {
            reach,
            url: config.url.clone(),
            command_timeout: config.command_timeout,
            connect_timeout: config.connect_timeout,
        }
    }

    /// Makes a connection, authenticated and ready. Of several nodes another one is tried with each `attempt`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub(crate) async fn open(&self, attempt: usize) -> Result<Connection, RedisError> {
        let limit = self.connect_timeout;
        match timeout(limit, self.open_at_leisure(attempt)).await {
            Ok(opened) => opened,
            Err(_) => Err(RedisError::Connect(format!("no connection within {} ms", limit.as_millis()))),
        }
    }

    async fn open_at_leisure(&self, attempt: usize) -> Result<Connection, RedisError> {
        let mut config = parse_url(&self.url)?;
        if let Some(nodes) = nodes_of(&config) {
            if self.reach == Reach::Named {
                let library = Library::open(config, self.connect_timeout, self.command_timeout).await?;
                return Ok(Connection { link: Link::Library(library), reach: self.reach });
            }
            config.server = ServerConfig::Centralized { server: nodes[attempt % nodes.len()].clone() };
        }
        let mut wire = dial::dial(&config, attempt, self.connect_timeout).await?;
        wire.answer_within(self.command_timeout);
        // Before anything is published: a replica would take it and show it to its own subscribers only.
        match wire.ask_ping(self.reach).await {
            Err(error) if error.needs_reconnect() || !error.is_answer() => Err(error),
            _ => Ok(Connection { link: Link::Wire(wire), reach: self.reach }),
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Resolves when the connection has ended, with the reason. Nothing moves unless it is polled.
    ///
    /// # Cancel safety
    /// Safe; not to be called again after it has resolved.
    pub(crate) async fn lost(&mut self) -> RedisError {
        match &mut self.link {
            Link::Wire(wire) => wire.lost().await,
            Link::Library(library) => library.lost().await,
        }
    }

    /// Publishes each job on its one or two channels. Answers what was refused.
    pub(crate) fn publish(
        &mut self,
        jobs: &[PublishJob],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        match &mut self.link {
            Link::Wire(wire) => Either::Left(wire.publish(jobs)),
            Link::Library(library) => Either::Right(library.publish(jobs)),
        }
    }

    /// Writes last values. Answers what was refused.
    pub(crate) fn write_last(
        &mut self,
        keys: &Keys,
        writes: &[LastWrite],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        match &mut self.link {
            Link::Wire(wire) => Either::Left(wire.write_last(keys, writes)),
            Link::Library(library) => Either::Right(library.write_last(keys, writes)),
        }
    }

    /// Reads last values, one answer for each of `tokens`. Moves the bytes itself: nothing else is under way.
    pub(crate) async fn read_last(
        &mut self,
        keys: &Keys,
        tokens: &[InstrumentToken],
    ) -> Result<Vec<StoredFields>, RedisError> {
        match &mut self.link {
            Link::Wire(wire) => wire.read_last(keys, tokens).await,
            Link::Library(library) => library.read_last(keys, tokens).await,
        }
    }

    /// Appends a record to a stream that keeps about `keep` of them.
    pub(crate) fn append(
        &mut self,
        stream: String,
        keep: u32,
        job: &HealthJob,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        match &mut self.link {
            Link::Wire(wire) => Either::Left(wire.append(&stream, keep, job)),
            Link::Library(library) => Either::Right(library.append(stream, keep, job)),
        }
    }

    /// Asks whether Redis is there and still the master. Every user may ask that.
    pub(crate) fn ping(&mut self) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        match &mut self.link {
            Link::Wire(wire) => Either::Left(wire.ping(self.reach)),
            Link::Library(library) => Either::Right(library.ping()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("reach", &self.reach).finish_non_exhaustive()
    }
}

// === impl Refused ===

impl Refused {
    /// The same in other terms: `item_of` says for each item which one it is part of, in order.
    fn of(mut self, item_of: &[usize]) -> Self {
        self.items = self.items.iter().filter_map(|item| item_of.get(*item).copied()).collect();
        self.items.dedup();
        self
    }
}

/// For each message of `jobs`, channel by channel, the job it belongs to.
fn job_of_message(jobs: &[PublishJob]) -> Vec<usize> {
    let mut job_of = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        job_of.extend(job.channels().map(|_| index));
    }
    job_of
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
