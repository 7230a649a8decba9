//! Keeps every account's desired subscriptions in step with wishes, catalog and prices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_api::LatestValues;
use market_model::{Clock, InstrumentSlot, Price, SubscriptionSet};
use resilience::TaskExit;
use tick_pipeline::Market;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Wish;
use crate::desired::{Desired, resolve, split};

/// How often prices are looked at. A ladder of 25 strikes is not left within a second.
const LOOK: Duration = Duration::from_secs(1);

/// A ladder moves once the price has left its centre by this share; about two strikes of NIFTY. Less would
/// subscribe and unsubscribe the same strikes again and again while the price rests between two of them.
const MOVE_AT: f64 = 0.004;

/// What wishes came to, for the health report.
#[derive(Debug, Clone, Default)]
pub(crate) struct WishReport {
    pub(crate) wanted: usize,
    pub(crate) unmet: Vec<String>,
    pub(crate) waiting: Vec<String>,
    pub(crate) refused: usize,
}

/// Everything the task needs.
#[derive(Debug, Clone)]
pub(crate) struct Subscriptions<C> {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) market: watch::Receiver<Market>,
    pub(crate) latest: Arc<LatestValues>,
    pub(crate) clock: C,
    /// One per account.
    pub(crate) desired: Vec<watch::Sender<SubscriptionSet>>,
    /// Instruments one account can carry.
    pub(crate) capacity: usize,
    pub(crate) report: watch::Sender<WishReport>,
}

impl<C: Clock> Subscriptions<C> {
    pub(crate) async fn run(mut self, stop: CancellationToken) -> TaskExit {
        let mut centres = HashMap::new();
        let mut known = Desired::default();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                _ = looks.tick() => {}
                changed = self.market.changed() => match changed {
                    Ok(()) => centres.clear(),
                    Err(_) => return TaskExit::InputClosed,
                },
            }
            let desired = self.look(&mut centres);
            if desired != known {
                self.publish(&desired);
                known = desired;
            }
        }
    }

    fn look(&self, centres: &mut HashMap<InstrumentSlot, Price>) -> Desired {
        let market = self.market.borrow().clone();
        let catalog = market.catalog();
        let centres = std::cell::RefCell::new(centres);
        resolve(&self.wishes, catalog, self.clock.now(), |slot| {
            let newest = self.latest.get(catalog.get(slot).token)?.snapshot.tick.last_price;
            let mut centres = centres.borrow_mut();
            let centre = centres.entry(slot).or_insert(newest);
            if centre.abs_diff(newest) as f64 > centre.raw() as f64 * MOVE_AT {
                *centre = newest;
            }
            Some(*centre)
        })
    }

    fn publish(&self, desired: &Desired) {
        let market = self.market.borrow().clone();
        let (sets, refused) = split(&desired.set, market.catalog(), self.desired.len(), self.capacity);
        for (set, account) in sets.into_iter().zip(&self.desired) {
            account.send_if_modified(|held| {
                let changed = *held != set;
                *held = set;
                changed
            });
        }
        if !market.catalog().is_empty() {
            info!(instruments = desired.set.len(), waiting = ?desired.waiting, "subscriptions changed");
            for unmet in &desired.unmet {
                warn!(wish = %unmet, "a wish cannot be met");
            }
        }
        if !refused.is_empty() {
            let accounts = self.desired.len();
            warn!(refused = refused.len(), accounts, "more instruments wanted than the accounts can carry");
        }
        self.report.send_replace(WishReport {
            wanted: desired.set.len(),
            unmet: desired.unmet.clone(),
            waiting: desired.waiting.clone(),
            refused: refused.len(),
        });
    }
}
