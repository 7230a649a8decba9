//! Today's instruments as the feed and the doors use them.

use std::sync::Arc;

use instrument_registry::{Listing, Registry};
use market_model::{Clock, InstrumentCatalog};
use resilience::TaskExit;
use tick_pipeline::Market;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where the catalog goes whenever the registry has a new one. Before the first both hold an empty catalog.
#[derive(Debug, Clone)]
pub(crate) struct CatalogBoard {
    market: watch::Sender<Market>,
    catalog: watch::Sender<Arc<InstrumentCatalog>>,
}

// === impl CatalogBoard ===

impl CatalogBoard {
    pub(crate) fn new() -> Self {
        let empty = Arc::new(InstrumentCatalog::default());
        Self { market: watch::Sender::new(Market::new(empty.clone())), catalog: watch::Sender::new(empty) }
    }

    pub(crate) fn market(&self) -> watch::Receiver<Market> {
        self.market.subscribe()
    }

    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<InstrumentCatalog>> {
        self.catalog.subscribe()
    }

    fn publish(&self, listing: &Listing) {
        let catalog = listing.catalog().clone();
        self.market.send_replace(Market::new(catalog.clone()));
        self.catalog.send_replace(catalog);
    }

    /// Follows the registry until told to stop.
    pub(crate) async fn follow(self, registry: Registry, stop: CancellationToken) -> TaskExit {
        let mut listings = registry.subscribe();
        loop {
            let listing = listings.borrow_and_update().clone();
            if !listing.catalog().is_empty() {
                self.publish(&listing);
            }
            tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                changed = listings.changed() => if changed.is_err() {
                    return TaskExit::InputClosed;
                },
            }
        }
    }
}

/// Why there are no instruments; `None` when there are.
pub(crate) fn missing(registry: &Registry, clock: &dyn Clock) -> Option<String> {
    if registry.summary(clock.now()).listed > 0 {
        return None;
    }
    let failure = registry.status().failure;
    Some(failure.map_or_else(
        || "instruments are being loaded".to_owned(),
        |failure| format!("no instruments: {}", failure.reason),
    ))
}
