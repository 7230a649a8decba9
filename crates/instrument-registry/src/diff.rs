//! What changed between two listings, row by row.

use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentCatalog, InstrumentKind, OptionSide, Price};

/// Rows that differ between two catalogs, found by exchange and tradingsymbol. Instants of expiries do not count: they
/// come from the calendar, not from the dump.
#[derive(Debug, Clone, Default)]
pub struct Difference<'c> {
    /// Listed only in the new one.
    pub new: Vec<&'c Instrument>,
    /// Listed only in the old one.
    pub gone: Vec<&'c Instrument>,
    /// Listed in both with other facts: old and new.
    pub changed: Vec<(&'c Instrument, &'c Instrument)>,
}

/// What makes a row itself: everything the dump says about it.
#[derive(PartialEq)]
struct Facts<'i> {
    token: u32,
    segment: &'i str,
    name: &'i str,
    kind: KindFacts<'i>,
    lot_size: u32,
    tick_size: Price,
}

#[derive(PartialEq)]
enum KindFacts<'i> {
    Word(&'i str),
    Future(Date),
    Option(Date, Price, OptionSide),
}

/// Compares two catalogs; both are walked once.
pub fn compare<'c>(old: &'c InstrumentCatalog, new: &'c InstrumentCatalog) -> Difference<'c> {
    let mut difference = Difference::default();
    for row in new.instruments() {
        match old.by_symbol(&row.exchange, &row.tradingsymbol).map(|slot| old.get(slot)) {
            None => difference.new.push(row),
            Some(before) if !same_facts(before, row) => difference.changed.push((before, row)),
            Some(_) => {}
        }
    }
    let kept = new.len() - difference.new.len();
    if kept < old.len() {
        let is_gone = |row: &&Instrument| new.by_symbol(&row.exchange, &row.tradingsymbol).is_none();
        difference.gone.extend(old.instruments().iter().filter(is_gone));
    }
    difference
}

/// Whether the dump says the same of both.
pub fn same_facts(a: &Instrument, b: &Instrument) -> bool {
    facts(a) == facts(b)
}

fn facts(row: &Instrument) -> Facts<'_> {
    let kind = match &row.kind {
        InstrumentKind::Index => KindFacts::Word(""),
        InstrumentKind::Equity => KindFacts::Word("EQ"),
        InstrumentKind::Future { expiry } => KindFacts::Future(expiry.date),
        InstrumentKind::Option { expiry, strike, side } => KindFacts::Option(expiry.date, *strike, *side),
        InstrumentKind::Other(word) => KindFacts::Word(word),
        // A kind that is added to the vocabulary later is new to this crate too.
        _ => KindFacts::Word("?"),
    };
    Facts {
        token: row.token.0,
        segment: row.segment.as_str(),
        name: &row.name,
        kind,
        lot_size: row.lot_size,
        tick_size: row.tick_size,
    }
}

// === impl Difference ===

impl Difference<'_> {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty() && self.changed.is_empty()
    }

    /// What has to be written to bring a store from the old catalog to the new one.
    pub fn to_change(&self) -> RowChange {
        let key = |row: &&Instrument| (row.exchange.clone(), row.tradingsymbol.clone());
        let ended = self.gone.iter().map(key).chain(self.changed.iter().map(|(old, _)| key(old)));
        let begun = self.new.iter().copied().chain(self.changed.iter().map(|(_, new)| *new));
        RowChange { ended: ended.collect(), begun: begun.cloned().collect() }
    }
}

/// Rows that ended and rows that begun; a changed row does both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowChange {
    /// Exchange and tradingsymbol of what is no longer so.
    pub ended: Vec<(Exchange, Box<str>)>,
    /// What is so from now on.
    pub begun: Vec<Instrument>,
}

// === impl RowChange ===

impl RowChange {
    /// Brings `rows` forward: what ended goes, what begun comes behind.
    pub fn apply(self, rows: &mut Vec<Instrument>) {
        let ended: rustc_hash::FxHashSet<_> = self.ended.into_iter().collect();
        rows.retain(|row| !ended.contains(&(row.exchange.clone(), row.tradingsymbol.clone())));
        rows.extend(self.begun);
    }
}
