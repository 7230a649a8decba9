//! A bounded memory of the packets sent, so that a test can compare what a client received.

use std::collections::{HashMap, VecDeque};

use market_model::{InstrumentToken, Tick, UnixNanos};

use crate::listing::Listing;

/// The latest packets of each token. One entry stands for a packet however many connections got it.
#[derive(Debug)]
pub(crate) struct SentLog {
    per_token: usize,
    rings: HashMap<InstrumentToken, VecDeque<(UnixNanos, Tick)>>,
}

// === impl SentLog ===

impl SentLog {
    /// Keeps `per_token` packets of each token; 0 keeps nothing.
    pub(crate) fn new(per_token: usize) -> Self {
        Self { per_token, rings: HashMap::new() }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.per_token > 0
    }

    pub(crate) fn record(&mut self, at: UnixNanos, tick: &Tick) {
        if !self.is_on() {
            return;
        }
        let ring = self.rings.entry(tick.token).or_default();
        if ring.len() == self.per_token {
            ring.pop_front();
        }
        ring.push_back((at, *tick));
    }

    /// Forgets what is no longer listed.
    pub(crate) fn relist(&mut self, listing: &Listing) {
        self.rings.retain(|token, _| listing.slot(*token).is_some());
    }

    /// Oldest first.
    pub(crate) fn of(&self, token: InstrumentToken) -> impl Iterator<Item = &(UnixNanos, Tick)> {
        self.rings.get(&token).into_iter().flatten()
    }
}
