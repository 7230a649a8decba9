//! Rows -> a catalog that may be believed, or the reason why not.

use exchange_calendar::Calendar;
use jiff::civil::Date;
use market_model::{Exchange, Expiry, Instrument, InstrumentCatalog, InstrumentKind, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::RegistryError;

/// A few repeated rows are a slip of the broker in a dump of any size.
const FEW_REPEATED: usize = 10;
/// A few unreadable ones too.
const FEW_SKIPPED: usize = 10;

/// What is believed. Shares are parts of one: 0.5 is a half.
#[derive(Debug, Clone, PartialEq)]
pub struct IntakeLimits {
    /// Fewer rows than this share of the last good dump are a dump that was cut off.
    pub least_share: f64,
    /// More rows than this many times the last good dump are a mistake. Options are listed by the thousand, never in
    /// such numbers that the whole list doubles overnight.
    pub most_share: f64,
    /// No dump has more rows, whatever the last one had; bounds memory.
    pub most_rows: usize,
    /// No dump has more bytes; bounds the download.
    pub most_bytes: u64,
    /// More unreadable rows than this share spoil the dump; ten are always tolerated.
    pub most_skipped_share: f64,
    /// More rows that repeat a token or a symbol than this share spoil the dump; ten are always tolerated.
    pub most_repeated_share: f64,
}

impl Default for IntakeLimits {
    /// Half to double the last good dump, a million rows, 256 MiB, 5 % unreadable, 0.1 % repeated.
    fn default() -> Self {
        Self {
            least_share: 0.5,
            most_share: 2.0,
            most_rows: 1_000_000,
            most_bytes: 256 << 20,
            most_skipped_share: 0.05,
            most_repeated_share: 0.001,
        }
    }
}

/// Rows that a catalog was made without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkippedRows {
    /// Rows that cannot be read.
    pub unreadable: usize,
    /// Rows that repeat the token or the symbol of an earlier one.
    pub repeated: usize,
    /// What was wrong with the first of them.
    pub first: Option<String>,
}

/// Makes a catalog of rows and refuses what cannot be a day's instruments. `last_rows` is the size of the last good one.
///
/// Of rows with one token, or one exchange and symbol, the first is kept.
pub(crate) fn take_in(
    rows: impl Iterator<Item = Result<Instrument, String>>,
    limits: &IntakeLimits,
    calendar: &Calendar,
    last_rows: Option<usize>,
) -> Result<(InstrumentCatalog, SkippedRows), RegistryError> {
    let most = last_rows.map_or(limits.most_rows, |last| {
        limits.most_rows.min((last as f64 * limits.most_share) as usize).max(1)
    });
    let expected = rows.size_hint().0.max(last_rows.unwrap_or(0)).min(limits.most_rows);
    let mut instruments = Vec::with_capacity(expected);
    let mut tokens = FxHashSet::with_capacity_and_hasher(expected, rustc_hash::FxBuildHasher);
    let mut skipped = SkippedRows::default();
    let mut ends = Ends::new(calendar);
    for row in rows {
        match row {
            Err(problem) => {
                skipped.unreadable += 1;
                skipped.first.get_or_insert(problem);
            }
            Ok(row) if !tokens.insert(row.token) => skipped.repeat(&row, "token"),
            Ok(mut row) => {
                ends.fill(&mut row);
                instruments.push(row);
            }
        }
        if instruments.len() + skipped.unreadable + skipped.repeated > most {
            return Err(RegistryError::TooMany { most });
        }
    }
    drop(tokens);
    let catalog = build(instruments, calendar, &mut skipped)?;
    judge(catalog.len(), &skipped, limits, last_rows)?;
    Ok((catalog, skipped))
}

/// A catalog of rows with no checks but the joins; for rows that were good once.
pub(crate) fn build(
    mut instruments: Vec<Instrument>,
    calendar: &Calendar,
    skipped: &mut SkippedRows,
) -> Result<InstrumentCatalog, RegistryError> {
    instruments.shrink_to_fit();
    let catalog = InstrumentCatalog::new(instruments, |name| calendar.index_symbol(name))?;
    if catalog.repeated_symbols() == 0 {
        return Ok(catalog);
    }
    let mut symbols: FxHashSet<(Exchange, Box<str>)> = FxHashSet::default();
    let mut instruments = catalog.into_instruments();
    instruments.retain(|row| {
        let first = symbols.insert((row.exchange.clone(), row.tradingsymbol.clone()));
        if !first {
            skipped.repeat(row, "symbol");
        }
        first
    });
    Ok(InstrumentCatalog::new(instruments, |name| calendar.index_symbol(name))?)
}

fn judge(
    listed: usize,
    skipped: &SkippedRows,
    limits: &IntakeLimits,
    last_rows: Option<usize>,
) -> Result<(), RegistryError> {
    let rows = listed + skipped.unreadable + skipped.repeated;
    let share = |share: f64| (rows as f64 * share) as usize;
    let first = || skipped.first.clone().unwrap_or_default();
    if listed == 0 {
        return Err(match skipped.unreadable {
            0 => RegistryError::Empty,
            unreadable => RegistryError::TooManySkipped { skipped: unreadable, rows, first: first() },
        });
    }
    if skipped.repeated > share(limits.most_repeated_share).max(FEW_REPEATED) {
        return Err(RegistryError::TooManyRepeated { repeated: skipped.repeated, rows, first: first() });
    }
    if skipped.unreadable > share(limits.most_skipped_share).max(FEW_SKIPPED) {
        return Err(RegistryError::TooManySkipped { skipped: skipped.unreadable, rows, first: first() });
    }
    let last = last_rows.unwrap_or(0);
    let least = (last as f64 * limits.least_share).ceil() as usize;
    if listed < least {
        return Err(RegistryError::TooFew { rows: listed, last, least });
    }
    Ok(())
}

/// When contracts end, asked once per exchange and day.
pub(crate) struct Ends<'c> {
    calendar: &'c Calendar,
    known: FxHashMap<(Exchange, Date), Option<UnixNanos>>,
}

// === impl Ends ===

impl<'c> Ends<'c> {
    pub(crate) fn new(calendar: &'c Calendar) -> Self {
        Self { calendar, known: FxHashMap::default() }
    }

    /// Gives a contract the instant it ends at.
    pub(crate) fn fill(&mut self, row: &mut Instrument) {
        let expiry = match &mut row.kind {
            InstrumentKind::Future { expiry } | InstrumentKind::Option { expiry, .. } => expiry,
            _ => return,
        };
        let Expiry { date, instant } = expiry;
        *instant = *self.known.entry((row.exchange.clone(), *date)).or_insert_with(|| {
            let end = self.calendar.expiry_instant(row.exchange.as_str(), *date).known()?;
            i64::try_from(end.as_nanosecond()).ok().map(UnixNanos)
        });
    }
}

// === impl SkippedRows ===

impl SkippedRows {
    fn repeat(&mut self, row: &Instrument, what: &str) {
        self.repeated += 1;
        self.first.get_or_insert_with(|| {
            format!("{}:{} (token {}) repeats a {what}", row.exchange, row.tradingsymbol, row.token)
        });
    }
}

#[cfg(test)]
mod tests;
