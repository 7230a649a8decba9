use exchange_calendar::Calendar;
use jiff::civil::date;
use market_model::*;

use super::*;
use crate::fixture::{DAY, MONTHLY, WEEKLY, listing, option, row, rows};

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

#[test]
fn both_spellings_lead_to_the_same_row() {
    let listing = listing();
    for (kite, openalgo) in [
        ("NSE:INFY", "NSE:INFY"),
        ("NSE:M&M", "NSE:M&M"),
        ("NSE:NIFTY 50", "NSE_INDEX:NIFTY"),
        ("NSE:NIFTY BANK", "NSE_INDEX:BANKNIFTY"),
        ("NSE:INDIA VIX", "NSE_INDEX:INDIAVIX"),
        ("BSE:SENSEX", "BSE_INDEX:SENSEX"),
        ("BSE:METAL", "BSE_INDEX:BSEMETAL"),
        ("NFO:NIFTY26NOVFUT", "NFO:NIFTY23NOV26FUT"),
        ("NFO:NIFTY2612425000CE", "NFO:NIFTY24NOV2625000CE"),
        ("NFO:NIFTY26DEC25050PE", "NFO:NIFTY29DEC2625050PE"),
        ("NFO:INFY26NOV1492.5CE", "NFO:INFY23NOV261492.5CE"),
        ("MCX:GOLD26NOV120000CE", "MCX:GOLD26NOV26120000CE"),
    ] {
        let row = listing.find(kite).unwrap_or_else(|| panic!("{kite}"));
        assert_eq!(listing.find(openalgo).map(|row| row.token), Some(row.token), "{openalgo}");
        let (exchange, symbol) = listing.openalgo(listing.catalog().slot(row.token).unwrap());
        assert_eq!(format!("{exchange}:{symbol}"), openalgo);
    }
    for unknown in
        ["NFO:NIFTY24NOV2625001CE", "NFO:NIFTY24NOV2625000C", "NFO:NIFTY24NOV2625000CEE", "NFO:", "NIFTY", ""]
    {
        assert_eq!(listing.find(unknown), None, "{unknown}");
    }
    // An index is no share, and no other exchange has it.
    assert_eq!(listing.by_openalgo("BSE_INDEX", "NIFTY"), None);
    assert_eq!(listing.by_openalgo("NSE_INDEX", "INFY"), None);
}

proptest::proptest! {
    #[test]
    fn every_row_is_found_by_the_spelling_it_is_given(
        contracts in proptest::collection::btree_set((0_i16..900, 1_i64..50_000_000, proptest::bool::ANY), 1..40),
    ) {
        let mut all = rows();
        for (at, (days, ticks, call)) in contracts.into_iter().enumerate() {
            let end = date(2027, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
            let strike = Price::from_raw(ticks * 25_000).to_string();
            let side = if call { OptionSide::Call } else { OptionSide::Put };
            all.push(option(0x90_0002 + at as u32 * 256, &format!("NFO:ABC{at}"), "ABC", end, &strike, side));
        }
        let listing = Listing::of_rows(DAY, UnixNanos(0), all, &Calendar::builtin()).unwrap();
        for at in 0..listing.catalog().len() {
            let slot = InstrumentSlot(at as u32);
            let (exchange, symbol) = listing.openalgo(slot);
            let found = listing.by_openalgo(exchange, &symbol).map(|row| row.token);
            proptest::prop_assert_eq!(found, Some(listing.catalog().get(slot).token), "{}:{}", exchange, symbol);
        }
    }
}

#[test]
fn expiries_of_an_underlying() {
    let listing = listing();
    let nifty = listing.underlying("NIFTY").unwrap();
    for name in ["NSE:NIFTY 50", "NIFTY 50", "NFO:NIFTY"] {
        assert_eq!(listing.underlying(name), Some(nifty), "{name}");
    }
    assert_eq!(listing.underlying("NOPE"), None);
    let expiries = |from| -> Vec<(String, bool, usize, bool)> {
        let all = listing.expiries(nifty, from);
        all.iter()
            .map(|info| (info.date.to_string(), info.is_monthly, info.strikes, info.future.is_some()))
            .collect()
    };
    let all = [
        ("2026-11-23".to_owned(), false, 0, true),
        ("2026-11-24".to_owned(), true, 5, false),
        ("2026-12-29".to_owned(), true, 5, true),
    ];
    assert_eq!(expiries(DAY), all);
    assert_eq!(expiries(WEEKLY), all[1..]);
    assert_eq!(expiries(date(2027, 1, 1)), []);
}

#[test]
fn strikes_around_a_price() {
    let listing = listing();
    let nifty = listing.underlying("NIFTY").unwrap();
    let check = |at: &str, each_side, expect: &[i64], money: usize| {
        let ladder = listing.around(nifty, WEEKLY, price(at), each_side).unwrap();
        let strikes: Vec<i64> = ladder.rows.iter().map(|row| row.strike.raw() / Price::SCALE).collect();
        assert_eq!((strikes.as_slice(), ladder.at_the_money), (expect, money), "{at}");
    };
    check("25010", 1, &[24_950, 25_000, 25_050], 1);
    check("25025", 0, &[25_000], 0);
    check("25025.05", 0, &[25_050], 0);
    check("24000", 1, &[24_900, 24_950], 0);
    check("99999", 1, &[25_050, 25_100], 1);
    check("24960", usize::MAX, &[24_900, 24_950, 25_000, 25_050, 25_100], 1);
    assert_eq!(listing.around(nifty, date(2026, 11, 25), price("25000"), 1), None);
    let both = listing.strike(nifty, WEEKLY, price("25000")).unwrap();
    assert!(both.call.is_some() && both.put.is_some());
    assert_eq!(listing.strike(nifty, WEEKLY, price("25001")), None);
}

#[test]
fn commodity_options_follow_the_future_that_ends_after_them() {
    let listing = listing();
    let gold = listing.underlying("GOLD").unwrap();
    let future = listing.future_behind(gold, date(2026, 11, 26)).unwrap();
    assert_eq!(&*future.tradingsymbol, "GOLD26DECFUT");
    assert_eq!(listing.future_behind(gold, date(2026, 12, 5)), None);
}

#[test]
fn lots_and_freeze_quantities_come_with_their_doubts() {
    let (listing, calendar) = (listing(), Calendar::builtin());
    let call = listing.find("NFO:NIFTY2612425000CE").unwrap();
    let lot = listing.lot_size(call, DAY, &calendar);
    assert_eq!((lot.listed, lot.calendar, lot.agrees()), (65, Some(65), Some(true)));
    assert_eq!(lot.source.as_deref(), Some("NSE/FAOP/70616"));
    let freeze = listing.freeze(call, date(2026, 8, 20), &calendar).known().unwrap();
    assert_eq!((freeze.quantity, freeze.whole_lots), (1800, 1755));
    assert!(!listing.freeze(call, date(2031, 8, 20), &calendar).is_known());
    let share = listing.find("NSE:INFY").unwrap();
    assert!(!listing.freeze(share, date(2026, 8, 20), &calendar).is_known());
    assert_eq!(listing.lot_size(share, DAY, &calendar).agrees(), None);
}

#[test]
fn contracts_get_the_instant_they_end_at() {
    let listing = listing();
    let call = listing.find("NFO:NIFTY26DEC25000CE").unwrap();
    let end = call.expiry().unwrap();
    assert_eq!((end.date, end.instant.unwrap().to_string().as_str()), (MONTHLY, "2026-12-29T10:10:00Z"));
}

#[test]
fn rows_with_one_symbol_leave_the_first() {
    let mut all = rows();
    all.push(row(9_999_361, "NSE:INFY", "ANOTHER", InstrumentKind::Equity));
    let listing = Listing::of_rows(DAY, UnixNanos(0), all, &Calendar::builtin()).unwrap();
    assert_eq!(listing.find("NSE:INFY").unwrap().token, InstrumentToken(408_065));
    assert_eq!(listing.by_token(InstrumentToken(9_999_361)), None);
    assert_eq!(listing.skipped().repeated, 1);
}
