//! Kite's instrument dump and the exchange calendar, joined into a catalog.

use std::io::Read;

use exchange_calendar::Calendar;
use kite_wire::{InstrumentsError, RowError, parse_instruments};
use market_model::{CatalogError, InstrumentCatalog, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

/// A catalog, and what the dump held that is not in it.
#[derive(Debug)]
pub(crate) struct LoadedCatalog {
    pub(crate) catalog: InstrumentCatalog,
    /// Rows that could not be read or repeat a token.
    pub(crate) skipped: usize,
    /// The first of them, for the log.
    pub(crate) first_skipped: Option<String>,
}

/// Why a dump makes no catalog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Not an instrument dump.
    #[error(transparent)]
    Dump(#[from] InstrumentsError),
    /// Rows that contradict each other.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A dump with a header and nothing else.
    #[error("the instrument dump has no readable row")]
    Empty,
}

/// Reads a dump. Bad rows cost only themselves; of two rows with one token the first is kept.
pub(crate) fn load(dump: impl Read, calendar: &Calendar) -> Result<LoadedCatalog, LoadError> {
    let (mut instruments, mut seen) = (Vec::new(), FxHashSet::default());
    let (mut skipped, mut first_skipped) = (0, None);
    let mut expiry_instants = FxHashMap::default();
    let mut skip = |problem: String| {
        skipped += 1;
        first_skipped.get_or_insert(problem);
    };
    for row in parse_instruments(dump)? {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let error: RowError = error;
                skip(error.to_string());
                continue;
            }
        };
        if !seen.insert(row.token) {
            skip(format!("{} repeats instrument token {}", row.tradingsymbol, row.token));
            continue;
        }
        let instant = row.expiry.and_then(|date| {
            *expiry_instants.entry((row.exchange.clone(), date)).or_insert_with(|| {
                let end = calendar.expiry_instant(row.exchange.as_str(), date).known()?;
                i64::try_from(end.as_nanosecond()).ok().map(UnixNanos)
            })
        });
        instruments.push(row.into_instrument(instant));
    }
    if instruments.is_empty() {
        return Err(LoadError::Empty);
    }
    let catalog = InstrumentCatalog::new(instruments, |name| calendar.index_symbol(name))?;
    Ok(LoadedCatalog { catalog, skipped, first_skipped })
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_model::InstrumentToken;

    const DUMP: &str = "\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE
12345602,48225,NIFTY26N2425000CE,NIFTY,0.0,2026-11-23,25000,0.05,65,CE,NFO-OPT,NFO
12345858,48226,NIFTY26N2425000PE,NIFTY,0.0,2026-11-23,25000,0.05,65,PE,NFO-OPT,NFO
12345858,48226,TWICE,NIFTY,0.0,2026-11-23,25000,0.05,65,PE,NFO-OPT,NFO
broken,1,BROKEN,,0.0,,0,0.05,1,EQ,NSE,NSE
99,0,FAR,NIFTY,0.0,2093-11-23,25000,0.05,65,CE,NFO-OPT,NFO
";

    #[test]
    fn expiries_get_their_instant_and_bad_rows_cost_only_themselves() {
        let loaded = load(DUMP.as_bytes(), &Calendar::builtin()).unwrap();
        assert_eq!((loaded.catalog.len(), loaded.skipped), (4, 2));
        assert!(loaded.first_skipped.unwrap().contains("TWICE"));
        let call = loaded.catalog.by_token(InstrumentToken(12_345_602)).unwrap();
        // 15:40 IST is 10:10 UTC.
        assert_eq!(call.expiry().unwrap().instant.unwrap().to_string(), "2026-11-23T10:10:00Z");
        let id = loaded.catalog.underlying_by_name("NIFTY").unwrap();
        assert_eq!(loaded.catalog.underlying(id).spot, loaded.catalog.slot(InstrumentToken(256_265)));
    }

    #[test]
    fn what_is_not_a_dump_is_refused() {
        let calendar = Calendar::builtin();
        assert!(matches!(load("<html>502</html>".as_bytes(), &calendar), Err(LoadError::Dump(_))));
        let header = DUMP.lines().next().unwrap();
        assert!(matches!(load(header.as_bytes(), &calendar), Err(LoadError::Empty)));
    }
}
