//! A difference leads from the old rows to the new ones, and its report tells it in bounded lists.

use std::collections::BTreeMap;

use exchange_calendar::Calendar;
use instrument_registry::*;
use jiff::civil::date;
use market_model::*;
use proptest::prelude::*;

#[path = "support/dump.rs"]
#[allow(dead_code, reason = "shared with the example")]
mod dump;

fn rows(facts: &BTreeMap<u8, (u8, u8, u8)>) -> Vec<Instrument> {
    let one = |(symbol, (lot, name, end)): (&u8, &(u8, u8, u8))| {
        let expiry = Expiry { date: date(2026, 11, 1 + end.cast_signed()), instant: None };
        Instrument {
            token: InstrumentToken(u32::from(*symbol) * 256),
            exchange: Exchange::Nfo,
            segment: Segment::NfoFutures,
            tradingsymbol: format!("S{symbol}").into(),
            name: format!("N{name}").into(),
            kind: InstrumentKind::Future { expiry },
            lot_size: (*lot).into(),
            tick_size: Price::from_paise(5),
        }
    };
    facts.iter().map(one).collect()
}

fn sorted(mut rows: Vec<Instrument>) -> Vec<Instrument> {
    rows.sort_by(|a, b| a.tradingsymbol.cmp(&b.tradingsymbol));
    rows
}

proptest! {
    #[test]
    fn the_old_rows_and_the_difference_make_the_new_rows(
        old in prop::collection::btree_map(0_u8..30, (0_u8..2, 0_u8..2, 0_u8..2), 1..30),
        new in prop::collection::btree_map(0_u8..30, (0_u8..2, 0_u8..2, 0_u8..2), 0..30),
    ) {
        let calendar = Calendar::builtin();
        let listing = |day, facts| Listing::of_rows(day, UnixNanos(0), rows(facts), &calendar).unwrap();
        let (before, after) = (listing(date(2026, 11, 2), &old), listing(date(2026, 11, 3), &new));
        let difference = compare(before.catalog(), after.catalog());
        let mut moved = rows(&old);
        difference.to_change().apply(&mut moved);
        let bare = |rows: Vec<Instrument>| {
            sorted(rows).into_iter().map(|row| (row.tradingsymbol, row.lot_size, row.name)).collect::<Vec<_>>()
        };
        prop_assert_eq!(bare(moved), bare(rows(&new)));
        prop_assert_eq!(difference.is_empty(), old == new);
        let report = DiffReport::new(&difference, &before, &after);
        let told = report.listed_before + report.new.rows - report.expired.rows - report.gone.rows;
        prop_assert_eq!((told, report.listed), (report.listed, new.len()));
        prop_assert_eq!(report.changed, difference.changed.len());
    }
}

#[test]
fn a_report_of_a_large_dump_is_short() {
    let calendar = Calendar::builtin();
    let listing = |rows: &[kite_wire::InstrumentRow], day| {
        let rows = rows.iter().cloned().map(|row| row.into_instrument(None)).collect();
        Listing::of_rows(day, UnixNanos(0), rows, &calendar).unwrap()
    };
    let before = dump::dump(7, 20_000, date(2026, 11, 23));
    let after = dump::morning_after(&before, 8, date(2026, 12, 1));
    let (old, new) = (listing(&before, date(2026, 11, 23)), listing(&after, date(2026, 12, 1)));
    let report = DiffReport::new(&compare(old.catalog(), new.catalog()), &old, &new);
    assert!(report.expired.rows > 100 && report.new.rows > 50 && report.changed > 10, "{report}");
    for group in [&report.new, &report.expired, &report.gone] {
        assert!(group.parts.len() <= MOST_LINES);
    }
    assert!(report.changes.iter().all(|changes| changes.lines.len() <= MOST_LINES));
    assert!(report.to_string().len() < 1_000, "{report}");
}

#[test]
fn indices_of_bse_and_commodities_are_joined_in_a_whole_dump() {
    let rows = dump::dump(7, 20_000, date(2026, 11, 20));
    let catalog =
        InstrumentCatalog::new(rows.into_iter().map(|row| row.into_instrument(None)).collect(), |name| {
            if name == "NIFTY" { Some("NIFTY 50") } else { None }
        })
        .unwrap();
    let unit = |exchange, name| catalog.underlying(catalog.underlying_on(&exchange, name).unwrap());
    let sensex = unit(Exchange::Bfo, "SENSEX");
    assert_eq!(sensex.spot.map(|slot| catalog.get(slot).kind.clone()), Some(InstrumentKind::Index));
    assert_eq!((sensex.futures.len(), sensex.chains.len()), (3, 7));
    let gold = unit(Exchange::Mcx, "GOLD");
    assert_eq!((gold.spot, gold.futures.len()), (None, 1));
    assert!(!gold.chains.is_empty());
    for (row, at) in catalog.instruments().iter().zip(0u32..) {
        let unit = catalog.underlying(catalog.underlying_of(InstrumentSlot(at)));
        assert!(row.expiry().is_none() || *unit.name == *row.name, "{}", row.tradingsymbol);
    }
}
