//! The listing in use, what is known about it, and the way to ask for a new one.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use market_model::UnixNanos;
use tokio::sync::{mpsc, oneshot, watch};

use crate::intake::SkippedRows;
use crate::{DiffReport, Listing, Origin, RegistryError};

/// Requests that wait for the refresh that will answer all of them.
const MOST_REQUESTS: usize = 16;

/// The instruments of today for everybody who asks. Clones share it.
///
/// A listing is swapped whole or not at all: whoever took one keeps a consistent day for as long as it is held.
#[derive(Debug, Clone)]
pub struct Registry {
    listing: watch::Sender<Arc<Listing>>,
    status: watch::Sender<RegistryStatus>,
    requests: mpsc::Sender<Request>,
}

/// What a refresh brought, for whoever asked for it.
pub(crate) type Outcome = Result<Arc<DiffReport>, RegistryError>;
pub(crate) type Request = oneshot::Sender<Outcome>;

/// The other end of [`Registry::refresh`]; belongs to the [`Refresher`](crate::Refresher).
#[derive(Debug)]
pub struct RefreshRequests(pub(crate) mpsc::Receiver<Request>);

/// How instruments stand, for health reports.
#[derive(Debug, Clone, Default)]
pub struct RegistryStatus {
    /// Why the last try brought no new listing; `None` after a good one.
    pub failure: Option<RefreshFailure>,
    /// When the next dump is fetched, by the wall clock.
    pub next_refresh: Option<UnixNanos>,
    /// The last day in the store.
    pub stored: Option<Date>,
    /// Why the listing in use is not in the store; `None` when it is.
    pub store_failure: Option<String>,
    /// What changed from the day before to this one; `None` before the first new day.
    pub morning: Option<Arc<DiffReport>>,
    /// What the last dump changed, a second one of the same day too.
    pub latest: Option<Arc<DiffReport>>,
}

/// A refresh that failed.
#[derive(Debug, Clone)]
pub struct RefreshFailure {
    /// Why.
    pub reason: RegistryError,
    /// When, by the wall clock.
    pub at: UnixNanos,
    /// How many tries have failed since the last good one.
    pub tries: u32,
}

/// One line about the listing in use.
#[derive(Debug, Clone)]
pub struct ListingSummary {
    /// Where it comes from.
    pub origin: Origin,
    /// Its day; `None` while there is none.
    pub day: Option<Date>,
    /// How many instruments.
    pub listed: usize,
    /// Since when its dump has been fetched; `None` while there is none.
    pub age: Option<Duration>,
    /// Rows of the dump that are not in it.
    pub skipped: SkippedRows,
}

// === impl Registry ===

impl Registry {
    /// Without instruments. The second part makes a [`Refresher`](crate::Refresher), which gets them.
    pub fn new() -> (Self, RefreshRequests) {
        let (requests, receiver) = mpsc::channel(MOST_REQUESTS);
        let registry = Self {
            listing: watch::Sender::new(Arc::new(Listing::none())),
            status: watch::Sender::default(),
            requests,
        };
        (registry, RefreshRequests(receiver))
    }

    /// The listing in use; empty and of [`Origin::None`] before the first one.
    pub fn current(&self) -> Arc<Listing> {
        self.listing.borrow().clone()
    }

    /// Wakes with every new listing.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.subscribe()
    }

    /// How refreshing and storing stand.
    pub fn status(&self) -> RegistryStatus {
        self.status.borrow().clone()
    }

    /// Wakes with every change of the status.
    pub fn watch_status(&self) -> watch::Receiver<RegistryStatus> {
        self.status.subscribe()
    }

    /// The listing in use in one line, as seen at `now`.
    pub fn summary(&self, now: UnixNanos) -> ListingSummary {
        let listing = self.current();
        let exists = listing.origin() != Origin::None;
        ListingSummary {
            origin: listing.origin(),
            day: exists.then(|| listing.day()),
            listed: listing.catalog().len(),
            age: exists.then(|| now.saturating_since(listing.taken_at())),
            skipped: listing.skipped().clone(),
        }
    }

    /// Fetches a dump now and answers what it changed. Requests that come together are answered by one refresh.
    ///
    /// # Errors
    /// Why the dump was not taken; [`RegistryError::NotRunning`] when nobody refreshes.
    ///
    /// # Cancel safety
    /// The refresh goes on without whoever asked for it.
    pub async fn refresh(&self) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| RegistryError::NotRunning)?;
        outcome.await.map_err(|_| RegistryError::NotRunning)?
    }

    pub(crate) fn publish(&self, listing: Arc<Listing>) {
        self.listing.send_replace(listing);
    }

    pub(crate) fn tell(&self, change: impl FnOnce(&mut RegistryStatus)) {
        self.status.send_modify(change);
    }
}
