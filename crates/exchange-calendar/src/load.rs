//! Data file text -> typed rows.

use std::ops::Range;

use jiff::civil::Weekday;
use toml::de::{DeTable, DeValue};

use crate::contract::StrikeStep;
use crate::error::Problem;
use crate::expiry::ExpiryKind;
use crate::facts::{
    CoverageRow, DayRow, ExpiryRuleRow, ExpiryTime, ExpiryTimeRow, Facts, FreezeRow, IndexRow, LotRow,
    Origin, Span, StrikeStepRow, TimetableRow, Trading,
};
use crate::reader::{Notes, Row, describe, time};
use crate::session::{Scope, Session, SessionKind};

const EXCHANGES: &str = "a list of exchanges such as [\"NSE\", \"NFO\"]";
const UNDERLYINGS: &str = "a list of underlyings such as [\"NIFTY\"], or [\"*\"] for all others";
const SESSIONS: &str = "a list such as [{ kind = \"continuous\", start = 09:15, end = 15:30 }]";
const SOURCE: &str = "the circular or notice it comes from, as text";
const TRADING: [&str; 5] = ["none", "normal", "morning", "evening", "unknown"];
const TABLES: [&str; 9] =
    ["coverage", "timetable", "day", "expiry_time", "expiry_rule", "lot", "freeze", "strike_step", "index"];
const WEEKDAYS: [(&str, Weekday); 5] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
];

/// Adds the rows of `text` behind those already there and returns what is wrong with it.
pub(crate) fn load(file: &str, text: &str, facts: &mut Facts) -> Vec<Problem> {
    let mut notes = Notes::new(file, text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        for error in syntax {
            notes.problem(error.span().unwrap_or(0..0), "", error.message());
        }
        return notes.into_problems();
    }
    for (key, value) in root.get_ref() {
        let name = key.get_ref().as_ref();
        if !TABLES.contains(&name) {
            let message = format!("unknown table, expected [[{}]]", TABLES.join("]], [["));
            notes.problem(key.span(), name, message);
            continue;
        }
        let Some(items) = value.get_ref().as_array() else {
            let found = describe(value.get_ref());
            notes.problem(key.span(), name, format!("expected rows headed [[{name}]], found {found}"));
            continue;
        };
        for (index, item) in items.iter().enumerate() {
            load_row(&mut notes, facts, name, index, item.get_ref(), item.span());
        }
    }
    notes.into_problems()
}

fn load_row<'i>(
    notes: &mut Notes<'i>,
    facts: &mut Facts,
    name: &str,
    index: usize,
    value: &DeValue<'i>,
    place: Range<usize>,
) {
    let path = format!("{name}[{index}]");
    let Some(table) = value.as_table() else {
        notes.problem(place, &path, format!("expected a row headed [[{name}]], found {}", describe(value)));
        return;
    };
    let mut row = Row::new(notes, table, place, path);
    match name {
        "coverage" => facts.coverage.extend(coverage(&mut row)),
        "timetable" => facts.timetables.extend(timetable(&mut row)),
        "day" => facts.days.extend(day(&mut row)),
        "expiry_time" => facts.expiry_times.extend(expiry_time(&mut row)),
        "expiry_rule" => facts.expiry_rules.extend(expiry_rule(&mut row)),
        "lot" => facts.lots.extend(lot(&mut row)),
        "freeze" => facts.freezes.extend(freeze(&mut row)),
        "strike_step" => facts.strike_steps.extend(strike_step(&mut row)),
        _ => facts.indices.extend(index_name(&mut row)),
    }
    row.finish();
}

// === rows ===
//
// Each function asks for every field before it gives up, so that all problems of a row are noted.

fn coverage(row: &mut Row<'_, '_>) -> Option<CoverageRow> {
    let (exchanges, span, origin) = (exchanges(row), span(row), origin(row));
    let span = span?;
    if span.until.is_none() {
        row.problem("until", "missing, expected the last date the holiday lists reach to");
        return None;
    }
    Some(CoverageRow { exchanges: exchanges?, span, origin: origin? })
}

fn timetable(row: &mut Row<'_, '_>) -> Option<TimetableRow> {
    let (exchanges, span, origin) = (exchanges(row), span(row), origin(row));
    let sessions = sessions(row);
    Some(TimetableRow { exchanges: exchanges?, span: span?, sessions: sessions?, origin: origin? })
}

fn day(row: &mut Row<'_, '_>) -> Option<DayRow> {
    let (exchanges, date, origin) = (exchanges(row), row.date("date"), origin(row));
    let name = row.text("name", "the name of the day, as text");
    let given = row.optional("trading_day", "true or false", DeValue::as_bool);
    let trading = if row.has("sessions") {
        if row.has("trading") {
            row.problem("trading", "give either trading or sessions, not both");
        }
        row.optional("trading", "one of none, normal, morning, evening, unknown", |_| Some(()));
        sessions(row).map(Trading::Hours)
    } else {
        row.name("trading", &TRADING, |name| match name {
            "none" => Some(Trading::None),
            "normal" => Some(Trading::Normal),
            "morning" => Some(Trading::Only(SessionKind::Morning)),
            "evening" => Some(Trading::Only(SessionKind::Evening)),
            "unknown" => Some(Trading::Unknown),
            _ => None,
        })
    };
    let trading = trading?;
    let trading_day = match &trading {
        Trading::None => Some(given.unwrap_or(false)),
        Trading::Normal | Trading::Only(_) => Some(given.unwrap_or(true)),
        Trading::Unknown => given,
        Trading::Hours(_) if given.is_none() => {
            let what =
                "missing, expected true when contracts may expire that day, false for a Muhurat session";
            row.problem("trading_day", what);
            return None;
        }
        Trading::Hours(_) => given,
    };
    Some(DayRow { exchanges: exchanges?, date: date?, name: name?, trading, trading_day, origin: origin? })
}

fn expiry_time(row: &mut Row<'_, '_>) -> Option<ExpiryTimeRow> {
    let (exchanges, span, origin) = (exchanges(row), span(row), origin(row));
    let at = row.required("at", "a time such as 12:30, or \"session_end\"", |value| match value.as_str() {
        Some("session_end") => Some(ExpiryTime::SessionEnd),
        _ => time(value).map(ExpiryTime::At),
    });
    Some(ExpiryTimeRow { exchanges: exchanges?, span: span?, at: at?, origin: origin? })
}

fn expiry_rule(row: &mut Row<'_, '_>) -> Option<ExpiryRuleRow> {
    let (span, origin) = (span(row), origin(row));
    let exchange = row.text("exchange", "an exchange such as \"NFO\"");
    let underlyings = row.texts("underlyings", UNDERLYINGS);
    let kind = row.name("kind", ExpiryKind::NAMES, ExpiryKind::from_name);
    let names = WEEKDAYS.map(|(name, _)| name);
    let weekday = row.name("weekday", &names, |name| {
        WEEKDAYS.iter().find(|(known, _)| *known == name).map(|(_, weekday)| *weekday)
    });
    let count = row.positive("count");
    let count_doubt = row.optional_text("count_doubt", "what is not certain about the count, as text");
    Some(ExpiryRuleRow {
        exchange: exchange?,
        underlyings: underlyings?,
        kind: kind?,
        weekday: weekday?,
        count: count? as usize,
        count_doubt,
        span: span?,
        origin: origin?,
    })
}

fn lot(row: &mut Row<'_, '_>) -> Option<LotRow> {
    let (underlying, origin) = (underlying(row), origin(row));
    let size = row.positive("size");
    let (expiry_from, expiry_until) = (row.date("expiry_from"), row.optional_date("expiry_until"));
    let (from, until) = (row.optional_date("from"), row.optional_date("until"));
    if expiry_from.zip(expiry_until).is_some_and(|(from, until)| until < from) {
        row.problem("expiry_until", "expected a date on or after expiry_from");
    }
    if from.zip(until).is_some_and(|(from, until)| until < from) {
        row.problem("until", "expected a date on or after from");
    }
    let (underlying, size, expiry_from, origin) = (underlying?, size?, expiry_from?, origin?);
    Some(LotRow { underlying, size, expiry_from, expiry_until, from, until, origin })
}

fn freeze(row: &mut Row<'_, '_>) -> Option<FreezeRow> {
    let (span, origin) = (span(row), origin(row));
    let quantities = row.quantities("quantities");
    Some(FreezeRow { span: span?, quantities: quantities?, origin: origin? })
}

fn strike_step(row: &mut Row<'_, '_>) -> Option<StrikeStepRow> {
    let (underlying, span, origin) = (underlying(row), span(row), origin(row));
    let near_paise = row.positive("near_paise");
    let wide_paise = row.optional_positive("wide_paise");
    let long_dated_paise = row.optional_positive("long_dated_paise");
    let near_each_side = row.optional_positive("near_each_side");
    let wide_each_side = row.optional_positive("wide_each_side");
    let step = StrikeStep {
        near_paise: i64::from(near_paise?),
        wide_paise: wide_paise.map(i64::from),
        long_dated_paise: long_dated_paise.map(i64::from),
        near_each_side,
        wide_each_side,
    };
    Some(StrikeStepRow { underlying: underlying?, span: span?, step, origin: origin? })
}

fn index_name(row: &mut Row<'_, '_>) -> Option<IndexRow> {
    let origin = origin(row);
    let name = row.text("name", "the underlying's name in contracts, such as \"NIFTY\"");
    let symbol = row.text("symbol", "the index's trading symbol, such as \"NIFTY 50\"");
    let exchange = row.text("exchange", "the exchange of the index, such as \"NSE\"");
    Some(IndexRow { name: name?, symbol: symbol?, exchange: exchange?, origin: origin? })
}

// === parts of rows ===

fn exchanges(row: &mut Row<'_, '_>) -> Option<Vec<String>> {
    row.texts("exchanges", EXCHANGES)
}

fn underlying(row: &mut Row<'_, '_>) -> Option<String> {
    row.text("underlying", "an underlying such as \"NIFTY\"")
}

fn span(row: &mut Row<'_, '_>) -> Option<Span> {
    let (from, until) = (row.date("from"), row.optional_date("until"));
    let from = from?;
    if until.is_some_and(|until| until < from) {
        row.problem("until", "expected a date on or after from");
        return None;
    }
    Some(Span { from, until })
}

fn origin(row: &mut Row<'_, '_>) -> Option<Origin> {
    let source = row.text("source", SOURCE);
    let doubt = row.optional_text("doubt", "what is not certain, as text");
    let (line, column) = row.position();
    Some(Origin { file: row.file(), line, column, path: row.path().to_owned(), source: source?, doubt })
}

fn sessions(row: &mut Row<'_, '_>) -> Option<Vec<Session>> {
    let mut sessions = row.tables("sessions", SESSIONS, session)?;
    sessions.sort_by_key(|session| (session.start, session.end));
    for (index, session) in sessions.iter().enumerate() {
        let clash = sessions[..index].iter().find(|earlier| clash(earlier, session));
        if let Some(earlier) = clash {
            let message = format!(
                "{} from {} overlaps {} to {}, expected sessions apart",
                session.kind, session.start, earlier.kind, earlier.end
            );
            row.problem("sessions", message);
        }
    }
    Some(sessions)
}

/// Whether `later` may not stand behind `earlier`: windows run beside others, scopes apart do not meet.
fn clash(earlier: &Session, later: &Session) -> bool {
    let meet = earlier.scope.covers(later.scope) || later.scope == Scope::Everything;
    meet && !earlier.kind.is_window() && !later.kind.is_window() && later.start < earlier.end
}

fn session(row: &mut Row<'_, '_>) -> Option<Session> {
    let kind = row.name("kind", SessionKind::NAMES, SessionKind::from_name);
    let (start, end) = (row.time("start"), row.time("end"));
    let random_close_from = row.optional_time("random_close_from");
    let doubtful = row.optional("doubtful", "true or false", DeValue::as_bool).unwrap_or(false);
    let scope = row.optional_name("scope", Scope::NAMES, Scope::from_name).unwrap_or(Scope::Everything);
    let (start, end) = (start?, end?);
    if end <= start {
        row.problem("end", "expected a time after start");
        return None;
    }
    if random_close_from.is_some_and(|at| at < start || end <= at) {
        row.problem("random_close_from", "expected a time from start to before end");
    }
    Some(Session { kind: kind?, scope, start, end, random_close_from, doubtful })
}
