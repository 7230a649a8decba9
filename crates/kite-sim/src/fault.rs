//! What can go wrong, as plain data: one type behind the admin endpoint, the script file and the handle for tests.

use std::time::Duration;

use market_model::InstrumentToken;

pub use script::fault_script;
pub(crate) use script::{from_json, to_json};

mod script;
mod span;

/// Something that goes wrong. What a client sees of each is in `docs/simulator.md`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The socket stays and nothing is written to it: no ticks, no heartbeats, no pongs. What was due is lost.
    Mute,
    /// Pings are not answered; everything else goes on.
    NoPong,
    /// Neither read from nor written to, and never closed. When the fault ends the socket is reset.
    HalfOpen,
    /// The socket is reset (RST), once.
    Reset,
    /// The socket is closed (FIN) without a closing frame, once.
    Drop,
    /// A closing frame, once.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Text beside it, at most 123 bytes.
        reason: String,
    },
    /// Requests are answered with an error.
    Refuse {
        /// Which requests.
        door: Door,
        /// HTTP status.
        status: u16,
        /// An HTML page, as a proxy in front of Kite answers, in place of Kite's JSON.
        html: bool,
        /// Only requests whose path begins so.
        path: Option<String>,
    },
    /// Requests wait before they are looked at.
    Delay {
        /// Which requests.
        door: Door,
        /// How long.
        by: Duration,
    },
    /// Tick frames end too early, somewhere.
    TruncatedFrame {
        /// How many frames of a hundred.
        percent: f64,
    },
    /// Tick frames have one packet more, of a length that no mode has.
    UnknownPacket {
        /// How many frames of a hundred.
        percent: f64,
        /// Length of the packet; chosen by the seed when `None`.
        length: Option<u16>,
    },
    /// One length field of a tick frame is wrong: what follows it makes no sense.
    WrongLength {
        /// How many frames of a hundred.
        percent: f64,
    },
    /// A tick frame grows to this many packets by repeating its own: legal, and above 64 KB.
    BigFrame {
        /// How many packets.
        packets: u16,
    },
    /// A binary message longer than any tick frame can be is written after a tick frame.
    Overlong {
        /// How many bytes.
        bytes: usize,
    },
    /// Only some of the packets are sent.
    RateCollapse {
        /// How many packets of a hundred.
        percent: f64,
    },
    /// These tokens do not tick.
    SilentTokens {
        /// Which ones.
        tokens: Vec<InstrumentToken>,
    },
    /// What is subscribed while this lasts never ticks on that connection, unless it is subscribed again later.
    NeverLive {
        /// Which tokens; all when empty.
        tokens: Vec<InstrumentToken>,
    },
    /// What is subscribed while this lasts starts to tick late.
    LateSubscription {
        /// Which tokens; all when empty.
        tokens: Vec<InstrumentToken>,
        /// How late.
        by: Duration,
    },
    /// Text frames come twice.
    DuplicateText,
    /// Two text frames at a time come in the wrong order; one that stays alone for a second is sent.
    ReorderText,
    /// These text frames are sent, once.
    Text {
        /// The frames.
        texts: Vec<String>,
    },
    /// Access tokens die; their sockets follow within half a second. A new login works. Configured tokens come back
    /// when the fault ends.
    ExpireToken,
    /// The server is gone: every socket drops and connects are refused, then it is back. Sessions survive.
    Restart {
        /// How long it is gone.
        down: Duration,
    },
}

/// Which requests a fault at the door concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// REST calls. The simulator's own pages under `/sim` always answer.
    Rest,
    /// WebSocket handshakes.
    Handshake,
    /// New TCP connections, before anything is read from them.
    Accept,
}

/// Whom a fault concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Everybody.
    All,
    /// One app.
    ApiKey(String),
    /// One ticker connection, by the number that `/sim/status` and [`Faults::connections`](crate::Faults::connections)
    /// show.
    Connection(u64),
}

/// A fault, whom it concerns and when. Times count on the simulator's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// For whom.
    pub target: Target,
    /// Whether connections that come after its beginning are spared.
    pub present: bool,
    /// How long after it is handed in it begins. A script is handed in when the simulator is bound.
    pub at: Duration,
    /// How long it lasts; `None` until it is used up or taken back. What happens once has no length.
    pub lasts: Option<Duration>,
    /// After how many requests, frames or connections it is used up.
    pub times: Option<u32>,
}

/// Names a fault for its whole life and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub u64);

// === impl Fault ===

impl Fault {
    /// Whether it is done at once, so that it can neither last nor be used up.
    pub(crate) const fn is_once(&self) -> bool {
        matches!(
            self,
            Self::Reset | Self::Drop | Self::Close { .. } | Self::Text { .. } | Self::Restart { .. }
        )
    }

    /// Whether ticker connections have to know of it.
    pub(crate) const fn concerns_connections(&self) -> bool {
        !matches!(self, Self::Refuse { .. } | Self::Delay { .. } | Self::ExpireToken | Self::Restart { .. })
    }
}

// === impl FaultPlan ===

impl FaultPlan {
    /// `fault` for everybody, now, until it is taken back.
    pub const fn new(fault: Fault) -> Self {
        Self { fault, target: Target::All, present: false, at: Duration::ZERO, lasts: None, times: None }
    }

    /// Only for the ticker connection `number`.
    #[must_use]
    pub fn connection(mut self, number: u64) -> Self {
        self.target = Target::Connection(number);
        self
    }

    /// Only for the app with `api_key`.
    #[must_use]
    pub fn api_key(mut self, api_key: &str) -> Self {
        self.target = Target::ApiKey(api_key.to_owned());
        self
    }

    /// Only for connections that are there when it begins.
    #[must_use]
    pub const fn present(mut self) -> Self {
        self.present = true;
        self
    }

    /// Begins after `at`.
    #[must_use]
    pub const fn at(mut self, at: Duration) -> Self {
        self.at = at;
        self
    }

    /// Ends after `lasts`.
    #[must_use]
    pub const fn lasting(mut self, lasts: Duration) -> Self {
        self.lasts = Some(lasts);
        self
    }

    /// Is used up after so many requests, frames or connections.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

impl std::fmt::Display for FaultId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
