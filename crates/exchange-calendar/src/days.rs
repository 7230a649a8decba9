//! Rows -> one ready answer per exchange and date, so that asking costs two array lookups.

use std::collections::HashMap;

use jiff::civil::{Date, Weekday};

use crate::error::Problem;
use crate::facts::{Facts, Origin, TimetableRow, Trading};
use crate::session::{Session, SessionKind};

const SECONDS_PER_DAY: i64 = 86_400;

/// The days of every exchange.
#[derive(Debug, Default)]
pub(crate) struct DayTable {
    exchanges: Vec<ExchangeDays>,
    plans: Vec<Plan>,
}

#[derive(Debug)]
struct ExchangeDays {
    name: String,
    first: Date,
    /// Index into `plans`, one per date from `first` on.
    days: Vec<u32>,
}

/// How a day goes.
#[derive(Debug)]
pub(crate) enum Plan {
    Unknown {
        note: String,
        trading_day: Option<bool>,
    },
    Closed {
        reason: String,
        doubt: Option<String>,
    },
    Open {
        sessions: Box<[Session]>,
        name: Option<String>,
        doubt: Option<String>,
        /// False for a Muhurat session: the date is a holiday for expiry and settlement.
        trading_day: bool,
    },
}

// === impl DayTable ===

impl DayTable {
    /// Works out every covered day, or says which rows do not fit together.
    pub(crate) fn compile(facts: &Facts) -> Result<Self, Vec<Problem>> {
        let mut table = Self::default();
        let mut problems = Vec::new();
        let mut names: Vec<&String> = facts.coverage.iter().flat_map(|row| &row.exchanges).collect();
        names.sort_unstable();
        names.dedup();
        refuse_strangers(facts, &names, &mut problems);
        for name in names {
            table.add_exchange(facts, name, &mut problems);
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    /// The plan of that day; `None` outside the coverage.
    pub(crate) fn plan(&self, exchange: &str, date: Date) -> Option<&Plan> {
        let days = self.exchange(exchange)?;
        let offset = usize::try_from(date.duration_since(days.first).as_secs() / SECONDS_PER_DAY).ok()?;
        self.plans.get(*days.days.get(offset)? as usize)
    }

    /// First and last date in the table of `exchange`.
    pub(crate) fn range(&self, exchange: &str) -> Option<(Date, Date)> {
        let days = self.exchange(exchange)?;
        let last = i64::try_from(days.days.len()).ok()? - 1;
        Some((days.first, days.first.checked_add(jiff::Span::new().days(last)).ok()?))
    }

    pub(crate) fn exchanges(&self) -> impl Iterator<Item = &str> {
        self.exchanges.iter().map(|days| days.name.as_str())
    }

    fn exchange(&self, name: &str) -> Option<&ExchangeDays> {
        self.exchanges.iter().find(|days| days.name == name)
    }

    fn add_exchange(&mut self, facts: &Facts, exchange: &str, problems: &mut Vec<Problem>) {
        let covers = |row: &&crate::facts::CoverageRow| row.exchanges.iter().any(|name| name == exchange);
        let spans: Vec<_> = facts.coverage.iter().filter(covers).map(|row| row.span).collect();
        let first = spans.iter().map(|span| span.from).min();
        let last = spans.iter().filter_map(|span| span.until).max();
        let (Some(first), Some(last)) = (first, last) else { return };

        let mut special = HashMap::new();
        for (index, row) in facts.days.iter().enumerate() {
            if row.exchanges.iter().any(|name| name == exchange) {
                special.insert(row.date, index);
            }
        }
        let mut known = HashMap::new();
        let mut days = Vec::new();
        for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
            let coverage = facts.coverage.iter().rposition(|row| covers(&row) && row.span.contains(date));
            let timetable = facts.timetables.iter().rposition(|row| serves(row, exchange, date));
            let day = special.get(&date).copied();
            let weekend = Some(date.weekday()).filter(|day| is_weekend(*day));
            let index = *known.entry((coverage, timetable, day, weekend)).or_insert_with(|| {
                let plan = make_plan(facts, exchange, coverage, timetable, day, weekend, problems);
                self.plans.push(plan);
                u32::try_from(self.plans.len() - 1).unwrap_or(u32::MAX)
            });
            days.push(index);
        }
        self.exchanges.push(ExchangeDays { name: exchange.to_owned(), first, days });
    }
}

/// The timetable of that exchange on that date, also beyond the holiday lists.
pub(crate) fn timetable<'f>(facts: &'f Facts, exchange: &str, date: Date) -> Option<&'f TimetableRow> {
    facts.timetables.iter().rfind(|row| serves(row, exchange, date))
}

pub(crate) fn is_weekend(day: Weekday) -> bool {
    matches!(day, Weekday::Saturday | Weekday::Sunday)
}

fn serves(row: &TimetableRow, exchange: &str, date: Date) -> bool {
    row.span.contains(date) && row.exchanges.iter().any(|name| name == exchange)
}

fn make_plan(
    facts: &Facts,
    exchange: &str,
    coverage: Option<usize>,
    timetable: Option<usize>,
    day: Option<usize>,
    weekend: Option<Weekday>,
    problems: &mut Vec<Problem>,
) -> Plan {
    let Some(coverage) = coverage.map(|index| &facts.coverage[index]) else {
        return Plan::Unknown { note: "outside the holiday lists".to_owned(), trading_day: None };
    };
    let timetable = timetable.map(|index| &facts.timetables[index]);
    let doubts = |rows: &[Option<&Origin>]| {
        let mut texts: Vec<&str> = rows.iter().flatten().filter_map(|row| row.doubt.as_deref()).collect();
        texts.dedup();
        (!texts.is_empty()).then(|| texts.join("; "))
    };
    let hours = timetable.map(|row| &row.origin);
    let Some(day) = day.map(|index| &facts.days[index]) else {
        return match (weekend, timetable) {
            (Some(day), _) => Plan::Closed { reason: format!("{day:?}"), doubt: None },
            (None, None) => Plan::Unknown { note: "no timetable".to_owned(), trading_day: None },
            (None, Some(row)) => Plan::Open {
                sessions: row.sessions.clone().into(),
                name: None,
                doubt: doubts(&[Some(&coverage.origin), hours]),
                trading_day: true,
            },
        };
    };
    let mut open = |sessions: Vec<Session>, hours: Option<&Origin>| {
        if sessions.is_empty() {
            let message = format!("{exchange} has no such session on that date, give sessions instead");
            problems.push(problem(&day.origin, "trading", message));
        }
        Plan::Open {
            sessions: sessions.into(),
            name: Some(day.name.clone()),
            doubt: doubts(&[Some(&day.origin), hours]),
            trading_day: day.trading_day.unwrap_or(false),
        }
    };
    let regular = || timetable.map_or(&[][..], |row| &row.sessions);
    match &day.trading {
        Trading::None => Plan::Closed { reason: day.name.clone(), doubt: doubts(&[Some(&day.origin)]) },
        Trading::Unknown => {
            let note = match &day.origin.doubt {
                Some(doubt) => format!("{}: {doubt}", day.name),
                None => day.name.clone(),
            };
            Plan::Unknown { note, trading_day: day.trading_day }
        }
        Trading::Normal => open(regular().to_vec(), hours),
        Trading::Only(kind) => open(only(*kind, regular()), hours),
        Trading::Hours(sessions) => open(sessions.clone(), None),
    }
}

fn only(kind: SessionKind, sessions: &[Session]) -> Vec<Session> {
    sessions.iter().filter(|session| session.kind == kind).copied().collect()
}

/// Rows that name an exchange nobody covers would silently do nothing.
fn refuse_strangers(facts: &Facts, known: &[&String], problems: &mut Vec<Problem>) {
    let timetables = facts.timetables.iter().map(|row| (&row.exchanges, &row.origin));
    let days = facts.days.iter().map(|row| (&row.exchanges, &row.origin));
    let times = facts.expiry_times.iter().map(|row| (&row.exchanges, &row.origin));
    let rules = facts.expiry_rules.iter().map(|row| (std::slice::from_ref(&row.exchange), &row.origin));
    let lists = timetables.chain(days).chain(times).map(|(names, origin)| (names.as_slice(), origin));
    for (names, origin) in lists.chain(rules) {
        for name in names.iter().filter(|name| !known.contains(name)) {
            let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            let message = format!("unknown exchange \"{name}\", expected one of {}", known.join(", "));
            problems.push(problem(origin, "exchanges", message));
        }
    }
}

fn problem(origin: &Origin, field: &str, message: String) -> Problem {
    let field = format!("{}.{field}", origin.path);
    Problem { file: origin.file.clone(), line: origin.line, column: origin.column, field, message }
}
