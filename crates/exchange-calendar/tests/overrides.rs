//! A user's own rows on top of the built-in ones: what they change, and how bad files are refused.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing should stop")]

use exchange_calendar::{Answer, Calendar, CalendarError, Day, SessionKind, ist};
use jiff::civil::{Date, Time};

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn clock(text: &str) -> Time {
    text.parse().unwrap()
}

fn with(toml: &str) -> Calendar {
    Calendar::builtin().with_overrides(toml).unwrap_or_else(|error| panic!("{error}"))
}

/// The problems of a file as `line:column: field: message`.
fn problems(toml: &str) -> Vec<String> {
    let Err(CalendarError::BadData { problems }) = Calendar::builtin().with_overrides_from("my.toml", toml)
    else {
        panic!("the file was taken");
    };
    let text = |problem: &exchange_calendar::Problem| problem.to_string().replacen("my.toml:", "", 1);
    problems.iter().map(text).collect()
}

fn refused(toml: &str, expect: &[&str]) {
    assert_eq!(problems(toml), expect);
}

#[test]
fn a_holiday_added_six_days_ahead() {
    let toml = r#"
        [[day]]
        date = 2026-12-08
        exchanges = ["NSE", "BSE", "NFO", "BFO"]
        name = "Assembly elections"
        trading = "none"
        source = "NSE circular of 2 Dec 2026"
    "#;
    let calendar = with(toml);
    let closed = Day::Closed { reason: "Assembly elections", doubt: None };
    assert_eq!(calendar.day("NFO", day("2026-12-08")), Answer::Known(closed));
    // 8 Dec 2026 is a Tuesday: the weekly expiry moves to Monday.
    let expiries = calendar.expiries("NFO", "NIFTY", day("2026-12-02")).known().unwrap();
    assert_eq!((expiries[0].date, expiries[0].nominal), (day("2026-12-07"), day("2026-12-08")));
    assert_eq!(calendar.next_trading_day("NSE", day("2026-12-07")), Answer::Known(day("2026-12-09")));
    assert!(matches!(calendar.day("MCX", day("2026-12-08")), Answer::Known(Day::Open { .. })));
}

#[test]
fn a_holiday_taken_back() {
    let toml = r#"
        [[day]]
        date = 2026-11-24
        exchanges = ["NSE", "NFO"]
        name = "Guru Nanak Jayanti, trading as usual"
        trading = "normal"
        source = "NSE circular"
    "#;
    let calendar = with(toml);
    assert_eq!(calendar.is_trading_day("NFO", day("2026-11-24")), Answer::Known(true));
    assert_eq!(calendar.is_trading_day("BFO", day("2026-11-24")), Answer::Known(false));
    let monthly = calendar.expiries("NFO", "NIFTY", day("2026-11-20")).known().unwrap()[0];
    assert_eq!(monthly.date, day("2026-11-24"));
    assert!(calendar.expiry_instant("NFO", day("2026-11-24")).is_known());
}

#[test]
fn a_session_end_changed_and_the_expiry_follows() {
    let toml = r#"
        [[timetable]]
        exchanges = ["NFO"]
        from = 2026-12-01
        source = "NSE circular"
        sessions = [{ kind = "continuous", start = 09:15, end = 15:55 }]
    "#;
    let calendar = with(toml);
    let close = |date| calendar.day("NFO", day(date)).known().unwrap().close().unwrap();
    assert_eq!(close("2026-11-30"), clock("15:40:00"));
    assert_eq!(close("2026-12-01"), clock("15:55:00"));
    let expiry = calendar.expiry_instant("NFO", day("2026-12-29")).known().unwrap();
    assert_eq!(ist().to_datetime(expiry).time(), clock("15:55:00"));
}

#[test]
fn expiring_contracts_may_end_before_the_others() {
    let toml = r#"
        [[expiry_time]]
        exchanges = ["NFO", "BFO"]
        from = 2026-08-03
        at = 15:30
        source = "my reading of the circular"
    "#;
    let calendar = with(toml);
    let fact = calendar.expiry_instant_fact("NFO", day("2026-11-23")).known().unwrap();
    assert_eq!(ist().to_datetime(fact.value).time(), clock("15:30:00"));
    assert_eq!((fact.source, fact.doubt), ("my reading of the circular", None));
    // On a day that ends earlier the contract ends with it.
    let toml = format!(
        "{toml}\n[[day]]\ndate = 2026-11-23\nexchanges = [\"NFO\"]\nname = \"short\"\ntrading_day = true\n\
         source = \"x\"\nsessions = [{{ kind = \"continuous\", start = 09:15, end = 13:00 }}]\n"
    );
    let expiry = with(&toml).expiry_instant("NFO", day("2026-11-23")).known().unwrap();
    assert_eq!(ist().to_datetime(expiry).time(), clock("13:00:00"));
}

#[test]
fn the_hours_of_muhurat_2026() {
    let toml = r#"
        [[day]]
        date = 2026-11-08
        exchanges = ["NSE", "BSE", "NFO", "BFO"]
        name = "Muhurat trading"
        trading_day = false
        source = "NSE circular"
        sessions = [{ kind = "continuous", start = 18:00, end = 19:00 }]
    "#;
    let calendar = with(toml);
    let at = ist().to_timestamp(day("2026-11-08").to_datetime(clock("18:30:00"))).unwrap();
    assert_eq!(calendar.session_at("NFO", at), Answer::Known(Some(SessionKind::Continuous)));
    assert_eq!(calendar.is_trading_day("NFO", day("2026-11-08")), Answer::Known(false));
    assert_eq!(calendar.session_at("MCX", at), Answer::Unknown);
}

#[test]
fn the_next_year() {
    let toml = r#"
        [[coverage]]
        exchanges = ["NSE", "NFO"]
        from = 2027-01-01
        until = 2027-12-31
        source = "NSE holiday circular for 2027"

        [[day]]
        date = 2027-03-30
        exchanges = ["NSE", "NFO"]
        name = "A holiday"
        trading = "none"
        source = "NSE holiday circular for 2027"
    "#;
    let calendar = with(toml);
    assert!(matches!(calendar.day("NFO", day("2027-01-04")), Answer::Known(Day::Open { .. })));
    assert_eq!(calendar.next_trading_day("NSE", day("2026-12-31")), Answer::Known(day("2027-01-01")));
    assert_eq!(calendar.day("BFO", day("2027-01-04")), Answer::Unknown);
    let expiries = calendar.expiries("NFO", "NIFTY", day("2026-11-20")).known().unwrap();
    let march = expiries.iter().find(|expiry| expiry.nominal == day("2027-03-30")).unwrap();
    assert_eq!((march.date, march.doubtful), (day("2027-03-29"), false));
}

#[test]
fn lots_freeze_quantities_strikes_and_names() {
    let toml = r#"
        [[lot]]
        underlying = "NIFTY"
        size = 50
        expiry_from = 2027-01-01
        source = "NSE circular"

        [[freeze]]
        from = 2026-12-01
        until = 2026-12-31
        quantities = { NIFTY = 1200, RELIANCE = 40_000 }
        source = "NSE circular of 30 Nov 2026"

        [[strike_step]]
        underlying = "RELIANCE"
        from = 2026-12-01
        near_paise = 250
        source = "instrument list"

        [[index]]
        name = "NIFTYFPI"
        symbol = "NIFTY FPI 150"
        exchange = "NSE"
        source = "instrument list"
    "#;
    let calendar = with(toml);
    assert_eq!(calendar.lot_size("NIFTY", day("2026-12-29")), Answer::Known(65));
    assert_eq!(calendar.lot_size("NIFTY", day("2027-01-25")), Answer::Known(50));
    assert_eq!(calendar.freeze_quantity("NIFTY", day("2026-12-15")), Answer::Known(1200));
    assert_eq!(calendar.freeze_quantity("RELIANCE", day("2026-12-15")), Answer::Known(40_000));
    assert_eq!(calendar.freeze_quantity("BANKNIFTY", day("2026-12-15")), Answer::Unknown);
    assert_eq!(calendar.largest_order("NIFTY", day("2026-12-29"), day("2026-12-15")), Answer::Known(1170));
    assert_eq!(calendar.strike_step("RELIANCE", day("2026-12-15")).known().unwrap().near_paise, 250);
    assert_eq!(calendar.index_symbol("NIFTYFPI"), Some("NIFTY FPI 150"));
}

#[test]
fn the_later_of_two_overrides_wins() {
    let freeze = |quantity: u32| {
        format!(
            "[[freeze]]\nfrom = 2026-12-01\nuntil = 2026-12-31\nquantities = {{ NIFTY = {quantity} }}\nsource = \"x\"\n"
        )
    };
    let calendar = with(&freeze(1)).with_overrides(&freeze(2)).unwrap();
    assert_eq!(calendar.freeze_quantity("NIFTY", day("2026-12-15")), Answer::Known(2));
    let calendar = with(&format!("{}{}", freeze(3), freeze(4)));
    assert_eq!(calendar.freeze_quantity("NIFTY", day("2026-12-15")), Answer::Known(4));
}

#[test]
fn nothing_in_a_file_is_nothing_changed() {
    for text in ["", "\n\n", "# only a comment\n"] {
        assert_eq!(with(text).range("NSE"), Calendar::builtin().range("NSE"));
    }
}

// === bad files ===

#[test]
fn every_problem_of_a_file_is_named() {
    refused(
        r#"
[[day]]
date = "2026-12-08"
exchanges = ["NSE"]
name = "Elections"
trading = "shut"

[[lot]]
underlying = "NIFTY"
size = -5
expiry_from = 2026-12-01
expiry_til = 2026-12-31
source = "x"

[[holiday]]
date = 2026-12-08
"#,
        &[
            "2:1: day[0].source: missing, expected the circular or notice it comes from, as text",
            "3:8: day[0].date: expected a date such as 2026-12-25, found the text \"2026-12-08\"",
            "6:11: day[0].trading: expected one of none, normal, morning, evening, unknown, found the text \"shut\"",
            "10:8: lot[0].size: expected a whole number above zero, found the number -5",
            "12:1: lot[0].expiry_til: unknown field, expected doubt, expiry_from, expiry_until, from, size, source, \
             underlying, until",
            "15:3: holiday: unknown table, expected [[coverage]], [[timetable]], [[day]], [[expiry_time]], \
             [[expiry_rule]], [[lot]], [[freeze]], [[strike_step]], [[index]]",
        ],
    );
}

#[test]
fn the_message_shows_file_place_and_all_problems() {
    let error = Calendar::builtin().with_overrides_from("my.toml", "[[lot]]\nsize = 0\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "calendar data refused, 4 problem(s) to correct:\
         \n  my.toml:1:1: lot[0].underlying: missing, expected an underlying such as \"NIFTY\"\
         \n  my.toml:1:1: lot[0].source: missing, expected the circular or notice it comes from, as text\
         \n  my.toml:1:1: lot[0].expiry_from: missing, expected a date such as 2026-12-25\
         \n  my.toml:2:8: lot[0].size: expected a whole number above zero, found the number 0"
    );
}

#[test]
fn text_that_is_no_toml() {
    let found = problems("[[day]]\ndate = = 3\nname = \"a\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("2:8: "), "{found:?}");
}

#[test]
fn sessions_that_cannot_be() {
    let timetable = |sessions: &str| {
        format!(
            "[[timetable]]\nexchanges = [\"NFO\"]\nfrom = 2026-12-01\nsource = \"x\"\nsessions = {sessions}\n"
        )
    };
    refused(
        &timetable("[{ kind = \"continuous\", start = 15:30, end = 09:15 }]"),
        &["5:57: timetable[0].sessions[0].end: expected a time after start"],
    );
    refused(
        &timetable(
            "[{ kind = \"continuous\", start = 09:15, end = 15:30 }, { kind = \"post_close\", start = 15:20, end = 16:00 }]",
        ),
        &[
            "5:12: timetable[0].sessions: post_close from 15:20:00 overlaps continuous to 15:30:00, expected sessions apart",
        ],
    );
    refused(
        &timetable("[]"),
        &["5:12: timetable[0].sessions: expected a list such as [{ kind = \"continuous\", start = 09:15, \
           end = 15:30 }], found an empty list"],
    );
    let found = problems(&timetable("[{ kind = \"lunch\", start = \"9\", end = 15:30, scope = \"me\" }, 7]"));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("5:22: timetable[0].sessions[0].kind: expected one of block_deal, pre_open")
    );
    assert!(
        found[1].starts_with("5:39: timetable[0].sessions[0].start: expected a time such as 15:30, found")
    );
    assert!(found[2].contains("sessions[0].scope: expected one of everything, derivative_stocks"));
    assert!(found[3].contains("timetable[0].sessions[1]: expected a list such as"));
    // Windows and groups apart may overlap.
    with(&timetable(
        "[{ kind = \"continuous\", start = 09:15, end = 15:30 }, { kind = \"block_deal\", start = 10:00, end = 10:15 }]",
    ));
}

#[test]
fn rows_that_would_do_nothing() {
    refused(
        "[[day]]\ndate = 2026-12-08\nexchanges = [\"NSE\", \"NSF\"]\nname = \"a\"\ntrading = \"none\"\nsource = \"x\"\n",
        &[
            "1:1: day[0].exchanges: unknown exchange \"NSF\", expected one of BCD, BFO, BSE, CDS, MCX, NCO, NFO, NSE",
        ],
    );
    refused(
        "[[day]]\ndate = 2026-12-08\nexchanges = [\"NSE\"]\nname = \"a\"\ntrading = \"evening\"\nsource = \"x\"\n",
        &["1:1: day[0].trading: NSE has no such session on that date, give sessions instead"],
    );
    refused(
        "[[freeze]]\nfrom = 2026-12-31\nuntil = 2026-12-01\nquantities = { NIFTY = \"many\" }\nsource = \"x\"\n",
        &[
            "3:9: freeze[0].until: expected a date on or after from",
            "4:24: freeze[0].quantities.NIFTY: expected a whole number above zero, found the text \"many\"",
        ],
    );
}

#[test]
fn a_special_session_must_say_whether_contracts_may_expire() {
    refused(
        "[[day]]\ndate = 2026-11-08\nexchanges = [\"NSE\"]\nname = \"Muhurat\"\nsource = \"x\"\n\
         sessions = [{ kind = \"continuous\", start = 18:00, end = 19:00 }]\n",
        &[
            "1:1: day[0].trading_day: missing, expected true when contracts may expire that day, false for a Muhurat \
           session",
        ],
    );
}

#[test]
fn wrong_shapes() {
    refused("day = 3\n", &["1:1: day: expected rows headed [[day]], found the number 3"]);
    refused("day = [3]\n", &["1:8: day[0]: expected a row headed [[day]], found the number 3"]);
    refused("[day]\ndate = 2026-12-08\n", &["1:2: day: expected rows headed [[day]], found a table"]);
    let found =
        problems("[[expiry_rule]]\nexchange = 5\nunderlyings = []\nkind = \"daily\"\nweekday = \"sunday\"\n");
    assert_eq!(found.len(), 7, "{found:#?}");
    let found = problems("[[coverage]]\nexchanges = [\"NSE\"]\nfrom = 2027-01-01\nsource = \"x\"\n");
    assert_eq!(found, ["1:1: coverage[0].until: missing, expected the last date the holiday lists reach to"]);
    let found = problems(
        "[[expiry_time]]\nexchanges = [\"NFO\"]\nfrom = 2026-01-01\nat = \"noon\"\nsource = \"x\"\n",
    );
    assert_eq!(
        found,
        [
            "4:6: expiry_time[0].at: expected a time such as 12:30, or \"session_end\", found the text \"noon\""
        ]
    );
}

#[test]
fn a_refused_file_leaves_the_calendar_as_it_was() {
    let calendar = Calendar::builtin();
    let good = "[[day]]\ndate = 2026-12-08\nexchanges = [\"NSE\"]\nname = \"a\"\ntrading = \"none\"\nsource = \"x\"\n";
    assert!(calendar.clone().with_overrides(&format!("{good}[[lot]]\n")).is_err());
    assert_eq!(calendar.is_trading_day("NSE", day("2026-12-08")), Answer::Known(true));
}
