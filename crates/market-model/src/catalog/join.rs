//! Joins derivatives to what they are written on, by what the rows say and never by reading symbols.

use rustc_hash::FxHashMap;

use super::{ExpiryChain, InstrumentCatalog, InstrumentSlot, StrikeRow, Underlying, UnderlyingId, name_hash};
use crate::{Exchange, Expiry, Instrument, InstrumentKind, OptionSide, Price};

/// Series in which NSE goes on listing a share that it has taken out of the ordinary one; its derivatives keep the
/// bare name to their end.
const OTHER_SERIES: [&str; 2] = ["-BE", "-BZ"];

// === impl InstrumentCatalog ===

impl InstrumentCatalog {
    pub(super) fn join_underlyings<'a>(&mut self, index_symbol: impl Fn(&str) -> Option<&'a str>) {
        let indices = self.indices();
        let mut spot_of: FxHashMap<InstrumentSlot, UnderlyingId> = FxHashMap::default();
        let mut underlying_of = vec![UnderlyingId(u32::MAX); self.instruments.len()];
        let instruments = std::mem::take(&mut self.instruments);
        // Rows of one underlying mostly follow each other.
        let mut recent = None;
        for (slot, instrument) in (0u32..).map(InstrumentSlot).zip(&instruments) {
            let Some(expiry) = instrument.expiry() else {
                continue;
            };
            let same = |id: &UnderlyingId| {
                let underlying = &self.underlyings[id.index()];
                underlying.name == instrument.name && underlying.exchange == instrument.exchange
            };
            let known =
                recent.filter(same).or_else(|| self.by_name.find(name_hash(&instrument.name), same).copied());
            let id = known.unwrap_or_else(|| {
                let spot = self.spot_of(&instruments, instrument, &indices, &index_symbol);
                let id = self.add_underlying(&instrument.name, &instrument.exchange, spot);
                if let Some(spot) = spot {
                    spot_of.entry(spot).or_insert(id);
                }
                id
            });
            recent = Some(id);
            underlying_of[slot.index()] = id;
            let underlying = &mut self.underlyings[id.index()];
            match &instrument.kind {
                InstrumentKind::Option { strike, side, .. } => {
                    underlying.add_option(*expiry, *strike, *side, slot);
                }
                _ => underlying.futures.push(slot),
            }
        }
        for underlying in &mut self.underlyings {
            underlying.sort(&instruments);
        }
        for (slot, instrument) in (0u32..).map(InstrumentSlot).zip(&instruments) {
            if instrument.expiry().is_some() {
                continue;
            }
            underlying_of[slot.index()] = spot_of.get(&slot).copied().unwrap_or_else(|| {
                self.add_underlying(&instrument.tradingsymbol, &instrument.exchange, Some(slot))
            });
        }
        self.instruments = instruments;
        self.underlying_of = underlying_of;
    }

    fn add_underlying(
        &mut self,
        name: &str,
        exchange: &Exchange,
        spot: Option<InstrumentSlot>,
    ) -> UnderlyingId {
        let id = UnderlyingId(self.underlyings.len() as u32);
        self.underlyings.push(Underlying {
            name: name.into(),
            exchange: exchange.clone(),
            spot,
            futures: Vec::new(),
            chains: Vec::new(),
        });
        let underlyings = &self.underlyings;
        self.by_name.insert_unique(name_hash(name), id, |id| name_hash(&underlyings[id.index()].name));
        id
    }

    fn indices(&self) -> Vec<InstrumentSlot> {
        let rows = (0u32..).map(InstrumentSlot).zip(&self.instruments);
        rows.filter(|(_, row)| row.kind == InstrumentKind::Index).map(|(slot, _)| slot).collect()
    }

    /// What `derivative` is written on: the index that the calendar names, the share listed under the name that
    /// derivatives carry, an index whose `name` column says so, the share in another series. Commodities and
    /// currencies have no spot at the broker, only indices on their own exchange.
    fn spot_of<'a>(
        &self,
        instruments: &[Instrument],
        derivative: &Instrument,
        indices: &[InstrumentSlot],
        index_symbol: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<InstrumentSlot> {
        let name = &*derivative.name;
        let (cash, has_shares) = match &derivative.exchange {
            Exchange::Nfo => (&Exchange::Nse, true),
            Exchange::Bfo => (&Exchange::Bse, true),
            own => (own, false),
        };
        let listed = |symbol: &str| {
            let same = |slot: &InstrumentSlot| instruments[slot.index()].is_listed_as(cash, symbol);
            let found = self.by_symbol.find(super::symbol_hash(cash, symbol), same).copied();
            found.filter(|slot| has_shares || instruments[slot.index()].kind == InstrumentKind::Index)
        };
        let index_named = || {
            let says_so = |slot: &InstrumentSlot| {
                let row = &instruments[slot.index()];
                row.exchange == *cash && *row.name == *name
            };
            indices.iter().copied().find(says_so)
        };
        let other_series = || {
            let mut series = OTHER_SERIES.iter().filter(|_| has_shares);
            series.find_map(|series| listed(&format!("{name}{series}")))
        };
        let by_calendar = index_symbol(name).and_then(listed);
        by_calendar.or_else(|| listed(name)).or_else(index_named).or_else(other_series)
    }
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
            chain.rows.shrink_to_fit();
        }
    }
}
