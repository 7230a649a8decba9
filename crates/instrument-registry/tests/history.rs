//! One contract for every history: memory, an embedded file, Postgres. And what a day costs in statements.

#![expect(clippy::unwrap_used, reason = "a test")]

use instrument_registry::*;
use jiff::civil::{Date, date};
use market_model::*;
use proptest::prelude::*;
use sql_store::testing::{TestDatabase, embedded, postgres};

#[path = "support/dump.rs"]
#[allow(dead_code, reason = "shared with the example")]
mod dump;
#[path = "support/replay.rs"]
mod replay;

use replay::{Replay, store};

async fn sql(database: &TestDatabase) -> SqlHistory {
    sql_store::migrate(&database.db, &[SCHEMA]).await.unwrap();
    SqlHistory::new(database.db.clone())
}

/// The contract, on every history there is.
macro_rules! contract {
    ($($name:ident,)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(instrument_registry::MemoryHistory::default()).await; })*
        }
        mod embedded_file {
            $(#[tokio::test] async fn $name() {
                let database = sql_store::testing::embedded().await;
                super::$name(super::sql(&database).await).await;
            })*
        }
        mod postgres_server {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                let Some(database) = sql_store::testing::postgres().await else { return };
                super::$name(super::sql(&database).await).await;
            })*
        }
    };
}

contract! {
    a_symbol_is_what_it_was_on_each_day,
    a_token_that_is_used_again_is_told_apart_by_day,
    a_day_stored_again_replaces_itself,
    days_are_stored_in_order_and_by_one_writer,
    old_days_can_be_forgotten_and_wrong_ones_taken_back,
    every_column_comes_back,
    a_first_day_that_is_larger_than_a_transaction,
}

fn day(number: i8) -> Date {
    date(2026, 11, number)
}

fn share(token: u32, symbol: &str, name: &str) -> Instrument {
    Instrument {
        token: InstrumentToken(token),
        exchange: Exchange::Nse,
        segment: Segment::Nse,
        tradingsymbol: symbol.into(),
        name: name.into(),
        kind: InstrumentKind::Equity,
        lot_size: 1,
        tick_size: Price::from_paise(5),
    }
}

fn option(token: u32, symbol: &str, lot_size: u32) -> Instrument {
    let expiry = Expiry { date: day(24), instant: None };
    let kind = InstrumentKind::Option { expiry, strike: Price::from_paise(149_250), side: OptionSide::Put };
    let (exchange, segment) = (Exchange::Nfo, Segment::NfoOptions);
    Instrument { exchange, segment, kind, lot_size, ..share(token, symbol, "INFY") }
}

async fn a_symbol_is_what_it_was_on_each_day(history: impl InstrumentHistory) {
    assert_eq!(history.head().await.unwrap().day, None);
    assert_eq!(history.by_symbol(&Exchange::Nse, "INFY", day(17)).await.unwrap(), None);
    let (old, new) = (share(1, "INFY", "INFOSYS"), share(1, "INFY", "INFOSYS LTD"));
    store(&history, day(16), vec![old.clone(), option(2, "INFY26NOV1492.5PE", 400)]).await.unwrap();
    store(&history, day(17), vec![old.clone(), option(2, "INFY26NOV1492.5PE", 300)]).await.unwrap();
    store(&history, day(20), vec![new.clone()]).await.unwrap();
    let symbol = |exchange: Exchange, symbol: &'static str, day| {
        let history = &history;
        async move {
            let found = history.by_symbol(&exchange, symbol, day).await.unwrap();
            found.map(|found| (found.stored, found.value.map(|row| (row.lot_size, row.name.to_string()))))
        }
    };
    let infy = |stored, name: &str| Some((stored, Some((1, name.to_owned()))));
    assert_eq!(symbol(Exchange::Nse, "INFY", day(15)).await, None);
    assert_eq!(symbol(Exchange::Nse, "INFY", day(16)).await, infy(day(16), "INFOSYS"));
    // Wednesday and Thursday were not stored: Tuesday answers for them, and says so.
    assert_eq!(symbol(Exchange::Nse, "INFY", day(19)).await, infy(day(17), "INFOSYS"));
    assert_eq!(symbol(Exchange::Nse, "INFY", day(20)).await, infy(day(20), "INFOSYS LTD"));
    assert_eq!(symbol(Exchange::Nse, "INFY", day(30)).await, infy(day(20), "INFOSYS LTD"));
    assert_eq!(symbol(Exchange::Bse, "INFY", day(17)).await, Some((day(17), None)));
    let lots = [(16, Some(400)), (17, Some(300)), (19, Some(300)), (20, None)];
    for (on, lot) in lots {
        let (_, found) = symbol(Exchange::Nfo, "INFY26NOV1492.5PE", day(on)).await.unwrap();
        assert_eq!(found.map(|(lot, _)| lot), lot, "{on}");
    }
    let versions = history.versions_of_symbol(&Exchange::Nfo, "INFY26NOV1492.5PE", 9).await.unwrap();
    let spans: Vec<_> = versions.iter().map(|version| (version.first_day, version.last_day)).collect();
    assert_eq!(spans, [(day(17), Some(day(19))), (day(16), Some(day(16)))]);
    assert_eq!(history.versions_of_symbol(&Exchange::Nfo, "INFY26NOV1492.5PE", 1).await.unwrap().len(), 1);
    let named = history.by_name(&Exchange::Nfo, "INFY", day(17), 9).await.unwrap().unwrap();
    assert_eq!((named.stored, named.value.len()), (day(17), 1));
    assert_eq!(history.by_name(&Exchange::Nfo, "INFY", day(20), 9).await.unwrap().unwrap().value, []);
    let mut rows = history.rows(day(18)).await.unwrap().unwrap();
    rows.value.sort_by_key(|row| row.token);
    assert_eq!((rows.stored, rows.value), (day(17), vec![old, option(2, "INFY26NOV1492.5PE", 300)]));
}

async fn a_token_that_is_used_again_is_told_apart_by_day(history: impl InstrumentHistory) {
    store(&history, day(16), vec![option(514, "INFY26NOVA", 400), share(1, "INFY", "")]).await.unwrap();
    store(&history, day(17), vec![share(1, "INFY", "")]).await.unwrap();
    store(&history, day(18), vec![option(514, "TCS26DECB", 175), share(1, "INFY", "")]).await.unwrap();
    let mut found = Vec::new();
    for on in 16..19 {
        let at = history.by_token(InstrumentToken(514), day(on)).await.unwrap().unwrap();
        found.push(at.value.map(|row| row.tradingsymbol.to_string()));
    }
    assert_eq!(found, [Some("INFY26NOVA".to_owned()), None, Some("TCS26DECB".to_owned())]);
    let versions = history.versions_of_token(InstrumentToken(514), 9).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.first_day).collect::<Vec<_>>(), [day(18), day(16)]);
    assert!(history.versions_of_token(InstrumentToken(7), 9).await.unwrap().is_empty());
}

async fn a_day_stored_again_replaces_itself(history: impl InstrumentHistory) {
    store(&history, day(16), vec![share(1, "A", ""), share(2, "B", "")]).await.unwrap();
    store(&history, day(17), vec![share(1, "A", "first"), share(3, "C", "")]).await.unwrap();
    let head = store(&history, day(17), vec![share(1, "A", "second"), share(2, "B", "")]).await.unwrap();
    assert_eq!(head.day.map(|day| day.listed), Some(2));
    let mut rows = history.rows(day(17)).await.unwrap().unwrap().value;
    rows.sort_by_key(|row| row.token);
    assert_eq!(rows, [share(1, "A", "second"), share(2, "B", "")]);
    assert_eq!(history.rows(day(16)).await.unwrap().unwrap().value.len(), 2);
    // What was only so in the first dump of the day was never so at all.
    assert!(history.versions_of_symbol(&Exchange::Nse, "C", 9).await.unwrap().is_empty());
    assert_eq!(history.days(9).await.unwrap().len(), 2);
}

async fn days_are_stored_in_order_and_by_one_writer(history: impl InstrumentHistory) {
    let first = store(&history, day(17), vec![share(1, "A", "")]).await.unwrap();
    let early = store(&history, day(16), vec![share(1, "A", "")]).await.unwrap_err();
    assert_eq!(early, RegistryError::DayBeforeStored { day: day(16), stored: day(17) });
    let stored = StoredDay { day: day(18), listed: 2, taken_at: UnixNanos(7) };
    let change = RowChange { ended: Vec::new(), begun: vec![share(2, "B", "")] };
    let head = history.record(first, stored, change.clone()).await.unwrap();
    assert_eq!(head, history.head().await.unwrap());
    assert_eq!(head.day, Some(stored));
    // The other instance still thinks of the first head.
    assert_eq!(history.record(first, stored, change).await.unwrap_err(), RegistryError::Conflict);
    assert_eq!(history.head().await.unwrap(), head);
    assert_eq!(history.rows(day(18)).await.unwrap().unwrap().value.len(), 2);
}

async fn old_days_can_be_forgotten_and_wrong_ones_taken_back(history: impl InstrumentHistory) {
    history.forget_before(day(30)).await.unwrap();
    for (on, name) in [(16, "a"), (17, "b"), (18, "c"), (19, "d")] {
        store(
            &history,
            day(on),
            vec![share(1, "A", name), share(u32::from(on.unsigned_abs()) * 256, name, "")],
        )
        .await
        .unwrap();
    }
    let names = |rows: Vec<Instrument>| -> Vec<String> {
        let mut names: Vec<String> =
            rows.into_iter().map(|row| format!("{}{}", row.tradingsymbol, row.name)).collect();
        names.sort();
        names
    };
    let head = history.forget_after(day(17)).await.unwrap();
    assert_eq!(head.day.map(|day| day.day), Some(day(17)));
    assert_eq!(names(history.rows(day(19)).await.unwrap().unwrap().value), ["Ab", "b"]);
    assert_eq!(names(history.rows(day(16)).await.unwrap().unwrap().value), ["Aa", "a"]);
    store(&history, day(18), vec![share(1, "A", "e")]).await.unwrap();
    history.forget_before(day(18)).await.unwrap();
    assert_eq!(history.rows(day(17)).await.unwrap(), None);
    assert_eq!(names(history.rows(day(18)).await.unwrap().unwrap().value), ["Ae"]);
    assert_eq!(history.versions_of_symbol(&Exchange::Nse, "A", 9).await.unwrap().len(), 1);
    // The last day stays, however old it is.
    history.forget_before(date(2030, 1, 1)).await.unwrap();
    assert_eq!(history.head().await.unwrap().day.map(|day| day.day), Some(day(18)));
    assert_eq!(history.days(9).await.unwrap().len(), 1);
    assert_eq!(names(history.rows(day(18)).await.unwrap().unwrap().value), ["Ae"]);
}

async fn every_column_comes_back(history: impl InstrumentHistory) {
    let end = Expiry { date: date(2031, 2, 28), instant: None };
    let kinds = [
        InstrumentKind::Index,
        InstrumentKind::Equity,
        InstrumentKind::Future { expiry: end },
        InstrumentKind::Option { expiry: end, strike: Price::from_raw(1), side: OptionSide::Call },
        InstrumentKind::Option { expiry: end, strike: Price::from_raw(i64::MAX), side: OptionSide::Put },
        InstrumentKind::Other("SWAP".into()),
        InstrumentKind::Other("FUT".into()),
        InstrumentKind::Other("".into()),
        InstrumentKind::Other("INDEX".into()),
    ];
    let rows: Vec<Instrument> = kinds
        .into_iter()
        .zip(0u32..)
        .map(|(kind, at)| Instrument {
            token: InstrumentToken(u32::MAX - at),
            exchange: Exchange::from_word("MARS"),
            segment: Segment::from_word("MARS-X"),
            kind,
            lot_size: u32::MAX,
            tick_size: Price::from_raw(25_000),
            ..share(0, &format!("Ümläut '{at}' \"%_"), "")
        })
        .collect();
    store(&history, day(16), rows.clone()).await.unwrap();
    let mut found = history.rows(day(16)).await.unwrap().unwrap().value;
    found.sort_by_key(|row| std::cmp::Reverse(row.token));
    assert_eq!(found, rows);
}

async fn a_first_day_that_is_larger_than_a_transaction(history: impl InstrumentHistory) {
    let many = |count: u32| -> Vec<Instrument> {
        (0..count).map(|at| share(1 + at * 256, &format!("S{at:06}"), "")).collect()
    };
    // Somebody wrote a part of another day and died.
    store(&history, day(16), many(45_000)).await.unwrap();
    assert_eq!(history.rows(day(16)).await.unwrap().unwrap().value.len(), 45_000);
    store(&history, day(17), many(45_001)).await.unwrap();
    assert_eq!(history.rows(day(17)).await.unwrap().unwrap().value.len(), 45_001);
    assert_eq!(history.rows(day(16)).await.unwrap().unwrap().value.len(), 45_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_half_way_leaves_nothing() {
    for database in [Some(embedded().await), postgres().await].into_iter().flatten() {
        let history = sql(&database).await;
        let rows: Vec<Instrument> =
            (0..50_000).map(|at| share(1 + at * 256, &format!("S{at:06}"), "")).collect();
        let stored = |on| StoredDay { day: day(on), listed: 50_000, taken_at: UnixNanos(0) };
        let change = RowChange { ended: Vec::new(), begun: rows.clone() };
        // Two writers of a long first day: whoever claims last goes on, the other is refused.
        let head = history.head().await.unwrap();
        let (a, b) = tokio::join!(
            history.record(head, stored(16), change.clone()),
            history.record(head, stored(16), change.clone())
        );
        assert!(a.is_err() || b.is_err(), "{a:?} {b:?}");
        // A writer that is given up.
        let head = history.head().await.unwrap();
        if head.day.is_none() {
            let limit = std::time::Duration::from_millis(50);
            let _ = tokio::time::timeout(limit, history.record(head, stored(16), change.clone())).await;
        }
        if history.head().await.unwrap().day.is_none() {
            assert_eq!(history.rows(day(30)).await.unwrap(), None);
            store(&history, day(17), rows).await.unwrap();
        }
        assert_eq!(history.rows(day(30)).await.unwrap().unwrap().value.len(), 50_000);
        assert_eq!(history.versions_of_symbol(&Exchange::Nse, "S000007", 9).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_costs_its_changes_and_no_statement_per_row() {
    for database in [Some(embedded().await), postgres().await].into_iter().flatten() {
        let history = sql(&database).await;
        let calendar = exchange_calendar::Calendar::builtin();
        let listing = |rows: &[kite_wire::InstrumentRow], on| {
            let rows = rows.iter().cloned().map(|row| row.into_instrument(None)).collect();
            Listing::of_rows(on, UnixNanos(0), rows, &calendar).unwrap()
        };
        let before = dump::dump(1, 10_000, day(16));
        let after = dump::morning_after(&before, 2, day(17));
        let (first, second) = (listing(&before, day(16)), listing(&after, day(17)));
        let stored = |listing: &Listing| StoredDay {
            day: listing.day(),
            listed: listing.catalog().len(),
            taken_at: listing.taken_at(),
        };
        let empty = InstrumentCatalog::default();
        let change = compare(&empty, first.catalog()).to_change();
        let head = history.record(history.head().await.unwrap(), stored(&first), change).await.unwrap();
        let change = compare(first.catalog(), second.catalog()).to_change();
        let changed = change.ended.len() + change.begun.len();
        assert!((100..1_000).contains(&changed), "{changed}");
        let count = database.db.statements();
        history.record(head, stored(&second), change).await.unwrap();
        let statements = database.db.statements() - count;
        assert!(statements <= 12, "{statements} statements for {changed} changed rows");
        let count = database.db.statements();
        let rows = history.rows(day(17)).await.unwrap().unwrap().value;
        assert_eq!(rows.len(), second.catalog().len());
        assert!(database.db.statements() - count <= 2);
        let count = database.db.statements();
        history.by_token(rows[7].token, day(16)).await.unwrap();
        assert!(database.db.statements() - count <= 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The answers of both histories are those of somebody who kept every day whole.
    #[test]
    fn intervals_answer_as_a_replay_of_the_days(steps in replay::days()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = embedded().await;
            Replay::new(MemoryHistory::default()).check(&steps).await;
            Replay::new(sql(&database).await).check(&steps).await;
        });
    }
}
