//! Lot and freeze quantity of a contract on a day: what the dump says beside what the calendar knows, doubts included.

use exchange_calendar::{Answer, Calendar};
use jiff::civil::Date;
use market_model::Instrument;

use super::Listing;

/// Units per lot, from both sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotSize {
    /// What the dump of the listing's day says. It is the authority for that day.
    pub listed: u32,
    /// What the calendar knows for the day asked for; `None` when its tables do not reach there.
    pub calendar: Option<u32>,
    /// Where the calendar has it from.
    pub source: Option<String>,
    /// What is not certain about the calendar's number.
    pub doubt: Option<String>,
}

/// The largest order of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// The exchange's limit, in units.
    pub quantity: u32,
    /// The largest whole number of lots within it, in units.
    pub whole_lots: u32,
    /// Where it is from.
    pub source: String,
    /// What is not certain about it.
    pub doubt: Option<String>,
}

// === impl LotSize ===

impl LotSize {
    /// Whether both sources say the same; `None` when only the dump speaks.
    pub fn agrees(&self) -> Option<bool> {
        self.calendar.map(|size| size == self.listed)
    }
}

// === impl Listing ===

impl Listing {
    /// Units per lot of `row` on the day `on`. A contract can change its lot while it lives.
    pub fn lot_size(&self, row: &Instrument, on: Date, calendar: &Calendar) -> LotSize {
        let fact =
            row.expiry().map_or(Answer::Unknown, |end| calendar.lot_size_fact(&row.name, end.date, on));
        let fact = fact.known();
        LotSize {
            listed: row.lot_size,
            calendar: fact.map(|fact| fact.value),
            source: fact.map(|fact| fact.source.to_owned()),
            doubt: fact.and_then(|fact| fact.doubt).map(str::to_owned),
        }
    }

    /// The freeze quantity of the contract `row` on the day `on`; `Unknown` for what has none in the tables. The broker
    /// lists no such number anywhere.
    pub fn freeze(&self, row: &Instrument, on: Date, calendar: &Calendar) -> Answer<Freeze> {
        if row.expiry().is_none() {
            return Answer::Unknown;
        }
        calendar.freeze_quantity_fact(&row.name, on).map(|fact| {
            let known = self.lot_size(row, on, calendar);
            let lot = if on == self.day { known.listed } else { known.calendar.unwrap_or(known.listed) };
            Freeze {
                quantity: fact.value,
                whole_lots: fact.value.checked_div(lot).map_or(0, |lots| lots * lot),
                source: fact.source.to_owned(),
                doubt: fact.doubt.map(str::to_owned),
            }
        })
    }
}
