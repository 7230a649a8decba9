//! Newest prices and forwards for the strike ladders.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use feed_control::{Quote, Quotes};
use gateway_api::LatestValues;
use jiff::civil::Date;
use market_model::{ExpiryChain, InstrumentToken, Price, Underlying};
use tokio::time::Instant;

use crate::fleet::Roster;

/// Pipelines write their forwards about as often.
const FORWARDS_FOR: Duration = Duration::from_millis(500);

/// What the doors and the pipelines know.
pub(crate) struct NewestPrices {
    latest: Arc<LatestValues>,
    roster: Roster,
    forwards: Mutex<Forwards>,
}

#[derive(Default)]
struct Forwards {
    read: Option<Instant>,
    by_chain: HashMap<(Box<str>, Date), Price>,
}

// === impl NewestPrices ===

impl NewestPrices {
    pub(crate) fn new(latest: Arc<LatestValues>, roster: Roster) -> Self {
        Self { latest, roster, forwards: Mutex::default() }
    }

    fn read_forwards(&self) -> HashMap<(Box<str>, Date), Price> {
        let feeds = self.roster.feeds();
        let chains = feeds.values().filter_map(|feed| feed.pipeline()).flat_map(|pipeline| pipeline.chains);
        let fresh = chains.filter(|chain| !chain.stale);
        fresh
            .filter_map(|chain| {
                let price = chain.forward.and_then(Price::from_f64)?;
                Some(((chain.underlying, chain.expiry.date), price))
            })
            .collect()
    }
}

impl Quotes for NewestPrices {
    fn last(&self, token: InstrumentToken) -> Option<Quote> {
        let value = self.latest.get(token)?;
        Some(Quote { price: value.snapshot.tick.last_price, at: value.snapshot.ts_recv })
    }

    fn forward(&self, underlying: &Underlying, chain: &ExpiryChain) -> Option<Price> {
        let mut forwards = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        if forwards.read.is_none_or(|read| read.elapsed() >= FORWARDS_FOR) {
            *forwards = Forwards { read: Some(Instant::now()), by_chain: self.read_forwards() };
        }
        forwards.by_chain.get(&(underlying.name.clone(), chain.expiry.date)).copied()
    }
}
