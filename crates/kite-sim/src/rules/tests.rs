//! Tests of contract and session rules.

use jiff::civil::date;

use super::*;
use crate::clock::ist_text;
use crate::listing::indices;

fn noon(year: i16, month: i8, day: i8) -> UnixNanos {
    at(date(year, month, day), time(12, 0, 0, 0))
}

fn expiries(index: usize, now: UnixNanos) -> Vec<(String, bool)> {
    let rules = Rules::new(Sessions::AlwaysOpen);
    rules
        .expiries(&indices()[index], now, 4, 3)
        .iter()
        .map(|expiry| (ist_text(expiry.instant), expiry.monthly))
        .collect()
}

fn owned(rows: &[(&str, bool)]) -> Vec<(String, bool)> {
    rows.iter().map(|(text, monthly)| ((*text).to_owned(), *monthly)).collect()
}

#[test]
fn known_expiries_come_from_the_calendar_with_its_holiday_shifts() {
    // Tuesday 24 November 2026 is a holiday, so the monthly contracts end on Monday.
    let nifty = expiries(0, noon(2026, 11, 20));
    assert_eq!(nifty[0], ("2026-11-23 15:40:00".to_owned(), true));
    assert_eq!(nifty[1], ("2026-12-01 15:40:00".to_owned(), false));
    assert_eq!(nifty.iter().filter(|(_, monthly)| *monthly).count(), 3);
    let bank = expiries(1, noon(2026, 11, 20));
    assert!(bank.iter().all(|(_, monthly)| *monthly), "{bank:?}");
}

#[test]
fn an_expiry_is_gone_the_moment_it_ends() {
    let end = at(date(2026, 11, 23), time(15, 40, 0, 0));
    assert_eq!(expiries(0, end)[0].0, "2026-12-01 15:40:00");
}

#[test]
fn days_beyond_the_tables_follow_the_weekday() {
    let sensex = expiries(2, noon(2031, 6, 2));
    let expected = [
        ("2031-06-05 15:40:00", false),
        ("2031-06-12 15:40:00", false),
        ("2031-06-19 15:40:00", false),
        ("2031-06-26 15:40:00", true),
        ("2031-07-31 15:40:00", true),
        ("2031-08-28 15:40:00", true),
    ];
    assert_eq!(sensex, owned(&expected));
}

fn day(sessions: Sessions, board: Board, now: UnixNanos) -> [String; 3] {
    let day = Rules::new(sessions).trading_day(board, now);
    [day.open, day.close, day.previous_close].map(ist_text)
}

#[test]
fn an_open_market_trades_from_midnight_to_midnight() {
    assert_eq!(
        day(Sessions::AlwaysOpen, Board::Cash, noon(2026, 11, 22)),
        ["2026-11-22 00:00:00", "2026-11-23 00:00:00", "2026-11-22 00:00:00"]
    );
}

#[test]
fn sessions_follow_the_calendar() {
    // A Sunday shows Friday.
    assert_eq!(
        day(Sessions::Calendar, Board::Derivatives, noon(2026, 11, 22)),
        ["2026-11-20 09:15:00", "2026-11-20 15:40:00", "2026-11-19 15:40:00"]
    );
    // Before the opening yesterday still shows; shares with derivatives stop at 15:15.
    let early = at(date(2026, 11, 20), time(9, 14, 59, 0));
    assert_eq!(
        day(Sessions::Calendar, Board::Cash, early),
        ["2026-11-19 09:15:00", "2026-11-19 15:15:00", "2026-11-18 15:15:00"]
    );
    let rules = Rules::new(Sessions::Calendar);
    let trading_day = rules.trading_day(Board::Derivatives, early);
    assert!(!trading_day.is_open(early));
    assert_eq!(ist_text(trading_day.market_time(early)), "2026-11-19 15:40:00");
    assert_eq!(rules.hours(Board::Cash, date(2026, 11, 24)), None);
}

#[test]
fn lots_and_steps() {
    let rules = Rules::new(Sessions::AlwaysOpen);
    let [nifty, bank, sensex] = &indices()[..] else {
        panic!("three indices");
    };
    assert_eq!(rules.lot_size(nifty, date(2025, 12, 2)), 75);
    assert_eq!(rules.lot_size(nifty, date(2026, 11, 23)), 65);
    assert_eq!(rules.lot_size(bank, date(2035, 1, 1)), 30);
    let on = date(2026, 11, 20);
    assert_eq!([nifty, bank, sensex].map(|index| rules.strike_step(index, on)), [50, 100, 100]);
}
