//! Hours, holidays, special days.

use exchange_calendar::{Answer, Calendar, Day, Scope, SessionKind};

use crate::{at, clock, day};

/// The day as text: `09:15-15:30 continuous`, ... or the reason it is closed.
fn show(exchange: &str, date: &str) -> String {
    let calendar = Calendar::builtin();
    match calendar.day(exchange, day(date)) {
        Answer::Unknown => "unknown".to_owned(),
        Answer::Known(Day::Closed { reason, .. }) => format!("closed: {reason}"),
        Answer::Known(Day::Open { sessions, .. }) => {
            let parts = sessions.iter().map(|session| {
                let doubt = if session.doubtful { "?" } else { "" };
                let scope = match session.scope {
                    Scope::Everything => String::new(),
                    scope => format!(" {scope}"),
                };
                let (start, end) = (session.start.strftime("%H:%M"), session.end.strftime("%H:%M"));
                format!("{start}-{end} {}{scope}{doubt}", session.kind)
            });
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

fn check(exchange: &str, date: &str, expect: &str) {
    assert_eq!(show(exchange, date), expect, "{exchange} on {date}");
}

const CASH_TO_JULY: &str = "08:45-09:00 block_deal, 09:00-09:08 pre_open_entry, 09:08-09:12 pre_open_matching, \
     09:12-09:15 pre_open_buffer, 09:15-15:30 continuous, 14:05-14:20 block_deal, \
     15:00-15:30 close_price_window, 15:40-16:00 post_close";

const CLOSING_AUCTION: &str = "09:15-15:15 continuous derivative_stocks, 09:15-15:30 continuous other_stocks?, \
     14:05-14:20 block_deal?, 15:00-15:15 close_price_window derivative_stocks, \
     15:00-15:30 close_price_window other_stocks, 15:15-15:20 closing_reference derivative_stocks, \
     15:20-15:25 closing_entry derivative_stocks, 15:25-15:30 closing_limit_only derivative_stocks, \
     15:30-15:35 closing_matching derivative_stocks, 15:35-15:50 closing_transition derivative_stocks, \
     15:50-16:00 post_close derivative_stocks";

#[test]
fn the_cash_day_changes_on_3_aug_and_7_sep_2026() {
    let old_open = "08:45-09:00 block_deal?, 09:00-09:08 pre_open_entry, 09:08-09:12 pre_open_matching, \
         09:12-09:15 pre_open_buffer, ";
    let new_open = "08:45-09:00 block_deal?, 09:00-09:05 pre_open_entry, 09:05-09:10 pre_open_limit_only, \
         09:10-09:12 pre_open_matching, 09:12-09:15 pre_open_buffer, ";
    for exchange in ["NSE", "BSE"] {
        check(exchange, "2025-01-01", CASH_TO_JULY);
        check(exchange, "2026-07-31", CASH_TO_JULY);
        check(exchange, "2026-08-03", &format!("{old_open}{CLOSING_AUCTION}"));
        check(exchange, "2026-09-04", &format!("{old_open}{CLOSING_AUCTION}"));
        check(exchange, "2026-09-07", &format!("{new_open}{CLOSING_AUCTION}"));
    }
}

#[test]
fn the_derivatives_day_changes_on_8_dec_2025_3_aug_and_7_sep_2026() {
    let to_july = "09:15-15:30 continuous, 15:00-15:30 close_price_window";
    let from_august = "09:15-15:40 continuous, 15:10-15:40 close_price_window";
    check("NFO", "2025-12-05", to_july);
    check("NFO", "2025-12-08", &format!("09:00-09:15 pre_open near_futures?, {to_july}"));
    check("NFO", "2026-07-31", &format!("09:00-09:15 pre_open near_futures?, {to_july}"));
    check("BFO", "2026-07-31", to_july);
    for exchange in ["NFO", "BFO"] {
        check(exchange, "2026-08-03", &format!("09:00-09:15 pre_open near_futures, {from_august}"));
        check(exchange, "2026-09-04", &format!("09:00-09:15 pre_open near_futures, {from_august}"));
    }
    check(
        "BFO",
        "2026-09-07",
        &format!(
            "09:00-09:05 pre_open_entry near_futures, 09:05-09:10 pre_open_limit_only near_futures, \
             09:10-09:12 pre_open_matching near_futures, 09:12-09:15 pre_open_buffer near_futures, {from_august}"
        ),
    );
    check(
        "NFO",
        "2026-09-07",
        &format!(
            "09:00-09:05 pre_open_entry near_futures?, 09:05-09:10 pre_open_limit_only near_futures?, \
             09:10-09:12 pre_open_matching near_futures?, 09:12-09:15 pre_open_buffer near_futures?, {from_august}"
        ),
    );
}

#[test]
fn currency_and_commodity_hours() {
    check("CDS", "2026-08-03", "09:00-17:00 continuous");
    check("BCD", "2025-08-04", "09:00-17:00 continuous");
    let commodity = |end: &str| {
        format!("09:00-17:00 morning, 17:00-21:00 evening linked_agri, 17:00-{end} evening non_agri")
    };
    // The clocks of New York change on 9 Mar and 2 Nov 2025, 8 Mar and 1 Nov 2026.
    for (date, end) in [
        ("2025-03-07", "23:55"),
        ("2025-03-10", "23:30"),
        ("2025-10-31", "23:30"),
        ("2025-11-03", "23:55"),
        ("2026-03-06", "23:55"),
        ("2026-03-09", "23:30"),
        ("2026-10-30", "23:30"),
        ("2026-11-02", "23:55"),
        ("2026-12-31", "23:55"),
    ] {
        check("MCX", date, &commodity(end));
        check("NCO", date, &commodity(end));
    }
}

#[test]
fn equity_holidays_of_2025() {
    let holidays = [
        ("2025-02-26", "Mahashivratri"),
        ("2025-03-14", "Holi"),
        ("2025-03-31", "Id-Ul-Fitr"),
        ("2025-04-10", "Mahavir Jayanti"),
        ("2025-04-14", "Ambedkar Jayanti"),
        ("2025-04-18", "Good Friday"),
        ("2025-05-01", "Maharashtra Day"),
        ("2025-08-15", "Independence Day"),
        ("2025-08-27", "Ganesh Chaturthi"),
        ("2025-10-02", "Gandhi Jayanti and Dussehra"),
        ("2025-10-22", "Diwali Balipratipada"),
        ("2025-11-05", "Guru Nanak Jayanti"),
        ("2025-12-25", "Christmas"),
    ];
    closed_exactly_on(2025, &holidays);
    // Rows that a popular list has and the exchange has not.
    check("NSE", "2025-11-14", CASH_TO_JULY);
    check("NSE", "2025-11-01", "closed: Saturday");
}

#[test]
fn equity_holidays_of_2026() {
    let holidays = [
        ("2026-01-15", "Maharashtra municipal elections"),
        ("2026-01-26", "Republic Day"),
        ("2026-03-03", "Holi"),
        ("2026-03-26", "Ram Navami"),
        ("2026-03-31", "Mahavir Jayanti"),
        ("2026-04-03", "Good Friday"),
        ("2026-04-14", "Ambedkar Jayanti"),
        ("2026-05-01", "Maharashtra Day"),
        ("2026-05-28", "Bakri Id"),
        ("2026-06-26", "Muharram"),
        ("2026-09-14", "Ganesh Chaturthi"),
        ("2026-10-02", "Gandhi Jayanti"),
        ("2026-10-20", "Dussehra"),
        ("2026-11-10", "Diwali Balipratipada"),
        ("2026-11-24", "Guru Nanak Jayanti"),
        ("2026-12-25", "Christmas"),
    ];
    closed_exactly_on(2026, &holidays);
    check("NSE", "2026-02-15", "closed: Mahashivratri");
    check("NSE", "2026-03-21", "closed: Id-Ul-Fitr");
    check("NSE", "2026-08-15", "closed: Independence Day");
}

/// These and no other weekdays of that year are closed, on every equity exchange.
fn closed_exactly_on(year: i16, holidays: &[(&str, &str)]) {
    let calendar = Calendar::builtin();
    for exchange in ["NSE", "BSE", "NFO", "BFO"] {
        let mut closed = Vec::new();
        for date in
            crate::covered().filter(|date| date.year() == year && date.weekday().to_monday_zero_offset() < 5)
        {
            if let Answer::Known(Day::Closed { reason, .. }) = calendar.day(exchange, date) {
                closed.push((date.to_string(), reason.to_owned()));
            }
        }
        let expect: Vec<_> =
            holidays.iter().map(|(date, name)| (date.to_string(), name.to_string())).collect();
        assert_eq!(closed, expect, "{exchange} {year}");
    }
}

#[test]
fn budget_days_trade_normal_hours() {
    for exchange in ["NSE", "BSE"] {
        check(exchange, "2025-02-01", CASH_TO_JULY);
        check(exchange, "2026-02-01", CASH_TO_JULY);
    }
    check("NFO", "2025-02-01", "09:15-15:30 continuous, 15:00-15:30 close_price_window");
    let calendar = Calendar::builtin();
    let sunday = day("2026-02-01");
    assert_eq!(calendar.is_trading_day("NFO", sunday), Answer::Known(true));
    assert_eq!(calendar.previous_trading_day("NSE", day("2026-02-02")), Answer::Known(sunday));
    assert_eq!(calendar.next_trading_day("NSE", day("2026-01-30")), Answer::Known(sunday));
    let Answer::Known(Day::Open { name, .. }) = calendar.day("NSE", sunday) else { panic!() };
    assert_eq!(name, Some("Union Budget"));
    // The notices name cash and equity derivatives only.
    check("MCX", "2026-02-01", "unknown");
}

#[test]
fn muhurat_trading_is_open_for_an_hour_but_no_trading_day() {
    check(
        "NSE",
        "2025-10-21",
        "13:15-13:30 block_deal, 13:30-13:45 pre_open, 13:45-14:45 continuous, 14:55-15:05 post_close?",
    );
    check("NFO", "2025-10-21", "13:45-14:45 continuous");
    check("MCX", "2025-10-21", "13:30-13:45 pre_open, 13:45-14:45 continuous");
    let calendar = Calendar::builtin();
    assert_eq!(calendar.is_trading_day("NSE", day("2025-10-21")), Answer::Known(false));
    assert_eq!(calendar.previous_trading_day("NSE", day("2025-10-23")), Answer::Known(day("2025-10-20")));
    assert_eq!(
        calendar.session_at("NFO", at("2025-10-21 14:00")),
        Answer::Known(Some(SessionKind::Continuous))
    );
    assert_eq!(calendar.expiry_instant("NFO", day("2025-10-21")), Answer::Unknown);
}

#[test]
fn muhurat_2026_has_no_hours_yet() {
    let calendar = Calendar::builtin();
    let sunday = day("2026-11-08");
    for exchange in ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"] {
        check(exchange, "2026-11-08", "unknown");
        assert!(calendar.unknown_because(exchange, sunday).unwrap().contains("hours were not published"));
        assert_eq!(calendar.session_at(exchange, at("2026-11-08 18:30")), Answer::Unknown);
        // Known all the same: the exchange's next ordinary day is the Monday.
        assert_eq!(calendar.next_trading_day(exchange, day("2026-11-06")), Answer::Known(day("2026-11-09")));
    }
}

#[test]
fn commodity_holidays_of_2026() {
    for date in ["2026-01-26", "2026-04-03", "2026-10-02", "2026-12-25"] {
        assert!(show("MCX", date).starts_with("closed"), "{date}");
    }
    check("MCX", "2026-01-01", "09:00-17:00 morning");
    let evening = |end: &str| format!("17:00-21:00 evening linked_agri, 17:00-{end} evening non_agri");
    for (date, end) in [
        ("2026-01-15", "23:55"),
        ("2026-03-03", "23:55"),
        ("2026-03-26", "23:30"),
        ("2026-03-31", "23:30"),
        ("2026-04-14", "23:30"),
        ("2026-05-01", "23:30"),
        ("2026-05-28", "23:30"),
        ("2026-06-26", "23:30"),
        ("2026-09-14", "23:30"),
        ("2026-10-20", "23:30"),
        ("2026-11-10", "23:55"),
        ("2026-11-24", "23:55"),
    ] {
        check("MCX", date, &evening(end));
        check("NCO", date, &evening(end));
        assert_eq!(Calendar::builtin().is_trading_day("MCX", day(date)), Answer::Known(true), "{date}");
    }
}

#[test]
fn commodity_holidays_of_2025_carry_their_doubt() {
    check("MCX", "2025-01-01", "09:00-17:00 morning");
    for date in ["2025-04-18", "2025-08-15", "2025-10-02", "2025-12-25"] {
        assert!(show("MCX", date).starts_with("closed"), "{date}");
    }
    check("MCX", "2025-03-14", "17:00-21:00 evening linked_agri, 17:00-23:30 evening non_agri");
    let calendar = Calendar::builtin();
    assert!(calendar.day("MCX", day("2025-03-14")).known().unwrap().doubt().unwrap().contains("broker"));
}

#[test]
fn currency_holidays() {
    for date in ["2026-02-19", "2026-03-19", "2026-04-01", "2026-08-26", "2026-01-15", "2026-12-25"] {
        assert!(show("CDS", date).starts_with("closed"), "{date}");
        assert!(show("BCD", date).starts_with("closed"), "{date}");
    }
    let calendar = Calendar::builtin();
    assert_eq!(calendar.day("CDS", day("2026-02-19")).known().unwrap().doubt(), None);
    // The list of 2025 was not at hand: equity holidays with a doubt, bank holidays unknown.
    assert!(calendar.day("CDS", day("2025-05-01")).known().unwrap().doubt().is_some());
    assert!(calendar.day("CDS", day("2025-05-02")).known().unwrap().doubt().is_some());
    check("CDS", "2025-04-01", "unknown");
    assert_eq!(calendar.previous_trading_day("CDS", day("2025-04-02")), Answer::Unknown);
}

#[test]
fn outside_the_tables_is_unknown() {
    let calendar = Calendar::builtin();
    for date in ["2024-12-31", "2027-01-01", "1999-01-01", "2100-01-01"] {
        assert_eq!(calendar.day("NSE", day(date)), Answer::Unknown);
        assert_eq!(calendar.session_at("NSE", at(&format!("{date} 10:00"))), Answer::Unknown);
    }
    for stranger in ["NYSE", "nse", "", "GLOBAL", "NSEIX"] {
        assert_eq!(calendar.day(stranger, day("2026-08-03")), Answer::Unknown);
    }
    assert_eq!(calendar.next_trading_day("NSE", day("2026-12-31")), Answer::Unknown);
    assert_eq!(calendar.previous_trading_day("NSE", day("2025-01-01")), Answer::Unknown);
    assert_eq!(calendar.range("NSE"), Answer::Known((day("2025-01-01"), day("2026-12-31"))));
}

#[test]
fn what_is_going_on_at_an_instant() {
    let calendar = Calendar::builtin();
    let check = |exchange: &str, moment: &str, expect: Option<SessionKind>| {
        assert_eq!(
            calendar.session_at(exchange, at(moment)),
            Answer::Known(expect),
            "{exchange} at {moment}"
        );
    };
    use SessionKind::*;
    check("NSE", "2026-07-31 08:44", None);
    check("NSE", "2026-07-31 08:45", Some(BlockDeal));
    check("NSE", "2026-07-31 09:07", Some(PreOpenEntry));
    check("NSE", "2026-07-31 09:15", Some(Continuous));
    // Windows run beside continuous trading and do not hide it.
    check("NSE", "2026-07-31 14:10", Some(Continuous));
    check("NSE", "2026-07-31 15:29", Some(Continuous));
    check("NSE", "2026-07-31 15:30", None);
    check("NSE", "2026-07-31 15:40", Some(PostClose));
    check("NSE", "2026-08-03 15:14", Some(Continuous));
    check("NSE", "2026-08-03 15:15", Some(ClosingReference));
    check("NSE", "2026-08-03 15:29", Some(ClosingLimitOnly));
    check("NFO", "2026-08-03 15:39", Some(Continuous));
    check("NFO", "2026-08-03 15:40", None);
    check("NFO", "2026-08-03 09:10", Some(PreOpen));
    check("MCX", "2026-08-03 23:29", Some(Evening));
    check("MCX", "2026-08-03 23:30", None);
    check("NSE", "2026-08-02 10:00", None);

    let stocks = calendar.session_for("NSE", Scope::OtherStocks, at("2026-08-03 15:20"));
    assert_eq!(stocks, Answer::Known(Some(Continuous)));
    let agri = calendar.session_for("MCX", Scope::LinkedAgri, at("2026-08-03 21:30"));
    assert_eq!(agri, Answer::Known(None));
}

#[test]
fn the_time_to_the_close() {
    let calendar = Calendar::builtin();
    let minutes = |exchange: &str, moment: &str| {
        calendar.time_to_close(exchange, at(moment)).map(|left| left.map(|left| left.as_mins()))
    };
    assert_eq!(minutes("NFO", "2026-07-31 15:00"), Answer::Known(Some(30)));
    assert_eq!(minutes("NFO", "2026-08-03 15:00"), Answer::Known(Some(40)));
    assert_eq!(minutes("NSE", "2026-08-03 15:00"), Answer::Known(Some(15)));
    assert_eq!(minutes("NFO", "2026-08-03 15:40"), Answer::Known(None));
    assert_eq!(minutes("NFO", "2026-08-02 12:00"), Answer::Known(None));
    assert_eq!(minutes("MCX", "2026-11-02 23:00"), Answer::Known(Some(55)));
    assert_eq!(minutes("NFO", "2027-08-02 12:00"), Answer::Unknown);
    let day = calendar.day("NFO", day("2026-08-03")).known().unwrap();
    assert_eq!((day.open(), day.close()), (Some(clock("09:15")), Some(clock("15:40"))));
}

#[test]
fn trading_days_of_a_year() {
    let calendar = Calendar::builtin();
    let count = |exchange, first, last| {
        calendar.trading_days(exchange, day(first), day(last)).known().map(|days| days.len())
    };
    // 261 weekdays less 14 holidays (Muhurat among them), and the Budget Saturday.
    assert_eq!(count("NSE", "2025-01-01", "2025-12-31"), Some(248));
    // 261 weekdays less 16 holidays, and the Budget Sunday.
    assert_eq!(count("NFO", "2026-01-01", "2026-12-31"), Some(246));
    assert_eq!(count("CDS", "2025-01-01", "2025-12-31"), None);
    // 261 weekdays less the 19 of the list and the election day.
    assert_eq!(count("CDS", "2026-01-01", "2026-12-31"), Some(241));
}
