//! The morning report: a [`Difference`] told in bounded lists, as a struct and as one line.

use std::cmp::Reverse;
use std::fmt;

use jiff::civil::Date;
use market_model::{Exchange, Instrument, InstrumentKind};
use rustc_hash::FxHashMap;

use crate::{Difference, Listing};

/// Lists of a report are no longer; what does not fit is counted.
pub const MOST_LINES: usize = 20;
/// Different changes of one column that are told apart while a report is made.
const MOST_GROUPS: usize = 5_000;

/// What a dump brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffReport {
    /// Day of the new listing.
    pub day: Date,
    /// Day of the listing before; `None` for the first one.
    pub previous: Option<Date>,
    /// Instruments listed now.
    pub listed: usize,
    /// Instruments listed before.
    pub listed_before: usize,
    /// Listed since.
    pub new: Group,
    /// Contracts that are gone because they ended.
    pub expired: Group,
    /// Everything else that is gone.
    pub gone: Group,
    /// Instruments of which a column changed.
    pub changed: usize,
    /// Which column changed how; only columns that did.
    pub changes: Vec<ColumnChanges>,
}

/// A number of instruments, the largest parts of it by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// How many there are.
    pub rows: usize,
    /// The largest parts.
    pub parts: Vec<Part>,
}

/// Instruments of one sort on one underlying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where they are listed.
    pub exchange: Exchange,
    /// The underlying of contracts, the symbol of everything else.
    pub name: Box<str>,
    /// `option`, `future`, `index`, `share` or `other`.
    pub kind: &'static str,
    /// How many.
    pub rows: usize,
}

/// Changes of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChanges {
    /// The column.
    pub column: Column,
    /// In how many instruments it changed.
    pub rows: usize,
    /// The commonest changes.
    pub lines: Vec<ChangeLine>,
}

/// One change, the same for a number of instruments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeLine {
    /// Where they are listed.
    pub exchange: Exchange,
    /// The underlying of contracts, the symbol of everything else.
    pub name: Box<str>,
    /// Value before.
    pub from: String,
    /// Value now.
    pub to: String,
    /// How many.
    pub rows: usize,
}

/// A column of the dump that may change while a symbol stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Units per lot.
    Lot,
    /// Smallest price step.
    Tick,
    /// Last trading day.
    Expiry,
    /// Company or underlying.
    Name,
    /// The number the ticker uses.
    Token,
    /// Strike, side or type.
    Kind,
    /// Kite's segment.
    Segment,
}

// === impl Column ===

impl Column {
    const ALL: [Self; 7] =
        [Self::Lot, Self::Tick, Self::Expiry, Self::Name, Self::Token, Self::Kind, Self::Segment];

    /// The word used in logs and payloads.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lot => "lot",
            Self::Tick => "tick",
            Self::Expiry => "expiry",
            Self::Name => "name",
            Self::Token => "token",
            Self::Kind => "kind",
            Self::Segment => "segment",
        }
    }

    fn text(self, row: &Instrument) -> String {
        match self {
            Self::Lot => row.lot_size.to_string(),
            Self::Tick => row.tick_size.to_string(),
            Self::Expiry => row.expiry().map_or_else(|| "none".to_owned(), |end| end.date.to_string()),
            Self::Name => row.name.to_string(),
            Self::Token => row.token.to_string(),
            Self::Segment => row.segment.to_string(),
            Self::Kind => match &row.kind {
                InstrumentKind::Option { strike, side, .. } => format!("{strike} {}", side.as_str()),
                InstrumentKind::Other(word) => word.to_string(),
                _ => sort_of(row).to_owned(),
            },
        }
    }
}

// === impl DiffReport ===

impl DiffReport {
    /// Tells `difference`, which leads from `old` to `new`.
    pub fn new(difference: &Difference<'_>, old: &Listing, new: &Listing) -> Self {
        let is_first = old.catalog().is_empty();
        let over = |row: &&&Instrument| row.expiry().is_some_and(|end| end.date < new.day());
        Self {
            day: new.day(),
            previous: (!is_first).then(|| old.day()),
            listed: new.catalog().len(),
            listed_before: old.catalog().len(),
            new: Group::of(difference.new.iter().copied().filter(|_| !is_first)),
            expired: Group::of(difference.gone.iter().filter(over).copied()),
            gone: Group::of(difference.gone.iter().filter(|row| !over(row)).copied()),
            changed: difference.changed.len(),
            changes: Column::ALL.iter().filter_map(|column| changes_of(*column, difference)).collect(),
        }
    }

    /// Whether the dump says exactly what the one before said. On a trading day the broker may not have made it yet.
    pub fn is_unchanged(&self) -> bool {
        self.previous.is_some() && self.new.rows + self.expired.rows + self.gone.rows + self.changed == 0
    }
}

fn changes_of(column: Column, difference: &Difference<'_>) -> Option<ColumnChanges> {
    let mut groups: FxHashMap<(Exchange, &str, String, String), usize> = FxHashMap::default();
    let mut rows = 0;
    for (old, new) in &difference.changed {
        let (from, to) = (column.text(old), column.text(new));
        if from == to {
            continue;
        }
        rows += 1;
        let group = (new.exchange.clone(), family(new), from, to);
        if groups.len() < MOST_GROUPS || groups.contains_key(&group) {
            *groups.entry(group).or_default() += 1;
        }
    }
    let line = |((exchange, name, from, to), rows): ((Exchange, &str, String, String), usize)| ChangeLine {
        exchange,
        name: name.into(),
        from,
        to,
        rows,
    };
    let mut lines: Vec<ChangeLine> = groups.into_iter().map(line).collect();
    lines.sort_by(|a, b| {
        let key = |line: &ChangeLine| (Reverse(line.rows), line.exchange.clone());
        key(a).cmp(&key(b)).then_with(|| (&a.name, &a.from).cmp(&(&b.name, &b.from)))
    });
    lines.truncate(MOST_LINES);
    (rows > 0).then_some(ColumnChanges { column, rows, lines })
}

/// What an instrument is counted under.
fn family(row: &Instrument) -> &str {
    if row.expiry().is_some() { &row.name } else { &row.tradingsymbol }
}

const fn sort_of(row: &Instrument) -> &'static str {
    match row.kind {
        InstrumentKind::Index => "index",
        InstrumentKind::Equity => "share",
        InstrumentKind::Future { .. } => "future",
        InstrumentKind::Option { .. } => "option",
        _ => "other",
    }
}

// === impl Group ===

impl Group {
    fn of<'i>(rows: impl Iterator<Item = &'i Instrument>) -> Self {
        let mut parts: FxHashMap<(Exchange, &str, &'static str), usize> = FxHashMap::default();
        let mut count = 0;
        for row in rows {
            count += 1;
            *parts.entry((row.exchange.clone(), family(row), sort_of(row))).or_default() += 1;
        }
        let part = |((exchange, name, kind), rows): ((Exchange, &str, _), _)| Part {
            exchange,
            name: name.into(),
            kind,
            rows,
        };
        let mut parts: Vec<Part> = parts.into_iter().map(part).collect();
        parts.sort_by(|a, b| {
            let key = |part: &Part| (Reverse(part.rows), part.exchange.clone(), part.kind);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        parts.truncate(MOST_LINES);
        Self { rows: count, parts }
    }
}

// === impl Display ===

/// How many parts the line names.
const TOLD: usize = 3;

impl fmt::Display for DiffReport {
    /// `2026-11-20: 98311 instruments, 1204 new (NFO:NIFTY 412 options, ..), 2310 expired (..), lot of 86 changed (..)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} instruments", self.day, self.listed)?;
        let Some(previous) = self.previous else {
            return f.write_str(", the first ones");
        };
        if self.is_unchanged() {
            return write!(f, ", the same as on {previous}");
        }
        for (group, word) in [(&self.new, "new"), (&self.expired, "expired"), (&self.gone, "gone")] {
            if group.rows > 0 {
                write!(f, ", {} {word} ({group})", group.rows)?;
            }
        }
        for changes in &self.changes {
            write!(f, ", {} of {} changed ({changes})", changes.column.as_str(), changes.rows)?;
        }
        write!(f, "; before: {} on {previous}", self.listed_before)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, &self.parts, self.rows, |part| part.rows)
    }
}

impl fmt::Display for ColumnChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, &self.lines, self.rows, |line| line.rows)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ", self.exchange, self.name)?;
        match self.rows {
            1 => f.write_str(self.kind),
            rows => write!(f, "{rows} {}", plural(self.kind)),
        }
    }
}

fn plural(kind: &str) -> String {
    match kind {
        "index" => "indices".to_owned(),
        "other" => "others".to_owned(),
        kind => format!("{kind}s"),
    }
}

impl fmt::Display for ChangeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {} -> {}", self.exchange, self.name, self.from, self.to)?;
        if self.rows > 1 { write!(f, " in {}", self.rows) } else { Ok(()) }
    }
}

/// The first few, and how many rows they leave out.
fn tell<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    lines: &[T],
    rows: usize,
    rows_of: impl Fn(&T) -> usize,
) -> fmt::Result {
    for (at, line) in lines.iter().take(TOLD).enumerate() {
        write!(f, "{}{line}", if at > 0 { ", " } else { "" })?;
    }
    match rows.saturating_sub(lines.iter().take(TOLD).map(rows_of).sum()) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}
