//! A small market for tests: an index with a weekly and a monthly chain, shares with and without contracts, a commodity.

use exchange_calendar::Calendar;
use jiff::civil::{Date, date};
use market_model::*;

use crate::Listing;

pub(crate) const DAY: Date = date(2026, 11, 20);
pub(crate) const WEEKLY: Date = date(2026, 11, 24);
pub(crate) const MONTHLY: Date = date(2026, 12, 29);

pub(crate) fn row(token: u32, name: &str, called: &str, kind: InstrumentKind) -> Instrument {
    let (exchange, tradingsymbol) = name.split_once(':').unwrap();
    let lot_size = match kind {
        InstrumentKind::Index => 0,
        InstrumentKind::Equity => 1,
        _ => 65,
    };
    Instrument {
        token: InstrumentToken(token),
        exchange: Exchange::from_word(exchange),
        segment: Segment::from_word(if kind == InstrumentKind::Index { "INDICES" } else { exchange }),
        tradingsymbol: tradingsymbol.into(),
        name: called.into(),
        kind,
        lot_size,
        tick_size: Price::from_paise(if lot_size == 0 { 0 } else { 5 }),
    }
}

pub(crate) fn future(token: u32, name: &str, called: &str, date: Date) -> Instrument {
    row(token, name, called, InstrumentKind::Future { expiry: Expiry { date, instant: None } })
}

pub(crate) fn option(
    token: u32,
    name: &str,
    called: &str,
    date: Date,
    strike: &str,
    side: OptionSide,
) -> Instrument {
    let expiry = Expiry { date, instant: None };
    row(token, name, called, InstrumentKind::Option { expiry, strike: strike.parse().unwrap(), side })
}

pub(crate) fn rows() -> Vec<Instrument> {
    let november = date(2026, 11, 23);
    let mut rows = vec![
        row(256_265, "NSE:NIFTY 50", "NIFTY 50", InstrumentKind::Index),
        row(260_105, "NSE:NIFTY BANK", "NIFTY BANK", InstrumentKind::Index),
        row(264_969, "NSE:INDIA VIX", "INDIA VIX", InstrumentKind::Index),
        row(265, "BSE:SENSEX", "SENSEX", InstrumentKind::Index),
        row(1033, "BSE:METAL", "METAL", InstrumentKind::Index),
        row(408_065, "NSE:INFY", "INFOSYS", InstrumentKind::Equity),
        row(128_053_508, "BSE:INFY", "INFOSYS", InstrumentKind::Equity),
        row(2_707_457, "NSE:NIFTYBEES", "NIPPON ETF", InstrumentKind::Equity),
        row(519_937, "NSE:M&M", "MAHINDRA & MAHINDRA", InstrumentKind::Equity),
        row(3_813_889, "NSE:CENTRALBK-BE", "CENTRAL BANK OF INDIA", InstrumentKind::Equity),
        future(2, "NFO:NIFTY26NOVFUT", "NIFTY", november),
        future(258, "NFO:NIFTY26DECFUT", "NIFTY", MONTHLY),
        future(514, "NFO:INFY26NOVFUT", "INFY", november),
        future(5, "BFO:SENSEX26NOVFUT", "SENSEX", date(2026, 11, 26)),
        future(7, "MCX:GOLD26DECFUT", "GOLD", date(2026, 12, 4)),
        option(263, "MCX:GOLD26NOV120000CE", "GOLD", date(2026, 11, 26), "120000", OptionSide::Call),
        option(770, "NFO:INFY26NOV1492.5CE", "INFY", november, "1492.5", OptionSide::Call),
    ];
    let mut token = 0x10_0002;
    for (end, code) in [(WEEKLY, "26124"), (MONTHLY, "26DEC")] {
        for strike in [24_900, 24_950, 25_000, 25_050, 25_100] {
            for side in [OptionSide::Call, OptionSide::Put] {
                let symbol = format!("NFO:NIFTY{code}{strike}{}", side.as_str());
                rows.push(option(token, &symbol, "NIFTY", end, &strike.to_string(), side));
                token += 256;
            }
        }
    }
    rows
}

pub(crate) fn listing() -> Listing {
    Listing::of_rows(DAY, UnixNanos(0), rows(), &Calendar::builtin()).unwrap()
}
