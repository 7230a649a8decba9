//! Gets the day's instruments at start, trying again until it has them.

use std::sync::Arc;

use exchange_calendar::Calendar;
use kite_client::KiteRest;
use market_model::InstrumentCatalog;
use resilience::{Backoff, BackoffConfig, TaskExit};
use tick_pipeline::Market;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::adapters::catalog::{self, LoadedCatalog};

/// Where the catalog goes once there is one. Before that both hold an empty catalog.
#[derive(Debug, Clone)]
pub(crate) struct CatalogBoard {
    market: watch::Sender<Market>,
    catalog: watch::Sender<Arc<InstrumentCatalog>>,
    problem: watch::Sender<Option<String>>,
}

impl CatalogBoard {
    pub(crate) fn new() -> Self {
        let empty = Arc::new(InstrumentCatalog::default());
        Self {
            market: watch::Sender::new(Market::new(empty.clone())),
            catalog: watch::Sender::new(empty),
            problem: watch::Sender::new(None),
        }
    }

    pub(crate) fn market(&self) -> watch::Receiver<Market> {
        self.market.subscribe()
    }

    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<InstrumentCatalog>> {
        self.catalog.subscribe()
    }

    /// Why there is no catalog; `None` when there is one.
    pub(crate) fn missing(&self) -> Option<String> {
        if !self.catalog.borrow().is_empty() {
            return None;
        }
        let problem = self.problem.borrow().clone();
        Some(problem.map_or_else(
            || "instruments are being loaded".to_owned(),
            |why| format!("no instruments: {why}"),
        ))
    }

    fn publish(&self, catalog: InstrumentCatalog) {
        let catalog = Arc::new(catalog);
        self.market.send_replace(Market::new(catalog.clone()));
        self.catalog.send_replace(catalog);
        self.problem.send_replace(None);
    }
}

/// Downloads and publishes the catalog, then waits to be stopped. Failures are logged and tried again with growing delays; a
/// refusal that nobody can wait out (a bad token) is tried again too, because the operator may mend it.
pub(crate) async fn load(
    rest: KiteRest,
    calendar: Calendar,
    board: CatalogBoard,
    stop: CancellationToken,
) -> TaskExit {
    let mut backoff = Backoff::new(BackoffConfig::default(), 0);
    loop {
        let attempt = tokio::select! {
            () = stop.cancelled() => return TaskExit::Cancelled,
            attempt = download(&rest, &calendar) => attempt,
        };
        let delay = backoff.next();
        match attempt {
            Ok(LoadedCatalog { catalog, skipped, first_skipped }) => {
                info!(instruments = catalog.len(), skipped, first_skipped, "instruments loaded");
                board.publish(catalog);
                stop.cancelled().await;
                return TaskExit::Cancelled;
            }
            Err(problem) => {
                warn!(%problem, ?delay, "instruments cannot be loaded, trying again");
                board.problem.send_replace(Some(problem));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return TaskExit::Cancelled,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn download(rest: &KiteRest, calendar: &Calendar) -> Result<LoadedCatalog, String> {
    let dump = rest.instruments().await.map_err(|error| error.to_string())?;
    let calendar = calendar.clone();
    // A dump of 100,000 rows takes tens of milliseconds: not on a thread that carries ticks.
    let parsed = tokio::task::spawn_blocking(move || catalog::load(&dump[..], &calendar)).await;
    parsed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
