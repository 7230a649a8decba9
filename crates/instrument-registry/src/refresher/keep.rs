//! The refresher's side of history: the last stored day at start, and every new day into the store.

use std::sync::Arc;

use market_model::{Clock, InstrumentCatalog};
use tracing::{info, warn};

use super::Refresher;
use crate::history::StoredDay;
use crate::{DumpSource, Head, InstrumentHistory, Listing, Origin, RegistryError, RowChange, compare};

/// Two instances that store one day at the same moment both find the other's rows after a try or two.
const TRIES: usize = 3;

// === impl Refresher ===

impl<S: DumpSource, H: InstrumentHistory, C: Clock> Refresher<S, H, C> {
    /// Publishes the last stored day, so that there are instruments before the broker gives any.
    pub(super) async fn restore(&mut self) {
        match self.load_last_day().await {
            Ok(None) => {}
            Ok(Some((head, listing))) => {
                info!(day = %listing.day(), listed = listing.catalog().len(), "instruments restored from the store");
                self.registry.publish(listing.clone());
                self.registry.tell(|status| {
                    status.stored = Some(listing.day());
                    status.store_failure = None;
                });
                self.kept = Some((head, listing));
            }
            Err(reason) => {
                warn!(%reason, "the stored instruments cannot be read");
                self.registry.tell(|status| status.store_failure = Some(reason.to_string()));
            }
        }
        self.tell_age();
    }

    async fn load_last_day(&self) -> Result<Option<(Head, Arc<Listing>)>, RegistryError> {
        let head = self.history.head().await?;
        let Some(last) = head.day else { return Ok(None) };
        let Some(found) = self.history.rows(last.day).await? else { return Ok(None) };
        let calendar = self.calendar.clone();
        let build = move || Listing::of_rows(last.day, last.taken_at, found.value, &calendar);
        Ok(Some((head, Arc::new(on_worker(build).await??))))
    }

    /// Stores the listing in use. A failure is told and tried again; it never costs the listing.
    pub(super) async fn keep(&mut self) {
        let listing = self.registry.current();
        let mut outcome = Err(RegistryError::Conflict);
        for _ in 0..TRIES {
            outcome = self.store(&listing).await;
            match &outcome {
                Err(RegistryError::Conflict) => self.kept = None,
                _ => break,
            }
        }
        match outcome {
            Ok(head) => {
                self.keep_again = false;
                self.kept = Some((head, listing.clone()));
                self.registry.tell(|status| {
                    status.stored = Some(listing.day());
                    status.store_failure = None;
                });
            }
            Err(reason) => {
                // A day behind the last one stays behind it: somebody has to look.
                self.keep_again = !matches!(reason, RegistryError::DayBeforeStored { .. });
                self.kept = None;
                self.metrics.unstored.increment(1);
                warn!(%reason, day = %listing.day(), again = self.keep_again, "instruments are not stored");
                self.registry.tell(|status| status.store_failure = Some(reason.to_string()));
            }
        }
    }

    async fn store(&self, listing: &Arc<Listing>) -> Result<Head, RegistryError> {
        let head = self.history.head().await?;
        let known = self.kept.as_ref().filter(|(known, _)| *known == head);
        let base = match (known, head.day) {
            (Some((_, kept)), _) => kept.catalog().clone(),
            (None, None) => Arc::default(),
            (None, Some(last)) => {
                let rows = self.history.rows(last.day).await?.map(|found| found.value).unwrap_or_default();
                Arc::new(on_worker(move || InstrumentCatalog::new(rows, |_| None)).await??)
            }
        };
        let new = listing.clone();
        let change: RowChange = on_worker(move || compare(&base, new.catalog()).to_change()).await?;
        let day =
            StoredDay { day: listing.day(), listed: listing.catalog().len(), taken_at: listing.taken_at() };
        let is_stored = change == RowChange::default() && head.day == Some(day);
        if is_stored || listing.origin() != Origin::Download {
            return Ok(head);
        }
        self.history.record(head, day, change).await
    }
}

async fn on_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work).await.map_err(|lost| RegistryError::Worker(lost.to_string()))
}
