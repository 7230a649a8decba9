//! What this worker knows about one instrument that has ticked.

use market_model::{
    Depth, InstrumentCatalog, InstrumentKind, InstrumentSlot, OptionSide, Tick, TickBody, Underlying,
    UnderlyingId, UnixNanos,
};

use super::EnrichmentConfig;
use super::chain::is_after;
use crate::snapshot::{ForwardSource, GreeksState, NoGreeks, Snapshot, SnapshotCause, StaleCause};

/// Position of a feed connection in the pipeline's own list.
pub(crate) type ConnectionIndex = u16;

/// The state of one instrument: what every tick reads, two cache lines. What it only writes is in [`Value`].
#[derive(Debug)]
pub(super) struct Live {
    pub(super) slot: InstrumentSlot,
    pub(super) ts_recv: UnixNanos,
    pub(super) connection: ConnectionIndex,
    pub(super) role: Role,
    /// An option's chain in this worker's list.
    pub(super) chain: u32,
    /// Whether a spot or future moved since the board was last written.
    pub(super) moved: bool,
    /// Why the tick itself is not current, and since when.
    pub(super) stale: Option<(StaleCause, UnixNanos)>,
    pub(super) forward_stale: bool,
    /// Whether the option of the same strike that the volatility was read from is not current.
    pub(super) leg_stale: bool,
    /// The Greeks it was last published with.
    pub(super) shown: Shown,
    /// The round in which that was; one more when it ticked, which is after the round's turns.
    pub(super) shown_in: u32,
    /// Whether its chain remembers it as one whose Greeks have moved.
    pub(super) listed: bool,
    /// Why it waits to be published.
    pub(super) pending: Option<SnapshotCause>,
    /// Ticks since it was last published.
    pub(super) tick_count: u32,
}

/// The newest values of one instrument.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) tick: Tick,
    pub(super) greeks: GreeksState,
}

/// As much of published Greeks as is needed to tell whether they have moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    NotAnOption,
    Absent(NoGreeks),
    Known { forward: f64, source: ForwardSource, iv: f64, t_years: f64 },
}

/// What an instrument is to the chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Alone,
    /// What derivatives are written on.
    Spot(UnderlyingId),
    /// A future, by its position among the underlying's.
    Future(UnderlyingId, u32),
    /// An option, by its chain's position in the underlying and its row.
    Option { underlying: UnderlyingId, chain: u32, row: u32, side: OptionSide },
}

// === impl Live ===

impl Live {
    /// Whether it was published since the turns of round `turn`, other than by them.
    pub(super) const fn was_shown_after(&self, turn: u32) -> bool {
        is_after(self.shown_in, turn)
    }

    /// Whether the Greeks differ from those last published by enough to publish them without a tick.
    pub(super) fn greeks_moved(&self, greeks: &GreeksState, config: &EnrichmentConfig) -> bool {
        match (greeks, self.shown) {
            (GreeksState::Known(now), Shown::Known { forward, source, iv, t_years }) => {
                now.forward_source != source
                    || (now.forward - forward).abs() > config.refresh_forward_move * forward
                    || (now.iv - iv).abs() > config.refresh_iv_move
                    || t_years - now.t_years > config.refresh_time_step * now.t_years
            }
            (now, shown) => Shown::of(now) != shown,
        }
    }

    pub(super) fn snapshot(&self, value: &Value, cause: SnapshotCause) -> Snapshot {
        let forward = (self.forward_stale || self.leg_stale).then_some(StaleCause::Forward);
        Snapshot {
            slot: self.slot,
            tick: value.tick,
            ts_recv: self.ts_recv,
            ts_event: value.tick.exchange_timestamp(),
            greeks: value.greeks,
            stale: self.stale.map(|(cause, _)| cause).or(forward),
            cause,
            tick_count: self.tick_count,
        }
    }
}

// === impl Value ===

impl Value {
    /// Reads something of every cache line that the next tick will be written to.
    pub(super) fn fetch(&self) -> u32 {
        let TickBody::Full(full) = &self.tick.body else {
            return self.tick.token.0;
        };
        let Depth { buy, sell } = &full.depth;
        let book = buy[0].quantity | buy[4].quantity | sell[1].quantity | sell[4].quantity;
        book | full.oi | full.quote.volume_traded | full.quote.ohlc.low.raw() as u32
    }
}

// === impl Shown ===

impl Shown {
    pub(super) fn of(greeks: &GreeksState) -> Self {
        match greeks {
            GreeksState::NotAnOption => Self::NotAnOption,
            GreeksState::Absent(reason) => Self::Absent(*reason),
            GreeksState::Known(known) => Self::Known {
                forward: known.forward,
                source: known.forward_source,
                iv: known.iv,
                t_years: known.t_years,
            },
        }
    }
}

// === impl Role ===

impl Role {
    pub(super) fn of(catalog: &InstrumentCatalog, slot: InstrumentSlot) -> Self {
        let id = catalog.underlying_of(slot);
        let underlying = catalog.underlying(id);
        match &catalog.get(slot).kind {
            InstrumentKind::Option { strike, side, expiry } => {
                let place = (0..).zip(&underlying.chains).find_map(|(position, chain)| {
                    let same = chain.expiry.date == expiry.date;
                    let row =
                        same.then(|| chain.rows.binary_search_by_key(strike, |row| row.strike).ok())??;
                    Some((position, row as u32))
                });
                match place {
                    Some((chain, row)) => Self::Option { underlying: id, chain, row, side: *side },
                    None => Self::Alone,
                }
            }
            InstrumentKind::Future { .. } => {
                let position = underlying.futures.iter().position(|future| *future == slot);
                position.map_or(Self::Alone, |position| Self::Future(id, position as u32))
            }
            _ if underlying.spot == Some(slot) && has_derivatives(underlying) => Self::Spot(id),
            _ => Self::Alone,
        }
    }
}

pub(crate) fn has_derivatives(underlying: &Underlying) -> bool {
    !(underlying.chains.is_empty() && underlying.futures.is_empty())
}
