//! What leaves the pipeline: the newest known state of one instrument, and batches of them.

use std::sync::Arc;

use market_model::{GapCause, InstrumentCatalog, InstrumentSlot, InstrumentToken, Price, Tick, UnixNanos};

/// Where the forward of an expiry came from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardSource {
    /// Put-call parity over near-the-money mid quotes of the same expiry.
    Parity,
    /// The future that ends on the same day.
    Future,
    /// The spot, carried at the configured rate.
    SpotCarry,
}

/// How far a value can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// A two-sided, narrow, fresh quote of the out-of-the-money side.
    Good,
    /// The quote is two-sided but wide.
    Wide,
    /// No usable quote: the last traded price was used.
    LastPrice,
    /// The out-of-the-money side has no usable price; the in-the-money side was used.
    InTheMoneySide,
}

/// Why an option has no Greeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoGreeks {
    /// The calendar does not know when the contract ends.
    UnknownExpiry,
    /// The contract has ended.
    Expired,
    /// Neither parity, nor a future, nor a spot gives a forward yet.
    NoForward,
    /// There is no usable price on either side of the strike.
    NoPrice,
    /// The price is below its discounted intrinsic value.
    BelowIntrinsic,
    /// The price equals its intrinsic value: no volatility can be read from it.
    AtIntrinsic,
    /// The price is at or above the highest a model allows.
    AboveMaximum,
    /// The solver refused its input for another reason.
    Unsolvable,
}

/// Greeks of one option with everything they depend on.
///
/// Units: `iv` a fraction per year; `delta`, `gamma` per 1.00 of the forward; `vega`, `rho` per one point (0.01);
/// `theta` per calendar day. The delta is the forward delta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionGreeks {
    /// Implied volatility of the strike, from its out-of-the-money side when that has a price.
    pub iv: f64,
    /// dV/dF.
    pub delta: f64,
    /// d2V/dF2.
    pub gamma: f64,
    /// Value change per 0.01 of volatility.
    pub vega: f64,
    /// Value change per calendar day.
    pub theta: f64,
    /// Value change per 0.01 of rate.
    pub rho: f64,
    /// The forward used.
    pub forward: f64,
    /// Where it came from.
    pub forward_source: ForwardSource,
    /// The discount rate used, a fraction, continuously compounded.
    pub rate: f64,
    /// Time to the contract's own end in years of 525600 minutes.
    pub t_years: f64,
    /// How far to rely on it.
    pub quality: Quality,
}

/// What is known of an instrument's Greeks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GreeksState {
    /// The instrument is not an option.
    NotAnOption,
    /// Known.
    Known(OptionGreeks),
    /// Not known, and why. Never published as zero.
    Absent(NoGreeks),
}

/// Why a value can no longer be trusted to be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleCause {
    /// The connection that carries it lost ticks or is down.
    Feed(GapCause),
    /// The account's token was refused.
    TokenLost,
    /// The connection ticks far below its usual rate: what is shown may have been overtaken.
    RateCollapse,
    /// The instrument has not ticked for longer than the feed allows, although its connection lives.
    TokenSilent,
    /// The server refused the subscription, or no connection has room.
    Rejected,
    /// Nobody subscribes to it any more.
    Unsubscribed,
    /// What the Greeks depend on (the forward, or the other option of the strike) is stale.
    Forward,
}

impl StaleCause {
    /// Whether it is a suspicion, which does not hide a cause that is certain.
    pub(crate) const fn is_suspicion(self) -> bool {
        matches!(self, Self::RateCollapse | Self::TokenSilent)
    }
}

/// Why a snapshot is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotCause {
    /// The instrument ticked.
    Tick,
    /// The forward moved, so the Greeks did.
    Forward,
    /// The value became stale or fresh again.
    Staleness,
}

/// The newest known state of one instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the instrument stands in [`SnapshotBatch::catalog`].
    pub slot: InstrumentSlot,
    /// The last good tick.
    pub tick: Tick,
    /// When that tick left the socket.
    pub ts_recv: UnixNanos,
    /// The exchange's stamp of that tick (whole seconds), if its mode has one.
    pub ts_event: Option<UnixNanos>,
    /// Greeks, or why there are none.
    pub greeks: GreeksState,
    /// Why the value is not current; `None` while it is.
    pub stale: Option<StaleCause>,
    /// Why this snapshot is published.
    pub cause: SnapshotCause,
    /// How many ticks it stands for: the last one and those it replaced before anybody saw them. Zero when the
    /// instrument did not tick.
    pub tick_count: u32,
}

impl Snapshot {
    /// Which instrument.
    pub const fn token(&self) -> InstrumentToken {
        self.tick.token
    }

    /// `last_price - close`, when the mode carries the previous close and there was one.
    pub fn net_change(&self) -> Option<Price> {
        let close = self.tick.ohlc()?.close;
        close.is_positive().then(|| self.tick.last_price - close)
    }
}

/// Which kind of instrument a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKind {
    /// The index (or share) that derivatives are written on.
    Underlying,
    /// Futures.
    Futures,
    /// Options.
    Options,
    /// Shares without derivatives in this catalog.
    Equity,
}

impl TopicKind {
    /// The word used in channel names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Underlying => "underlying",
            Self::Futures => "futures",
            Self::Options => "options",
            Self::Equity => "equity",
        }
    }
}

/// [`Topic::underlying`] of the shares that share a topic.
pub const CASH: &str = "CASH";

/// What a batch is about; one batch never mixes topics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// Exchange the instruments are listed on, as Kite writes it.
    pub exchange: Arc<str>,
    /// The name derivatives carry (`NIFTY`); [`CASH`] for shares without derivatives, or the share's own symbol.
    pub underlying: Arc<str>,
    /// Kind of instrument.
    pub kind: TopicKind,
}

/// Snapshots of one topic, sealed together.
#[derive(Debug, Clone)]
pub struct SnapshotBatch {
    /// What it is about.
    pub topic: Arc<Topic>,
    /// Which pipeline worker sealed it (the account's name and connection).
    pub source: Arc<str>,
    /// Counts up per batch of this topic from this source. A hole means that batches were folded together or lost on
    /// the way; [`tick_total`](Self::tick_total) says how many ticks that cost.
    pub seq: u64,
    /// How many ticks the batch stands for: the sum over its snapshots.
    pub tick_count: u64,
    /// How many ticks of this topic and source were published so far, this batch included. A consumer has missed
    /// `tick_total - tick_count - (tick_total of the batch it saw before)` ticks, exactly.
    pub tick_total: u64,
    /// When it was sealed.
    pub ts_publish: UnixNanos,
    /// Whether the prices are simulated.
    pub sim: bool,
    /// The catalog that slots refer to.
    pub catalog: Arc<InstrumentCatalog>,
    /// The snapshots; at most one per instrument when conflation is on.
    pub snapshots: Vec<Snapshot>,
}
