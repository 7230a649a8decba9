//! The market and everybody connected to it, under one lock that is never held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kite_wire::{TextMessage, TickerRequest};
use market_model::{InstrumentToken, Mode, UnixNanos};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::accounts::AppId;
use crate::config::SimConfig;
use crate::listing::Slot;
use crate::load::LoadMoment;
use crate::market::Market;
use crate::packets::Packets;
use crate::sent::SentLog;
use crate::server::unpoisoned;
use crate::subscriptions::{PHASE_MILLIS, Subscriptions, Wheel};

pub(crate) use replay::Replayed;

mod replay;

/// A frame ends before it grows beyond this, which keeps every reader's buffer small.
const FRAME_BYTES: usize = 64 * 1024;
/// With a whole market a frame holds all that a connection has to say: three thousand full packets at most.
const WHOLE_FRAME_BYTES: usize = 2 + 3_000 * 186;

/// Bytes of a full packet.
const LONGEST_PACKET: usize = 184;

/// Names a connection for its whole life and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionNumber(pub(crate) u64);

/// One ticker connection as the market sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) app: AppId,
    pub(crate) since: UnixNanos,
    pub(crate) subscriptions: Subscriptions,
    /// Its tokens on a recording.
    replayed: FxHashMap<InstrumentToken, Mode>,
    /// Bytes of its latest frame; the next one will have about as many.
    frame_size: usize,
    queue: mpsc::Sender<Outgoing>,
    too_slow: CancellationToken,
}

/// A message that waits for its connection.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    Ticks(TickFrame),
    Text(String),
}

/// A frame of ticks and the moment it shows.
#[derive(Debug, Clone)]
pub(crate) struct TickFrame {
    pub(crate) bytes: Bytes,
    /// Number of the moment.
    pub(crate) moment: u64,
    /// The moment in simulated time.
    pub(crate) at: UnixNanos,
}

/// The packets of one moment that go to one connection, until they are a frame.
#[derive(Debug)]
struct Batch {
    /// Begins with room for the count.
    bytes: Vec<u8>,
    packets: u16,
    moment: u64,
    at: UnixNanos,
    limit: usize,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) connections: u64,
    pub(crate) dropped_as_too_slow: u64,
}

/// The market and everybody connected to it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) market: Market,
    pub(crate) connections: BTreeMap<ConnectionNumber, Connection>,
    pub(crate) totals: Totals,
    sent: Arc<Mutex<SentLog>>,
    packets: Packets,
    wheel: Wheel,
    tokens_per_connection: usize,
    write_queue_frames: usize,
    /// Phases that come in one frame.
    phases_per_frame: u64,
    frame_bytes: usize,
    /// The phase that came last.
    phase: u64,
    /// What was shown of a recording, when there is one in place of the market.
    replayed: Option<Replayed>,
}

/// What a new connection's task needs.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) number: ConnectionNumber,
    /// Frames to write, in order.
    pub(crate) queue: mpsc::Receiver<Outgoing>,
    /// Cancelled when the client does not read fast enough.
    pub(crate) too_slow: CancellationToken,
}

// === impl Engine ===

impl Engine {
    /// What is no longer listed is forgotten in `sent`, too.
    pub(crate) fn new(config: &SimConfig, market: Market, sent: Arc<Mutex<SentLog>>) -> Self {
        Self {
            market,
            connections: BTreeMap::new(),
            totals: Totals::default(),
            sent,
            packets: Packets::default(),
            wheel: Wheel::new(config),
            tokens_per_connection: config.limits.tokens_per_connection,
            write_queue_frames: config.write_queue_frames,
            phases_per_frame: config
                .whole_market
                .map_or(1, |whole| (whole.frame_every.as_millis() as u64 / PHASE_MILLIS).max(1)),
            frame_bytes: config.whole_market.map_or(FRAME_BYTES, |_| WHOLE_FRAME_BYTES),
            phase: 0,
            replayed: None,
        }
    }

    /// Phases in which every subscribed instrument ticks at least once.
    pub(crate) const fn phases_per_turn(&self) -> u64 {
        self.wheel.phases() as u64
    }

    /// How many connections `app` has.
    pub(crate) fn connections_of(&self, app: AppId) -> usize {
        self.connections.values().filter(|connection| connection.app == app).count()
    }

    /// Admits a connection of `app`; the two greeting frames are queued.
    pub(crate) fn connect(&mut self, app: AppId) -> Seat {
        self.totals.connections += 1;
        let number = ConnectionNumber(self.totals.connections);
        let (sender, queue) = mpsc::channel(self.write_queue_frames);
        let too_slow = CancellationToken::new();
        let mut connection = Connection {
            app,
            since: self.market.now(),
            subscriptions: Subscriptions::new(self.wheel),
            replayed: FxHashMap::default(),
            frame_size: 0,
            queue: sender,
            too_slow: too_slow.clone(),
        };
        for greeting in self.greetings() {
            connection.send(Outgoing::Text(greeting.to_json()), &mut self.totals);
        }
        self.connections.insert(number, connection);
        Seat { number, queue, too_slow }
    }

    /// Forgets a connection.
    pub(crate) fn disconnect(&mut self, number: ConnectionNumber) {
        self.connections.remove(&number);
    }

    /// Moves the market to `now` and sends what is due in `phases`.
    pub(crate) fn step(&mut self, now: UnixNanos, phases: std::ops::Range<u64>) {
        if self.replayed.is_some() {
            return;
        }
        self.advance(now);
        self.phase = phases.end;
        let together = self.phases_per_frame;
        let load = self.load_moment(now);
        let Self { market, connections, totals, packets, frame_bytes, .. } = self;
        let listing = Arc::clone(market.listing());
        let is_cash_open = market.is_cash_open();
        for (number, connection) in connections {
            let mut batch = Batch::new(packets.moment(), now, *frame_bytes, connection.frame_size);
            // Connections take turns where a frame holds several phases.
            let ends = phases.clone().filter(|phase| (phase + number.0) % together == together - 1);
            for phase in ends.flat_map(|end| (end + 1).saturating_sub(together)..=end) {
                for at in 0..connection.subscriptions.due(phase).len() {
                    let (slot, mode) = connection.subscriptions.due(phase)[at];
                    match (&listing.load, load) {
                        (Some(table), Some(moment)) if is_cash_open && table.has(slot) => {
                            connection.make_room(&mut batch, LONGEST_PACKET, totals);
                            table.write(slot, mode, moment, &mut batch.bytes);
                            batch.packets += 1;
                        }
                        _ if market.is_open(slot) => {
                            connection.push(&mut batch, packets.get(market, slot, mode), totals);
                        }
                        _ => {}
                    }
                }
            }
            connection.flush(&mut batch, totals);
        }
    }

    /// Obeys a client's command. Nothing is acknowledged; fresh tokens and changed modes get a packet at once.
    /// Returns the tokens that were not subscribed before.
    pub(crate) fn command(
        &mut self,
        number: ConnectionNumber,
        request: &TickerRequest,
        now: UnixNanos,
    ) -> Vec<InstrumentToken> {
        if self.replayed.is_some() {
            return self.command_replayed(number, request, now);
        }
        self.advance(now);
        let listing = self.market.listing().clone();
        let limit = self.tokens_per_connection;
        let load = self.load_moment(now);
        let Self { market, connections, totals, packets, frame_bytes, .. } = self;
        let mut added = Vec::new();
        let Some(connection) = connections.get_mut(&number) else {
            return added;
        };
        let subscriptions = &mut connection.subscriptions;
        let mut fresh: Vec<(Slot, Mode)> = Vec::new();
        let mut refused = false;
        // Unknown tokens are ignored without a word, as Kite does.
        let known =
            request.tokens().iter().filter_map(|token| listing.slot(*token).map(|slot| (*token, slot)));
        for (token, slot) in known {
            let listed = listing.get(slot);
            let current = subscriptions.mode(token);
            let wanted = match request {
                TickerRequest::Unsubscribe(_) => {
                    subscriptions.remove(slot, listed);
                    continue;
                }
                TickerRequest::Subscribe(_) => current.unwrap_or(Mode::Quote),
                TickerRequest::Mode(mode, _) => *mode,
            };
            if current.is_none() && subscriptions.len() >= limit {
                refused = true;
            } else if current != Some(wanted) {
                subscriptions.set(slot, listed, wanted);
                fresh.push((slot, wanted));
                added.extend(current.is_none().then_some(token));
            }
        }
        let mut batch = Batch::new(packets.moment(), now, *frame_bytes, 0);
        for (slot, mode) in fresh {
            match (&listing.load, load) {
                (Some(table), Some(moment)) if table.has(slot) => {
                    connection.make_room(&mut batch, LONGEST_PACKET, totals);
                    table.write(slot, mode, moment, &mut batch.bytes);
                    batch.packets += 1;
                }
                _ => connection.push(&mut batch, packets.get(market, slot, mode), totals),
            }
        }
        connection.flush(&mut batch, totals);
        if refused {
            connection.refuse(limit, totals);
        }
        added
    }

    /// Moves the market to `now`.
    pub(crate) fn advance(&mut self, now: UnixNanos) {
        match self.market.advance(now) {
            Ok(false) => {}
            Ok(true) => {
                let listing = self.market.listing();
                for connection in self.connections.values_mut() {
                    connection.subscriptions.relist(listing);
                }
                unpoisoned(&self.sent).relist(listing);
            }
            Err(error) => tracing::error!(%error, "instruments not listed anew"),
        }
        self.packets.begin(self.market.listing().ordinary());
    }

    fn load_moment(&self, now: UnixNanos) -> Option<LoadMoment> {
        let turn = self.wheel.load_turn(self.phase);
        self.market.listing().load.as_ref().map(|load| load.moment(turn, now))
    }

    fn greetings(&self) -> [TextMessage; 2] {
        let count = self.market.listing().instruments.len() as u64;
        let now = self.market.now();
        [
            TextMessage::InstrumentsMeta {
                count,
                etag: format!("W/\"{:x}-{count:x}\"", self.market.listing().valid_until.as_secs()),
            },
            TextMessage::AppCode {
                timestamp: crate::clock::ist(now).strftime("%Y-%m-%dT%H:%M:%S+05:30").to_string(),
            },
        ]
    }
}

// === impl Connection ===

impl Connection {
    /// How many tokens it has, and how many of them in each mode: ltp, quote, full.
    pub(crate) fn tokens(&self) -> (usize, [usize; 3]) {
        if self.replayed.is_empty() {
            return (self.subscriptions.len(), self.subscriptions.counts());
        }
        let count = |wanted| self.replayed.values().filter(|mode| **mode == wanted).count();
        (self.replayed.len(), [Mode::Ltp, Mode::Quote, Mode::Full].map(count))
    }

    fn push(&mut self, batch: &mut Batch, packet: &[u8], totals: &mut Totals) {
        if packet.is_empty() {
            return;
        }
        self.make_room(batch, packet.len(), totals);
        batch.push(packet);
    }

    /// Ends the frame when a packet of `len` bytes does not fit in.
    fn make_room(&mut self, batch: &mut Batch, len: usize, totals: &mut Totals) {
        if batch.bytes.len() + 2 + len > batch.limit {
            self.flush(batch, totals);
        }
    }

    fn refuse(&mut self, limit: usize, totals: &mut Totals) {
        let text = format!("Can't subscribe to more than {limit} instruments.");
        self.send(Outgoing::Text(TextMessage::Error(text).to_json()), totals);
    }

    fn flush(&mut self, batch: &mut Batch, totals: &mut Totals) {
        if let Some(frame) = batch.take() {
            self.frame_size = frame.bytes.len();
            self.send(Outgoing::Ticks(frame), totals);
        }
    }

    /// Queues a message. When the queue is full the client has stopped reading: it is dropped, as the real server does.
    fn send(&mut self, message: Outgoing, totals: &mut Totals) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(message)
            && !self.too_slow.is_cancelled()
        {
            totals.dropped_as_too_slow += 1;
            self.too_slow.cancel();
        }
        // A closed queue is that of a task that has ended and is about to give its place back.
    }
}

// === impl Batch ===

impl Batch {
    /// For frames up to `limit` bytes, the first of about `size`.
    fn new(moment: u64, at: UnixNanos, limit: usize, size: usize) -> Self {
        let mut bytes = Vec::with_capacity(size + size / 8 + 2);
        bytes.extend([0; 2]);
        Self { bytes, packets: 0, moment, at, limit }
    }

    fn push(&mut self, packet: &[u8]) {
        self.bytes.extend((packet.len() as u16).to_be_bytes());
        self.bytes.extend(packet);
        self.packets += 1;
    }

    fn take(&mut self) -> Option<TickFrame> {
        if self.packets == 0 {
            return None;
        }
        let count = std::mem::take(&mut self.packets);
        let mut bytes = std::mem::replace(&mut self.bytes, vec![0; 2]);
        bytes[..2].copy_from_slice(&count.to_be_bytes());
        Some(TickFrame { bytes: bytes.into(), moment: self.moment, at: self.at })
    }
}
