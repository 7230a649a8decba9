//! A connection to a cluster with all its nodes, through the client library: it knows which node has which slot.
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
use fred::interfaces::{ClientLike, PubsubInterface, StreamsInterface};
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, TcpConfig};
use fred::types::streams::{XCapKind, XCapTrim};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand, Value};
use futures_util::future::join_all;
use market_model::InstrumentToken;

use super::answer::{command_error, connect_error, ended_error, queue_error, refused_of_each};
use super::{LastWrite, Refused, job_of_message, millis};
use crate::lane::{HealthJob, PublishJob};
use crate::reader::{FIELDS, StoredFields};
use crate::{Keys, RedisError};

/// A standing connection. Dropping it ends it at once.
pub(super) struct Library {
    client: Client,
    task: ConnectHandle,
    limit: Duration,
}

// === impl Library ===

impl Library {
    /// Connects; commands must be answered within `limit`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub(super) async fn open(
        mut config: Config,
        connect_timeout: Duration,
        limit: Duration,
    ) -> Result<Self, RedisError> {
        config.fail_fast = true;
        let client = Builder::from_config(config)
            .with_connection_config(|connection| configure(connection, connect_timeout))
            .with_performance_config(|performance: &mut PerformanceConfig| {
                performance.default_command_timeout = limit;
            })
            .build()
            .map_err(|error| RedisError::Connect(error.details().to_owned()))?;
        let listener = client.clone();
        let mut announced = pin!(listener.wait_for_connect());
        // The first poll subscribes, so the announcement cannot be missed.
        let _: Poll<_> = poll_fn(|cx| Poll::Ready(announced.as_mut().poll(cx))).await;
        let task = client.connect();
        let mut library = Self { client, task, limit };
        tokio::select! {
            biased;
            ended = &mut library.task => return Err(connect_error(ended_error(ended))),
            connected = announced => connected.map_err(|error| connect_error(Some(error)))?,
        }
        Ok(library)
    }

    /// Resolves when the connection has ended, with the reason.
    ///
    /// # Cancel safety
    /// Safe; not to be called again after it has resolved.
    pub(super) async fn lost(&mut self) -> RedisError {
        match ended_error((&mut self.task).await) {
            Some(error) => RedisError::Lost(error.details().to_owned()),
            None => RedisError::Lost("closed".to_owned()),
        }
    }

    pub(super) fn publish(
        &self,
        jobs: &[PublishJob],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.limit);
        let job_of = job_of_message(jobs);
        let messages: Vec<(Bytes, Bytes)> = jobs
            .iter()
            .flat_map(|job| job.channels().map(|channel| (channel.clone(), job.payload.clone())))
            .collect();
        async move {
            let publish = messages.into_iter().map(|(channel, payload)| {
                client.publish::<Value, _, _>(String::from_utf8_lossy(&channel).into_owned(), payload)
            });
            let refused = refused_of_each(join_all(publish).await, limit)?;
            Ok(refused.map(|refused| refused.of(&job_of)))
        }
    }

    pub(super) fn write_last(
        &self,
        keys: &Keys,
        writes: &[LastWrite],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.limit);
        let commands: Vec<_> = writes.iter().map(|write| commands_of(keys, write)).collect();
        async move {
            let pipeline = client.pipeline();
            let mut write_of = Vec::with_capacity(commands.len());
            for (index, commands) in commands.into_iter().enumerate() {
                for (name, arguments) in commands {
                    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
                    pipeline.custom::<(), Value>(command, arguments).await.map_err(queue_error)?;
                    write_of.push(index);
                }
            }
            let refused = refused_of_each(pipeline.try_all::<Value>().await, limit)?;
            Ok(refused.map(|refused| refused.of(&write_of)))
        }
    }

    pub(super) async fn read_last(
        &self,
        keys: &Keys,
        tokens: &[InstrumentToken],
    ) -> Result<Vec<StoredFields>, RedisError> {
        let pipeline = self.client.pipeline();
        for token in tokens {
            let command = CustomCommand::new_static("HMGET", ClusterHash::FirstKey, false);
            let words = std::iter::once(keys.last(*token)).chain(FIELDS.map(str::to_owned));
            let arguments: Vec<Value> = words.map(Value::from).collect();
            pipeline.custom::<(), Value>(command, arguments).await.map_err(queue_error)?;
        }
        let fields = |answer: Result<Value, _>| {
            let answer = answer.map_err(|error| command_error(error, self.limit))?;
            let mut stored = StoredFields::default();
            for (place, field) in stored.iter_mut().zip(answer.into_array()) {
                *place = field.into_bytes();
            }
            Ok(stored)
        };
        pipeline.try_all::<Value>().await.into_iter().map(fields).collect()
    }

    pub(super) fn append(
        &self,
        stream: String,
        keep: u32,
        job: &HealthJob,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.limit);
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

    /// Asks whether the cluster is there; the library knows which nodes are masters.
    pub(super) fn ping(&self) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.limit);
        async move { client.ping::<()>(None).await.map_err(|error| command_error(error, limit)) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // The task owns the sockets and all commands that have no answer yet; they fail.
        self.task.abort();
    }
}

fn configure(connection: &mut ConnectionConfig, connect_timeout: Duration) {
    connection.connection_timeout = connect_timeout;
    connection.internal_command_timeout = connect_timeout;
    // More would repeat a command whose answer was lost.
    connection.max_command_attempts = 1;
    // The library sends what a node answers with ASK to the same node again, and on the way may take the answer
    // of another command for its own. So it only learns the new map (on MOVED), and we repeat the command.
    connection.max_redirections = 0;
    connection.max_command_buffer_len = 0;
    // A connection that is given up takes what it has not sent with it: those values are old.
    connection.tcp = TcpConfig { nodelay: Some(true), linger: Some(Duration::ZERO), ..TcpConfig::default() };
}

/// The commands with their arguments. Written by hand because the library would build a map for each.
fn commands_of(keys: &Keys, write: &LastWrite) -> Vec<(&'static str, Vec<Value>)> {
    let head = &write.value.head;
    let fields = [
        ("v", Value::Integer(snapshot_wire::VERSION as i64)),
        ("seq", Value::from(itoa::Buffer::new().format(head.seq))),
        ("ts_publish", Value::Integer(head.ts_publish)),
        ("source", Value::Bytes(head.source.clone())),
        ("sim", Value::from_static_str(if head.sim { "true" } else { "false" })),
        ("tick", Value::Bytes(write.value.tick.clone())),
    ];
    let key = Value::from(keys.last(write.value.token));
    let fields = fields.into_iter().flat_map(|(name, value)| [Value::from_static_str(name), value]);
    let mut commands = vec![("HSET", std::iter::once(key.clone()).chain(fields).collect())];
    if let Some(expiry) = write.expiry {
        commands.push(("PEXPIRE", vec![key, Value::Integer(millis(expiry))]));
    }
    commands
}
