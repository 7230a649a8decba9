//! Symbols as OpenAlgo spells them (`NIFTY25AUG2624550CE`, `NSE_INDEX:NIFTY`), in both directions and without taking
//! any symbol apart: every row is spelled from its columns, and a table finds rows by that spelling.

use std::fmt::{self, Write};
use std::hash::Hasher;

use exchange_calendar::Calendar;
use hashbrown::HashTable;
use market_model::{
    Exchange, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, OptionSide, Segment, Underlying,
};
use rustc_hash::{FxHashMap, FxHasher};

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Finds rows by their OpenAlgo spelling. Four bytes a row: the spellings themselves are made when asked for.
#[derive(Debug, Default)]
pub(crate) struct Spellings {
    table: HashTable<InstrumentSlot>,
    /// Names of indices, which come from their derivatives: `NIFTY 50` is `NIFTY`.
    index_names: FxHashMap<InstrumentSlot, Box<str>>,
}

/// OpenAlgo's name of the exchange of `row`: indices have exchanges of their own.
pub(crate) fn exchange_of(row: &Instrument) -> &str {
    match (&row.exchange, row.kind == InstrumentKind::Index || row.segment == Segment::Indices) {
        (Exchange::Nse, true) => "NSE_INDEX",
        (Exchange::Bse, true) => "BSE_INDEX",
        (Exchange::Mcx, true) => "MCX_INDEX",
        (Exchange::Cds, true) => "CDS_INDEX",
        (Exchange::Global, true) => "GLOBAL_INDEX",
        (exchange, _) => exchange.as_str(),
    }
}

/// Kite's exchange behind OpenAlgo's.
fn kite_exchange(exchange: &str) -> Exchange {
    Exchange::from_word(exchange.strip_suffix("_INDEX").unwrap_or(exchange))
}

// === impl Spellings ===

impl Spellings {
    pub(crate) fn build(catalog: &InstrumentCatalog, calendar: &Calendar) -> Self {
        let mut spellings = Self { table: HashTable::new(), index_names: index_names(catalog, calendar) };
        let mut table = HashTable::with_capacity(catalog.len());
        for (slot, row) in (0u32..).map(InstrumentSlot).zip(catalog.instruments()) {
            table.insert_unique(spellings.hash_of(slot, row), slot, |slot| {
                spellings.hash_of(*slot, catalog.get(*slot))
            });
        }
        spellings.table = table;
        spellings
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.allocation_size()
    }

    /// The row that `exchange` (OpenAlgo's or Kite's word) lists under OpenAlgo's `symbol`.
    pub(crate) fn find(
        &self,
        catalog: &InstrumentCatalog,
        exchange: &str,
        symbol: &str,
    ) -> Option<InstrumentSlot> {
        let mut hasher = Hashing::new(&kite_exchange(exchange));
        hasher.write_str(symbol).ok()?;
        let same = |slot: &InstrumentSlot| {
            let row = catalog.get(*slot);
            (exchange_of(row) == exchange || row.exchange.as_str() == exchange) && {
                let mut left = Comparing(symbol);
                self.write(*slot, row, &mut left).is_ok() && left.0.is_empty()
            }
        };
        self.table.find(hasher.finish(), same).copied()
    }

    /// OpenAlgo's symbol of the row at `slot`.
    pub(crate) fn symbol(&self, catalog: &InstrumentCatalog, slot: InstrumentSlot) -> String {
        let mut symbol = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(slot, catalog.get(slot), &mut symbol);
        symbol
    }

    fn hash_of(&self, slot: InstrumentSlot, row: &Instrument) -> u64 {
        let mut hasher = Hashing::new(&row.exchange);
        let _ = self.write(slot, row, &mut hasher);
        hasher.finish()
    }

    fn write(&self, slot: InstrumentSlot, row: &Instrument, out: &mut impl Write) -> fmt::Result {
        match &row.kind {
            InstrumentKind::Future { expiry } => {
                write_contract(&row.name, expiry.date, out)?;
                out.write_str("FUT")
            }
            InstrumentKind::Option { expiry, strike, side } => {
                write_contract(&row.name, expiry.date, out)?;
                write_strike(*strike, out)?;
                out.write_str(match side {
                    OptionSide::Call => "CE",
                    OptionSide::Put => "PE",
                })
            }
            InstrumentKind::Index => match self.index_names.get(&slot) {
                Some(name) => out.write_str(name),
                None => write_index(row, out),
            },
            _ => out.write_str(&row.tradingsymbol),
        }
    }
}

/// Indices are called as their contracts call them: those of the calendar, and those that the dump has contracts on.
fn index_names(catalog: &InstrumentCatalog, calendar: &Calendar) -> FxHashMap<InstrumentSlot, Box<str>> {
    let mut names = FxHashMap::default();
    for name in calendar.underlyings() {
        let symbol = calendar.index_symbol(name);
        let exchange = calendar.index_exchange(name).map(|fact| Exchange::from_word(fact.value));
        if let Some((symbol, exchange)) = symbol.zip(exchange)
            && let Some(slot) = catalog.by_symbol(&exchange, symbol)
        {
            names.insert(slot, name.into());
        }
    }
    let has_contracts = |unit: &&Underlying| !(unit.futures.is_empty() && unit.chains.is_empty());
    for unit in catalog.underlyings().iter().filter(has_contracts) {
        if let Some(spot) = unit.spot.filter(|spot| catalog.get(*spot).kind == InstrumentKind::Index) {
            names.insert(spot, unit.name.clone());
        }
    }
    names
}

fn write_contract(name: &str, end: jiff::civil::Date, out: &mut impl Write) -> fmt::Result {
    out.write_str(name)?;
    let month = usize::from(end.month().unsigned_abs()).saturating_sub(1);
    let two = |out: &mut dyn Write, number: i16| {
        let digit = |digit: i16| char::from(b'0' + (digit.unsigned_abs() % 10) as u8);
        out.write_char(digit(number / 10))?;
        out.write_char(digit(number))
    };
    two(out, end.day().into())?;
    out.write_str(MONTHS.get(month).copied().unwrap_or_default())?;
    two(out, end.year() % 100)
}

/// Whole strikes have no point, others the decimals they need.
fn write_strike(strike: market_model::Price, out: &mut impl Write) -> fmt::Result {
    let (whole, mut fraction) =
        (strike.raw() / market_model::Price::SCALE, strike.raw() % market_model::Price::SCALE);
    let mut digits = itoa::Buffer::new();
    out.write_str(digits.format(whole))?;
    if fraction == 0 {
        return Ok(());
    }
    let mut width = 7;
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    write!(out, ".{fraction:0width$}")
}

/// Without blanks and dashes; those of BSE begin with its name.
fn write_index(row: &Instrument, out: &mut impl Write) -> fmt::Result {
    if row.exchange == Exchange::Bse && !row.tradingsymbol.starts_with("BSE") {
        out.write_str("BSE")?;
    }
    for letter in row.tradingsymbol.chars().filter(|letter| !matches!(letter, ' ' | '-')) {
        out.write_char(letter.to_ascii_uppercase())?;
    }
    Ok(())
}

/// Hashes what is written to it, however it is cut into pieces.
struct Hashing {
    state: FxHasher,
    word: [u8; 8],
    filled: usize,
}

/// Compares what is written with a text, and holds what is left of it.
struct Comparing<'a>(&'a str);

// === impl Hashing ===

impl Hashing {
    fn new(exchange: &Exchange) -> Self {
        let mut state = FxHasher::default();
        state.write(exchange.as_str().as_bytes());
        Self { state, word: [0; 8], filled: 0 }
    }

    fn finish(mut self) -> u64 {
        self.word[self.filled..].fill(0);
        self.state.write_u64(u64::from_le_bytes(self.word));
        self.state.finish()
    }
}

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.word[self.filled] = byte;
            self.filled += 1;
            if self.filled == self.word.len() {
                self.state.write_u64(u64::from_le_bytes(self.word));
                self.filled = 0;
            }
        }
        Ok(())
    }
}

// === impl Comparing ===

impl Write for Comparing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}
