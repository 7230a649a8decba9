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
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface, StreamsInterface};
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, TcpConfig};
use fred::types::streams::{XCapKind, XCapTrim};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand, Value};
use tokio::time::timeout;

use crate::lane::HealthJob;
use crate::last_values::LastValue;
use crate::{RedisConfig, RedisError, RedisUrl};

const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// How a connection is made.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    url: RedisUrl,
    command_timeout: Duration,
    connect_timeout: Duration,
}

/// A standing connection. Dropping it ends it at once.
pub(crate) struct Connection {
    client: Client,
    task: ConnectHandle,
    command_timeout: Duration,
}

/// A last value to write, its key, and whether its expiry is to be set.
pub(crate) struct LastWrite {
    pub(crate) key: String,
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

// === impl Connector ===

impl Connector {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        Self {
            url: config.url.clone(),
            command_timeout: config.command_timeout,
            connect_timeout: config.connect_timeout,
        }
    }

    /// Makes a connection, authenticated and ready.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub(crate) async fn open(&self) -> Result<Connection, RedisError> {
        let mut config = parse_url(&self.url)?;
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
        let mut connection = Connection { client, task, command_timeout: self.command_timeout };
        let standing = async {
            tokio::select! {
                biased;
                ended = &mut connection.task => Err(ended_error(ended)),
                connected = announced => connected.map_err(Some),
            }
        };
        match timeout(self.connect_timeout, standing).await {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(error)) => Err(connect_error(error)),
            Err(_) => Err(RedisError::Connect(format!(
                "no connection within {} ms",
                self.connect_timeout.as_millis()
            ))),
        }
    }

    fn configure(&self, connection: &mut ConnectionConfig) {
        connection.connection_timeout = self.connect_timeout;
        connection.internal_command_timeout = self.connect_timeout;
        // More would repeat a command whose answer was lost.
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = 0;
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
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

    /// Publishes `payload` on one or two channels.
    pub(crate) fn publish(
        &self,
        channel: String,
        second: Option<String>,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        async move {
            let first = client.publish::<(), _, _>(channel, Value::Bytes(payload.clone()));
            let done = match second {
                None => first.await,
                Some(second) => {
                    let second = client.publish::<(), _, _>(second, Value::Bytes(payload));
                    futures_util::future::try_join(first, second).await.map(|_| ())
                }
            };
            done.map_err(|error| command_error(error, limit))
        }
    }

    /// Writes last values: by one script, which costs this process a fraction of a pipeline; in a cluster, where a
    /// script must stay within a slot, by a pipeline.
    pub(crate) fn write_last(
        &self,
        writes: &[LastWrite],
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        let commands: Vec<_> = if client.is_clustered() {
            writes.iter().flat_map(LastWrite::commands).collect()
        } else {
            vec![("EVAL", script_arguments(writes))]
        };
        async move {
            let pipeline = client.pipeline();
            let sent = async {
                for (name, arguments) in commands {
                    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
                    pipeline.custom::<(), Value>(command, arguments).await?;
                }
                pipeline.all::<Value>().await
            };
            sent.await.map(|_| ()).map_err(|error| command_error(error, limit))
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

    /// Asks whether Redis is there.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let (client, limit) = (self.client.clone(), self.command_timeout);
        async move { client.ping::<()>(None).await.map_err(|error| command_error(error, limit)) }
    }
}

/// Keys, then per key its milliseconds of expiry (0: unchanged) and the values of its fields. A key that cannot be
/// written (of another type, say) does not keep the others from being written; the first error is answered.
const WRITE_LAST: &str = "\
local failed = false
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 7
  local done = redis.pcall('HSET', key, 'v', ARGV[at + 2], 'seq', ARGV[at + 3], 'ts_publish', ARGV[at + 4],
    'source', ARGV[at + 5], 'sim', ARGV[at + 6], 'tick', ARGV[at + 7])
  if type(done) == 'table' and done.err then
    failed = failed or done
  elseif ARGV[at + 1] ~= '0' then
    redis.call('PEXPIRE', key, ARGV[at + 1])
  end
end
return failed";

fn script_arguments(writes: &[LastWrite]) -> Vec<Value> {
    let mut arguments = Vec::with_capacity(2 + 8 * writes.len());
    arguments.push(Value::from_static_str(WRITE_LAST));
    arguments.push(Value::Integer(writes.len() as i64));
    arguments.extend(writes.iter().map(|write| Value::from(write.key.as_str())));
    for write in writes {
        arguments.push(Value::Integer(write.expiry.map_or(0, millis)));
        arguments.extend(write.fields().map(|(_, value)| value));
    }
    arguments
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl LastWrite {
    fn fields(&self) -> [(&'static str, Value); 6] {
        let value = &self.value;
        [
            ("v", Value::Integer(snapshot_wire::VERSION as i64)),
            ("seq", Value::from(itoa::Buffer::new().format(value.seq))),
            ("ts_publish", Value::Integer(value.ts_publish)),
            ("source", Value::Bytes(value.source.clone())),
            ("sim", Value::from_static_str(if value.sim { "true" } else { "false" })),
            ("tick", Value::Bytes(value.tick.clone())),
        ]
    }

    /// The commands with their arguments. Written by hand because the library would build a map for each.
    fn commands(&self) -> impl Iterator<Item = (&'static str, Vec<Value>)> + use<> {
        let key = Value::from(self.key.as_str());
        let fields =
            self.fields().into_iter().flat_map(|(name, value)| [Value::from_static_str(name), value]);
        let hset = std::iter::once(key.clone()).chain(fields).collect();
        let expire = self.expiry.map(|expiry| ("PEXPIRE", vec![key, Value::Integer(millis(expiry))]));
        std::iter::once(("HSET", hset)).chain(expire)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task owns the sockets and all commands that have no answer yet; they fail.
        self.task.abort();
    }
}

// === impl errors ===

fn ended_error(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Option<Error> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(error) => Some(Error::new(ErrorKind::Unknown, error.to_string())),
    }
}

fn connect_error(error: Option<Error>) -> RedisError {
    match error {
        Some(error) if *error.kind() == ErrorKind::Auth => {
            RedisError::Credentials(error.details().to_owned())
        }
        Some(error) => RedisError::Connect(error.details().to_owned()),
        None => RedisError::Connect("closed".to_owned()),
    }
}

fn command_error(error: Error, limit: Duration) -> RedisError {
    match error.kind() {
        ErrorKind::Timeout => RedisError::Timeout(limit),
        ErrorKind::Auth => RedisError::Credentials(error.details().to_owned()),
        ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Tls | ErrorKind::Routing => {
            RedisError::Lost(error.details().to_owned())
        }
        _ => RedisError::Reply(error.details().to_owned()),
    }
}
