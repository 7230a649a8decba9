//! An instrument as columns, and back.

use jiff::civil::{Date, date};
use market_model::{
    Exchange, Expiry, Instrument, InstrumentKind, InstrumentToken, OptionSide, Price, Segment,
};
use sql_store::{Row, Value};

use crate::RegistryError;

/// `last_day` of what is still so.
pub(super) const OPEN: i64 = 9_999_999;

const INDEX: &str = "INDEX";
const EQUITY: &str = "EQ";
const FUTURE: &str = "FUT";
const CALL: &str = "CE";
const PUT: &str = "PE";
/// Before a type that this program does not know, so that it is never taken for one that it does.
const UNKNOWN: char = '?';

/// Days since 1970-01-01.
pub(super) fn day_number(day: Date) -> i64 {
    day.duration_since(date(1970, 1, 1)).as_hours() / 24
}

pub(super) fn day_of(number: i64) -> Option<Date> {
    date(1970, 1, 1).checked_add(jiff::Span::new().try_days(number).ok()?).ok()
}

/// The parameters of the insert.
pub(super) fn values(row: &Instrument, first_day: i64) -> Vec<Value> {
    let (kind, expiry, strike) = match &row.kind {
        InstrumentKind::Index => (INDEX.to_owned(), None, Price::ZERO),
        InstrumentKind::Equity => (EQUITY.to_owned(), None, Price::ZERO),
        InstrumentKind::Future { expiry } => (FUTURE.to_owned(), Some(expiry), Price::ZERO),
        InstrumentKind::Option { expiry, strike, side } => (side.as_str().to_owned(), Some(expiry), *strike),
        InstrumentKind::Other(word) => (format!("{UNKNOWN}{word}"), None, Price::ZERO),
        _ => (UNKNOWN.to_string(), None, Price::ZERO),
    };
    vec![
        row.exchange.as_str().into(),
        (*row.tradingsymbol).into(),
        first_day.into(),
        OPEN.into(),
        row.token.0.into(),
        row.segment.as_str().into(),
        (*row.name).into(),
        kind.into(),
        expiry.map(|expiry| day_number(expiry.date)).into(),
        strike.raw().into(),
        row.lot_size.into(),
        row.tick_size.raw().into(),
    ]
}

/// Reads `exchange, tradingsymbol, token, segment, name, kind, expiry_day, strike, lot_size, tick_size`.
pub(super) fn instrument(row: &Row) -> Result<Instrument, RegistryError> {
    let symbol = row.text(1)?;
    let bad = |field| RegistryError::BadStoredRow { symbol: symbol.to_owned(), field };
    let expiry = match row.opt_int(6)? {
        Some(number) => {
            let date = day_of(number).ok_or_else(|| bad("expiry_day"))?;
            Some(Expiry { date, instant: None })
        }
        None => None,
    };
    let strike = Price::from_raw(row.int(7)?);
    let option = |expiry, side| InstrumentKind::Option { expiry, strike, side };
    let kind = match (row.text(5)?, expiry) {
        (INDEX, _) => InstrumentKind::Index,
        (EQUITY, _) => InstrumentKind::Equity,
        (FUTURE, Some(expiry)) => InstrumentKind::Future { expiry },
        (CALL, Some(expiry)) => option(expiry, OptionSide::Call),
        (PUT, Some(expiry)) => option(expiry, OptionSide::Put),
        (word, _) => {
            let word = word.strip_prefix(UNKNOWN).ok_or_else(|| bad("kind"))?;
            InstrumentKind::Other(word.into())
        }
    };
    Ok(Instrument {
        token: InstrumentToken(row.int(2)?.try_into().map_err(|_| bad("token"))?),
        exchange: Exchange::from_word(row.text(0)?),
        segment: Segment::from_word(row.text(3)?),
        tradingsymbol: symbol.into(),
        name: row.text(4)?.into(),
        kind,
        lot_size: row.int(8)?.try_into().map_err(|_| bad("lot_size"))?,
        tick_size: Price::from_raw(row.int(9)?),
    })
}
