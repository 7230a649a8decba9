//! The options of one expiry as columns sorted by strike.

use std::time::Instant;

use market_model::{
    Exchange, Expiry, InstrumentCatalog, InstrumentSlot, OptionSide, Underlying, UnderlyingId, UnixNanos,
};
use option_greeks::ParityQuote;

use super::config::EnrichmentConfig;
use super::forward::{Forward, ForwardChoice, Offer};
use super::quote::{Quote, SpreadRule};
use crate::snapshot::{NoGreeks, Quality};

/// "No instrument" in columns of indexes.
pub(super) const NONE: u32 = u32::MAX;

/// One chain: quotes in, what the Greeks were last computed on out.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) underlying: UnderlyingId,
    /// Position among the chains of the underlying.
    pub(super) position: usize,
    pub(super) expiry: Option<UnixNanos>,
    /// The future whose price is this expiry's forward: its position among the underlying's futures, and its slot.
    pub(super) future: Option<(usize, InstrumentSlot)>,
    pub(super) spot: Option<InstrumentSlot>,
    pub(super) strikes: Vec<f64>,
    rows: Vec<Row>,
    row_dirty: Vec<bool>,
    computed: Vec<Computed>,
    pub(super) dirty_rows: Vec<u32>,
    /// Whether the chain is on the list of those to look at.
    pub(super) queued: bool,
    pub(super) choice: ForwardChoice,
    pub(super) parity: Parity,
    /// What the whole chain was last computed on.
    pub(super) basis: Option<Result<Basis, NoGreeks>>,
    /// When all its options were last looked through for Greeks worth publishing.
    pub(super) looked_at: Option<Instant>,
    /// The round in which that was.
    pub(super) turn: u32,
    pub(super) marked_stale: bool,
    /// Options whose Greeks have moved since they were published; looked at when the chain has its turn.
    pub(super) unsaid: Vec<u32>,
}

/// What Greeks are computed on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Basis {
    pub(super) forward: Forward,
    pub(super) t_years: f64,
}

/// What a row was last computed on, and in which round.
#[derive(Debug, Clone, Copy)]
struct Computed {
    /// NaN without a forward.
    forward: f64,
    round: u32,
}

/// The forward that this worker's own quotes imply.
#[derive(Debug, Default)]
pub(super) struct Parity {
    pub(super) offer: Option<Offer>,
    pub(super) std_error: f64,
    pub(super) strikes_used: usize,
    /// When it last stopped being available.
    pub(super) lost_at: UnixNanos,
    /// Rows it was made from; a tick outside changes nothing.
    window: std::ops::Range<usize>,
    dirty: bool,
}

/// Call and put of one strike, in one cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Row {
    call: Leg,
    put: Leg,
}

/// One option of a strike.
#[derive(Debug, Clone)]
struct Leg {
    quote: Quote,
    live: u32,
    stale: bool,
}

/// The price a strike's volatility is read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick {
    /// This side at this price.
    Price { side: OptionSide, price: f64, quality: Quality },
    /// The side to use is not current: what was computed from it stays.
    Keep,
    /// No side has a price.
    Nothing,
}

// === impl Row ===

impl Row {
    const NONE: Self = Self { call: Leg::NONE, put: Leg::NONE };

    fn leg(&self, side: OptionSide) -> &Leg {
        match side {
            OptionSide::Call => &self.call,
            OptionSide::Put => &self.put,
        }
    }

    fn leg_mut(&mut self, side: OptionSide) -> &mut Leg {
        match side {
            OptionSide::Call => &mut self.call,
            OptionSide::Put => &mut self.put,
        }
    }
}

// === impl Leg ===

impl Leg {
    const NONE: Self = Self { quote: Quote::NONE, live: NONE, stale: false };

    fn fresh_quote(&self) -> &Quote {
        if self.stale { &Quote::NONE } else { &self.quote }
    }
}

// === impl Chain ===

impl Chain {
    /// One that begins in `round`.
    pub(super) fn new(catalog: &InstrumentCatalog, id: UnderlyingId, position: usize, round: u32) -> Self {
        let underlying = catalog.underlying(id);
        let chain = &underlying.chains[position];
        let rows = chain.rows.len();
        Self {
            underlying: id,
            position,
            expiry: chain.expiry.instant,
            future: pricing_future(catalog, underlying, position),
            spot: underlying.spot,
            strikes: chain.rows.iter().map(|row| row.strike.to_f64()).collect(),
            rows: vec![Row::NONE; rows],
            row_dirty: vec![false; rows],
            computed: vec![Computed { forward: f64::NAN, round }; rows],
            dirty_rows: Vec::with_capacity(rows),
            queued: false,
            choice: ForwardChoice::default(),
            parity: Parity { dirty: true, ..Parity::default() },
            basis: None,
            looked_at: None,
            turn: round,
            marked_stale: false,
            unsaid: Vec::with_capacity(2 * rows),
        }
    }

    /// The option at `row` is the `live`-th instrument this worker sees.
    pub(super) fn admit(&mut self, row: usize, side: OptionSide, live: u32) {
        self.rows[row].leg_mut(side).live = live;
    }

    /// Goes on with the forward that the same chain had in another catalog, so that a reload does not lose it until
    /// its source is heard again. Only the first call takes it.
    pub(super) fn inherit(&mut self, from: &mut Self) {
        if from.choice.current().is_some() {
            self.choice = std::mem::take(&mut from.choice);
            self.marked_stale = from.marked_stale;
        }
    }

    /// A quote arrived, and is current.
    pub(super) fn quote(&mut self, row: usize, side: OptionSide, quote: Quote) {
        let leg = self.rows[row].leg_mut(side);
        leg.quote = quote;
        leg.stale = false;
        self.touch(row);
    }

    /// The quote is no longer current.
    pub(super) fn mark_stale(&mut self, row: usize, side: OptionSide) {
        self.rows[row].leg_mut(side).stale = true;
        self.touch(row);
    }

    fn touch(&mut self, row: usize) {
        if !std::mem::replace(&mut self.row_dirty[row], true) {
            self.dirty_rows.push(row as u32);
        }
        self.parity.dirty |= self.parity.offer.is_none() || self.parity.window.contains(&row);
    }

    pub(super) fn clear_dirty(&mut self) {
        for row in self.dirty_rows.drain(..) {
            self.row_dirty[row as usize] = false;
        }
    }

    /// Whether the whole chain is to be computed anew: the forward is of another source, or time has passed.
    pub(super) fn is_out_of_date(&self, basis: &Result<Basis, NoGreeks>, config: &EnrichmentConfig) -> bool {
        let (Some(Ok(before)), Ok(basis)) = (&self.basis, basis) else {
            return false;
        };
        basis.forward.source != before.forward.source
            || before.t_years - basis.t_years > config.refresh_time_step * basis.t_years
    }

    /// Adds to `rows` those that are not in it because they ticked: all, or those that were not computed since the
    /// last turn and whose forward has moved enough.
    pub(super) fn add_moved_rows(
        &self,
        all: bool,
        basis: &Result<Basis, NoGreeks>,
        config: &EnrichmentConfig,
        rows: &mut Vec<u32>,
    ) {
        let has_moved = |computed: &Computed| match basis {
            Ok(basis) if !is_after(computed.round, self.turn) => {
                let moved = (basis.forward.value - computed.forward).abs();
                computed.forward.is_nan() || moved > config.refresh_forward_move * computed.forward
            }
            _ => false,
        };
        let moved = (0..self.strikes.len()).filter(|row| {
            (all || has_moved(&self.computed[*row])) && !self.row_dirty[*row] && self.has_live(*row)
        });
        rows.extend(moved.map(|row| row as u32));
    }

    /// Notes what `rows` are computed on.
    pub(super) fn note_computed(&mut self, rows: &[u32], basis: &Result<Basis, NoGreeks>, round: u32) {
        let forward = basis.map_or(f64::NAN, |basis| basis.forward.value);
        for row in rows {
            self.computed[*row as usize] = Computed { forward, round };
        }
    }

    /// The call and put of a row, as far as this worker sees them.
    pub(super) fn live(&self, row: usize) -> [(OptionSide, u32); 2] {
        let row = &self.rows[row];
        [(OptionSide::Call, row.call.live), (OptionSide::Put, row.put.live)]
    }

    pub(super) fn has_live(&self, row: usize) -> bool {
        self.live(row).into_iter().any(|(_, live)| live != NONE)
    }

    /// The out-of-the-money side when it has a price, else the other. At the forward itself the call is taken.
    pub(super) fn pick(&self, row: usize, forward: f64, rule: &SpreadRule) -> Pick {
        let out = if self.strikes[row] >= forward { OptionSide::Call } else { OptionSide::Put };
        let other = match out {
            OptionSide::Call => OptionSide::Put,
            OptionSide::Put => OptionSide::Call,
        };
        for side in [out, other] {
            let leg = self.rows[row].leg(side);
            if let Some((price, quality)) = leg.quote.price(rule) {
                if leg.stale {
                    return Pick::Keep;
                }
                let quality = if side == out { quality } else { Quality::InTheMoneySide };
                return Pick::Price { side, price, quality };
            }
        }
        Pick::Nothing
    }

    /// Whether the rows that the parity forward stands on have moved; answered once.
    pub(super) fn take_parity_dirty(&mut self) -> bool {
        std::mem::take(&mut self.parity.dirty)
    }

    /// Fills `quotes` with the rows near the money that have all four sides, and remembers which rows count.
    pub(super) fn parity_quotes(&mut self, guess: Option<f64>, reach: usize, quotes: &mut Vec<ParityQuote>) {
        quotes.clear();
        let centre = guess.map(|guess| self.strikes.partition_point(|strike| *strike < guess));
        let centre = centre.or_else(|| self.closest_pair());
        self.parity.window = match centre {
            Some(centre) => centre.saturating_sub(reach)..(centre + reach).min(self.strikes.len()),
            None => 0..0,
        };
        for row in self.parity.window.clone() {
            let (call, put) = (self.rows[row].call.fresh_quote(), self.rows[row].put.fresh_quote());
            if call.has_both() && put.has_both() {
                quotes.push(ParityQuote {
                    strike: self.strikes[row],
                    call_bid: call.bid,
                    call_ask: call.ask,
                    put_bid: put.bid,
                    put_ask: put.ask,
                });
            }
        }
    }

    /// Without any idea of the forward: the strike at which call and put cost most nearly the same.
    fn closest_pair(&self) -> Option<usize> {
        let distance = |row: usize| {
            let (call, put) = (self.rows[row].call.fresh_quote(), self.rows[row].put.fresh_quote());
            (call.bid + call.ask - put.bid - put.ask).abs()
        };
        (0..self.strikes.len())
            .map(|row| (row, distance(row)))
            .filter(|(_, distance)| !distance.is_nan())
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(row, _)| row)
    }
}

/// Whether one count of rounds is later than another. They begin again after some weeks.
pub(super) const fn is_after(round: u32, other: u32) -> bool {
    round.wrapping_sub(other).cast_signed() > 0
}

/// The future that ends with the chain. A commodity option is written on the future itself and ends days before it,
/// so there the first future that outlives the option is the one.
fn pricing_future(
    catalog: &InstrumentCatalog,
    underlying: &Underlying,
    position: usize,
) -> Option<(usize, InstrumentSlot)> {
    let chain = &underlying.chains[position];
    let commodity = matches!(underlying.exchange, Exchange::Mcx | Exchange::Nco);
    let serves = |slot: InstrumentSlot| {
        let outlives = |end: &Expiry| commodity && end.date >= chain.expiry.date;
        chain.future == Some(slot) || catalog.get(slot).expiry().is_some_and(outlives)
    };
    underlying.futures.iter().copied().enumerate().find(|(_, slot)| serves(*slot))
}
