//! The writer of one connection: connects, serves a [`Session`], begins again.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use resilience::Backoff;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

use crate::connection::{Connector, Reach};
use crate::fault::RedisPart;
use crate::last_values::LastValues;
use crate::outcome::Outcome;
use crate::status::Shared;
use crate::{Keys, RedisConfig, RedisError};

mod session;

use self::session::{Ended, Session};

/// A batch to publish.
pub(crate) struct PublishJob {
    pub(crate) channel: Bytes,
    pub(crate) legacy_channel: Option<Bytes>,
    pub(crate) payload: Bytes,
    pub(crate) outcome: Outcome,
    /// Its share of what may wait for the lane.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// A health record to append.
#[derive(Clone)]
pub(crate) struct HealthJob {
    pub(crate) kind: &'static str,
    pub(crate) source: Arc<str>,
    pub(crate) payload: Bytes,
}

/// What a lane is made of.
pub(crate) struct Lane {
    pub(crate) index: usize,
    /// Whom it leads to.
    pub(crate) reach: Reach,
    pub(crate) config: Arc<RedisConfig>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: mpsc::Receiver<PublishJob>,
    pub(crate) health: mpsc::Receiver<HealthJob>,
    pub(crate) last_values: Arc<LastValues>,
}

// === impl PublishJob ===

impl PublishJob {
    /// Where it is published.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.channel).chain(&self.legacy_channel)
    }
}

// === impl Lane ===

impl Lane {
    /// Runs until the sink is dropped, then flushes. A health record that could not be written is kept and comes
    /// first on the next connection.
    pub(crate) async fn run(mut self) {
        let mut unwritten = None;
        self.run_until_closed(&mut unwritten).await;
        let waiting = std::iter::from_fn(|| self.health.try_recv().ok());
        let lost = unwritten.into_iter().chain(waiting).map(|_| self.shared.health_dropped()).count();
        if lost > 0 {
            tracing::warn!(connection = self.index, lost, "health records not written to redis");
        }
    }

    async fn run_until_closed(&mut self, unwritten: &mut Option<HealthJob>) {
        let connector = Connector::new(&self.config, self.reach);
        let keys = Keys::new(&self.config.namespace);
        let mut backoff = Backoff::new(self.config.reconnect, self.index as u64);
        // Nothing is refused before Redis had a chance.
        let mut attempt = self.index;
        let mut opened = connector.open(attempt).await;
        loop {
            let error = match opened {
                Ok(connection) => {
                    tracing::info!(connection = self.index, "redis connected");
                    self.shared.connected();
                    backoff.reset();
                    let ended = Session::new(self, &keys, connection).serve(unwritten).await;
                    self.shared.disconnected();
                    match ended {
                        Ended::InputClosed => return,
                        Ended::Broken(error) => {
                            self.shared.connection_lost();
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            let delay = backoff.next();
            self.shared.failed(RedisPart::Connection, &error);
            tracing::debug!(connection = self.index, %error, retry_ms = delay.as_millis(), "redis unusable");
            attempt = attempt.wrapping_add(1);
            let next = async {
                sleep(delay).await;
                connector.open(attempt).await
            };
            opened = match self.refusing(next).await {
                Some(opened) => opened,
                None => return,
            };
        }
    }

    /// Awaits `wait` while refusing every batch that comes; `None` when the sink is gone.
    async fn refusing<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return Some(done),
                job = self.jobs.recv() => {
                    self.shared.failed(RedisPart::Ticks, &RedisError::NotConnected);
                    drop(job?);
                }
            }
        }
    }
}
