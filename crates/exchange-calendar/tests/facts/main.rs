//! The built-in facts, spot-checked table by table against the circulars, and swept day by day.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing should stop")]

mod contracts;
mod days;
mod every_day;

use exchange_calendar::ist;
use jiff::Timestamp;
use jiff::civil::{Date, Time, date};

/// `"2026-08-03"` as a date.
fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// `"09:15"` as a time.
fn clock(text: &str) -> Time {
    format!("{text}:00").parse().unwrap()
}

/// `"2026-08-03 09:15"` IST as an instant.
fn at(text: &str) -> Timestamp {
    let (date, time) = text.split_once(' ').unwrap();
    ist().to_timestamp(day(date).to_datetime(clock(time))).unwrap()
}

/// Every date the tables must answer for.
fn covered() -> impl Iterator<Item = Date> {
    date(2025, 1, 1).series(jiff::Span::new().days(1)).take_while(|day| *day <= date(2026, 12, 31))
}
