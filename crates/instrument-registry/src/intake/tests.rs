use market_model::{InstrumentToken, OptionSide};

use super::*;
use crate::fixture::{MONTHLY, option, row, rows};

fn limits() -> IntakeLimits {
    IntakeLimits { most_rows: 10_000, ..IntakeLimits::default() }
}

fn check(rows: Vec<Result<Instrument, String>>, last: Option<usize>, expect: Result<usize, &str>) {
    let taken = take_in(rows.into_iter(), &limits(), &Calendar::builtin(), last);
    let found = taken.map(|(catalog, _)| catalog.len()).map_err(|error| error.to_string());
    assert_eq!(found.as_ref().copied().map_err(String::as_str), expect);
}

fn many(count: u32) -> Vec<Result<Instrument, String>> {
    let one = |at: u32| row(1 + at * 256, &format!("NSE:S{at}"), "", InstrumentKind::Equity);
    (0..count).map(one).map(Ok).collect()
}

#[test]
fn a_day_is_believed_between_half_and_double_the_last_one() {
    check(many(100), None, Ok(100));
    check(many(50), Some(100), Ok(50));
    check(
        many(49),
        Some(100),
        Err("instrument dump has 49 rows, the last good one 100: fewer than 50 are not believed"),
    );
    check(many(200), Some(100), Ok(200));
    check(many(201), Some(100), Err("instrument dump has more than 200 rows, which is not believed"));
    check(many(10_001), None, Err("instrument dump has more than 10000 rows, which is not believed"));
    check(Vec::new(), Some(100), Err("instrument dump has no readable row"));
}

#[test]
fn a_few_bad_rows_cost_themselves_and_many_the_dump() {
    let bad = |count: usize| vec![Err("line 7: strike \"x\"".to_owned()); count];
    let mut rows = many(300);
    rows.extend(bad(15));
    let (catalog, skipped) = take_in(rows.into_iter(), &limits(), &Calendar::builtin(), None).unwrap();
    assert_eq!((catalog.len(), skipped.unreadable), (300, 15));
    assert_eq!(skipped.first.as_deref(), Some("line 7: strike \"x\""));
    let mut rows = many(300);
    rows.extend(bad(16));
    check(
        rows,
        None,
        Err("16 of 316 rows of the instrument dump cannot be read, first line 7: strike \"x\""),
    );
    check(bad(3), None, Err("3 of 3 rows of the instrument dump cannot be read, first line 7: strike \"x\""));
}

#[test]
fn repeated_tokens_and_symbols_cost_themselves_and_many_the_dump() {
    let mut rows: Vec<_> = many(300);
    let again = |at: u32, token: u32| row(token, &format!("NSE:S{at}"), "AGAIN", InstrumentKind::Equity);
    rows.extend((0..5).map(|at| Ok(again(at + 1000, 1 + at * 256))));
    rows.extend((0..5).map(|at| Ok(again(at, 1 + (5000 + at) * 256))));
    let (catalog, skipped) =
        take_in(rows.clone().into_iter(), &limits(), &Calendar::builtin(), None).unwrap();
    assert_eq!((catalog.len(), skipped.repeated), (300, 10));
    assert_eq!(skipped.first.as_deref(), Some("NSE:S1000 (token 1) repeats a token"));
    assert_eq!(&*catalog.by_token(InstrumentToken(1)).unwrap().name, "");
    rows.push(Ok(again(6, 1 + 6000 * 256)));
    check(
        rows,
        None,
        Err(
            "11 of 311 rows of the instrument dump repeat a token or symbol, first NSE:S1000 (token 1) repeats a token",
        ),
    );
}

#[test]
fn ends_come_from_the_calendar_and_unknown_words_stay() {
    let mut all = rows();
    // A Sunday: nothing ends on it, so nobody knows when.
    let far = jiff::civil::date(2026, 11, 22);
    all.push(option(0x7000_0002, "NFO:FAR", "NIFTY", far, "1", OptionSide::Call));
    all.push(row(0x7000_0101, "MOON:CHEESE", "", InstrumentKind::Other("SWAP".into())));
    let (catalog, _) = take_in(all.into_iter().map(Ok), &limits(), &Calendar::builtin(), None).unwrap();
    let end = |token| catalog.by_token(InstrumentToken(token)).and_then(|row| row.expiry().copied());
    assert_eq!(end(258).map(|end| end.date), Some(MONTHLY));
    assert!(end(258).unwrap().instant.is_some());
    assert_eq!(end(0x7000_0002).unwrap().instant, None);
    let cheese = catalog.by_token(InstrumentToken(0x7000_0101)).unwrap();
    assert_eq!((cheese.exchange.as_str(), &cheese.kind), ("MOON", &InstrumentKind::Other("SWAP".into())));
}
