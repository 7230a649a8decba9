//! Connections on a recording: tokens without a market behind them.

use kite_wire::TickerRequest;
use market_model::{InstrumentToken, Mode, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Batch, Connection, ConnectionNumber, Engine};
use crate::ledger::{packets, token_of};

/// Frames that a connection's queue must have room for before more are played at full speed.
const ROOM: usize = 8;

/// What a replay has shown so far.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) frames: u64,
    pub(crate) packets: u64,
    pub(crate) is_finished: bool,
    /// The tokens that may be subscribed; everything when empty.
    tokens: FxHashSet<InstrumentToken>,
    /// The latest packet of each token, which a fresh subscription gets.
    latest: FxHashMap<InstrumentToken, Box<[u8]>>,
}

// === impl Replayed ===

impl Replayed {
    pub(crate) fn new(tokens: impl Iterator<Item = InstrumentToken>) -> Self {
        Self { tokens: tokens.collect(), ..Self::default() }
    }
}

// === impl Engine ===

impl Engine {
    /// Leaves the market alone and takes frames from [`Engine::replay`].
    pub(crate) fn start_replay(&mut self, replayed: Replayed) {
        self.replayed = Some(replayed);
    }

    pub(crate) const fn replayed(&self) -> Option<&Replayed> {
        self.replayed.as_ref()
    }

    pub(crate) fn finish_replay(&mut self) {
        if let Some(replayed) = &mut self.replayed {
            replayed.is_finished = true;
        }
    }

    /// Whether any connection has a token.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.connections.values().any(|connection| !connection.replayed.is_empty())
    }

    /// Whether every connection can take some more frames.
    pub(crate) fn has_room(&self) -> bool {
        self.connections.values().all(|connection| connection.has_room(ROOM))
    }

    /// Sends the packets of a recorded frame to those who subscribed them.
    pub(crate) fn replay(&mut self, frame: &[u8], now: UnixNanos) {
        self.packets.begin(0);
        let moment = self.packets.moment();
        let Self { connections, totals, replayed: Some(replayed), frame_bytes, .. } = self else { return };
        replayed.frames += 1;
        for packet in packets(frame) {
            let Some(token) = token_of(packet).map(InstrumentToken) else { continue };
            replayed.packets += 1;
            match replayed.latest.get_mut(&token) {
                Some(latest) if latest.len() == packet.len() => latest.copy_from_slice(packet),
                _ => drop(replayed.latest.insert(token, packet.into())),
            }
        }
        for connection in connections.values_mut().filter(|connection| !connection.replayed.is_empty()) {
            let mut batch = Batch::new(moment, now, *frame_bytes, 0);
            for packet in packets(frame) {
                let mode = token_of(packet).and_then(|token| connection.mode(InstrumentToken(token)));
                if let Some(mode) = mode {
                    connection.push(&mut batch, shown(packet, mode), totals);
                }
            }
            connection.flush(&mut batch, totals);
        }
    }

    /// [`Engine::command`] on a recording.
    pub(super) fn command_replayed(
        &mut self,
        number: ConnectionNumber,
        request: &TickerRequest,
        now: UnixNanos,
    ) -> Vec<InstrumentToken> {
        self.packets.begin(0);
        let moment = self.packets.moment();
        let limit = self.tokens_per_connection;
        let mut added = Vec::new();
        let Self { connections, totals, replayed: Some(replayed), frame_bytes, .. } = self else {
            return added;
        };
        let Some(connection) = connections.get_mut(&number) else { return added };
        let mut batch = Batch::new(moment, now, *frame_bytes, 0);
        let mut is_refused = false;
        for token in request.tokens() {
            if !replayed.tokens.is_empty() && !replayed.tokens.contains(token) {
                continue;
            }
            let current = connection.mode(*token);
            let wanted = match request {
                TickerRequest::Unsubscribe(_) => {
                    connection.replayed.remove(token);
                    continue;
                }
                TickerRequest::Subscribe(_) => current.unwrap_or(Mode::Quote),
                TickerRequest::Mode(mode, _) => *mode,
            };
            if current.is_none() && connection.replayed.len() >= limit {
                is_refused = true;
            } else if current != Some(wanted) {
                connection.replayed.insert(*token, wanted);
                added.extend(current.is_none().then_some(*token));
                if let Some(latest) = replayed.latest.get(token) {
                    connection.push(&mut batch, shown(latest, wanted), totals);
                }
            }
        }
        connection.flush(&mut batch, totals);
        if is_refused {
            connection.refuse(limit, totals);
        }
        added
    }
}

// === impl Connection ===

impl Connection {
    fn mode(&self, token: InstrumentToken) -> Option<Mode> {
        self.replayed.get(&token).copied()
    }

    fn has_room(&self, frames: usize) -> bool {
        // A closed queue is that of a connection that is about to be forgotten.
        self.queue.is_closed() || self.queue.capacity() >= frames.min(self.queue.max_capacity())
    }
}

/// As much of a packet as `mode` shows: the shorter layouts are the beginnings of the longer ones.
fn shown(packet: &[u8], mode: Mode) -> &[u8] {
    let len = match (mode, packet.len()) {
        (Mode::Ltp, _) => 8,
        (Mode::Quote, 32) => 28,
        (Mode::Quote, 184) => 44,
        (_, len) => len,
    };
    &packet[..len.min(packet.len())]
}
