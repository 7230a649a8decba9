//! A bounded memory of the packets written, so that a test can compare what a client received.

use std::collections::{HashMap, VecDeque};

use kite_wire::{Frame, decode_frame};
use market_model::{InstrumentToken, Tick, UnixNanos};

use crate::listing::Listing;

/// The latest packets of each token. One entry stands for a packet however many connections got it.
#[derive(Debug)]
pub(crate) struct SentLog {
    per_token: usize,
    rings: HashMap<InstrumentToken, VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Number of the moment it was made at.
    moment: u64,
    at: UnixNanos,
    tick: Tick,
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

    /// Keeps the packets of a frame of the moment number `moment` at `at`, written to some connection. Connections
    /// write at their own pace, so moments may come out of order; they are put in order here.
    pub(crate) fn record(&mut self, moment: u64, at: UnixNanos, frame: &[u8]) {
        let Frame::Ticks(packets) = decode_frame(frame) else { return };
        if !self.is_on() {
            return;
        }
        for tick in packets.filter_map(Result::ok).map(|packet| packet.to_tick()) {
            let ring = self.rings.entry(tick.token).or_default();
            let later = ring.iter().rev().take_while(|entry| entry.moment > moment).count();
            let place = ring.len() - later;
            let same = ring.range(..place).rev().take_while(|entry| entry.moment == moment);
            if same.into_iter().any(|entry| entry.tick.mode() == tick.mode()) {
                continue;
            }
            ring.insert(place, Entry { moment, at, tick });
            if ring.len() > self.per_token {
                ring.pop_front();
            }
        }
    }

    /// Forgets what is no longer listed.
    pub(crate) fn relist(&mut self, listing: &Listing) {
        self.rings.retain(|token, _| listing.slot(*token).is_some());
    }

    /// Oldest first.
    pub(crate) fn of(&self, token: InstrumentToken) -> impl Iterator<Item = (UnixNanos, &Tick)> {
        self.rings.get(&token).into_iter().flatten().map(|entry| (entry.at, &entry.tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order_once_each_and_bounded() {
        let mut log = SentLog::new(3);
        let packet = |price: u8| [0, 1, 0, 8, 0, 0, 1, 1, 0, 0, 0, price];
        for moment in [1, 3, 2, 2, 4] {
            log.record(moment, UnixNanos(0), &packet(moment as u8));
        }
        let prices: Vec<f64> =
            log.of(InstrumentToken(257)).map(|(_, tick)| tick.last_price.to_f64() * 100.0).collect();
        assert_eq!(prices, [2.0, 3.0, 4.0]);
    }
}
