//! Spot checks of every table.

use exchange_calendar::{Answer, Calendar, Day};
use jiff::civil::{date, time};

#[test]
fn the_derivatives_day_ends_later_from_3_aug_2026() {
    let calendar = Calendar::builtin();
    let close = |day| calendar.day("NFO", day).known().unwrap().close();
    assert_eq!(close(date(2026, 7, 31)), Some(time(15, 30, 0, 0)));
    assert_eq!(close(date(2026, 8, 3)), Some(time(15, 40, 0, 0)));
    let expiry = calendar.expiry_instant("NFO", date(2026, 11, 23)).known().unwrap();
    assert_eq!(expiry.to_string(), "2026-11-23T10:10:00Z");
}

#[test]
fn holidays_close_and_unpublished_hours_are_unknown() {
    let calendar = Calendar::builtin();
    let holi = calendar.day("NSE", date(2026, 3, 3));
    assert_eq!(holi, Answer::Known(Day::Closed { reason: "Holi", doubt: None }));
    assert_eq!(calendar.day("NSE", date(2026, 11, 8)), Answer::Unknown);
    assert!(calendar.unknown_because("NSE", date(2026, 11, 8)).unwrap().contains("Muhurat"));
}
