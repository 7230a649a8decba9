//! Everything in the tables that is not certain, in one list.

use crate::answer::Fact;
use crate::calendar::Calendar;
use crate::facts::{Origin, Span};

// === impl Calendar ===

impl Calendar {
    /// What the tables are not certain about: each value says which fact it is, its `doubt` why.
    ///
    /// For a page or a report; built anew on every call.
    pub fn doubts(&self) -> Vec<Fact<'_, String>> {
        let facts = &self.inner.facts;
        let mut list = List::default();
        for row in &facts.coverage {
            list.note(&row.origin, || format!("{}: holiday list {}", row.exchanges.join(" "), row.span));
        }
        for row in &facts.timetables {
            list.note(&row.origin, || format!("{}: hours {}", row.exchanges.join(" "), row.span));
        }
        for row in &facts.days {
            list.note(&row.origin, || format!("{}: {} {}", row.exchanges.join(" "), row.date, row.name));
        }
        for row in &facts.expiry_times {
            list.note(&row.origin, || format!("{}: end of contracts {}", row.exchanges.join(" "), row.span));
        }
        for row in &facts.expiry_rules {
            let names = row.underlyings.join(" ");
            let about =
                || format!("{}: {} expiries of {names} {}", row.exchange, row.kind.as_str(), row.span);
            list.note(&row.origin, about);
            list.note_text(&row.origin, row.count_doubt.as_deref(), about);
        }
        for row in &facts.lots {
            let expiries = Span { from: row.expiry_from, until: row.expiry_until };
            list.note(&row.origin, || format!("{}: lot of contracts expiring {expiries}", row.underlying));
        }
        for row in &facts.freezes {
            let names: Vec<&str> = row.quantities.iter().map(|(name, _)| name.as_str()).collect();
            list.note(&row.origin, || format!("{}: freeze quantity {}", names.join(" "), row.span));
        }
        for row in &facts.strike_steps {
            list.note(&row.origin, || format!("{}: strike step {}", row.underlying, row.span));
        }
        for row in &facts.indices {
            list.note(&row.origin, || format!("{}: symbol of the index", row.name));
        }
        list.0
    }
}

#[derive(Default)]
struct List<'a>(Vec<Fact<'a, String>>);

// === impl List ===

impl<'a> List<'a> {
    fn note(&mut self, origin: &'a Origin, about: impl FnOnce() -> String) {
        self.note_text(origin, origin.doubt.as_deref(), about);
    }

    fn note_text(&mut self, origin: &'a Origin, doubt: Option<&'a str>, about: impl FnOnce() -> String) {
        if doubt.is_some() {
            self.0.push(Fact { value: about(), source: &origin.source, doubt });
        }
    }
}
