//! The instruments of a simulation, and ticks that carry their own number.
//!
//! The price of an instrument is its base plus the number of the tick in paise, so that whoever sees a price, in any
//! mode, knows which tick it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use market_model::{
    CatalogError, Depth, DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog,
    InstrumentKind, InstrumentToken, Mode, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody,
    UnixNanos,
};

/// Price units per paisa.
const PAISA: i64 = Price::SCALE / 100;

/// Where the server's own clock stands when a simulation begins: 2026-11-20 09:30:00 in India.
const OPENED: i64 = 1_795_147_200;

/// The index.
const INDEX: InstrumentToken = InstrumentToken(256_265);
/// Its future.
const FUTURE: InstrumentToken = InstrumentToken(2);
/// Strikes, in rupees.
const STRIKES: [i64; 4] = [24_800, 24_900, 25_000, 25_100];
/// Shares, of which the last two are not in the catalog.
const SHARES: u32 = 14;
/// Contracts of another exchange.
const METALS: u32 = 3;

/// What is wrong with a tick on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The best bid is above the best offer. Seen in full mode only.
    Crossed,
    /// The price lies outside of the day's range. Not seen in ltp mode.
    OutOfRange,
}

/// Every token the server lists, lowest first.
pub(crate) fn tokens() -> Vec<InstrumentToken> {
    let mut tokens = vec![INDEX, FUTURE];
    tokens.extend((0..SHARES).map(share));
    tokens.extend((0..METALS).map(metal));
    for strike in STRIKES {
        tokens.extend([OptionSide::Call, OptionSide::Put].map(|side| option(strike, side)));
    }
    tokens.sort_unstable();
    tokens
}

/// The catalog. Without its last `missing` shares it is another day's.
///
/// # Errors
/// [`CatalogError`] never, as long as the tokens above differ.
pub(crate) fn catalog(missing: u32) -> Result<Arc<InstrumentCatalog>, CatalogError> {
    let expiry = Expiry {
        date: date(2026, 11, 24),
        instant: Some(UnixNanos::from_secs(OPENED + 4 * 86_400 + 6 * 3600)),
    };
    let nifty = |token, exchange, symbol: &str, kind| Instrument {
        token,
        exchange,
        segment: Segment::Indices,
        tradingsymbol: symbol.into(),
        name: "NIFTY".into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let mut rows = vec![
        nifty(INDEX, Exchange::Nse, "NIFTY 50", InstrumentKind::Index),
        nifty(FUTURE, Exchange::Nfo, "NIFTY26NOVFUT", InstrumentKind::Future { expiry }),
    ];
    for strike in STRIKES {
        for side in [OptionSide::Call, OptionSide::Put] {
            let symbol = format!("NIFTY26NOV{strike}{}", side.as_str());
            let kind = InstrumentKind::Option { expiry, strike: Price::from_paise(strike * 100), side };
            rows.push(nifty(option(strike, side), Exchange::Nfo, &symbol, kind));
        }
    }
    let plain = |token, exchange, segment, name: String, kind| Instrument {
        token,
        exchange,
        segment,
        tradingsymbol: name.as_str().into(),
        name: name.as_str().into(),
        kind,
        lot_size: 1,
        tick_size: Price::from_paise(5),
    };
    rows.extend((0..SHARES - 2 - missing.min(SHARES - 2)).map(|at| {
        plain(share(at), Exchange::Nse, Segment::Nse, format!("SHARE{at}"), InstrumentKind::Equity)
    }));
    rows.extend((0..METALS).map(|at| {
        let kind = InstrumentKind::Future { expiry };
        plain(metal(at), Exchange::Mcx, Segment::McxFutures, format!("METAL{at}"), kind)
    }));
    Ok(Arc::new(InstrumentCatalog::new(rows, |name| (name == "NIFTY").then_some("NIFTY 50"))?))
}

/// Tick `number` of `token` in `mode`, `elapsed` after the opening.
pub(crate) fn tick(
    token: InstrumentToken,
    number: u32,
    mode: Mode,
    elapsed: Duration,
    flaw: Option<Flaw>,
) -> Tick {
    let paise = base(token) + i64::from(number);
    let last_price = Price::from_paise(paise);
    let at = UnixNanos::from_secs(OPENED + elapsed.as_secs() as i64);
    let high = if flaw == Some(Flaw::OutOfRange) { paise / 3 } else { paise };
    let ohlc = Ohlc {
        open: Price::from_paise(high.min(base(token))),
        high: Price::from_paise(high),
        low: Price::from_paise(high.min(base(token))),
        close: Price::from_paise(high.min(base(token))),
    };
    let body = match (mode, token.is_index()) {
        (Mode::Ltp, _) => TickBody::Ltp,
        (Mode::Quote, true) => TickBody::IndexQuote { ohlc, change: Price::ZERO },
        (Mode::Full, true) => TickBody::IndexFull { ohlc, change: Price::ZERO, exchange_timestamp: Some(at) },
        (Mode::Quote, false) => TickBody::Quote(quote(number, ohlc)),
        (Mode::Full, false) => {
            let spread = if flaw == Some(Flaw::Crossed) { -10 } else { 10 };
            let level = |paise| DepthLevel { price: Price::from_paise(paise), quantity: 65, orders: 1 };
            let mut depth = Depth::default();
            depth.buy[0] = level(paise - spread);
            depth.sell[0] = level(paise + spread);
            let quote = quote(number, ohlc);
            TickBody::Full(FullTick {
                quote,
                last_trade_time: Some(at),
                exchange_timestamp: Some(at),
                depth,
                ..FullTick::default()
            })
        }
    };
    Tick { token, last_price, body }
}

/// Which tick of its instrument this is.
pub(crate) fn number(tick: &Tick) -> i64 {
    tick.last_price.raw() / PAISA - base(tick.token)
}

/// How a tick was made unbelievable on purpose, if it was.
pub(crate) fn flaw(tick: &Tick) -> Option<Flaw> {
    let is_out = tick.ohlc().is_some_and(|day| day.high < tick.last_price);
    let is_crossed = tick.depth().is_some_and(Depth::is_crossed);
    is_out.then_some(Flaw::OutOfRange).or(is_crossed.then_some(Flaw::Crossed))
}

/// Every tick is a trade of one lot.
fn quote(number: u32, ohlc: Ohlc) -> QuoteTick {
    QuoteTick { volume_traded: 65 * number, ohlc, ..QuoteTick::default() }
}

/// The price of tick 0, in paise.
fn base(token: InstrumentToken) -> i64 {
    match token.segment_byte() {
        9 => 2_500_000,
        7 => 700_000,
        2 if token == FUTURE => 2_502_000,
        2 => 20_000,
        _ => 100_000,
    }
}

fn share(at: u32) -> InstrumentToken {
    InstrumentToken(((1_000 + at) << 8) | 1)
}

fn metal(at: u32) -> InstrumentToken {
    InstrumentToken(((3_000 + at) << 8) | 7)
}

fn option(strike: i64, side: OptionSide) -> InstrumentToken {
    let side = u32::from(side == OptionSide::Put);
    InstrumentToken((((strike as u32) * 2 + side) << 8) | 2)
}

#[cfg(test)]
mod tests {
    use kite_wire::{Frame, FrameBuilder, decode_frame};

    use super::*;

    #[test]
    fn a_tick_keeps_its_number_on_the_wire_in_every_mode() {
        for token in tokens() {
            for mode in [Mode::Ltp, Mode::Quote, Mode::Full] {
                let sent = tick(token, 1234, mode, Duration::from_secs(7), None);
                let mut frame = FrameBuilder::new();
                frame.push(&sent).unwrap();
                let bytes = frame.finish();
                let Frame::Ticks(mut packets) = decode_frame(&bytes) else { panic!("no heartbeat") };
                let read = packets.next().unwrap().unwrap().to_tick();
                assert_eq!((number(&read), read.mode()), (1234, mode), "{token}");
            }
        }
    }

    #[test]
    fn two_shares_are_never_in_the_catalog() {
        let catalog = catalog(0).unwrap();
        let unknown = tokens().into_iter().filter(|token| catalog.slot(*token).is_none()).count();
        assert_eq!(unknown, 2);
    }
}
