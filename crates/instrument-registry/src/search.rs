//! Finding instruments by what people type: the beginning of a symbol, words of a name, a strike, a side, a month.

use std::fmt::Write as _;

use market_model::{
    Exchange, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, Underlying, UnderlyingId,
};

pub(crate) use index::SearchIndex;

use term::Term;

mod index;
mod term;

/// No answer is longer.
pub const MOST_HITS: usize = 200;
/// No text is longer; the rest is ignored.
const MOST_TEXT: usize = 64;
/// More words than this say nothing more.
const MOST_WORDS: usize = 6;
/// Symbols looked at per query. A shorter beginning than it takes to get below that is a name, and found as a word.
const MOST_SYMBOLS: usize = 2_000;
/// Underlyings looked at per query: more than any exchange lists, fewer than the whole dump has.
const MOST_UNITS: usize = 20_000;
/// Contracts looked at per query.
const MOST_CONTRACTS: usize = 20_000;

/// How well an instrument fits, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// The text is its symbol, or the name its derivatives carry.
    Exact,
    /// Its symbol begins with the text.
    SymbolPrefix,
    /// Each word of the text is a word of its names.
    Words,
    /// Each word of the text begins a word of its names.
    WordPrefixes,
    /// It is a contract on what the text names.
    Contract,
}

/// One instrument found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Where it stands in the catalog.
    pub slot: InstrumentSlot,
    /// Why it was found.
    pub fit: Fit,
}

/// Searches `catalog` through the index that was built of it. At most `limit` hits, never more than [`MOST_HITS`].
pub(crate) fn search(
    catalog: &InstrumentCatalog,
    index: &SearchIndex,
    text: &str,
    exchange: Option<&Exchange>,
    limit: usize,
) -> Vec<Hit> {
    let text: String = text.trim().chars().take(MOST_TEXT).collect::<String>().to_uppercase();
    let limit = limit.min(MOST_HITS);
    if text.is_empty() || limit == 0 {
        return Vec::new();
    }
    let words: Vec<&str> = term::words(&text).take(MOST_WORDS).collect();
    let mut found = Found { catalog, exchange, limit, hits: Vec::new() };
    for slot in index.symbols_from(catalog, &text).take(MOST_SYMBOLS) {
        let row = catalog.get(slot);
        let fit = if row.tradingsymbol.len() == text.len() { Fit::Exact } else { Fit::SymbolPrefix };
        found.add(slot, fit);
    }
    if !words.is_empty() {
        let terms: Vec<Option<Term>> = words.iter().map(|word| Term::parse(word)).collect();
        found.by_words(index, &text, &words, &terms);
    }
    found.best()
}

struct Found<'c> {
    catalog: &'c InstrumentCatalog,
    exchange: Option<&'c Exchange>,
    limit: usize,
    hits: Vec<Ranked>,
}

/// A hit with its place in the order: a smaller key is better, and of two the one whose symbol comes first.
#[derive(Clone, Copy)]
struct Ranked {
    key: u64,
    hit: Hit,
}

// === impl Found ===

impl Found<'_> {
    fn add(&mut self, slot: InstrumentSlot, fit: Fit) {
        let row = self.catalog.get(slot);
        if self.exchange.is_none_or(|exchange| *exchange == row.exchange) {
            let key = key(fit, class(self.catalog, slot, row), row);
            self.hits.push(Ranked { key, hit: Hit { slot, fit } });
            if self.hits.len() > 16 * MOST_HITS {
                self.cut();
            }
        }
    }

    fn by_words(&mut self, index: &SearchIndex, text: &str, words: &[&str], terms: &[Option<Term>]) {
        let mut contracts = MOST_CONTRACTS;
        let mut names = String::new();
        for id in index.units_with_rarest(words, terms).take(MOST_UNITS) {
            let unit = self.catalog.underlying(id);
            names.clear();
            write_names(self.catalog, unit, &mut names);
            let mut fit = if *unit.name == *text { Fit::Exact } else { Fit::Words };
            let mut rest = [None; MOST_WORDS];
            let mut unmet = 0;
            for (word, term) in words.iter().zip(terms) {
                let met = term::words(&names)
                    .filter(|name| name.starts_with(word))
                    .map(|name| name.len() == word.len());
                match met.max() {
                    Some(true) => {}
                    Some(false) => fit = fit.max(Fit::WordPrefixes),
                    None => {
                        rest[unmet] = *term;
                        // A word that neither names it nor says anything about a contract.
                        if term.is_none() {
                            unmet = usize::MAX;
                            break;
                        }
                        unmet += 1;
                    }
                }
            }
            if unmet == usize::MAX {
                continue;
            }
            if unmet == 0
                && let Some(spot) = unit.spot
            {
                self.add(spot, fit);
            }
            // Of what is only named, the first contracts are enough: they stand in the order of the answer.
            let wanted = match (unmet, fit) {
                (0, Fit::WordPrefixes) => 0,
                (0, _) => self.limit,
                _ => usize::MAX,
            };
            for slot in contracts_of(unit).take(wanted) {
                let Some(left) = contracts.checked_sub(1) else { return };
                contracts = left;
                let row = self.catalog.get(slot);
                if rest[..unmet].iter().flatten().all(|term| term.fits(row)) {
                    self.add(slot, if unmet == 0 { Fit::Contract } else { fit });
                }
            }
        }
    }

    fn best(mut self) -> Vec<Hit> {
        self.cut();
        self.hits.truncate(self.limit);
        self.hits.into_iter().map(|ranked| ranked.hit).collect()
    }

    fn cut(&mut self) {
        let symbol = |ranked: &Ranked| {
            let row = self.catalog.get(ranked.hit.slot);
            (&row.tradingsymbol, &row.exchange)
        };
        self.hits.sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| symbol(a).cmp(&symbol(b))));
        // The same instrument may have been found by its symbol and by its words; the better fit stands first.
        let mut seen: Vec<InstrumentSlot> = Vec::with_capacity(MOST_HITS);
        self.hits.retain(|ranked| {
            let new = seen.len() < MOST_HITS && !seen.contains(&ranked.hit.slot);
            if new {
                seen.push(ranked.hit.slot);
            }
            new
        });
    }
}

/// Best fit, then what has derivatives, then what ends first, then the shorter symbol.
fn key(fit: Fit, class: u8, row: &Instrument) -> u64 {
    let end = row.expiry().map_or(0, |expiry| {
        let date = expiry.date;
        u64::from(date.year().unsigned_abs()) << 9 | u64::from(date.day_of_year().unsigned_abs())
    });
    (fit as u64) << 56 | u64::from(class) << 48 | end << 16 | (row.tradingsymbol.len() as u64).min(0xffff)
}

/// Whatever people look for most comes first.
fn class(catalog: &InstrumentCatalog, slot: InstrumentSlot, row: &Instrument) -> u8 {
    let plain = || {
        let unit = catalog.underlying(catalog.underlying_of(slot));
        u8::from(unit.futures.is_empty() && unit.chains.is_empty()) * 2
    };
    match row.kind {
        InstrumentKind::Index => plain(),
        InstrumentKind::Equity => plain() + 1,
        InstrumentKind::Future { .. } => 4,
        InstrumentKind::Option { .. } => 5,
        _ => 6,
    }
}

/// Futures first, then options, nearest expiry first.
fn contracts_of(unit: &Underlying) -> impl Iterator<Item = InstrumentSlot> {
    let options =
        unit.chains.iter().flat_map(|chain| &chain.rows).flat_map(|row| [row.call, row.put]).flatten();
    unit.futures.iter().copied().chain(options)
}

/// The texts an underlying is known by: the name derivatives carry, the symbol and the name column of its spot.
fn write_names(catalog: &InstrumentCatalog, unit: &Underlying, into: &mut String) {
    into.push_str(&unit.name);
    if let Some(spot) = unit.spot.map(|slot| catalog.get(slot)) {
        // Writing into a string cannot fail.
        let _ = write!(into, " {} {}", spot.tradingsymbol, spot.name);
    }
    into.make_ascii_uppercase();
}

/// Ids of all underlyings of a catalog.
fn ids(catalog: &InstrumentCatalog) -> impl Iterator<Item = UnderlyingId> {
    (0u32..).map(UnderlyingId).take(catalog.underlyings().len())
}

#[cfg(test)]
mod tests;
