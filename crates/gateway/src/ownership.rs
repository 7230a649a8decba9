//! Only the holder of an account's lease may speak for it: feeds wait for the lease, sinks look at it again.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use sql_store::lease::{HeldLeases, LeaseGuard};
use tick_pipeline::{HealthRecord, SnapshotBatch, SnapshotSink};
use tokio::sync::watch;

/// Sources whose batches may still wait in a queue: two runs of each of a hundred accounts, and some room.
const REMEMBERED: usize = 256;

/// One account's lease, as its feed sees it.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    name: Arc<str>,
    held: watch::Receiver<HeldLeases>,
}

/// Under which lease each source speaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speakers {
    sources: Arc<RwLock<VecDeque<Speaker>>>,
}

/// A source and the lease it speaks under.
type Speaker = (Arc<str>, LeaseGuard);

/// A sink that takes nothing from a source whose lease is lost: a process that was paused wakes up with full queues, and
/// what is in them is old by then.
pub(crate) struct GuardedSink<S> {
    sink: S,
    speakers: Speakers,
}

/// Why a record was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered<E> {
    /// Another instance speaks for the account now.
    #[error("the lease of {0} is lost, what it said is withheld")]
    NotTheHolder(Arc<str>),
    /// The sink itself refused it.
    #[error(transparent)]
    Sink(E),
}

/// The account that a source speaks for; what follows it counts leases and runs.
pub(crate) fn account_of(source: &str) -> &str {
    source.split_once('~').map_or(source, |(account, _)| account)
}

// === impl Tenure ===

impl Tenure {
    pub(crate) fn new(name: Arc<str>, held: watch::Receiver<HeldLeases>) -> Self {
        Self { name, held }
    }

    /// The lease, as soon as it is ours; `None` when nobody keeps leases any more.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn begun(&mut self) -> Option<LeaseGuard> {
        let name = self.name.clone();
        let held = self.held.wait_for(|held| held.get(&name).is_some_and(LeaseGuard::is_held)).await.ok()?;
        held.get(&self.name).cloned()
    }

    /// Returns when `guard` is lost.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended(&mut self, guard: &LeaseGuard) {
        let name = self.name.clone();
        let same = |held: &HeldLeases| held.get(&name).is_some_and(|held| held.fence() == guard.fence());
        // The keeper is gone: so is the lease.
        let _ = self.held.wait_for(|held| !same(held) || !guard.is_held()).await;
    }
}

// === impl Speakers ===

impl Speakers {
    /// `source` speaks under `guard` from now on.
    pub(crate) fn begin(&self, source: Arc<str>, guard: LeaseGuard) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        if sources.len() == REMEMBERED {
            sources.pop_front();
        }
        sources.push_back((source, guard));
    }

    /// A forgotten source has nothing waiting any more; if it had, it would be old.
    fn may_speak(&self, source: &str) -> bool {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.iter().rev().find(|(name, _)| **name == *source).is_some_and(|(_, guard)| guard.is_held())
    }
}

// === impl GuardedSink ===

impl<S> GuardedSink<S> {
    pub(crate) fn new(sink: S, speakers: Speakers) -> Self {
        Self { sink, speakers }
    }
}

impl<S: SnapshotSink> SnapshotSink for GuardedSink<S> {
    type Error = Undelivered<S::Error>;

    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), Self::Error> {
        if !self.speakers.may_speak(&batch.source) {
            return Err(Undelivered::NotTheHolder(batch.source.clone()));
        }
        self.sink.deliver(batch).await.map_err(Undelivered::Sink)
    }

    /// What a source says of itself harms nobody, and its last words are about the loss.
    async fn health(&mut self, record: &HealthRecord) -> Result<(), Self::Error> {
        self.sink.health(record).await.map_err(Undelivered::Sink)
    }
}
