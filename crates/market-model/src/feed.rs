//! What a feed says: ticks, and what it knows about what it did not deliver.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{InstrumentToken, Mode, Tick, UnixNanos};

/// One ticker connection of one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The account's name in the configuration; never an API key.
    pub account: Arc<str>,
    /// Which of the account's connections, from 0.
    pub index: u8,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.index)
    }
}

/// The ticks of one websocket frame.
#[derive(Debug, Clone, PartialEq)]
pub struct TickFrame {
    /// Where it came from.
    pub connection: ConnectionId,
    /// When the frame left the socket.
    pub ts_recv: UnixNanos,
    /// The frame's good packets, in the order they stood in it.
    pub ticks: Vec<Tick>,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server closed it, with the websocket close code if it sent one.
    ClosedByServer(Option<u16>),
    /// The socket failed.
    Io(Arc<str>),
    /// Nothing arrived, not even a heartbeat, for this long.
    NoHeartbeat(Duration),
    /// Frames arrived, but pings stayed unanswered for this long.
    NoPong(Duration),
    /// Ticks had fallen far below the usual rate.
    RateCollapse,
    /// A planned rotation that found no room for the new connection beside the old one.
    Rotation,
    /// The part of this process that serves the connection failed and was started again.
    TaskFailed,
    /// The token was refused (handshake 403). No reconnect is tried until a new token arrives.
    TokenRefused,
    /// The handshake was answered with another status (429, 5xx).
    HandshakeStatus(u16),
    /// Connecting took longer than allowed.
    ConnectTimeout,
    /// The token was renewed and the connection belongs to the former one.
    TokenRenewed,
    /// We asked for it: an operator's reconnect, or fewer connections needed.
    Requested,
}

/// Why ticks are missing between two instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The connection was down.
    Disconnected,
    /// The connection stood but was mute.
    Silent,
    /// Ticks arrived faster than they could be taken and were dropped, counted.
    Overrun,
    /// A frame or packet could not be decoded.
    Undecodable,
}

/// A hole: between the two instants ticks were lost or may have been lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// On which connection.
    pub connection: ConnectionId,
    /// Last moment known to be good.
    pub from: UnixNanos,
    /// First moment known to be good again.
    pub to: UnixNanos,
    /// Why.
    pub cause: GapCause,
    /// Whom it concerns; `None` means everything on the connection.
    pub tokens: Option<Arc<[InstrumentToken]>>,
    /// Ticks known to have been lost; `None` when nobody can know.
    pub lost_ticks: Option<u64>,
}

/// A hole of one instrument: the last tick before it and the first one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenGap {
    /// Which instrument.
    pub token: InstrumentToken,
    /// When the last tick before the hole left the socket.
    pub from: UnixNanos,
    /// When the first tick after it did.
    pub to: UnixNanos,
}

/// A connection that stands and says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Which connection.
    pub connection: ConnectionId,
    /// When the last frame of any kind arrived.
    pub since: UnixNanos,
}

/// A connection that ticks far below its own usual rate.
#[derive(Debug, Clone, PartialEq)]
pub struct RateCollapse {
    /// Which connection.
    pub connection: ConnectionId,
    /// When it was noticed.
    pub at: UnixNanos,
    /// Ticks per second now.
    pub rate: f64,
    /// Ticks per second that are usual for it.
    pub baseline: f64,
}

/// An account whose token no longer works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLoss {
    /// The account's name in the configuration.
    pub account: Arc<str>,
    /// What the server said.
    pub detail: Arc<str>,
}

/// How far a subscription has come. Kite acknowledges nothing, so only a tick proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscriptionState {
    /// Wanted, but not yet on a connection.
    Requested,
    /// The command is written to the socket.
    Sent,
    /// A tick in the wanted mode has arrived since.
    Live,
    /// No tick for longer than the configured time.
    Silent,
    /// The server refused it, or no connection has room.
    Rejected,
    /// No longer wanted.
    Removed,
}

/// A subscription that changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// Which instrument.
    pub token: InstrumentToken,
    /// The wanted mode.
    pub mode: Mode,
    /// Where it stands now.
    pub state: SubscriptionState,
}

/// Everything a feed says, in one ordered stream: a gap is data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FeedEvent {
    /// Ticks of one frame.
    Ticks(TickFrame),
    /// A connection stands, for the first time.
    Connected {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: UnixNanos,
    },
    /// A connection is down and will be tried again.
    Reconnecting {
        /// Which connection.
        connection: ConnectionId,
        /// When it was found down.
        at: UnixNanos,
        /// Which try comes next, from 1.
        attempt: u32,
        /// How long until then.
        delay: Duration,
        /// Why it is down.
        reason: DisconnectReason,
    },
    /// A connection stands again; a [`FeedEvent::Gap`] follows.
    Reconnected {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: UnixNanos,
        /// How many tries it took.
        attempts: u32,
    },
    /// A connection ended and no reconnect is planned.
    Disconnected {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: UnixNanos,
        /// Why.
        reason: DisconnectReason,
    },
    /// Ticks are missing.
    Gap(Gap),
    /// A connection fell silent.
    Silent(Silence),
    /// A silent connection speaks again.
    SilenceEnded {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: UnixNanos,
    },
    /// Instruments tick again after a hole: what to back-fill, instrument by instrument.
    TokenGaps {
        /// Which connection.
        connection: ConnectionId,
        /// Why there was a hole.
        cause: GapCause,
        /// The holes; a long list is split over several events.
        gaps: Vec<TokenGap>,
    },
    /// A connection ticks far below its usual rate.
    RateCollapse(RateCollapse),
    /// A connection whose rate had collapsed ticks as usual again.
    RateRestored {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: UnixNanos,
        /// Ticks per second now.
        rate: f64,
    },
    /// A connection was replaced by a new one that ticked before the old one was closed: nothing is missing.
    Rotated {
        /// Which connection.
        connection: ConnectionId,
        /// When the old socket was closed.
        at: UnixNanos,
        /// How long both stood side by side.
        overlap: Duration,
        /// Why it was replaced.
        reason: DisconnectReason,
    },
    /// An account's token was refused.
    TokenLost(TokenLoss),
    /// An account has a working token again.
    TokenRestored {
        /// The account's name in the configuration.
        account: Arc<str>,
    },
    /// Subscriptions of one connection changed state.
    Subscriptions {
        /// Which connection.
        connection: ConnectionId,
        /// What changed, in order.
        changes: Vec<SubscriptionChange>,
    },
}
