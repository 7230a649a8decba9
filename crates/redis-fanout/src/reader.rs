//! Last values read back: what other instances write is asked for here, now and then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use market_model::{InstrumentToken, UnixNanos};
use snapshot_wire::WireFormat;
use snapshot_wire::decode::{PositionalTick, TickMessage};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::connection::{Connection, Connector, Reach};
use crate::{Keys, RedisConfig, RedisError};

/// Hashes asked for in one go: about a megabyte of answers.
const AT_ONCE: usize = 512;
/// Connections at most. Questions come from people and scripts; one that finds both in use waits its turn.
const CONNECTIONS: usize = 2;
/// A connection may have been closed while nobody used it, or a slot may just have moved: then it is asked again.
const TRIES: usize = 2;

/// The fields of a last value that are read.
pub(crate) const FIELDS: [&str; 4] = ["tick", "ts_publish", "source", "sim"];

/// Those fields of one hash, as far as it has them.
pub(crate) type StoredFields = [Option<Bytes>; FIELDS.len()];

/// One instrument's last value.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredValue {
    /// The tick.
    pub tick: TickMessage,
    /// When its batch was sealed.
    pub ts_publish: UnixNanos,
    /// Who sealed it.
    pub source: Arc<str>,
    /// Whether it is simulated.
    pub sim: bool,
}

/// Reads last values. It has no task: a question uses a connection that is idle, or makes one.
#[derive(Debug)]
pub struct LastValueReader {
    connector: Connector,
    keys: Keys,
    format: WireFormat,
    /// How long a question may take, all of it.
    limit: Duration,
    turns: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// Counts attempts to connect, so that another node or sentinel is tried each time.
    attempts: AtomicUsize,
}

// === impl LastValueReader ===

impl LastValueReader {
    /// A reader of what a sink with this configuration writes. Nothing is connected before the first question.
    pub fn new(config: &RedisConfig) -> Self {
        Self {
            connector: Connector::new(config, Reach::Named),
            keys: Keys::new(&config.namespace),
            format: config.format,
            // As long as one command may take, and as much again to make a connection.
            limit: 2 * config.command_timeout,
            turns: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
            attempts: AtomicUsize::new(0),
        }
    }

    /// The last values of those of `tokens` that have one, in their order. Takes at most twice
    /// [`RedisConfig::command_timeout`].
    ///
    /// # Errors
    /// [`RedisError`] when Redis does not answer in time, refuses, or holds what cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is changed; the connection in use is closed.
    pub async fn read(&self, tokens: &[InstrumentToken]) -> Result<Vec<StoredValue>, RedisError> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        match timeout(self.limit, self.read_at_leisure(tokens)).await {
            Ok(read) => read,
            Err(_) => Err(RedisError::Timeout(self.limit)),
        }
    }

    async fn read_at_leisure(&self, tokens: &[InstrumentToken]) -> Result<Vec<StoredValue>, RedisError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| RedisError::NotConnected)?;
        let mut outcome = Err(RedisError::NotConnected);
        for _ in 0..TRIES {
            let idle = self.idle().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connector.open(self.attempts.fetch_add(1, Ordering::Relaxed)).await?,
            };
            outcome = self.ask(&mut connection, tokens).await;
            match &outcome {
                Err(error) if error.needs_reconnect() || !error.is_answer() => {}
                _ => self.idle().push(connection),
            }
            if !matches!(&outcome, Err(error) if !error.is_final()) {
                break;
            }
        }
        outcome
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        tokens: &[InstrumentToken],
    ) -> Result<Vec<StoredValue>, RedisError> {
        let mut values = Vec::with_capacity(tokens.len());
        for part in tokens.chunks(AT_ONCE) {
            let stored = connection.read_last(&self.keys, part).await?;
            for (token, fields) in part.iter().zip(stored) {
                values.extend(self.value(*token, fields)?);
            }
        }
        Ok(values)
    }

    /// `None` when nothing is stored.
    fn value(&self, token: InstrumentToken, fields: StoredFields) -> Result<Option<StoredValue>, RedisError> {
        let [Some(tick), ts_publish, source, sim] = fields else { return Ok(None) };
        let tick = match self.format {
            WireFormat::Json => serde_json::from_slice(&tick).ok(),
            WireFormat::MessagePack => rmp_serde::from_slice(&tick).ok(),
            WireFormat::Positional => rmp_serde::from_slice(&tick).ok().map(|PositionalTick(tick)| tick),
        };
        let text = |field: Option<Bytes>| {
            let field = field?;
            std::str::from_utf8(&field).ok().map(str::to_owned)
        };
        let ts_publish = text(ts_publish).and_then(|at| at.parse().ok()).map(UnixNanos);
        let (Some(tick), Some(ts_publish), Some(source)) = (tick, ts_publish, text(source)) else {
            return Err(RedisError::Unreadable(token));
        };
        let sim = text(sim).is_some_and(|sim| sim == "true");
        Ok(Some(StoredValue { tick, ts_publish, source: source.into(), sim }))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
