//! What a ticker says about itself when asked.

use std::sync::{Arc, Mutex, PoisonError};

use market_model::{DisconnectReason, InstrumentToken, UnixNanos};

use crate::ticker::ledger::SubscriptionCounts;

/// Lists of instruments in a status are cut at this length; the counts beside them are whole.
pub(crate) const MAX_LISTED: usize = 100;

/// A ticker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TickerStatus {
    /// The account's name in the configuration.
    pub account: Arc<str>,
    /// Its connections, by index.
    pub connections: Vec<ConnectionStatus>,
    /// The token was refused and no other one has been accepted since.
    pub token_refused: bool,
    /// How many wishes no connection has room for.
    pub surplus: usize,
    /// The first hundred of them.
    pub surplus_tokens: Vec<InstrumentToken>,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not needed: it has nothing to carry.
    #[default]
    Idle,
    /// No token yet, or the token was refused.
    WaitingForToken,
    /// A handshake is under way.
    Connecting,
    /// It stands.
    Up,
    /// It is down and waits for the next try.
    Waiting,
    /// The ticker was stopped.
    Stopped,
}

/// One connection at one moment. Counts are since the ticker was made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionStatus {
    /// Which one, from 0.
    pub index: u8,
    /// Where it stands.
    pub state: ConnectionState,
    /// Login generation of the socket that stands or stood last.
    pub generation: Option<u64>,
    /// How many subscriptions stand where.
    pub subscriptions: SubscriptionCounts,
    /// The first hundred silent ones.
    pub silent_tokens: Vec<InstrumentToken>,
    /// The first hundred that the server refused.
    pub rejected_tokens: Vec<InstrumentToken>,
    /// When the last binary frame arrived, heartbeats included.
    pub last_frame: Option<UnixNanos>,
    /// Binary frames received.
    pub frames: u64,
    /// Packets that those frames say they have.
    pub packets: u64,
    /// Good ones among them.
    pub ticks: u64,
    /// Good ones that are in the feed, or were taken from it.
    pub delivered_ticks: u64,
    /// Good ones dropped because the feed was full.
    pub dropped_ticks: u64,
    /// Good ones that another socket had said already or gone beyond, while two stood side by side or just after.
    pub superseded_ticks: u64,
    /// Packets that could not be decoded.
    pub undecodable_packets: u64,
    /// Errors of decoding; one may cost many packets, or none.
    pub decode_errors: u64,
    /// Handshakes tried.
    pub handshakes: u64,
    /// Handshakes that made a socket.
    pub connects: u64,
    /// Sockets that took the place of another without a hole.
    pub rotations: u64,
    /// Ticks per second over the last five seconds.
    pub rate: f64,
    /// Ticks per second that are usual now; `None` while that is not known.
    pub usual_rate: Option<f64>,
    /// The rate is far below the usual one.
    pub rate_collapsed: bool,
    /// Heartbeats come, but no ticks, although they should.
    pub dataless: bool,
    /// Why it was last down or replaced.
    pub last_reason: Option<DisconnectReason>,
}

/// Where the connections write their status and the handle reads it.
#[derive(Debug)]
pub(crate) struct Board {
    connections: Box<[Mutex<ConnectionStatus>]>,
    surplus: Mutex<(usize, Vec<InstrumentToken>)>,
}

// === impl ConnectionState ===

impl ConnectionState {
    /// A word for pages and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::WaitingForToken => "waiting_for_token",
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }
}

// === impl ConnectionStatus ===

impl ConnectionStatus {
    /// Whether every packet that was announced is accounted for: delivered, dropped,
    /// superseded or undecodable. True at any
    /// moment.
    pub const fn is_balanced(&self) -> bool {
        self.ticks == self.delivered_ticks + self.dropped_ticks + self.superseded_ticks
            && self.packets == self.ticks + self.undecodable_packets
    }
}

// === impl Board ===

impl Board {
    pub(crate) fn new(connections: u8) -> Self {
        let blank = |index| Mutex::new(ConnectionStatus { index, ..ConnectionStatus::default() });
        Self { connections: (0..connections).map(blank).collect(), surplus: Mutex::default() }
    }

    /// Changes the status of connection `index`.
    pub(crate) fn update(&self, index: u8, change: impl FnOnce(&mut ConnectionStatus)) {
        if let Some(status) = self.connections.get(usize::from(index)) {
            change(&mut status.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) fn connection(&self, index: u8) -> ConnectionStatus {
        let mut copy = ConnectionStatus::default();
        self.update(index, |status| copy = status.clone());
        copy
    }

    pub(crate) fn set_surplus(&self, tokens: impl ExactSizeIterator<Item = InstrumentToken>) {
        let listed = (tokens.len(), tokens.take(MAX_LISTED).collect());
        *self.surplus.lock().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    pub(crate) fn read(&self, account: Arc<str>, token_refused: bool) -> TickerStatus {
        let (surplus, surplus_tokens) = self.surplus.lock().unwrap_or_else(PoisonError::into_inner).clone();
        TickerStatus {
            account,
            connections: (0..).take(self.connections.len()).map(|index| self.connection(index)).collect(),
            token_refused,
            surplus,
            surplus_tokens,
        }
    }
}
