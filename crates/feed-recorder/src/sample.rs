//! A small made market with its frames, for tests of recordings here and elsewhere.

#![allow(clippy::unwrap_used, reason = "only tests use it, and every value is known to fit")]

use kite_wire::FrameBuilder;
use market_model::{
    ConnectionId, Depth, DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog,
    InstrumentKind, InstrumentToken, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};

/// 2026-11-20 09:30:00 in India.
pub const START: UnixNanos = UnixNanos(1_795_147_200_000_000_000);

/// One of the connections of the account `alpha`.
pub fn connection(index: u8) -> ConnectionId {
    ConnectionId { account: "alpha".into(), index }
}

const NIFTY: InstrumentToken = InstrumentToken(256_265);

/// NIFTY with its index, a future and 21 strikes either side, and one share.
pub fn catalog() -> InstrumentCatalog {
    let expiry = Expiry {
        date: jiff::civil::date(2026, 11, 24),
        // 15:40 in India.
        instant: Some(UnixNanos::from_secs(1_795_515_000)),
    };
    let row = |token, exchange: &str, segment: &str, symbol: String, name: &str, kind| Instrument {
        token,
        exchange: Exchange::from_word(exchange),
        segment: Segment::from_word(segment),
        tradingsymbol: symbol.into(),
        name: name.into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let mut rows = vec![
        row(NIFTY, "NSE", "INDICES", "NIFTY 50".into(), "NIFTY 50", InstrumentKind::Index),
        row(InstrumentToken(408_065), "NSE", "NSE", "INFY".into(), "INFOSYS", InstrumentKind::Equity),
        row(future(), "NFO", "NFO-FUT", "NIFTY26NOVFUT".into(), "NIFTY", InstrumentKind::Future { expiry }),
    ];
    for at in 0..STRIKES {
        for side in [OptionSide::Call, OptionSide::Put] {
            let strike = Price::from_paise(strike(at) * 100);
            let symbol = format!("NIFTY26N24{}{}", strike.to_f64(), side.as_str());
            let kind = InstrumentKind::Option { expiry, strike, side };
            rows.push(row(option(at, side), "NFO", "NFO-OPT", symbol, "NIFTY", kind));
        }
    }
    InstrumentCatalog::new(rows, |name| (name == "NIFTY").then_some("NIFTY 50")).unwrap()
}

const STRIKES: i64 = 21;

fn strike(at: i64) -> i64 {
    24_500 + at * 50
}

fn future() -> InstrumentToken {
    InstrumentToken(9_000_002 / 256 * 256 + 2)
}

fn option(at: i64, side: OptionSide) -> InstrumentToken {
    let number = 50_000 + 2 * at + i64::from(side == OptionSide::Put);
    InstrumentToken((number * 256 + 2) as u32)
}

/// The `round`-th frame of that market: the index, the future, the share and every option, all moved a little.
pub fn frame(round: u32) -> Vec<u8> {
    let wave = i64::from(round * 37 % 211) - 105;
    let spot = 2_500_000 + wave * 45;
    let seconds = START.as_secs() + i64::from(round / 10);
    let at = Some(UnixNanos::from_secs(seconds));
    let mut frame = FrameBuilder::default();
    let ohlc =
        Ohlc { open: Price::from_paise(2_490_000), close: Price::from_paise(2_488_000), ..Ohlc::default() };
    let body = TickBody::IndexFull { ohlc, change: Price::ZERO, exchange_timestamp: at };
    frame.push(&Tick { token: NIFTY, last_price: Price::from_paise(spot), body }).unwrap();
    frame.push(&full(future(), spot + 1_500, round, at)).unwrap();
    frame.push(&full(InstrumentToken(408_065), 157_315 + wave, round, at)).unwrap();
    for at_strike in 0..STRIKES {
        let distance = spot - strike(at_strike) * 100;
        for (side, inner) in [(OptionSide::Call, distance), (OptionSide::Put, -distance)] {
            let time_value = 15_000 - distance.abs() / 8;
            frame
                .push(&full(option(at_strike, side), inner.max(0) + time_value.max(500), round, at))
                .unwrap();
        }
    }
    frame.finish().to_vec()
}

fn full(token: InstrumentToken, paise: i64, round: u32, at: Option<UnixNanos>) -> Tick {
    let paise = paise / 5 * 5;
    let level =
        |offset: i64| DepthLevel { price: Price::from_paise(paise + offset * 5), quantity: 65, orders: 3 };
    let depth = Depth {
        buy: [level(-1), level(-2), level(-3), level(-4), level(-5)],
        sell: [level(1), level(2), level(3), level(4), level(5)],
    };
    let quote = QuoteTick { volume_traded: 1000 + round, last_traded_quantity: 65, ..QuoteTick::default() };
    let body = FullTick { quote, exchange_timestamp: at, depth, oi: 5000, ..FullTick::default() };
    Tick { token, last_price: Price::from_paise(paise), body: TickBody::Full(body) }
}
