//! Expiries, lots, freeze quantities, strike steps, index names.

use exchange_calendar::{Answer, Calendar, Expiry, ExpiryKind};

use crate::{at, day};

fn dates(exchange: &str, underlying: &str, first: &str, last: &str) -> Vec<Expiry> {
    Calendar::builtin().expiry_dates(exchange, underlying, day(first), day(last)).known().unwrap()
}

fn of_kind(expiries: &[Expiry], kind: ExpiryKind) -> Vec<String> {
    expiries.iter().filter(|expiry| expiry.kind == kind).map(|expiry| expiry.date.to_string()).collect()
}

#[test]
fn nse_monthlies_of_2026() {
    let expect = [
        "2026-01-27",
        "2026-02-24",
        "2026-03-30",
        "2026-04-28",
        "2026-05-26",
        "2026-06-30",
        "2026-07-28",
        "2026-08-25",
        "2026-09-29",
        "2026-10-27",
        "2026-11-23",
        "2026-12-29",
    ];
    for underlying in ["NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "RELIANCE"] {
        let expiries = dates("NFO", underlying, "2026-01-01", "2026-12-31");
        assert_eq!(of_kind(&expiries, ExpiryKind::Monthly), expect, "{underlying}");
        assert!(expiries.iter().all(|expiry| !expiry.doubtful), "{underlying}");
    }
}

/// Every expiry of that time that gave way to a holiday: nominal date, actual date, kind.
fn moved(exchange: &str, underlying: &str, first: &str, last: &str) -> Vec<(String, String, ExpiryKind)> {
    let expiries = dates(exchange, underlying, first, last).into_iter();
    let moved = expiries.filter(|expiry| expiry.date != expiry.nominal);
    moved.map(|expiry| (expiry.nominal.to_string(), expiry.date.to_string(), expiry.kind)).collect()
}

fn check_moved(exchange: &str, underlying: &str, year: i16, expect: &[(&str, &str, ExpiryKind)]) {
    let found = moved(exchange, underlying, &format!("{year}-01-01"), &format!("{year}-12-31"));
    let expect: Vec<_> =
        expect.iter().map(|(from, to, kind)| (from.to_string(), to.to_string(), *kind)).collect();
    assert_eq!(found, expect, "{exchange} {year}");
}

#[test]
fn expiries_moved_by_holidays() {
    use ExpiryKind::{Monthly, Weekly};
    check_moved(
        "NFO",
        "NIFTY",
        2026,
        &[
            ("2026-03-03", "2026-03-02", Weekly),
            ("2026-03-31", "2026-03-30", Monthly),
            ("2026-04-14", "2026-04-13", Weekly),
            ("2026-10-20", "2026-10-19", Weekly),
            ("2026-11-10", "2026-11-09", Weekly),
            ("2026-11-24", "2026-11-23", Monthly),
        ],
    );
    check_moved(
        "BFO",
        "SENSEX",
        2026,
        &[
            ("2026-01-15", "2026-01-14", Weekly),
            ("2026-03-26", "2026-03-25", Monthly),
            ("2026-05-28", "2026-05-27", Monthly),
        ],
    );
    check_moved(
        "NFO",
        "NIFTY",
        2025,
        &[
            ("2025-04-10", "2025-04-09", Weekly),
            ("2025-05-01", "2025-04-30", Weekly),
            // Muhurat trading is no day to expire on.
            ("2025-10-21", "2025-10-20", Weekly),
        ],
    );
    check_moved(
        "BFO",
        "SENSEX",
        2025,
        &[("2025-10-02", "2025-10-01", Weekly), ("2025-12-25", "2025-12-24", Monthly)],
    );
}

#[test]
fn the_expiry_weekdays_swap_on_1_sep_2025() {
    let nifty = dates("NFO", "NIFTY", "2025-08-14", "2025-09-10");
    let found: Vec<_> = nifty.iter().map(|expiry| expiry.date.to_string()).collect();
    assert_eq!(found, ["2025-08-14", "2025-08-21", "2025-08-28", "2025-09-02", "2025-09-09"]);
    let sensex = dates("BFO", "SENSEX", "2025-08-19", "2025-09-12");
    let found: Vec<_> = sensex.iter().map(|expiry| expiry.date.to_string()).collect();
    assert_eq!(found, ["2025-08-19", "2025-08-26", "2025-09-04", "2025-09-11"]);
    // A move to Monday was announced for April 2025 and withdrawn.
    assert_eq!(
        of_kind(&dates("NFO", "BANKNIFTY", "2025-04-01", "2025-04-30"), ExpiryKind::Monthly),
        ["2025-04-24"]
    );
}

fn listed(exchange: &str, underlying: &str, on: &str) -> Vec<(String, ExpiryKind)> {
    let expiries = Calendar::builtin().expiries(exchange, underlying, day(on)).known().unwrap();
    expiries.into_iter().map(|expiry| (expiry.date.to_string(), expiry.kind)).collect()
}

#[test]
fn contracts_listed_on_a_day() {
    use ExpiryKind::{HalfYearly, Monthly, Quarterly, Weekly};
    let owned = |list: &[(&str, ExpiryKind)]| -> Vec<(String, ExpiryKind)> {
        list.iter().map(|(date, kind)| (date.to_string(), *kind)).collect()
    };
    let nifty = listed("NFO", "NIFTY", "2026-03-02");
    let expect = [
        ("2026-03-02", Weekly),
        ("2026-03-10", Weekly),
        ("2026-03-17", Weekly),
        ("2026-03-24", Weekly),
        ("2026-03-30", Monthly),
        ("2026-04-28", Monthly),
        ("2026-05-26", Monthly),
        ("2026-06-30", Quarterly),
        ("2026-09-29", Quarterly),
        ("2026-12-29", Quarterly),
        ("2027-06-29", HalfYearly),
        ("2027-12-28", HalfYearly),
        ("2028-06-27", HalfYearly),
        ("2028-12-26", HalfYearly),
        ("2029-06-26", HalfYearly),
        // Christmas never moves, so the expiry can be moved ahead of the holiday list.
        ("2029-12-24", HalfYearly),
        ("2030-06-25", HalfYearly),
        ("2030-12-31", HalfYearly),
    ];
    assert_eq!(nifty, owned(&expect));

    let banknifty = listed("NFO", "BANKNIFTY", "2026-11-20");
    let expect = [
        ("2026-11-23", Monthly),
        ("2026-12-29", Monthly),
        ("2027-01-25", Monthly),
        ("2027-03-30", Quarterly),
        ("2027-06-29", Quarterly),
        ("2027-09-28", Quarterly),
    ];
    assert_eq!(banknifty, owned(&expect));
    for underlying in ["FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "NIFTYFPI", "INFY"] {
        assert_eq!(listed("NFO", underlying, "2026-11-20"), owned(&expect[..3]), "{underlying}");
    }
    // The day after an expiry it is gone.
    assert_eq!(listed("NFO", "BANKNIFTY", "2026-11-24")[0].0, "2026-12-29");
    assert_eq!(
        listed("BFO", "SENSEX", "2026-11-20")[..2],
        owned(&[("2026-11-26", Monthly), ("2026-12-03", Weekly)])
    );
}

#[test]
fn doubts_of_listed_expiries() {
    let calendar = Calendar::builtin();
    let nifty = calendar.expiries("NFO", "NIFTY", day("2026-11-20")).known().unwrap();
    for expiry in nifty {
        assert_eq!(expiry.doubtful, expiry.date > day("2026-12-31"), "{}", expiry.date);
        assert!(!expiry.listing_doubtful);
    }
    let sensex = calendar.expiries("BFO", "SENSEX", day("2026-03-02")).known().unwrap();
    assert!(sensex.iter().all(|expiry| expiry.listing_doubtful && !expiry.doubtful));
}

#[test]
fn expiries_nobody_wrote_down_are_unknown() {
    let calendar = Calendar::builtin();
    let check = |exchange, underlying, on| {
        assert_eq!(calendar.expiries(exchange, underlying, day(on)), Answer::Unknown);
    };
    check("MCX", "CRUDEOIL", "2026-08-03");
    check("CDS", "USDINR", "2026-08-03");
    check("NSE", "NIFTY", "2026-08-03");
    check("NFO", "NIFTY", "2024-12-31");
    check("NFO", "NIFTY", "2027-01-01");
    check("NFO", "NIFTYFPI", "2026-08-11");
    assert!(calendar.expiries("NFO", "NIFTYFPI", day("2026-08-12")).is_known());
}

#[test]
fn the_last_moment_of_a_contract() {
    let calendar = Calendar::builtin();
    let check = |exchange: &str, expiry: &str, expect: Option<&str>| {
        let found = calendar.expiry_instant(exchange, day(expiry)).known();
        assert_eq!(found, expect.map(|time| at(&format!("{expiry} {time}"))), "{exchange} {expiry}");
    };
    check("NFO", "2025-08-28", Some("15:30"));
    check("NFO", "2026-07-28", Some("15:30"));
    check("NFO", "2026-08-25", Some("15:40"));
    check("BFO", "2026-07-30", Some("15:30"));
    check("BFO", "2026-08-06", Some("15:40"));
    check("MCX", "2026-10-19", Some("23:30"));
    check("MCX", "2026-11-19", Some("23:55"));
    check("CDS", "2026-11-26", Some("12:30"));
    // Nothing expires on a day off.
    check("NFO", "2026-11-24", None);
    check("NFO", "2026-11-28", None);
    check("NSE", "2026-11-23", None);
    check("NFO", "2024-12-26", None);
    // Beyond the holiday lists the hours are taken to stay, on weekdays.
    check("NFO", "2027-03-30", Some("15:40"));
    check("NFO", "2030-12-31", Some("15:40"));
    check("NFO", "2027-03-28", None);
    check("MCX", "2027-02-19", Some("23:55"));
    check("MCX", "2027-04-19", Some("23:30"));

    // A bank holiday of 2025: whether currency traded is not known, so the moment is given with a doubt.
    check("CDS", "2025-05-12", Some("12:30"));

    let doubt = |expiry: &str| calendar.expiry_instant_fact("NFO", day(expiry)).known().unwrap().doubt;
    assert_eq!(doubt("2026-07-28"), None);
    assert!(doubt("2026-08-25").unwrap().contains("not confirmed"));
}

#[test]
fn lots_belong_to_the_contract() {
    let calendar = Calendar::builtin();
    let check = |underlying: &str, expiry: &str, expect: u32| {
        assert_eq!(
            calendar.lot_size(underlying, day(expiry)),
            Answer::Known(expect),
            "{underlying} {expiry}"
        );
    };
    check("NIFTY", "2025-12-30", 75);
    check("NIFTY", "2026-01-06", 65);
    check("NIFTY", "2026-11-23", 65);
    check("BANKNIFTY", "2025-06-26", 30);
    check("BANKNIFTY", "2025-07-31", 35);
    check("BANKNIFTY", "2025-12-30", 35);
    check("BANKNIFTY", "2026-01-27", 30);
    check("FINNIFTY", "2025-12-30", 65);
    check("FINNIFTY", "2026-01-27", 60);
    check("MIDCPNIFTY", "2025-06-26", 120);
    check("MIDCPNIFTY", "2025-07-31", 140);
    check("MIDCPNIFTY", "2026-01-27", 120);
    check("NIFTYNXT50", "2025-07-31", 25);
    check("NIFTYNXT50", "2026-12-29", 25);
    check("NIFTYFPI", "2026-08-25", 1100);
    check("SENSEX", "2026-04-09", 20);
    check("BANKEX", "2026-11-26", 30);
    check("SENSEX50", "2026-11-26", 60);
    check("TATASTEEL", "2026-04-28", 5500);
    check("TATASTEEL", "2026-05-26", 2750);
    check("HDFCBANK", "2026-06-30", 550);
    check("HDFCBANK", "2026-07-28", 650);
    check("HCLTECH", "2026-06-30", 350);
    check("HCLTECH", "2026-07-28", 400);
    assert_eq!(calendar.lot_size("NIFTYFPI", day("2026-07-28")), Answer::Unknown);
    assert_eq!(calendar.lot_size("RELIANCE", day("2026-07-28")), Answer::Unknown);
    assert_eq!(calendar.lot_size("NIFTY", day("2024-12-26")), Answer::Unknown);
}

#[test]
fn long_dated_contracts_change_lot_at_the_end_of_30_dec_2025() {
    let calendar = Calendar::builtin();
    let lot = |underlying, expiry, on| calendar.lot_size_fact(underlying, day(expiry), day(on)).value();
    assert_eq!(lot("NIFTY", "2026-06-30", "2025-12-30"), Answer::Known(75));
    assert_eq!(lot("NIFTY", "2026-06-30", "2025-12-31"), Answer::Known(65));
    assert_eq!(lot("BANKNIFTY", "2026-03-30", "2025-12-30"), Answer::Known(35));
    assert_eq!(lot("BANKNIFTY", "2026-03-30", "2025-12-31"), Answer::Known(30));
    // Two sizes on one day: the old monthly and the new one.
    assert_eq!(lot("NIFTY", "2025-12-30", "2025-12-15"), Answer::Known(75));
    assert_eq!(lot("NIFTY", "2026-01-27", "2025-12-15"), Answer::Known(65));
}

#[test]
fn freeze_quantities_by_month() {
    let calendar = Calendar::builtin();
    let check = |on: &str, banknifty: u32, finnifty: u32| {
        let freeze = |name| calendar.freeze_quantity(name, day(on)).known();
        assert_eq!(freeze("BANKNIFTY"), Some(banknifty), "{on}");
        assert_eq!(freeze("FINNIFTY"), Some(finnifty), "{on}");
        assert_eq!(
            (freeze("NIFTY"), freeze("MIDCPNIFTY"), freeze("NIFTYNXT50")),
            (Some(1800), Some(2800), Some(600))
        );
    };
    check("2025-08-01", 600, 1800);
    check("2025-08-29", 600, 1800);
    check("2025-09-01", 900, 1800);
    check("2025-11-03", 600, 1800);
    check("2025-12-01", 600, 1200);
    check("2026-01-01", 600, 1200);
    check("2026-02-02", 600, 1800);
    check("2026-02-27", 600, 1800);
    check("2026-03-02", 600, 1200);
    check("2026-03-30", 600, 1200);
    check("2026-04-01", 900, 1800);
    check("2026-05-04", 900, 1800);
    check("2026-06-30", 900, 1800);
    check("2026-07-01", 600, 1800);
    check("2026-08-31", 600, 1800);
    let unknown =
        |name, on| assert_eq!(calendar.freeze_quantity(name, day(on)), Answer::Unknown, "{name} {on}");
    unknown("NIFTY", "2026-09-01");
    unknown("NIFTY", "2025-10-15");
    unknown("NIFTY", "2025-06-30");
    unknown("BANKEX", "2026-07-01");
    unknown("RELIANCE", "2026-07-01");
    assert_eq!(calendar.freeze_quantity("NIFTYFPI", day("2026-08-12")), Answer::Known(8500));
    let sensex = calendar.freeze_quantity_fact("SENSEX", day("2026-07-01")).known().unwrap();
    assert_eq!(sensex.value, 1000);
    assert!(sensex.doubt.is_some());
}

#[test]
fn the_largest_order_is_in_whole_lots() {
    let calendar = Calendar::builtin();
    let largest = |name, expiry, on| calendar.largest_order(name, day(expiry), day(on));
    assert_eq!(largest("NIFTY", "2026-08-25", "2026-08-03"), Answer::Known(1755));
    assert_eq!(largest("BANKNIFTY", "2025-12-30", "2025-12-15"), Answer::Known(595));
    assert_eq!(largest("NIFTY", "2026-11-23", "2026-11-20"), Answer::Unknown);
}

#[test]
fn strike_steps() {
    let calendar = Calendar::builtin();
    let near = |name, on| calendar.strike_step(name, day(on)).known().map(|step| step.near_paise);
    let on = "2026-08-20";
    assert_eq!(near("NIFTY", on), Some(5_000));
    assert_eq!(near("BANKNIFTY", on), Some(10_000));
    assert_eq!(near("FINNIFTY", on), Some(5_000));
    assert_eq!(near("MIDCPNIFTY", on), Some(2_500));
    assert_eq!(near("SENSEX", on), Some(10_000));
    assert_eq!(near("RELIANCE", on), None);
    assert_eq!(near("NIFTYFPI", "2026-08-11"), None);
    let fact = |name| calendar.strike_step_fact(name, day(on)).known().unwrap();
    assert_eq!(fact("NIFTY").doubt, None);
    assert!(fact("MIDCPNIFTY").doubt.is_some());
    assert_eq!(fact("NIFTYNXT50").value.wide_paise, Some(50_000));
    let fpi = fact("NIFTYFPI").value;
    assert_eq!((fpi.near_paise, fpi.wide_paise), (500, Some(2_000)));
    assert_eq!((fpi.near_each_side, fpi.wide_each_side), (Some(20), Some(12)));
    assert_eq!(fact("SENSEX").value.long_dated_paise, Some(100_000));
    assert_eq!(calendar.strike_step("SENSEX", day("2026-06-26")).known().unwrap().long_dated_paise, None);
}

#[test]
fn index_names() {
    let calendar = Calendar::builtin();
    for (name, symbol, exchange) in [
        ("NIFTY", "NIFTY 50", "NSE"),
        ("BANKNIFTY", "NIFTY BANK", "NSE"),
        ("FINNIFTY", "NIFTY FIN SERVICE", "NSE"),
        ("MIDCPNIFTY", "NIFTY MID SELECT", "NSE"),
        ("NIFTYNXT50", "NIFTY NEXT 50", "NSE"),
        ("SENSEX", "SENSEX", "BSE"),
        ("BANKEX", "BANKEX", "BSE"),
    ] {
        assert_eq!(calendar.index_symbol(name), Some(symbol));
        assert_eq!(calendar.index_exchange(name).unwrap().value, exchange);
    }
    assert_eq!(calendar.index_symbol("RELIANCE"), None);
}
