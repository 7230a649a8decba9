//! An immutable table of every instrument of a day, swapped whole.

use rustc_hash::FxHashMap;

use crate::{Exchange, Expiry, Instrument, InstrumentKind, InstrumentToken, OptionSide, Price};

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
#[derive(Debug, Clone, Default)]
pub struct InstrumentCatalog {
    instruments: Vec<Instrument>,
    by_token: FxHashMap<InstrumentToken, InstrumentSlot>,
    by_symbol: FxHashMap<(Exchange, Box<str>), InstrumentSlot>,
    underlyings: Vec<Underlying>,
    underlying_of: Vec<UnderlyingId>,
}

impl InstrumentCatalog {
    /// Builds the tables. `index_symbol` answers, for the name that derivatives carry, the tradingsymbol of its
    /// index (`NIFTY` -> `NIFTY 50`); for a share the two are the same and `None` is right.
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
        self.by_symbol.get(&(exchange.clone(), tradingsymbol.into())).copied()
    }

    /// Every instrument, in the order of its slots.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
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
        let ids = (0u32..).map(UnderlyingId);
        ids.zip(&self.underlyings)
            .filter(|(_, underlying)| &*underlying.name == name)
            .max_by_key(|(_, underlying)| underlying.chains.len())
            .map(|(id, _)| id)
    }

    fn index_rows(&mut self) -> Result<(), CatalogError> {
        u32::try_from(self.instruments.len()).map_err(|_| CatalogError::TooMany)?;
        for (slot, instrument) in (0u32..).map(InstrumentSlot).zip(&self.instruments) {
            if let Some(first) = self.by_token.insert(instrument.token, slot) {
                return Err(CatalogError::DuplicateToken {
                    token: instrument.token,
                    first: self.instruments[first.index()].tradingsymbol.clone(),
                    second: instrument.tradingsymbol.clone(),
                });
            }
            self.by_symbol.insert((instrument.exchange.clone(), instrument.tradingsymbol.clone()), slot);
        }
        Ok(())
    }

    fn join_underlyings<'a>(&mut self, index_symbol: impl Fn(&str) -> Option<&'a str>) {
        let mut ids: FxHashMap<(Exchange, Box<str>), UnderlyingId> = FxHashMap::default();
        let mut spot_of: FxHashMap<InstrumentSlot, UnderlyingId> = FxHashMap::default();
        self.underlying_of = vec![UnderlyingId(u32::MAX); self.instruments.len()];
        for (slot, instrument) in (0u32..).map(InstrumentSlot).zip(&self.instruments) {
            let Some(expiry) = instrument.expiry() else {
                continue;
            };
            let id =
                *ids.entry((instrument.exchange.clone(), instrument.name.clone())).or_insert_with(|| {
                    let id = UnderlyingId(self.underlyings.len() as u32);
                    let spot = spot_slot(&self.by_symbol, instrument, &index_symbol);
                    if let Some(spot) = spot {
                        spot_of.entry(spot).or_insert(id);
                    }
                    self.underlyings.push(Underlying {
                        name: instrument.name.clone(),
                        exchange: instrument.exchange.clone(),
                        spot,
                        futures: Vec::new(),
                        chains: Vec::new(),
                    });
                    id
                });
            self.underlying_of[slot.index()] = id;
            let underlying = &mut self.underlyings[id.index()];
            match &instrument.kind {
                InstrumentKind::Option { strike, side, .. } => {
                    underlying.add_option(*expiry, *strike, *side, slot);
                }
                _ => underlying.futures.push(slot),
            }
        }
        for underlying in &mut self.underlyings {
            underlying.sort(&self.instruments);
        }
        for (slot, instrument) in (0u32..).map(InstrumentSlot).zip(&self.instruments) {
            if instrument.expiry().is_some() {
                continue;
            }
            self.underlying_of[slot.index()] = spot_of.get(&slot).copied().unwrap_or_else(|| {
                let id = UnderlyingId(self.underlyings.len() as u32);
                self.underlyings.push(Underlying {
                    name: instrument.tradingsymbol.clone(),
                    exchange: instrument.exchange.clone(),
                    spot: Some(slot),
                    futures: Vec::new(),
                    chains: Vec::new(),
                });
                id
            });
        }
    }
}

fn spot_slot<'a>(
    by_symbol: &FxHashMap<(Exchange, Box<str>), InstrumentSlot>,
    derivative: &Instrument,
    index_symbol: impl Fn(&str) -> Option<&'a str>,
) -> Option<InstrumentSlot> {
    let cash = match derivative.exchange {
        Exchange::Nfo => Exchange::Nse,
        Exchange::Bfo => Exchange::Bse,
        _ => return None,
    };
    let symbol = index_symbol(&derivative.name).unwrap_or(&derivative.name);
    by_symbol.get(&(cash, symbol.into())).copied()
}

// === impl Underlying ===

impl Underlying {
    fn add_option(&mut self, expiry: Expiry, strike: Price, side: OptionSide, slot: InstrumentSlot) {
        let chain = match self.chains.iter().position(|chain| chain.expiry.date == expiry.date) {
            Some(at) => &mut self.chains[at],
            None => {
                self.chains.push(ExpiryChain { expiry, future: None, rows: Vec::new() });
                let last = self.chains.len() - 1;
                &mut self.chains[last]
            }
        };
        let (call, put) = match side {
            OptionSide::Call => (Some(slot), None),
            OptionSide::Put => (None, Some(slot)),
        };
        chain.rows.push(StrikeRow { strike, call, put });
    }

    fn sort(&mut self, instruments: &[Instrument]) {
        let end_of = |slot: &InstrumentSlot| instruments[slot.index()].expiry().map(|expiry| expiry.date);
        self.futures.sort_by_key(end_of);
        self.chains.sort_by_key(|chain| chain.expiry.date);
        for chain in &mut self.chains {
            chain.future = self.futures.iter().copied().find(|slot| end_of(slot) == Some(chain.expiry.date));
            chain.rows.sort_by_key(|row| row.strike);
            chain.rows.dedup_by(|later, kept| {
                let same = later.strike == kept.strike;
                if same {
                    kept.call = kept.call.or(later.call);
                    kept.put = kept.put.or(later.put);
                }
                same
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

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
}
