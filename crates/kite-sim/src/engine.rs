//! The market and everybody connected to it, under one lock that is never held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kite_wire::{TextMessage, TickerRequest};
use market_model::{InstrumentToken, Mode, UnixNanos};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::accounts::AppId;
use crate::config::SimConfig;
use crate::listing::Slot;
use crate::market::Market;
use crate::packets::Packets;
use crate::sent::SentLog;
use crate::server::unpoisoned;
use crate::subscriptions::{Subscriptions, Wheel};

/// A frame ends before it grows beyond this, which keeps every reader's buffer small.
const FRAME_BYTES: usize = 64 * 1024;

/// Names a connection for its whole life and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionNumber(pub(crate) u64);

/// One ticker connection as the market sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) app: AppId,
    pub(crate) since: UnixNanos,
    pub(crate) subscriptions: Subscriptions,
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
        self.advance(now);
        let Self { market, connections, totals, packets, .. } = self;
        for connection in connections.values_mut() {
            let mut batch = Batch::new(packets.moment(), now);
            for phase in phases.clone() {
                for at in 0..connection.subscriptions.due(phase).len() {
                    let (slot, mode) = connection.subscriptions.due(phase)[at];
                    if market.is_open(slot) {
                        connection.push(&mut batch, packets.get(market, slot, mode), totals);
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
        self.advance(now);
        let listing = self.market.listing().clone();
        let limit = self.tokens_per_connection;
        let Self { market, connections, totals, packets, .. } = self;
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
        let mut batch = Batch::new(packets.moment(), now);
        for (slot, mode) in fresh {
            connection.push(&mut batch, packets.get(market, slot, mode), totals);
        }
        connection.flush(&mut batch, totals);
        if refused {
            let text = format!("Can't subscribe to more than {limit} instruments.");
            connection.send(Outgoing::Text(TextMessage::Error(text).to_json()), totals);
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
        self.packets.begin(self.market.listing().instruments.len());
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
    fn push(&mut self, batch: &mut Batch, packet: &[u8], totals: &mut Totals) {
        if packet.is_empty() {
            return;
        }
        if batch.bytes.len() + 2 + packet.len() > FRAME_BYTES {
            self.flush(batch, totals);
        }
        batch.push(packet);
    }

    fn flush(&mut self, batch: &mut Batch, totals: &mut Totals) {
        if let Some(frame) = batch.take() {
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
    fn new(moment: u64, at: UnixNanos) -> Self {
        Self { bytes: vec![0; 2], packets: 0, moment, at }
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
