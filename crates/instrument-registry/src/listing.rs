//! Everything listed on one day, and what can be asked about it. Immutable; a new day is another value.

use std::sync::Arc;

use exchange_calendar::Calendar;
use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentCatalog, InstrumentSlot, InstrumentToken, UnixNanos};

pub use chain::{ExpiryInfo, Ladder};
pub use lots::{Freeze, LotSize};

use crate::RegistryError;
use crate::intake::{Ends, SkippedRows, build};
use crate::search::{Hit, SearchIndex, search};
use crate::spelling::{Spellings, exchange_of};

mod chain;
mod lots;

/// Where a listing comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// There is none yet.
    None,
    /// A dump of the broker.
    Download,
    /// The database: the last day that was stored, while the broker gives no dump, or a past day somebody asked for.
    Stored,
}

/// Every instrument of one day with the tables to find them by.
#[derive(Debug)]
pub struct Listing {
    day: Date,
    origin: Origin,
    taken_at: UnixNanos,
    catalog: Arc<InstrumentCatalog>,
    skipped: SkippedRows,
    search: SearchIndex,
    spellings: Spellings,
}

/// What the tables of a listing take in memory beside the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBytes {
    /// For searching.
    pub search: usize,
    /// For OpenAlgo's spellings.
    pub spellings: usize,
}

// === impl Origin ===

impl Origin {
    /// The word used in health reports and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Download => "download",
            Self::Stored => "stored",
        }
    }
}

// === impl Listing ===

impl Listing {
    pub(crate) fn new(
        day: Date,
        origin: Origin,
        taken_at: UnixNanos,
        catalog: InstrumentCatalog,
        skipped: SkippedRows,
        calendar: &Calendar,
    ) -> Self {
        let search = SearchIndex::build(&catalog);
        let spellings = Spellings::build(&catalog, calendar);
        Self { day, origin, taken_at, catalog: Arc::new(catalog), skipped, search, spellings }
    }

    /// Rows that were good once, as a listing. `day` is their day, `taken_at` when their dump was fetched.
    ///
    /// # Errors
    /// [`RegistryError::Catalog`] when two rows share a token.
    pub fn of_rows(
        day: Date,
        taken_at: UnixNanos,
        mut rows: Vec<Instrument>,
        calendar: &Calendar,
    ) -> Result<Self, RegistryError> {
        let mut ends = Ends::new(calendar);
        rows.iter_mut().for_each(|row| ends.fill(row));
        let mut skipped = SkippedRows::default();
        let catalog = build(rows, calendar, &mut skipped)?;
        Ok(Self::new(day, Origin::Stored, taken_at, catalog, skipped, calendar))
    }

    /// Nothing, before the first dump.
    pub(crate) fn none() -> Self {
        Self {
            day: Date::ZERO,
            origin: Origin::None,
            taken_at: UnixNanos(0),
            catalog: Arc::default(),
            skipped: SkippedRows::default(),
            search: SearchIndex::default(),
            spellings: Spellings::default(),
        }
    }

    /// The day whose dump it is.
    pub const fn day(&self) -> Date {
        self.day
    }

    /// Where it comes from.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// When its dump was fetched.
    pub const fn taken_at(&self) -> UnixNanos {
        self.taken_at
    }

    /// Rows of the dump that are not in it.
    pub const fn skipped(&self) -> &SkippedRows {
        &self.skipped
    }

    /// The instruments and their joins, as the feed uses them.
    pub const fn catalog(&self) -> &Arc<InstrumentCatalog> {
        &self.catalog
    }

    /// Memory of the tables.
    pub fn index_bytes(&self) -> IndexBytes {
        IndexBytes { search: self.search.bytes(), spellings: self.spellings.bytes() }
    }

    /// The instrument with `token`.
    pub fn by_token(&self, token: InstrumentToken) -> Option<&Instrument> {
        self.catalog.by_token(token)
    }

    /// The instrument that `exchange` lists as `tradingsymbol`, in Kite's spelling.
    pub fn by_symbol(&self, exchange: &Exchange, tradingsymbol: &str) -> Option<&Instrument> {
        self.catalog.by_symbol(exchange, tradingsymbol).map(|slot| self.catalog.get(slot))
    }

    /// The instrument called `EXCHANGE:SYMBOL`, in Kite's spelling or else in OpenAlgo's.
    pub fn find(&self, name: &str) -> Option<&Instrument> {
        let (exchange, symbol) = name.trim().split_once(':')?;
        self.by_symbol(&Exchange::from_word(exchange), symbol).or_else(|| self.by_openalgo(exchange, symbol))
    }

    /// The instrument that OpenAlgo calls `symbol` on `exchange` (`NFO` `NIFTY25AUG2624550CE`, `NSE_INDEX` `NIFTY`).
    /// An index is found under Kite's word for its exchange too.
    pub fn by_openalgo(&self, exchange: &str, symbol: &str) -> Option<&Instrument> {
        self.spellings.find(&self.catalog, exchange, symbol).map(|slot| self.catalog.get(slot))
    }

    /// OpenAlgo's exchange and symbol of an instrument of this listing.
    pub fn openalgo(&self, slot: InstrumentSlot) -> (&str, String) {
        (exchange_of(self.catalog.get(slot)), self.spellings.symbol(&self.catalog, slot))
    }

    /// Instruments that fit `text`, best first: at most `limit`, never more than [`MOST_HITS`](crate::MOST_HITS).
    ///
    /// The text is the beginning of a symbol (`NIFTY26N`), or words in any order and case: beginnings of the words
    /// of a name (`infos`), and with them a strike, `ce`/`call`, `pe`/`put`, `fut`, a month or a day (`nifty 25000 ce nov`,
    /// `infy fut`, `nifty 2026-11-24`). The work is bounded, so that a single letter costs no more than a word.
    pub fn search(&self, text: &str, exchange: Option<&Exchange>, limit: usize) -> Vec<Hit> {
        search(&self.catalog, &self.search, text, exchange, limit)
    }
}

#[cfg(test)]
mod tests;
