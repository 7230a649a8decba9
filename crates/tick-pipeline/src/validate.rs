//! Which ticks are believed: every refusal has a reason and is counted.

use std::sync::Arc;
use std::time::Duration;

use market_model::{
    Depth, InstrumentCatalog, InstrumentKind, InstrumentSlot, Price, SessionPhase, Sessions, Tick, TickBody,
    UnixNanos,
};
use tokio::sync::watch;

use crate::market::Market;

/// What to do with a book whose best bid is at or above its best offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossedBook {
    /// Refuse the tick in continuous trading and after the close, where such a book is a decoding or feed fault; believe
    /// it in auctions, where books cross until the match, and where nobody told what the exchange is doing.
    BySession,
    /// Always refuse the tick.
    Reject,
    /// Always believe it. The crossed quote is still never used for implied volatility.
    Accept,
}

/// What makes a tick unbelievable.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationConfig {
    /// How far the last price may lie outside the day's own low and high, as a factor.
    /// The range travels in the same packet, so a large excess is a fault and not a fast market.
    pub day_range_factor: f64,
    /// The rule for crossed books.
    pub crossed_book: CrossedBook,
    /// How far an exchange stamp may run behind the newest one accepted for the instrument. Stamps are whole seconds.
    pub backward_tolerance: Duration,
    /// After this many refusals in a row for running backwards, the earlier stamp was the wrong one: the next tick
    /// is believed. Without it one stamp from the future would silence an instrument.
    pub backward_patience: u8,
    /// How many different unknown tokens are remembered for the health page; further ones are only counted.
    pub unknown_tokens_kept: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self {
            // A wrong divisor is off by 100 or more; half as much again leaves room for ranges that lag.
            day_range_factor: 1.5,
            crossed_book: CrossedBook::BySession,
            backward_tolerance: Duration::from_secs(2),
            backward_patience: 3,
            // More than a page shows, and a few kilobytes.
            unknown_tokens_kept: 256,
        }
    }
}

/// The lowest and highest price the exchange allows in an instrument today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitLimits {
    /// Lowest.
    pub lower: Price,
    /// Highest.
    pub upper: Price,
}

// === impl CircuitLimits ===

impl CircuitLimits {
    const NONE: Self = Self { lower: Price::from_raw(i64::MIN), upper: Price::from_raw(i64::MAX) };
}

/// Why a tick was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TickRejected {
    /// The catalog does not list the token.
    #[error("token is not in today's catalog; reload the instruments")]
    UnknownToken,
    /// The price is negative, or zero although the instrument has traded.
    #[error("price is not positive")]
    NonPositivePrice,
    /// The price lies far outside the day's own low and high.
    #[error("price is far outside the day's range")]
    OutsideDayRange,
    /// The best bid is at or above the best offer.
    #[error("book is crossed")]
    CrossedBook,
    /// The exchange stamp is older than one already accepted.
    #[error("exchange time runs backwards")]
    BackwardTime,
    /// The price is outside the limits of the day.
    #[error("price is beyond the circuit limits")]
    BeyondCircuit,
    /// The price is too large to be an exact double.
    #[error("price has no exact floating-point value")]
    Unrepresentable,
}

/// A tick that passed every check, with its place in the catalog.
#[derive(Debug, Clone, Copy)]
pub struct ValidTick<'t> {
    slot: InstrumentSlot,
    tick: &'t Tick,
}

/// Checks ticks against the catalog, the limits and what the same instrument said before.
#[derive(Debug)]
pub struct Validator {
    config: ValidationConfig,
    market: Market,
    sessions: Option<watch::Receiver<Sessions>>,
    /// By slot.
    known: Vec<Known>,
}

/// What a tick of one instrument is held against: half a cache line.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The newest exchange stamp accepted, or the epoch.
    newest: UnixNanos,
    /// The limits of the day; without any, the widest there are.
    limits: CircuitLimits,
    /// Refusals in a row for running backwards.
    backward: u8,
}

// === impl TickRejected ===

impl TickRejected {
    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 7] = [
        Self::UnknownToken,
        Self::NonPositivePrice,
        Self::OutsideDayRange,
        Self::CrossedBook,
        Self::BackwardTime,
        Self::BeyondCircuit,
        Self::Unrepresentable,
    ];

    /// The word used as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown_token",
            Self::NonPositivePrice => "non_positive_price",
            Self::OutsideDayRange => "outside_day_range",
            Self::CrossedBook => "crossed_book",
            Self::BackwardTime => "backward_time",
            Self::BeyondCircuit => "beyond_circuit",
            Self::Unrepresentable => "unrepresentable",
        }
    }

    /// Position in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

// === impl ValidTick ===

impl<'t> ValidTick<'t> {
    /// Where the instrument stands in the catalog.
    pub const fn slot(&self) -> InstrumentSlot {
        self.slot
    }

    /// The tick.
    pub const fn tick(&self) -> &'t Tick {
        self.tick
    }
}

// === impl Validator ===

impl Validator {
    /// Starts with nothing seen.
    pub fn new(config: ValidationConfig, market: Market) -> Self {
        let unknown = Known { newest: UnixNanos::default(), limits: CircuitLimits::NONE, backward: 0 };
        let mut known = vec![unknown; market.catalog().len()];
        for (token, limits) in market.all_circuit_limits() {
            if let Some(slot) = market.catalog().slot(token) {
                known[slot.index()].limits = limits;
            }
        }
        Self { config, market, sessions: None, known }
    }

    /// From now on judges crossed books by what `sessions` says of the instrument's exchange.
    #[must_use]
    pub fn follow_sessions(mut self, sessions: watch::Receiver<Sessions>) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Takes another catalog; what is known of instruments listed in both is kept.
    pub fn set_market(&mut self, market: Market) {
        let old = std::mem::replace(self, Self::new(self.config.clone(), market));
        let slots = (0..).map(InstrumentSlot).zip(&old.known);
        for (slot, known) in slots.filter(|(_, known)| known.newest != UnixNanos::default()) {
            let token = old.catalog().get(slot).token;
            if let Some(slot) = self.catalog().slot(token) {
                self.known[slot.index()].newest = known.newest;
            }
        }
        self.sessions = old.sessions;
    }

    /// Believes `tick` or says why not.
    ///
    /// A last price of zero is legal only for an instrument that shows it has not traded: full mode without a last
    /// trade time, or quote mode without volume. An index is never zero, and in ltp mode nothing proves it.
    ///
    /// # Errors
    /// The first [`TickRejected`] that applies; the tick then changes nothing.
    pub fn check<'t>(&mut self, tick: &'t Tick) -> Result<ValidTick<'t>, TickRejected> {
        self.check_at(self.catalog().slot(tick.token), tick)
    }

    /// As [`check`](Self::check), given what the catalog says of the token.
    pub(crate) fn check_at<'t>(
        &mut self,
        slot: Option<InstrumentSlot>,
        tick: &'t Tick,
    ) -> Result<ValidTick<'t>, TickRejected> {
        let slot = slot.ok_or(TickRejected::UnknownToken)?;
        self.check_price(slot, tick)?;
        if tick.depth().is_some_and(Depth::is_crossed) && !self.may_cross(slot) {
            return Err(TickRejected::CrossedBook);
        }
        self.check_time(slot, tick)?;
        Ok(ValidTick { slot, tick })
    }

    /// Looks the instruments of a frame up and reads once what its checks will need, so that the waits for memory
    /// overlap instead of adding up.
    pub(crate) fn fetch(&self, ticks: &[Tick], slots: &mut Vec<Option<InstrumentSlot>>) {
        slots.clear();
        slots.extend(ticks.iter().map(|tick| self.catalog().slot(tick.token)));
        let known = slots.iter().flatten().map(|slot| self.known[slot.index()].newest.0);
        std::hint::black_box(known.fold(0, |seen, newest| seen | newest));
    }

    fn catalog(&self) -> &Arc<InstrumentCatalog> {
        self.market.catalog()
    }

    fn check_price(&self, slot: InstrumentSlot, tick: &Tick) -> Result<(), TickRejected> {
        const EXACT: u64 = 1 << 53;
        let last = tick.last_price;
        if last.is_zero() && self.has_not_traded(slot, tick) {
            return Ok(());
        }
        if !last.is_positive() {
            return Err(TickRejected::NonPositivePrice);
        }
        if last.raw().unsigned_abs() > EXACT {
            return Err(TickRejected::Unrepresentable);
        }
        let limits = &self.known[slot.index()].limits;
        if !(limits.lower..=limits.upper).contains(&last) {
            return Err(TickRejected::BeyondCircuit);
        }
        if let Some(day) = tick.ohlc()
            && day.low.is_positive()
            && day.high.is_positive()
        {
            let (low, high) = (day.low.to_f64(), day.high.to_f64());
            let factor = self.config.day_range_factor;
            if low > high || last.to_f64() > high * factor || last.to_f64() * factor < low {
                return Err(TickRejected::OutsideDayRange);
            }
        }
        Ok(())
    }

    /// Asked only about crossed books, which are rare outside auctions.
    fn may_cross(&self, slot: InstrumentSlot) -> bool {
        match self.config.crossed_book {
            CrossedBook::Reject => false,
            CrossedBook::Accept => true,
            CrossedBook::BySession => {
                let exchange = &self.catalog().get(slot).exchange;
                let phase = self.sessions.as_ref().map(|sessions| sessions.borrow().phase(exchange));
                phase.is_none_or(SessionPhase::allows_crossed_book)
            }
        }
    }

    fn has_not_traded(&self, slot: InstrumentSlot, tick: &Tick) -> bool {
        if self.catalog().get(slot).kind == InstrumentKind::Index {
            return false;
        }
        match &tick.body {
            TickBody::Full(full) => full.last_trade_time.is_none(),
            TickBody::Quote(quote) => quote.volume_traded == 0,
            TickBody::Ltp | TickBody::IndexQuote { .. } | TickBody::IndexFull { .. } => false,
        }
    }

    fn check_time(&mut self, slot: InstrumentSlot, tick: &Tick) -> Result<(), TickRejected> {
        let Some(at) = tick.exchange_timestamp() else {
            return Ok(());
        };
        let Known { newest, backward: refused, .. } = &mut self.known[slot.index()];
        if at + self.config.backward_tolerance < *newest && *refused < self.config.backward_patience {
            *refused += 1;
            return Err(TickRejected::BackwardTime);
        }
        // Within the tolerance the newest stays: a series of small steps back must not add up.
        *newest = if *refused > 0 { at } else { at.max(*newest) };
        *refused = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
