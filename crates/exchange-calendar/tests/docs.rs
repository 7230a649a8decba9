//! Keeps `docs/calendar.md` true: its tables come from the calendar, its example files load.
//!
//! `UPDATE_DOCS=1 cargo test -p exchange-calendar --test docs` rewrites the tables.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing should stop")]

use std::fmt::Write as _;
use std::path::PathBuf;

use exchange_calendar::{Answer, Calendar, Day, ExpiryKind, Scope, Session};
use jiff::ToSpan;
use jiff::civil::{Date, date};

const BEGIN: &str = "<!-- facts: written by tests/docs.rs, do not edit -->\n";
const END: &str = "<!-- end of facts -->";
const FIRST: Date = date(2025, 1, 1);
const LAST: Date = date(2026, 12, 31);

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/calendar.md")
}

#[test]
fn the_tables_of_the_page_are_those_of_the_calendar() {
    let page = std::fs::read_to_string(path()).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the page has a place for the facts");
    let (found, tail) = rest.split_once(END).expect("the facts have an end");
    let expect = facts(&Calendar::builtin());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(), format!("{head}{BEGIN}{expect}{END}{tail}")).unwrap();
    } else {
        let line = found.lines().zip(expect.lines()).find(|(found, expect)| found != expect);
        assert!(
            found == expect,
            "docs/calendar.md is out of date, run with UPDATE_DOCS=1; first difference: {line:?}"
        );
    }
}

#[test]
fn the_examples_of_the_page_load() {
    let page = std::fs::read_to_string(path()).unwrap();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        Calendar::builtin().with_overrides(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}

fn facts(calendar: &Calendar) -> String {
    let mut out = String::new();
    hours(calendar, &mut out);
    special_days(calendar, &mut out);
    expiries(calendar, &mut out);
    lots(calendar, &mut out);
    freezes(calendar, &mut out);
    strikes(calendar, &mut out);
    doubts(calendar, &mut out);
    out
}

fn days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    first.series(1.day()).take_while(move |day| *day <= last)
}

/// Joins neighbouring days of one value into runs.
fn runs<T: PartialEq>(days: impl Iterator<Item = (Date, T)>) -> Vec<(Date, Date, T)> {
    let mut runs: Vec<(Date, Date, T)> = Vec::new();
    for (day, value) in days {
        match runs.last_mut() {
            Some(run) if run.2 == value => run.1 = day,
            _ => runs.push((day, day, value)),
        }
    }
    runs
}

fn show(session: &Session) -> String {
    let scope = match session.scope {
        Scope::Everything => String::new(),
        scope => format!(" ({scope})"),
    };
    let doubt = if session.doubtful { " ?" } else { "" };
    format!(
        "{}-{} {}{scope}{doubt}",
        session.start.strftime("%H:%M"),
        session.end.strftime("%H:%M"),
        session.kind
    )
}

fn hours(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### Hours of ordinary days\n\nIST. `?` marks hours that rest on a weak source.\n\n");
    out.push_str("| exchanges | from | to | sessions |\n|---|---|---|---|\n");
    let mut rows: Vec<(Vec<&str>, Date, Date, &[Session])> = Vec::new();
    for exchange in ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"] {
        let ordinary = days(FIRST, LAST).filter_map(|day| match calendar.day(exchange, day) {
            Answer::Known(Day::Open { sessions, name: None, .. }) => Some((day, sessions)),
            _ => None,
        });
        for (first, last, sessions) in runs(ordinary) {
            let same = |row: &&mut (Vec<&str>, Date, Date, &[Session])| {
                (row.1, row.2, row.3) == (first, last, sessions)
            };
            match rows.iter_mut().find(same) {
                Some(row) => row.0.push(exchange),
                None => rows.push((vec![exchange], first, last, sessions)),
            }
        }
    }
    for (exchanges, first, last, sessions) in rows {
        let sessions: Vec<String> = sessions.iter().map(show).collect();
        writeln!(out, "| {} | {first} | {last} | {} |", exchanges.join(" "), sessions.join("<br>")).unwrap();
    }
}

fn special_days(calendar: &Calendar, out: &mut String) {
    let cell = |exchange: &str, day: Date| match calendar.day(exchange, day) {
        Answer::Unknown => "unknown".to_owned(),
        Answer::Known(Day::Closed { doubt, .. }) => {
            format!("closed{}", if doubt.is_some() { " ?" } else { "" })
        }
        Answer::Known(day @ Day::Open { name: None, .. }) => {
            format!(
                "ordinary{}",
                if day.doubt().is_some_and(|doubt| doubt.contains("holiday")) { " ?" } else { "" }
            )
        }
        Answer::Known(day @ Day::Open { doubt, .. }) => {
            let (open, close) = (day.open().unwrap(), day.close().unwrap());
            let doubt = if doubt.is_some() { " ?" } else { "" };
            format!("{}-{}{doubt}", open.strftime("%H:%M"), close.strftime("%H:%M"))
        }
    };
    for year in [2025, 2026] {
        writeln!(out, "\n### Days that are not ordinary, {year}\n").unwrap();
        out.push_str("| date | | name | NSE BSE NFO BFO | CDS BCD | MCX NCO |\n|---|---|---|---|---|---|\n");
        for day in days(date(year, 1, 1), date(year, 12, 31)) {
            let named = |exchange: &str| match calendar.day(exchange, day) {
                Answer::Known(Day::Closed { reason, .. }) if !matches!(reason, "Saturday" | "Sunday") => {
                    Some(reason.to_owned())
                }
                Answer::Known(Day::Open { name: Some(name), .. }) => Some(name.to_owned()),
                Answer::Unknown => {
                    let because = calendar.unknown_because(exchange, day).unwrap();
                    Some(because.split_once(':').unwrap().0.to_owned())
                }
                _ => None,
            };
            let Some(name) = ["NSE", "CDS", "MCX"].into_iter().find_map(named) else { continue };
            let cells = ["NSE", "CDS", "MCX"].map(|exchange| cell(exchange, day));
            writeln!(out, "| {day} | {} | {name} | {} |", day.strftime("%a"), cells.join(" | ")).unwrap();
        }
    }
}

fn expiries(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### Monthly expiries\n\n| exchange | year | dates |\n|---|---|---|\n");
    let contracts = [("NFO", "NIFTY"), ("BFO", "SENSEX")];
    for (exchange, underlying) in contracts {
        for year in [2025, 2026] {
            let all = calendar
                .expiry_dates(exchange, underlying, date(year, 1, 1), date(year, 12, 31))
                .known()
                .unwrap();
            let monthly = all.iter().filter(|expiry| expiry.kind == ExpiryKind::Monthly);
            let dates: Vec<String> =
                monthly.map(|expiry| expiry.date.strftime("%-d %b").to_string()).collect();
            writeln!(out, "| {exchange} | {year} | {} |", dates.join(", ")).unwrap();
        }
    }
    out.push_str(
        "\n### Expiries moved by a holiday\n\n| exchange | nominal | actual | kind |\n|---|---|---|---|\n",
    );
    for (exchange, underlying) in contracts {
        let all = calendar.expiry_dates(exchange, underlying, FIRST, LAST).known().unwrap();
        for expiry in all.iter().filter(|expiry| expiry.date != expiry.nominal) {
            let (nominal, actual) = (expiry.nominal.strftime("%a %F"), expiry.date.strftime("%a %F"));
            writeln!(out, "| {exchange} | {nominal} | {actual} | {} |", expiry.kind.as_str()).unwrap();
        }
    }
}

fn lots(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### Lot sizes\n\nBy the contract's expiry.\n\n");
    out.push_str("| underlying | units | expiring from | to |\n|---|---|---|---|\n");
    for underlying in calendar.underlyings() {
        let sizes =
            days(FIRST, LAST).filter_map(|day| Some((day, calendar.lot_size(underlying, day).known()?)));
        for (first, last, size) in runs(sizes) {
            writeln!(out, "| {underlying} | {size} | {first} | {last} |").unwrap();
        }
    }
}

fn freezes(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### Quantity freeze\n\nLargest order in units. Days without a row are unknown.\n\n");
    out.push_str("| underlying | units | from | to |\n|---|---|---|---|\n");
    for underlying in calendar.underlyings() {
        let limits = days(FIRST, LAST).map(|day| (day, calendar.freeze_quantity(underlying, day).known()));
        for (first, last, limit) in runs(limits) {
            if let Some(limit) = limit {
                writeln!(out, "| {underlying} | {limit} | {first} | {last} |").unwrap();
            }
        }
    }
}

fn strikes(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### Strike steps and index symbols\n\nOn 31 Dec 2026, in rupees.\n\n");
    out.push_str("| underlying | near | wide | long-dated | index |\n|---|---|---|---|---|\n");
    let rupees =
        |paise: Option<i64>| paise.map_or(String::new(), |paise| format!("{}", paise as f64 / 100.0));
    for underlying in calendar.underlyings() {
        let step = calendar.strike_step(underlying, LAST).known();
        let index = calendar.index_symbol(underlying);
        if step.is_none() && index.is_none() {
            continue;
        }
        let near = rupees(step.map(|step| step.near_paise));
        let wide = rupees(step.and_then(|step| step.wide_paise));
        let long = rupees(step.and_then(|step| step.long_dated_paise));
        writeln!(out, "| {underlying} | {near} | {wide} | {long} | {} |", index.unwrap_or("")).unwrap();
    }
}

fn doubts(calendar: &Calendar, out: &mut String) {
    out.push_str("\n### What is not certain\n\n");
    let mut grouped: Vec<(&str, Vec<String>)> = Vec::new();
    let all = calendar.doubts();
    for fact in &all {
        let doubt = fact.doubt.unwrap();
        match grouped.iter_mut().find(|(text, _)| *text == doubt) {
            Some((_, facts)) => facts.push(fact.value.clone()),
            None => grouped.push((doubt, vec![fact.value.clone()])),
        }
    }
    for (doubt, facts) in grouped {
        let about = match &facts[..] {
            [first, .., last] => format!("{first} ... {last} ({} rows)", facts.len()),
            _ => facts.concat(),
        };
        writeln!(out, "- {about}: {doubt}.").unwrap();
    }
    out.push('\n');
}
