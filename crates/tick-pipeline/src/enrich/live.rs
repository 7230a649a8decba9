//! What this worker knows about one instrument that has ticked.

use market_model::{
    InstrumentCatalog, InstrumentKind, InstrumentSlot, OptionSide, Tick, Underlying, UnderlyingId, UnixNanos,
};

use super::EnrichmentConfig;
use crate::snapshot::{GreeksState, Snapshot, SnapshotCause, StaleCause};

/// Position of a feed connection in the pipeline's own list.
pub(crate) type ConnectionIndex = u16;

/// The state of one instrument.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) slot: InstrumentSlot,
    pub(super) tick: Tick,
    pub(super) ts_recv: UnixNanos,
    pub(super) connection: ConnectionIndex,
    pub(super) role: Role,
    /// An option's chain in this worker's list.
    pub(super) chain: u32,
    /// Whether a spot or future moved since the board was last written.
    pub(super) moved: bool,
    pub(super) greeks: GreeksState,
    /// Why the tick itself is not current, and since when.
    pub(super) stale: Option<(StaleCause, UnixNanos)>,
    pub(super) forward_stale: bool,
    /// The Greeks it was last published with.
    pub(super) shown: GreeksState,
    /// Why it waits to be published.
    pub(super) pending: Option<SnapshotCause>,
    /// Ticks since it was last published.
    pub(super) tick_count: u32,
}

/// What an instrument is to the chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Alone,
    /// What derivatives are written on.
    Spot(UnderlyingId),
    /// A future, by its position among the underlying's.
    Future(UnderlyingId, usize),
    /// An option, by its chain's position in the underlying and its row.
    Option { underlying: UnderlyingId, chain: usize, row: usize, side: OptionSide },
}

// === impl Live ===

impl Live {
    /// Whether the Greeks differ from those last published by enough to publish them without a tick.
    pub(super) fn greeks_moved(&self, config: &EnrichmentConfig) -> bool {
        match (&self.greeks, &self.shown) {
            (GreeksState::Known(now), GreeksState::Known(shown)) => {
                now.forward_source != shown.forward_source
                    || (now.forward - shown.forward).abs() > config.refresh_forward_move * shown.forward
                    || (now.iv - shown.iv).abs() > config.refresh_iv_move
                    || shown.t_years - now.t_years > config.refresh_time_step * now.t_years
            }
            (now, shown) => now != shown,
        }
    }

    pub(super) fn snapshot(&self, cause: SnapshotCause) -> Snapshot {
        let forward = self.forward_stale.then_some(StaleCause::Forward);
        Snapshot {
            slot: self.slot,
            tick: self.tick,
            ts_recv: self.ts_recv,
            ts_event: self.tick.exchange_timestamp(),
            greeks: self.greeks,
            stale: self.stale.map(|(cause, _)| cause).or(forward),
            cause,
            tick_count: self.tick_count,
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
                let place = underlying.chains.iter().enumerate().find_map(|(position, chain)| {
                    let same = chain.expiry.date == expiry.date;
                    let row =
                        same.then(|| chain.rows.binary_search_by_key(strike, |row| row.strike).ok())??;
                    Some((position, row))
                });
                match place {
                    Some((chain, row)) => Self::Option { underlying: id, chain, row, side: *side },
                    None => Self::Alone,
                }
            }
            InstrumentKind::Future { .. } => {
                let position = underlying.futures.iter().position(|future| *future == slot);
                position.map_or(Self::Alone, |position| Self::Future(id, position))
            }
            _ if underlying.spot == Some(slot) && has_derivatives(underlying) => Self::Spot(id),
            _ => Self::Alone,
        }
    }
}

pub(crate) fn has_derivatives(underlying: &Underlying) -> bool {
    !(underlying.chains.is_empty() && underlying.futures.is_empty())
}
