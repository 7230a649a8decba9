//! Counts what the ticker takes from its sockets, before the ticker does, by another way of decoding.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kite_client::{FrameTap, TapKind};
use kite_wire::{Frame, decode_frame};
use market_model::{ConnectionId, FeedEvent, InstrumentToken, UnixNanos};
use rustc_hash::FxHashMap;
use tokio_tungstenite::tungstenite::Bytes;

use crate::market::number;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Tap(Mutex<Tapped>);

#[derive(Debug, Default)]
struct Tapped {
    frames: u64,
    good: u64,
    lost: u64,
    /// In which order ticks arrived for the first time.
    arrivals: FxHashMap<(InstrumentToken, i64), u64>,
}

// === impl Tap ===

impl Tap {
    /// Binary frames, good packets in them, and packets that are lost in them.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let tapped = self.lock();
        (tapped.frames, tapped.good, tapped.lost)
    }

    /// The place of tick `number` of `token` in the order of arrival, when it did arrive.
    pub(crate) fn arrival(&self, token: InstrumentToken, number: i64) -> Option<u64> {
        self.lock().arrivals.get(&(token, number)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Tapped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameTap for Tap {
    fn frame(&self, _: &ConnectionId, _: UnixNanos, kind: TapKind, bytes: &Bytes) {
        if kind == TapKind::Text {
            return;
        }
        let mut tapped = self.lock();
        tapped.frames += 1;
        if let Frame::Ticks(packets) = decode_frame(bytes) {
            let (declared, before) = (u64::from(packets.declared()), tapped.good);
            for packet in packets.flatten() {
                let tick = packet.to_tick();
                tapped.good += 1;
                let place = tapped.good;
                tapped.arrivals.entry((tick.token, number(&tick))).or_insert(place);
            }
            tapped.lost += declared - (tapped.good - before);
        }
    }

    fn event(&self, _: &FeedEvent) {}
}
