//! Open connections, kept while they are fresh.
//!
//! Own code and not hyper-util's client, because a connection must be opened by our [`Connect`], because the task that
//! drives it must have an owner, and because of a write we must know whether a byte of it left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::config::RestConfig;
use super::error::RestError;
use crate::{Connect, Endpoint};

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connections to one endpoint. Dropping it closes them all.
pub(super) struct Pool {
    connector: Arc<dyn Connect>,
    endpoint: Endpoint,
    config: RestConfig,
    opened: Counter,
    places: Arc<Semaphore>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    idle: Vec<Idle>,
    /// Each moves one connection along; it ends when its connection does.
    drivers: JoinSet<()>,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

/// A connection for one exchange. [`Lease::give_back`] keeps it for the next; dropping closes it.
pub(super) struct Lease {
    pub(super) sender: Sender,
    /// Whether it has carried a request before, so that the server may be closing it.
    pub(super) is_reused: bool,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(
        connector: Arc<dyn Connect>,
        endpoint: Endpoint,
        config: RestConfig,
        opened: Counter,
    ) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(config.max_connections.max(1)));
        Arc::new(Self { connector, endpoint, config, opened, places, inner: Mutex::default() })
    }

    /// A kept connection, or a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, RestError> {
        self.bounded(async {
            let place = self.place().await?;
            match self.take_idle() {
                Some(sender) => Ok(Lease { sender, is_reused: true, pool: self.clone(), _place: place }),
                None => self.open(place).await,
            }
        })
        .await
    }

    /// A new connection, whatever is kept.
    pub(super) async fn lease_new(self: &Arc<Self>) -> Result<Lease, RestError> {
        self.bounded(async { self.open(self.place().await?).await }).await
    }

    async fn bounded(
        &self,
        leasing: impl Future<Output = Result<Lease, RestError>>,
    ) -> Result<Lease, RestError> {
        let patience = self.config.connect_timeout;
        let late = || RestError::Unreachable(format!("no connection within {patience:?}"));
        timeout(patience, leasing).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, RestError> {
        // The semaphore is never closed; if it were, nothing could be sent.
        let place = self.places.clone().acquire_owned().await;
        place.map_err(|closed| RestError::Unreachable(closed.to_string()))
    }

    async fn open(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Result<Lease, RestError> {
        let unreachable = |error: &dyn std::fmt::Display| RestError::Unreachable(error.to_string());
        let stream = self.connector.connect(&self.endpoint).await.map_err(|error| unreachable(&error))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        self.opened.increment(1);
        self.lock().drivers.spawn(async move {
            // How it ends is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(Lease { sender, is_reused: false, pool: self.clone(), _place: place })
    }

    /// The connection used last, because the oldest is the likeliest to be closed by the server.
    fn take_idle(&self) -> Option<Sender> {
        let mut inner = self.lock();
        inner.tidy(self.config.idle_for);
        let ready = inner.idle.iter().rposition(|idle| idle.sender.is_ready())?;
        Some(inner.idle.remove(ready).sender)
    }

    fn keep(&self, sender: Sender) {
        let mut inner = self.lock();
        inner.tidy(self.config.idle_for);
        if self.config.max_idle == 0 || sender.is_closed() {
            return;
        }
        if inner.idle.len() >= self.config.max_idle {
            // The oldest makes room.
            inner.idle.remove(0);
        }
        inner.idle.push(Idle { sender, since: Instant::now() });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Forgets connections that are closed or were idle too long, and the tasks of those that have ended.
    fn tidy(&mut self, idle_for: Duration) {
        self.idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < idle_for);
        while self.drivers.try_join_next().is_some() {}
    }
}

// === impl Lease ===

impl Lease {
    /// Keeps the connection for the next exchange. Only after the whole answer was read.
    pub(super) fn give_back(self) {
        let Self { sender, pool, .. } = self;
        pool.keep(sender);
    }
}
