//! The instruments of a recording: Kite's own dump, and beside it what the calendar had added to it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use kite_wire::{InstrumentRow, InstrumentType, InstrumentsError, parse_instruments, write_instruments};
use market_model::{
    CatalogError, Instrument, InstrumentCatalog, InstrumentKind, OptionSide, Price, UnixNanos,
};

use crate::number::{put_bytes, take_bytes};

/// Why recorded instruments cannot be read.
#[derive(Debug)]
pub(crate) enum Problem {
    Malformed(&'static str),
    Catalog(CatalogError),
}

/// The length of the dump, the dump, and lines of two kinds, their words parted by tabs:
/// `expiry <exchange> <date> <UNIX nanoseconds>` and `spot <name that derivatives carry> <symbol of the index>`.
pub(crate) fn encode(catalog: &InstrumentCatalog) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, &instrument_dump(catalog));
    out.extend_from_slice(joins(catalog).as_bytes());
    out
}

pub(crate) fn decode(mut bytes: &[u8]) -> Result<InstrumentCatalog, Problem> {
    let malformed = Problem::Malformed("the instruments are cut off");
    let Some(dump) = take_bytes(&mut bytes) else {
        return Err(malformed);
    };
    let joins = std::str::from_utf8(bytes).map_err(|_| malformed)?;
    let (mut expiries, mut spots) = (HashMap::new(), HashMap::new());
    for line in joins.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["expiry", exchange, date, instant] => {
                let instant = instant.parse().map_err(|_| Problem::Malformed("an expiry has no time"))?;
                expiries.insert((exchange, date), UnixNanos(instant));
            }
            ["spot", name, symbol] => _ = spots.insert(name, symbol),
            // A later version may say more.
            _ => {}
        }
    }
    let rows = match parse_instruments(dump) {
        Ok(rows) => rows,
        // A catalog of nothing.
        Err(InstrumentsError::Empty) => return Ok(InstrumentCatalog::default()),
        Err(_) => return Err(Problem::Malformed("the instruments are no dump")),
    };
    let mut instruments = Vec::new();
    for row in rows {
        let row = row.map_err(|_| Problem::Malformed("an instrument cannot be read"))?;
        let date = row.expiry.map(|date| date.to_string());
        let instant = date.and_then(|date| expiries.get(&(row.exchange.as_str(), date.as_str())).copied());
        instruments.push(row.into_instrument(instant));
    }
    InstrumentCatalog::new(instruments, |name| spots.get(name).copied()).map_err(Problem::Catalog)
}

/// The instruments of `catalog` as rows of Kite's dump, in its order.
pub fn instrument_rows(catalog: &InstrumentCatalog) -> Vec<InstrumentRow> {
    catalog.instruments().iter().map(row).collect()
}

/// `catalog` as Kite writes an instrument dump (CSV), in its order.
pub fn instrument_dump(catalog: &InstrumentCatalog) -> Vec<u8> {
    let rows = instrument_rows(catalog);
    let mut out = Vec::with_capacity(rows.len() * 90);
    // Writing into memory does not fail.
    let _ = write_instruments(&rows, &mut out);
    out
}

fn row(instrument: &Instrument) -> InstrumentRow {
    let (instrument_type, strike) = match &instrument.kind {
        InstrumentKind::Option { strike, side: OptionSide::Call, .. } => (InstrumentType::Call, *strike),
        InstrumentKind::Option { strike, side: OptionSide::Put, .. } => (InstrumentType::Put, *strike),
        InstrumentKind::Future { .. } => (InstrumentType::Future, Price::ZERO),
        InstrumentKind::Other(word) => (InstrumentType::Other(word.clone()), Price::ZERO),
        _ => (InstrumentType::Equity, Price::ZERO),
    };
    InstrumentRow {
        token: instrument.token,
        exchange_token: instrument.token.0 >> 8,
        tradingsymbol: instrument.tradingsymbol.clone(),
        name: instrument.name.clone(),
        last_price: Price::ZERO,
        expiry: instrument.expiry().map(|expiry| expiry.date),
        strike,
        tick_size: instrument.tick_size,
        lot_size: instrument.lot_size,
        instrument_type,
        segment: instrument.segment.clone(),
        exchange: instrument.exchange.clone(),
    }
}

fn joins(catalog: &InstrumentCatalog) -> String {
    // Sorted, so that one catalog always gives the same bytes.
    let mut expiries = BTreeMap::new();
    for instrument in catalog.instruments() {
        if let Some(expiry) = instrument.expiry()
            && let Some(instant) = expiry.instant
        {
            expiries.insert((instrument.exchange.as_str(), expiry.date), instant);
        }
    }
    let mut lines = String::new();
    for ((exchange, date), instant) in expiries {
        let _ = writeln!(lines, "expiry\t{exchange}\t{date}\t{}", instant.0);
    }
    for underlying in catalog.underlyings() {
        if let Some(spot) = underlying.spot
            && catalog.get(spot).tradingsymbol != underlying.name
        {
            let _ = writeln!(lines, "spot\t{}\t{}", underlying.name, catalog.get(spot).tradingsymbol);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_catalog_comes_back_with_its_expiries_and_joins() {
        let catalog = sample::catalog();
        let back = decode(&encode(&catalog)).unwrap();
        assert_eq!(back.instruments(), catalog.instruments());
        assert_eq!(back.underlyings(), catalog.underlyings());
        let option = back.instruments().iter().find(|instrument| instrument.is_option()).unwrap();
        assert!(option.expiry().unwrap().instant.is_some());
        assert_eq!(encode(&back), encode(&catalog));
        let nifty = back.underlying(back.underlying_by_name("NIFTY").unwrap());
        assert_eq!(&*back.get(nifty.spot.unwrap()).tradingsymbol, "NIFTY 50");
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let bytes = encode(&sample::catalog());
        assert!(matches!(decode(&bytes[..40]), Err(Problem::Malformed(_))));
        assert!(decode(&encode(&InstrumentCatalog::default())).unwrap().is_empty());
    }
}
