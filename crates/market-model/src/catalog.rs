//! An immutable table of every instrument of a day, swapped whole.

use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::{FxHashMap, FxHasher};

use crate::{Exchange, Expiry, Instrument, InstrumentToken, Price};

mod join;

/// Position of an instrument in its catalog: dense, from 0, valid only for that catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentSlot(pub u32);

impl InstrumentSlot {
    /// For indexing slices as long as the catalog.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Position of an underlying in its catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnderlyingId(pub u32);

impl UnderlyingId {
    /// For indexing [`InstrumentCatalog::underlyings`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Call and put of one strike. A side that is not listed is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrikeRow {
    /// Strike price.
    pub strike: Price,
    /// The call.
    pub call: Option<InstrumentSlot>,
    /// The put.
    pub put: Option<InstrumentSlot>,
}

/// The options of one underlying that end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryChain {
    /// When they end.
    pub expiry: Expiry,
    /// The future that ends on the same day, if one is listed.
    pub future: Option<InstrumentSlot>,
    /// Strikes in ascending order.
    pub rows: Vec<StrikeRow>,
}

/// What derivatives are written on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underlying {
    /// The name derivatives carry, such as `NIFTY`.
    pub name: Box<str>,
    /// The exchange its derivatives are listed on; the exchange of the spot when it has none.
    pub exchange: Exchange,
    /// The index or share itself, when the catalog has it.
    pub spot: Option<InstrumentSlot>,
    /// Its futures, nearest first.
    pub futures: Vec<InstrumentSlot>,
    /// Its option chains, nearest first.
    pub chains: Vec<ExpiryChain>,
}

/// Why instruments do not make a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Two rows have the same token.
    #[error("instrument token {token} is listed twice: {first} and {second}")]
    DuplicateToken {
        /// The token.
        token: InstrumentToken,
        /// Symbol of the first row.
        first: Box<str>,
        /// Symbol of the second row.
        second: Box<str>,
    },
    /// More than 2^32 - 1 rows.
    #[error("too many instruments")]
    TooMany,
}

/// Every instrument of a day, with the joins that the feed needs.
///
/// The tables by symbol and by name hold positions only: the names stay in the rows, and a lookup allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct InstrumentCatalog {
    instruments: Vec<Instrument>,
    by_token: FxHashMap<InstrumentToken, InstrumentSlot>,
    by_symbol: HashTable<InstrumentSlot>,
    underlyings: Vec<Underlying>,
    by_name: HashTable<UnderlyingId>,
    underlying_of: Vec<UnderlyingId>,
    repeated_symbols: usize,
}

impl InstrumentCatalog {
    /// Builds the tables. `index_symbol` answers, for the name that derivatives carry, the tradingsymbol of its
    /// index (`NIFTY` -> `NIFTY 50`); for a share the two are the same and `None` is right.
    ///
    /// Of two rows with one exchange and tradingsymbol the later one is found by symbol.
    ///
    /// # Errors
    /// [`CatalogError`] when two rows share a token.
    pub fn new<'a>(
        instruments: Vec<Instrument>,
        index_symbol: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self { instruments, ..Self::default() };
        catalog.index_rows()?;
        catalog.join_underlyings(index_symbol);
        Ok(catalog)
    }

    /// How many instruments there are.
    pub fn len(&self) -> usize {
        self.instruments.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// Where `token` stands; `None` when it is not listed today.
    pub fn slot(&self, token: InstrumentToken) -> Option<InstrumentSlot> {
        self.by_token.get(&token).copied()
    }

    /// The instrument at `slot`.
    ///
    /// # Panics
    /// When `slot` belongs to another, larger catalog.
    pub fn get(&self, slot: InstrumentSlot) -> &Instrument {
        &self.instruments[slot.index()]
    }

    /// The instrument with `token`.
    pub fn by_token(&self, token: InstrumentToken) -> Option<&Instrument> {
        self.slot(token).map(|slot| self.get(slot))
    }

    /// The instrument that `exchange` lists as `tradingsymbol`.
    pub fn by_symbol(&self, exchange: &Exchange, tradingsymbol: &str) -> Option<InstrumentSlot> {
        let same = |slot: &InstrumentSlot| self.get(*slot).is_listed_as(exchange, tradingsymbol);
        self.by_symbol.find(symbol_hash(exchange, tradingsymbol), same).copied()
    }

    /// Every instrument, in the order of its slots.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instruments alone, in the order of their slots.
    pub fn into_instruments(self) -> Vec<Instrument> {
        self.instruments
    }

    /// How many rows repeat the exchange and tradingsymbol of another; a sound dump has none.
    pub const fn repeated_symbols(&self) -> usize {
        self.repeated_symbols
    }

    /// Every underlying; an instrument without derivatives is an underlying of its own.
    pub fn underlyings(&self) -> &[Underlying] {
        &self.underlyings
    }

    /// The underlying of the instrument at `slot`.
    pub fn underlying_of(&self, slot: InstrumentSlot) -> UnderlyingId {
        self.underlying_of[slot.index()]
    }

    /// The underlying at `id`.
    pub fn underlying(&self, id: UnderlyingId) -> &Underlying {
        &self.underlyings[id.index()]
    }

    /// The underlying whose derivatives carry `name`, the one with options first when several exchanges have it.
    pub fn underlying_by_name(&self, name: &str) -> Option<UnderlyingId> {
        self.called(name).max_by_key(|id| (self.underlying(*id).chains.len(), *id))
    }

    /// The underlying whose derivatives carry `name` on `exchange`.
    pub fn underlying_on(&self, exchange: &Exchange, name: &str) -> Option<UnderlyingId> {
        self.called(name).filter(|id| self.underlying(*id).exchange == *exchange).min()
    }

    fn called(&self, name: &str) -> impl Iterator<Item = UnderlyingId> {
        self.by_name.iter_hash(name_hash(name)).copied().filter(move |id| *self.underlying(*id).name == *name)
    }

    fn index_rows(&mut self) -> Result<(), CatalogError> {
        let count = u32::try_from(self.instruments.len()).map_err(|_| CatalogError::TooMany)?;
        self.by_token.reserve(count as usize);
        let hash_at = |rows: &[Instrument], slot: InstrumentSlot| {
            let row = &rows[slot.index()];
            symbol_hash(&row.exchange, &row.tradingsymbol)
        };
        let rows = &self.instruments;
        self.by_symbol.reserve(rows.len(), |slot| hash_at(rows, *slot));
        for (slot, instrument) in (0..count).map(InstrumentSlot).zip(rows) {
            if let Some(first) = self.by_token.insert(instrument.token, slot) {
                return Err(CatalogError::DuplicateToken {
                    token: instrument.token,
                    first: rows[first.index()].tradingsymbol.clone(),
                    second: instrument.tradingsymbol.clone(),
                });
            }
            let same = |other: &InstrumentSlot| {
                rows[other.index()].is_listed_as(&instrument.exchange, &instrument.tradingsymbol)
            };
            let entry = self.by_symbol.entry(hash_at(rows, slot), same, |slot| hash_at(rows, *slot));
            match entry {
                Entry::Occupied(mut entry) => {
                    self.repeated_symbols += 1;
                    *entry.get_mut() = slot;
                }
                Entry::Vacant(entry) => {
                    entry.insert(slot);
                }
            }
        }
        Ok(())
    }
}

fn symbol_hash(exchange: &Exchange, tradingsymbol: &str) -> u64 {
    let mut hasher = FxHasher::default();
    exchange.hash(&mut hasher);
    tradingsymbol.hash(&mut hasher);
    hasher.finish()
}

fn name_hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    hasher.finish()
}

// === impl Instrument ===

impl Instrument {
    fn is_listed_as(&self, exchange: &Exchange, tradingsymbol: &str) -> bool {
        *self.tradingsymbol == *tradingsymbol && self.exchange == *exchange
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InstrumentKind, OptionSide, Segment};

    fn row(token: u32, exchange: Exchange, symbol: &str, name: &str, kind: InstrumentKind) -> Instrument {
        Instrument {
            token: InstrumentToken(token),
            exchange,
            segment: Segment::Indices,
            tradingsymbol: symbol.into(),
            name: name.into(),
            kind,
            lot_size: 65,
            tick_size: Price::from_paise(5),
        }
    }

    fn expiry(day: i8) -> Expiry {
        Expiry { date: jiff::civil::date(2026, 11, day), instant: None }
    }

    fn option(token: u32, day: i8, strike: i64, side: OptionSide) -> Instrument {
        let kind =
            InstrumentKind::Option { expiry: expiry(day), strike: Price::from_paise(strike * 100), side };
        row(token, Exchange::Nfo, &format!("NIFTY{day}{strike}{}", side.as_str()), "NIFTY", kind)
    }

    fn index_symbol(name: &str) -> Option<&'static str> {
        (name == "NIFTY").then_some("NIFTY 50")
    }

    #[test]
    fn derivatives_are_joined_to_their_underlying_without_reading_symbols() {
        let catalog = InstrumentCatalog::new(
            vec![
                option(514, 24, 25_100, OptionSide::Put),
                option(258, 24, 25_000, OptionSide::Call),
                option(770, 24, 25_000, OptionSide::Put),
                option(1026, 17, 25_000, OptionSide::Call),
                row(
                    2,
                    Exchange::Nfo,
                    "NIFTY26NOVFUT",
                    "NIFTY",
                    InstrumentKind::Future { expiry: expiry(24) },
                ),
                row(256_265, Exchange::Nse, "NIFTY 50", "NIFTY 50", InstrumentKind::Index),
                row(408_065, Exchange::Nse, "INFY", "INFOSYS", InstrumentKind::Equity),
            ],
            index_symbol,
        )
        .unwrap();
        let nifty = catalog.underlying(catalog.underlying_by_name("NIFTY").unwrap());
        assert_eq!(nifty.spot, catalog.slot(InstrumentToken(256_265)));
        assert_eq!(nifty.chains.len(), 2);
        assert_eq!(nifty.chains[0].expiry, expiry(17));
        assert_eq!(nifty.chains[0].future, None);
        let far = &nifty.chains[1];
        assert_eq!(far.future, catalog.slot(InstrumentToken(2)));
        assert_eq!(
            far.rows,
            [
                StrikeRow {
                    strike: Price::from_paise(2_500_000),
                    call: catalog.slot(InstrumentToken(258)),
                    put: catalog.slot(InstrumentToken(770)),
                },
                StrikeRow {
                    strike: Price::from_paise(2_510_000),
                    call: None,
                    put: catalog.slot(InstrumentToken(514)),
                },
            ]
        );
        let infy = catalog.slot(InstrumentToken(408_065)).unwrap();
        assert_eq!(&*catalog.underlying(catalog.underlying_of(infy)).name, "INFY");
        assert_eq!(catalog.by_symbol(&Exchange::Nse, "INFY"), Some(infy));
        assert_eq!(catalog.by_symbol(&Exchange::Bse, "INFY"), None);
    }

    #[test]
    fn a_token_listed_twice_is_refused_by_name() {
        let rows = vec![option(514, 24, 25_100, OptionSide::Put), option(514, 24, 25_000, OptionSide::Call)];
        let error = InstrumentCatalog::new(rows, index_symbol).unwrap_err();
        assert_eq!(
            error.to_string(),
            "instrument token 514 is listed twice: NIFTY2425100PE and NIFTY2425000CE"
        );
    }

    #[test]
    fn spots_are_found_by_what_the_rows_say() {
        let future = |token, exchange, name: &str| {
            row(
                token,
                exchange,
                &format!("{name}26NOVFUT"),
                name,
                InstrumentKind::Future { expiry: expiry(24) },
            )
        };
        let catalog = InstrumentCatalog::new(
            vec![
                future(2, Exchange::Nfo, "NIFTY"),
                future(5, Exchange::Bfo, "SENSEX"),
                future(258, Exchange::Nfo, "INFY"),
                future(514, Exchange::Nfo, "CENTRALBK"),
                future(770, Exchange::Nfo, "NIFTYFPI"),
                future(7, Exchange::Mcx, "GOLD"),
                future(263, Exchange::Mcx, "MCXBULLDEX"),
                row(256_265, Exchange::Nse, "NIFTY 50", "NIFTY 50", InstrumentKind::Index),
                row(265, Exchange::Bse, "SENSEX", "SENSEX", InstrumentKind::Index),
                row(521, Exchange::Nse, "NIFTY INDIA FPI 150", "NIFTYFPI", InstrumentKind::Index),
                row(1033, Exchange::Mcx, "MCXBULLDEX", "MCX BULLION", InstrumentKind::Index),
                row(408_065, Exchange::Nse, "INFY", "INFOSYS", InstrumentKind::Equity),
                row(408_068, Exchange::Bse, "INFY", "INFOSYS", InstrumentKind::Equity),
                row(
                    3_813_889,
                    Exchange::Nse,
                    "CENTRALBK-BE",
                    "CENTRAL BANK OF INDIA",
                    InstrumentKind::Equity,
                ),
                // A share that happens to be called like a commodity is not its spot.
                row(1025, Exchange::Nse, "GOLD", "", InstrumentKind::Equity),
            ],
            index_symbol,
        )
        .unwrap();
        let spot = |exchange, name| {
            let underlying = catalog.underlying(catalog.underlying_on(&exchange, name).unwrap());
            assert_eq!(underlying.futures.len(), 1, "{name}");
            underlying.spot.map(|slot| catalog.get(slot).token.0)
        };
        assert_eq!(spot(Exchange::Nfo, "NIFTY"), Some(256_265));
        assert_eq!(spot(Exchange::Bfo, "SENSEX"), Some(265));
        assert_eq!(spot(Exchange::Nfo, "INFY"), Some(408_065));
        assert_eq!(spot(Exchange::Nfo, "CENTRALBK"), Some(3_813_889));
        assert_eq!(spot(Exchange::Nfo, "NIFTYFPI"), Some(521));
        assert_eq!(spot(Exchange::Mcx, "GOLD"), None);
        assert_eq!(spot(Exchange::Mcx, "MCXBULLDEX"), Some(1033));
        let of = |token| catalog.underlying_of(catalog.slot(InstrumentToken(token)).unwrap());
        assert_eq!(of(3_813_889), of(514));
        assert_ne!(of(408_068), of(258));
        assert_eq!(catalog.underlying_on(&Exchange::Bfo, "NIFTY"), None);
    }

    #[test]
    fn of_two_underlyings_with_one_name_the_one_with_options_is_meant() {
        let catalog = InstrumentCatalog::new(
            vec![
                option(514, 24, 25_100, OptionSide::Put),
                row(1, Exchange::Nse, "NIFTY", "", InstrumentKind::Equity),
                row(4, Exchange::Bse, "NIFTY", "", InstrumentKind::Equity),
            ],
            |_| Some("NIFTY 50"),
        )
        .unwrap();
        let meant = catalog.underlying_by_name("NIFTY").unwrap();
        assert_eq!(catalog.underlying(meant).exchange, Exchange::Nfo);
        assert_eq!(catalog.underlying_by_name("NIFT"), None);
    }
}
