//! A made-up market: 1000 options of two indices with prices that solve to a volatility.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use market_model::{
    Depth, DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog, InstrumentKind,
    InstrumentToken, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use option_greeks::{OptionInputs, OptionKind, PricingModel, price};

const UNDERLYINGS: u32 = 2;
const CHAINS: u32 = 5;
const STRIKES: u32 = 50;

/// Contracts in the catalog.
pub const OPTIONS: u32 = UNDERLYINGS * CHAINS * STRIKES * 2;

/// Where the market's time begins: a Monday, 11:30 in India.
pub const START: UnixNanos = UnixNanos::from_secs(1_795_413_600);

/// The rate that prices are made with and read with.
pub const RATE: f64 = 0.065;

/// The instruments and what prices of theirs are made of.
pub struct Market {
    /// Today's instruments.
    pub catalog: Arc<InstrumentCatalog>,
    /// By slot.
    pub contracts: Vec<Contract>,
}

/// What an option is priced with.
#[derive(Clone, Copy)]
pub struct Contract {
    /// Kite's number of it.
    pub token: u32,
    /// Strike in rupees.
    pub strike: f64,
    /// Years to the end.
    pub years: f64,
    /// Call or put.
    pub is_call: bool,
}

// === impl Market ===

impl Market {
    /// The same every time.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let rows = (0..OPTIONS).map(instrument).collect();
        let catalog = Arc::new(InstrumentCatalog::new(rows, |_| None)?);
        let contracts = (0..OPTIONS).map(contract).collect();
        Ok(Self { catalog, contracts })
    }

    /// Tick number `n`: contract after contract, full mode, while the forward wanders.
    pub fn tick(&self, n: u32) -> Tick {
        let contract = self.contracts[(n % OPTIONS) as usize];
        let round = f64::from(n / OPTIONS);
        let forward = forward(n) * (1.0 + 2e-5 * (round * 0.7).sin());
        let volatility = 0.13 + 0.4 * (contract.strike / forward).ln().powi(2);
        let inputs = OptionInputs {
            model: PricingModel::Black76 { forward },
            kind: if contract.is_call { OptionKind::Call } else { OptionKind::Put },
            strike: contract.strike,
            rate: RATE,
            years_to_expiry: contract.years,
        };
        let value = price(&inputs, volatility).unwrap_or(1.0);
        let paise = ((value * 20.0).round() as i64).max(2) * 5;
        full(contract.token, n, paise)
    }
}

fn forward(n: u32) -> f64 {
    if n % OPTIONS < OPTIONS / UNDERLYINGS { 25_000.0 } else { 55_000.0 }
}

fn instrument(number: u32) -> Instrument {
    let of = contract(number);
    let chain = number / (2 * STRIKES);
    let days = days(chain);
    let instant = START + Duration::from_secs(days * 86_400);
    let date = jiff::civil::date(2026, 11, 23).saturating_add(jiff::Span::new().days(days as i64));
    let name = if chain < CHAINS { "NIFTY" } else { "BANKNIFTY" };
    let (side, word) = if of.is_call { (OptionSide::Call, "CE") } else { (OptionSide::Put, "PE") };
    Instrument {
        token: InstrumentToken(of.token),
        exchange: Exchange::Nfo,
        segment: Segment::NfoOptions,
        tradingsymbol: format!("{name}26{}{}{word}", 1100 + days, of.strike).into(),
        name: name.into(),
        kind: InstrumentKind::Option {
            expiry: Expiry { date, instant: Some(instant) },
            strike: Price::from_paise(of.strike as i64 * 100),
            side,
        },
        lot_size: 65,
        tick_size: Price::from_paise(5),
    }
}

const fn days(chain: u32) -> u64 {
    (chain % CHAINS) as u64 * 7 + 3
}

fn contract(number: u32) -> Contract {
    let (chain, pair) = (number / (2 * STRIKES), number / 2 % STRIKES);
    let (around, step) = if chain < CHAINS { (25_000.0, 50.0) } else { (55_000.0, 100.0) };
    Contract {
        token: (10_000 + number) << 8 | 2,
        strike: around + step * (f64::from(pair) - f64::from(STRIKES / 2)),
        years: days(chain) as f64 / 365.0,
        is_call: number.is_multiple_of(2),
    }
}

/// Numbers with as many digits as real ones.
fn full(token: u32, n: u32, paise: i64) -> Tick {
    let price = |paise: i64| Price::from_paise(paise.max(5));
    let level = |side: i64, at: u32| DepthLevel {
        price: price(paise + side * 5 * i64::from(at + 1)),
        quantity: 65 * (3 + (n * 7 + at * 13) % 190),
        orders: ((n + at * 5) % 40 + 1) as u16,
    };
    let quote = QuoteTick {
        last_traded_quantity: 65 * (1 + n % 20),
        average_traded_price: price(paise - 35),
        volume_traded: 11_759_865 + n,
        total_buy_quantity: 2_905_110 + n,
        total_sell_quantity: 3_105_115 + n,
        ohlc: Ohlc {
            open: price(paise - 105),
            high: price(paise + 995),
            low: price(paise - 890),
            close: price(paise - 215),
        },
    };
    let second = START + Duration::from_millis(u64::from(n) / 18);
    let second = Some(UnixNanos::from_secs(second.as_secs()));
    let body = TickBody::Full(FullTick {
        quote,
        last_trade_time: second,
        oi: 5_117_775,
        oi_day_high: 6_117_775,
        oi_day_low: 4_117_775,
        exchange_timestamp: second,
        depth: Depth {
            buy: [0, 1, 2, 3, 4].map(|at| level(-1, at)),
            sell: [0, 1, 2, 3, 4].map(|at| level(1, at)),
        },
    });
    Tick { token: InstrumentToken(token), last_price: price(paise), body }
}
