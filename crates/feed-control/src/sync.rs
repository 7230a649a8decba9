//! Between the control task and the store of wishes: the only one that waits for a database.

use std::sync::Arc;
use std::time::Duration;

use market_model::{Clock, UnixNanos};
use subscription_store::{SubscriptionStore, WishBook, WishError, WishSpec};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{ControlEnd, ControlHandle, FeedControlMetrics, Footing};

/// What the store says, as the control task sees it.
#[derive(Debug, Clone, Default)]
pub struct StoreView {
    /// The wishes.
    pub book: Arc<WishBook>,
    /// A plan that was kept by an earlier run or another instance, and its generation.
    pub footing: Option<(u64, Arc<Footing>)>,
}

/// How the store is watched.
#[derive(Debug, Clone)]
pub struct StoreSyncConfig {
    /// How often is asked whether another instance changed something. One statement each.
    pub every: Duration,
    /// Wishes of the configuration, which join those of the store.
    pub configured: Vec<WishSpec>,
}

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncStatus {
    /// When it last answered.
    pub answered: Option<UnixNanos>,
    /// What it last refused, until it answers again. Wishes and plan stay as they were meanwhile.
    pub failure: Option<String>,
    /// The generation of the wishes in use.
    pub wishes_generation: u64,
    /// The generation of the plan that is kept.
    pub plan_generation: u64,
}

/// Reads wishes when they change and keeps the newest plan.
pub struct StoreSync<S> {
    store: S,
    config: StoreSyncConfig,
    clock: Arc<dyn Clock>,
    handle: ControlHandle,
    metrics: FeedControlMetrics,
    status: watch::Sender<SyncStatus>,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct Known {
    view: Option<StoreView>,
    plan: u64,
    kept: Option<Arc<Footing>>,
}

// === impl StoreSyncConfig ===

impl Default for StoreSyncConfig {
    /// Asks every two seconds.
    fn default() -> Self {
        Self { every: Duration::from_secs(2), configured: Vec::new() }
    }
}

// === impl StoreSync ===

impl<S: SubscriptionStore + Clone> Clone for StoreSync<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            handle: self.handle.clone(),
            metrics: self.metrics.clone(),
            status: self.status.clone(),
        }
    }
}

impl<S: SubscriptionStore> StoreSync<S> {
    /// Between `store` and the control task behind `handle`.
    pub fn new(
        store: S,
        config: StoreSyncConfig,
        clock: Arc<dyn Clock>,
        handle: ControlHandle,
        metrics: FeedControlMetrics,
    ) -> Self {
        Self { store, config, clock, handle, metrics, status: watch::Sender::default() }
    }

    /// How the store is doing.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.subscribe()
    }

    /// Runs until `stop` is cancelled. A store that fails is asked again at the next turn.
    ///
    /// # Cancel safety
    /// Dropping the future loses at most the newest plan, which the next run makes again.
    pub async fn run(self, stop: CancellationToken) -> ControlEnd {
        let mut known = Known::default();
        let mut turns = interval(self.config.every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut nudges, mut footings) = (self.handle.nudges(), self.handle.footing());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return ControlEnd::Stopped,
                _ = turns.tick() => {}
                Ok(()) = nudges.changed() => {}
                Ok(()) = footings.changed() => {}
            }
            let newest = footings.borrow_and_update().clone();
            let turn = self.turn(&mut known, newest);
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => return ControlEnd::Stopped,
                end = turn => end,
            };
            self.note(end, &known);
        }
    }

    async fn turn(&self, known: &mut Known, newest: Option<Arc<Footing>>) -> Result<(), WishError> {
        self.read(known).await?;
        let Some(newest) = newest.filter(|newest| known.kept.as_ref() != Some(newest)) else { return Ok(()) };
        match self.store.keep_plan(known.plan, &newest.encode()).await {
            Ok(generation) => {
                known.plan = generation;
                known.kept = Some(newest);
                Ok(())
            }
            // Another instance was faster. Its plan is taken over, and what is different here is planned on top of it.
            Err(WishError::StalePlan { .. }) => self.read(known).await,
            Err(error) => Err(error),
        }
    }

    /// Reads what changed and shows it.
    async fn read(&self, known: &mut Known) -> Result<(), WishError> {
        let now = self.store.generations().await?;
        let fresh = known.view.as_ref().is_none_or(|view| view.book.generation != now.wishes);
        let book = match fresh {
            true => Some(self.store.load().await?.with_configured(&self.config.configured)),
            false => None,
        };
        let foreign = match now.plan != known.plan {
            true => self.store.kept_plan().await?,
            false => None,
        };
        if book.is_none() && foreign.is_none() {
            return Ok(());
        }
        let mut view = known.view.clone().unwrap_or_default();
        if let Some(book) = book {
            for (id, reason) in book.unreadable.iter() {
                warn!(wish = %id, reason, "a wish cannot be read and is left out");
            }
            info!(generation = book.generation, wishes = book.wishes.len(), "wishes read");
            view.book = Arc::new(book);
        }
        if let Some(kept) = foreign {
            known.plan = kept.generation;
            match Footing::decode(&kept.content) {
                Ok(footing) => {
                    let footing = Arc::new(footing);
                    known.kept = Some(footing.clone());
                    view.footing = Some((kept.generation, footing));
                }
                Err(error) => {
                    known.kept = None;
                    warn!(%error, "kept plan left aside");
                }
            }
        }
        known.view = Some(view.clone());
        self.handle.show(view);
        Ok(())
    }

    fn note(&self, end: Result<(), WishError>, known: &Known) {
        let failure = end.err().map(|error| error.to_string());
        if let Some(failure) = &failure {
            self.metrics.store_failures.increment(1);
            if self.status.borrow().failure.is_none() {
                warn!(error = %failure, "the store of wishes failed, going on with what is known");
            }
        }
        let answered = failure.is_none().then(|| self.clock.now());
        self.status.send_modify(|status| {
            status.answered = answered.or(status.answered);
            status.failure = failure;
            status.wishes_generation = known.view.as_ref().map_or(0, |view| view.book.generation);
            status.plan_generation = known.plan;
        });
    }
}
