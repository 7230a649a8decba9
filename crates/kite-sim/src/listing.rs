//! What is listed on one day: rows of the instrument dump and how each one gets its price.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::civil::Date;
use market_model::{Exchange, InstrumentToken, OptionSide, Segment, UnixNanos};

pub(crate) use equities::EQUITIES;
pub(crate) use indices::{IndexSpec, indices};

use crate::SimError;
use crate::clock::ist;
use crate::config::SimConfig;
use crate::load::{Load, LoadTable};
use crate::model::Model;
use crate::random::Stream;
use crate::rules::{Board, ListedExpiry, Rules};
use crate::symbols::{self, TokenBook};
use indices::INDIA_VIX_TOKEN;

mod equities;
mod indices;
mod whole;

/// Position of an instrument in its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an instrument's price follows. Numbers index the model's tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Index number.
    Index(usize),
    /// The volatility index.
    Vix,
    /// Share number.
    Equity(usize),
    /// Synthetic share number.
    Synthetic(u32),
    /// A future on an index.
    Future {
        /// Index number.
        index: usize,
        /// Position in [`Listing::expiries`] of that index.
        expiry: usize,
    },
    /// An option on an index.
    Option {
        /// Index number.
        index: usize,
        /// Position in [`Listing::expiries`] of that index.
        expiry: usize,
        /// Strike in rupees.
        strike: f64,
        /// Call or put.
        side: OptionSide,
    },
    /// An instrument of a whole market for load.
    Load(Load),
}

/// One listed instrument.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) token: InstrumentToken,
    pub(crate) tradingsymbol: String,
    pub(crate) name: Cow<'static, str>,
    pub(crate) exchange: Exchange,
    pub(crate) segment: Segment,
    pub(crate) kind: Kind,
    pub(crate) expiry: Option<Date>,
    pub(crate) lot_size: u32,
    /// Smallest price step in paise; zero for an index.
    pub(crate) tick_paise: i64,
    /// How much is going on in it, in `(0, 1]`.
    pub(crate) liquidity: f64,
    /// Random numbers of this instrument.
    pub(crate) stream: Stream,
}

/// Everything listed at one instant, until [`Listing::valid_until`].
#[derive(Debug)]
pub(crate) struct Listing {
    /// Every instrument, by slot.
    pub(crate) instruments: Vec<Listed>,
    /// Per index number, what its contracts end on.
    pub(crate) expiries: Vec<Vec<ListedExpiry>>,
    /// Next midnight in India or the next end of a contract, whichever comes first.
    pub(crate) valid_until: UnixNanos,
    /// Packets of the instruments of a whole market, when there is one.
    pub(crate) load: Option<LoadTable>,
    by_token: HashMap<InstrumentToken, Slot>,
    by_symbol: HashMap<String, Slot>,
}

// === impl Listed ===

impl Listed {
    /// Which session plan it trades on.
    pub(crate) fn board(&self) -> Board {
        match self.kind {
            Kind::Future { .. } | Kind::Option { .. } => Board::Derivatives,
            _ => Board::Cash,
        }
    }

    /// Whether it is computed and not traded.
    pub(crate) fn is_index(&self) -> bool {
        matches!(self.kind, Kind::Index(_) | Kind::Vix)
    }
}

// === impl Listing ===

impl Listing {
    /// What is listed at `now`.
    ///
    /// # Errors
    /// [`SimError::Listing`] when two instruments would share a token or a load price cannot be put on the wire.
    pub(crate) fn build(
        config: &SimConfig,
        rules: &Rules,
        model: &Model,
        now: UnixNanos,
    ) -> Result<Self, SimError> {
        let mut builder = Builder {
            config,
            rules,
            model,
            now,
            tokens: TokenBook::default(),
            instruments: Vec::new(),
            expiries: Vec::new(),
        };
        builder.cash()?;
        let specs: Vec<IndexSpec> = model.indices().cloned().collect();
        for (number, spec) in specs.iter().enumerate() {
            builder.derivatives(number, spec);
        }
        builder.synthetic();
        let load = match config.whole_market {
            Some(whole) => {
                let first = builder.whole_market(whole.instruments);
                Some(LoadTable::build(&builder.instruments, first, now)?)
            }
            None => None,
        };
        Ok(builder.finish(load))
    }

    /// How many instruments come before those made for load.
    pub(crate) fn ordinary(&self) -> usize {
        self.load.as_ref().map_or(self.instruments.len(), |load| load.first().index())
    }

    pub(crate) fn slot(&self, token: InstrumentToken) -> Option<Slot> {
        self.by_token.get(&token).copied()
    }

    /// By `EXCHANGE:SYMBOL`.
    pub(crate) fn slot_of_symbol(&self, key: &str) -> Option<Slot> {
        self.by_symbol.get(key).copied()
    }

    pub(crate) fn get(&self, slot: Slot) -> &Listed {
        &self.instruments[slot.index()]
    }
}

struct Builder<'a> {
    config: &'a SimConfig,
    rules: &'a Rules,
    model: &'a Model,
    now: UnixNanos,
    tokens: TokenBook,
    instruments: Vec<Listed>,
    expiries: Vec<Vec<ListedExpiry>>,
}

// === impl Builder ===

impl Builder<'_> {
    fn cash(&mut self) -> Result<(), SimError> {
        let indices: Vec<IndexSpec> = self.model.indices().cloned().collect();
        for (number, spec) in indices.into_iter().enumerate() {
            self.known(spec.token, spec.symbol, spec.symbol, spec.exchange, Kind::Index(number), 0)?;
        }
        self.known(INDIA_VIX_TOKEN, "INDIA VIX", "INDIA VIX", Exchange::Nse, Kind::Vix, 0)?;
        for (number, spec) in EQUITIES.iter().enumerate() {
            let tick = equity_tick_paise(spec.base);
            self.known(spec.token, spec.symbol, spec.name, Exchange::Nse, Kind::Equity(number), tick)?;
        }
        Ok(())
    }

    fn known(
        &mut self,
        token: u32,
        symbol: &str,
        name: &'static str,
        exchange: Exchange,
        kind: Kind,
        tick_paise: i64,
    ) -> Result<(), SimError> {
        let token = InstrumentToken(token);
        if !self.tokens.reserve(token) {
            return Err(SimError::Listing(format!("token {token} of {symbol} is taken")));
        }
        let is_index = tick_paise == 0;
        let stream = self.model.instrument_stream(token.0);
        self.instruments.push(Listed {
            token,
            tradingsymbol: symbol.to_owned(),
            name: name.into(),
            segment: if is_index { Segment::Indices } else { Segment::Nse },
            exchange,
            kind,
            expiry: None,
            lot_size: u32::from(!is_index),
            tick_paise,
            liquidity: 0.2 + 0.8 * stream.uniform(0),
            stream,
        });
        Ok(())
    }

    fn derivatives(&mut self, number: usize, spec: &IndexSpec) {
        let market = &self.config.market;
        let expiries = self.rules.expiries(spec, self.now, market.option_expiries, market.futures);
        let (future_segment, option_segment) = match spec.derivatives {
            Exchange::Bfo => (Segment::BfoFutures, Segment::BfoOptions),
            _ => (Segment::NfoFutures, Segment::NfoOptions),
        };
        // Listed around the level at the start of the day, as exchanges do.
        let day = self.rules.trading_day(Board::Derivatives, self.now);
        let common = self.model.common(day.open);
        let spot = self.model.index(number, common, day.open).spot;
        let step = self.rules.strike_step(spec, ist(self.now).date());
        let middle = (spot / step as f64).round() as i64 * step;
        let side_count = i64::from(market.strikes_each_side);
        let mut futures = 0u32;
        for (at, expiry) in expiries.iter().enumerate() {
            let lot_size = self.lot_size(spec, expiry.date);
            let contract = |symbol: String, segment: Segment, kind: Kind, tick_paise: i64, liquidity: f64| {
                Contract { symbol, segment, kind, tick_paise, expiry: expiry.date, lot_size, liquidity }
            };
            if expiry.monthly && (futures as usize) < market.futures {
                futures += 1;
                let kind = Kind::Future { index: number, expiry: at };
                let symbol = symbols::future(spec.name, expiry.date);
                let (tick, liquidity) = (future_tick_paise(spec.base), 1.0 / f64::from(futures * futures));
                self.contract(spec, contract(symbol, future_segment.clone(), kind, tick, liquidity));
            }
            if at >= market.option_expiries {
                continue;
            }
            for offset in -side_count..=side_count {
                // Most trade happens near the money and in the first chains; far wings see a lot a minute.
                let distance = (offset as f64 * step as f64 / spot / 0.02).powi(2);
                let liquidity = (0.000_5 + (-distance).exp()) / (1.0 + at as f64).powi(2);
                let strike = middle + offset * step;
                for side in [OptionSide::Call, OptionSide::Put] {
                    let symbol = symbols::option(spec.name, expiry.date, expiry.monthly, strike, side);
                    let kind = Kind::Option { index: number, expiry: at, strike: strike as f64, side };
                    self.contract(spec, contract(symbol, option_segment.clone(), kind, 5, liquidity));
                }
            }
        }
        self.expiries.push(expiries);
    }

    /// The calendar's lot, or that of the newest planned revision.
    fn lot_size(&self, spec: &IndexSpec, expiry: Date) -> u32 {
        let today = ist(self.now).date();
        let revisions = self.config.market.lot_revisions.iter();
        let held = revisions.filter(|revision| revision.underlying == spec.name && revision.from <= today);
        held.max_by_key(|revision| revision.from)
            .map_or_else(|| self.rules.lot_size(spec, expiry), |revision| revision.size)
    }

    fn contract(&mut self, spec: &IndexSpec, contract: Contract) {
        let token = self.tokens.assign(&contract.symbol, spec.segment_byte);
        let stream = self.model.instrument_stream(token.0);
        self.instruments.push(Listed {
            token,
            tradingsymbol: contract.symbol,
            name: spec.name.into(),
            exchange: spec.derivatives.clone(),
            segment: contract.segment,
            kind: contract.kind,
            expiry: Some(contract.expiry),
            lot_size: contract.lot_size,
            tick_paise: contract.tick_paise,
            liquidity: contract.liquidity * (0.4 + 0.6 * stream.uniform(0)),
            stream,
        });
    }

    fn synthetic(&mut self) {
        let count = self.config.load.map_or(0, |load| load.instruments);
        for number in 1..=count {
            let symbol = format!("SIM{number:05}");
            let token = self.tokens.assign(&symbol, 1);
            let stream = self.model.instrument_stream(token.0);
            self.instruments.push(Listed {
                token,
                tradingsymbol: symbol,
                name: "SIMULATED LOAD".into(),
                exchange: Exchange::Nse,
                segment: Segment::Nse,
                kind: Kind::Synthetic(number),
                expiry: None,
                lot_size: 1,
                tick_paise: 5,
                liquidity: 0.2 + 0.8 * stream.uniform(0),
                stream,
            });
        }
    }

    fn finish(self, load: Option<LoadTable>) -> Listing {
        let slots = || (0u32..).map(Slot);
        let next_midnight = ist(self.now).date().tomorrow().map_or(UnixNanos(i64::MAX), |date| {
            crate::clock::from_ist(date.to_datetime(jiff::civil::Time::midnight()))
        });
        let first_end = self.expiries.iter().flatten().map(|expiry| expiry.instant).min();
        Listing {
            by_token: slots().zip(&self.instruments).map(|(slot, listed)| (listed.token, slot)).collect(),
            by_symbol: slots()
                .zip(&self.instruments)
                .map(|(slot, listed)| (format!("{}:{}", listed.exchange, listed.tradingsymbol), slot))
                .collect(),
            load,
            valid_until: first_end.unwrap_or(next_midnight).min(next_midnight),
            instruments: self.instruments,
            expiries: self.expiries,
        }
    }
}

struct Contract {
    symbol: String,
    segment: Segment,
    kind: Kind,
    tick_paise: i64,
    expiry: Date,
    lot_size: u32,
    liquidity: f64,
}

/// Price steps of shares since 15 April 2025, by price (exchange rule, reviewed monthly).
fn equity_tick_paise(price: f64) -> i64 {
    match price {
        price if price < 250.0 => 1,
        price if price < 1_000.0 => 5,
        price if price < 5_000.0 => 10,
        price if price < 10_000.0 => 50,
        price if price < 20_000.0 => 100,
        _ => 500,
    }
}

/// Price steps of index futures since 15 April 2025, by index level.
fn future_tick_paise(level: f64) -> i64 {
    match level {
        level if level <= 15_000.0 => 5,
        level if level <= 30_000.0 => 10,
        _ => 20,
    }
}

#[cfg(test)]
mod tests;
