//! One connection to Redis: the only module that knows the client library.
//!
//! The library is kept on a short lead. Its own queue is never limited (a limit breaks it) and never grows, because
//! nothing is given to it unless the connection stands and few commands are under way. Its reconnecting is not
//! used: a connection that fails is thrown away whole, with everything that waits in it, and a new one is made.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::ErrorKind;
use fred::interfaces::{ClientLike, PubsubInterface, StreamsInterface};
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TcpConfig};
use fred::types::streams::{XCapKind, XCapTrim};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand, Value};
use futures_util::future::join_all;
use tokio::time::timeout;

use self::answer::{
    answer_or_failure, command_error, connect_error, ended_error, master_only, queue_error, refused_of_each,
    role_of,
};
use self::script::{SCRIPT_HEAD, last_arguments, publish_arguments, refused};
use crate::lane::{HealthJob, PublishJob};
use crate::last_values::LastValue;
use crate::{Keys, RedisConfig, RedisError, RedisUrl};

mod answer;
mod script;

pub(crate) use self::script::Refused;

/// Batches that are smaller on average are published by a script: measured, it costs Redis 1 to 2 us more for each,
/// and saves 3 us here.
const SCRIPTED_BYTES: usize = 1024;
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
    client: Client,
    reach: Reach,
    task: ConnectHandle,
    command_timeout: Duration,
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
        let mut config = parse_url(&self.url)?;
        if self.reach == Reach::AnyNode
            && let Some(nodes) = nodes_of(&config)
        {
            config.server = ServerConfig::Centralized { server: nodes[attempt % nodes.len()].clone() };
        }
        config.fail_fast = true;
        let client = Builder::from_config(config)
            .with_connection_config(|connection| self.configure(connection))
            .with_performance_config(|performance: &mut PerformanceConfig| {
                performance.default_command_timeout = self.command_timeout;
            })
            .build()
            .map_err(|error| RedisError::Connect(error.details().to_owned()))?;
        let listener = client.clone();
        let mut announced = pin!(listener.wait_for_connect());
        // The first poll subscribes, so the announcement cannot be missed.
        let _: Poll<_> = poll_fn(|cx| Poll::Ready(announced.as_mut().poll(cx))).await;
        let task = client.connect();
        let mut connection =
            Connection { client, reach: self.reach, task, command_timeout: self.command_timeout };
        let limit = self.connect_timeout;
        let usable = async {
            tokio::select! {
                biased;
                ended = &mut connection.task => return Err(connect_error(ended_error(ended))),
                connected = announced => connected.map_err(|error| connect_error(Some(error)))?,
            }
            // Before anything is published: a replica would take it and show it to its own subscribers only.
            match connection.ping().await {
                Err(error) if error.needs_reconnect() || !error.is_answer() => Err(error),
                _ => Ok(()),
            }
        };
        match timeout(limit, usable).await {
            Ok(done) => done.map(|()| connection),
            Err(_) => Err(RedisError::Connect(format!("no connection within {} ms", limit.as_millis()))),
        }
    }

    fn configure(&self, connection: &mut ConnectionConfig) {
        connection.connection_timeout = self.connect_timeout;
        connection.internal_command_timeout = self.connect_timeout;
        // More would repeat a command whose answer was lost.
        connection.max_command_attempts = 1;
        // The library sends what a node answers with ASK to the same node again, and on the way may take the answer
        // of another command for its own. So it only learns the new map (on MOVED), and we repeat the command.
        connection.max_redirections = 0;
        connection.max_command_buffer_len = 0;
        // A connection that is given up takes what it has not sent with it: those prices are old.
        connection.tcp =
            TcpConfig { nodelay: Some(true), linger: Some(Duration::ZERO), ..TcpConfig::default() };
    }
}

// === impl Connection ===

impl Connection {
    /// Resolves when the connection has ended, with the reason.
    ///
    /// # Cancel safety
    /// Safe; not to be called again after it has resolved.
    pub(crate) async fn lost(&mut self) -> RedisError {
        match ended_error((&mut self.task).await) {
            Some(error) => RedisError::Lost(error.details().to_owned()),
            None => RedisError::Lost("closed".to_owned()),
        }
    }

    /// Publishes each job on its one or two channels. Answers what was refused.
    ///
    /// Small batches go as one script: a command costs us more than a script costs Redis. That turns with size,
    /// because a script copies what it publishes.
    pub(crate) fn publish(
        &self,
        jobs: &[PublishJob],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        let bytes: usize = jobs.iter().map(|job| job.payload.len()).sum();
        let is_scripted = jobs.len() > 1 && bytes <= SCRIPTED_BYTES * jobs.len();
        let (arguments, job_of_pair) = publish_arguments(jobs);
        async move {
            let pairs = job_of_pair.len();
            let refused = if is_scripted {
                let command = CustomCommand::new_static("EVAL", ClusterHash::FirstKey, false);
                match client.custom::<Value, Value>(command, arguments).await {
                    Ok(answer) => refused(&answer, 1..=pairs),
                    Err(error) => {
                        Some(Refused { error: answer_or_failure(error, limit)?, items: (0..pairs).collect() })
                    }
                }
            } else {
                // All are given to the library before it begins to send, so it sends them together.
                let pairs = arguments[SCRIPT_HEAD..].chunks_exact(2);
                let publish = pairs.map(|pair| {
                    let channel = pair[0].as_string().unwrap_or_default();
                    client.publish::<Value, _, _>(channel, pair[1].clone())
                });
                refused_of_each(join_all(publish).await, limit)?
            };
            Ok(refused.map(|mut refused| {
                refused.items = refused.items.iter().map(|pair| job_of_pair[*pair]).collect();
                refused.items.dedup();
                refused
            }))
        }
    }

    /// Writes last values: by one script; in a cluster, where a script must stay within a slot, by a pipeline.
    /// Answers what was refused.
    pub(crate) fn write_last(
        &self,
        keys: &Keys,
        writes: &[LastWrite],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        let (items, clustered) = (writes.len(), client.is_clustered());
        let scripted = if clustered { Vec::new() } else { last_arguments(keys, writes) };
        let single: Vec<_> =
            if clustered { writes.iter().map(|write| write.commands(keys)).collect() } else { Vec::new() };
        async move {
            if !clustered {
                let command = CustomCommand::new_static("EVAL", ClusterHash::FirstKey, false);
                let answer = client.custom::<Value, _>(command, scripted).await;
                return answer
                    .map(|answer| refused(&answer, 1..=items))
                    .map_err(|error| command_error(error, limit));
            }
            let pipeline = client.pipeline();
            let mut write_of_command = Vec::with_capacity(items);
            for (index, commands) in single.into_iter().enumerate() {
                for (name, arguments) in commands {
                    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
                    pipeline.custom::<(), Value>(command, arguments).await.map_err(queue_error)?;
                    write_of_command.push(index);
                }
            }
            let done = refused_of_each(pipeline.try_all::<Value>().await, limit)?;
            Ok(done.map(|mut refused| {
                refused.items = refused.items.iter().map(|command| write_of_command[*command]).collect();
                refused.items.dedup();
                refused
            }))
        }
    }

    /// Appends a record to a stream that keeps about `keep` of them.
    pub(crate) fn append(
        &self,
        stream: String,
        keep: u32,
        job: &HealthJob,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        let fields = vec![
            ("type", Value::from_static_str(job.kind)),
            ("source", Value::Bytes(Bytes::copy_from_slice(job.source.as_bytes()))),
            ("data", Value::Bytes(job.payload.clone())),
        ];
        async move {
            let cap = (XCapKind::MaxLen, XCapTrim::AlmostExact, i64::from(keep), None);
            client
                .xadd::<Value, _, _, _, _>(stream, false, cap, "*", fields)
                .await
                .map(|_| ())
                .map_err(|error| command_error(error, limit))
        }
    }

    /// Asks whether Redis is there and still the master. Every user may ask that.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, reach, limit) = (self.client.clone(), self.reach, self.command_timeout);
        async move {
            if reach == Reach::AnyNode || client.is_clustered() {
                // Every node will do, or the library knows which are masters.
                return client.ping::<()>(None).await.map_err(|error| command_error(error, limit));
            }
            let hello = CustomCommand::new_static("HELLO", None::<u16>, false);
            match client.custom::<Value, Value>(hello, Vec::new()).await {
                Ok(answer) => role_of(answer).map_or(Ok(()), |role| master_only(&role)),
                Err(error) => match command_error(error, limit) {
                    // Older than 6.2, or a proxy: it has answered, but says nothing of its role.
                    RedisError::Reply(_) => Ok(()),
                    error => Err(error),
                },
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl LastWrite {
    /// The commands with their arguments. Written by hand because the library would build a map for each.
    fn commands(&self, keys: &Keys) -> Vec<(&'static str, Vec<Value>)> {
        let head = &self.value.head;
        let fields = [
            ("v", Value::Integer(snapshot_wire::VERSION as i64)),
            ("seq", Value::from(itoa::Buffer::new().format(head.seq))),
            ("ts_publish", Value::Integer(head.ts_publish)),
            ("source", Value::Bytes(head.source.clone())),
            ("sim", Value::from_static_str(if head.sim { "true" } else { "false" })),
            ("tick", Value::Bytes(self.value.tick.clone())),
        ];
        let key = Value::from(keys.last(self.value.token));
        let fields = fields.into_iter().flat_map(|(name, value)| [Value::from_static_str(name), value]);
        let mut commands = vec![("HSET", std::iter::once(key.clone()).chain(fields).collect())];
        if let Some(expiry) = self.expiry {
            commands.push(("PEXPIRE", vec![key, Value::Integer(millis(expiry))]));
        }
        commands
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task owns the sockets and all commands that have no answer yet; they fail.
        self.task.abort();
    }
}
