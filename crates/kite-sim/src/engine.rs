//! The market and everybody connected to it, under one lock that is never held across an await.

use std::collections::BTreeMap;

use bytes::Bytes;
use kite_wire::{FrameBuilder, TextMessage, TickerRequest};
use market_model::{Mode, UnixNanos};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::accounts::AppId;
use crate::config::SimConfig;
use crate::listing::Slot;
use crate::market::Market;
use crate::packets::Packets;
use crate::sent::SentLog;
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
    pub(crate) frames: u64,
    pub(crate) packets: u64,
    queue: mpsc::Sender<Message>,
    too_slow: CancellationToken,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) frames: u64,
    pub(crate) packets: u64,
    pub(crate) connections: u64,
    pub(crate) dropped_as_too_slow: u64,
}

/// The market and everybody connected to it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) market: Market,
    pub(crate) connections: BTreeMap<ConnectionNumber, Connection>,
    pub(crate) totals: Totals,
    pub(crate) sent: SentLog,
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
    pub(crate) queue: mpsc::Receiver<Message>,
    /// Cancelled when the client does not read fast enough.
    pub(crate) too_slow: CancellationToken,
}

// === impl Engine ===

impl Engine {
    pub(crate) fn new(config: &SimConfig, market: Market) -> Self {
        Self {
            market,
            connections: BTreeMap::new(),
            totals: Totals::default(),
            sent: SentLog::new(config.sent_history),
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
            frames: 0,
            packets: 0,
            queue: sender,
            too_slow: too_slow.clone(),
        };
        for greeting in self.greetings() {
            connection.send(Message::text(greeting.to_json()), &mut self.totals);
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
        let Self { market, connections, totals, sent, packets, .. } = self;
        for connection in connections.values_mut() {
            let mut frame = FrameBuilder::new();
            for phase in phases.clone() {
                for at in 0..connection.subscriptions.due(phase).len() {
                    let (slot, mode) = connection.subscriptions.due(phase)[at];
                    if market.is_open(slot) {
                        let packet = packets.get(market, sent, slot, mode);
                        connection.push(&mut frame, packet, totals);
                    }
                }
            }
            connection.flush(&mut frame, totals);
        }
    }

    /// Obeys a client's command. Nothing is acknowledged; fresh tokens and changed modes get a packet at once.
    pub(crate) fn command(&mut self, number: ConnectionNumber, request: &TickerRequest, now: UnixNanos) {
        self.advance(now);
        let listing = self.market.listing().clone();
        let limit = self.tokens_per_connection;
        let Self { market, connections, totals, sent, packets, .. } = self;
        let Some(connection) = connections.get_mut(&number) else {
            return;
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
            }
        }
        let mut frame = FrameBuilder::new();
        for (slot, mode) in fresh {
            let packet = packets.get(market, sent, slot, mode);
            connection.push(&mut frame, packet, totals);
        }
        connection.flush(&mut frame, totals);
        if refused {
            let text = format!("Can't subscribe to more than {limit} instruments.");
            connection.send(Message::text(TextMessage::Error(text).to_json()), totals);
        }
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
                self.sent.relist(listing);
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
    fn push(&mut self, frame: &mut FrameBuilder, packet: &[u8], totals: &mut Totals) {
        if packet.is_empty() {
            return;
        }
        if frame.len() + 2 + packet.len() > FRAME_BYTES {
            self.flush(frame, totals);
        }
        if frame.push_raw(packet).is_ok() {
            self.packets += 1;
            totals.packets += 1;
        }
    }

    fn flush(&mut self, frame: &mut FrameBuilder, totals: &mut Totals) {
        if frame.packets() > 0 {
            self.send(Message::Binary(Bytes::from(frame.finish())), totals);
        }
    }

    /// Queues a frame. When the queue is full the client has stopped reading: it is dropped, as the real server does.
    fn send(&mut self, message: Message, totals: &mut Totals) {
        match self.queue.try_send(message) {
            Ok(()) => {
                self.frames += 1;
                totals.frames += 1;
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                if !self.too_slow.is_cancelled() {
                    totals.dropped_as_too_slow += 1;
                    self.too_slow.cancel();
                }
            }
            // The connection's task has ended and is about to give its place back.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }
}
