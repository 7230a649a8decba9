//! Somebody who keeps every day whole, beside a history that keeps changes.

use std::collections::BTreeMap;

use instrument_registry::*;
use jiff::civil::{Date, date};
use market_model::*;
use proptest::prelude::*;

/// Stores `rows` as `day`, on top of whatever is stored.
pub(crate) async fn store(
    history: &impl InstrumentHistory,
    day: Date,
    rows: Vec<Instrument>,
) -> Result<Head, RegistryError> {
    let head = history.head().await?;
    let before = match head.day {
        Some(last) => history.rows(last.day).await?.unwrap().value,
        None => Vec::new(),
    };
    let stored = StoredDay { day, listed: rows.len(), taken_at: UnixNanos(i64::from(day.day())) };
    let (old, new) = (catalog(before), catalog(rows));
    history.record(head, stored, compare(&old, &new).to_change()).await
}

fn catalog(rows: Vec<Instrument>) -> InstrumentCatalog {
    InstrumentCatalog::new(rows, |_| None).unwrap()
}

/// What happens on one day: how many days later, and which symbols are listed with which token and name.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Day { later: i64, rows: BTreeMap<u8, (u8, u8)> },
    ForgetBefore(i64),
    ForgetAfter(i64),
}

pub(crate) fn days() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::btree_map(0_u8..6, (0_u8..8, 0_u8..3), 0..6);
    let step = prop_oneof![
        8 => (0_i64..3, rows).prop_map(|(later, rows)| Step::Day { later, rows }),
        1 => (0_i64..12).prop_map(Step::ForgetBefore),
        1 => (0_i64..12).prop_map(Step::ForgetAfter),
    ];
    prop::collection::vec(step, 1..12)
}

pub(crate) struct Replay<H> {
    history: H,
    days: BTreeMap<Date, Vec<Instrument>>,
}

const START: Date = date(2026, 11, 16);

fn later(days: i64) -> Date {
    START.checked_add(jiff::Span::new().days(days)).unwrap()
}

impl<H: InstrumentHistory> Replay<H> {
    pub(crate) fn new(history: H) -> Self {
        Self { history, days: BTreeMap::new() }
    }

    pub(crate) async fn check(mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Day { later: days, rows } => {
                    let last = self.days.last_key_value().map_or(START, |(day, _)| *day);
                    let day = last.checked_add(jiff::Span::new().days(*days)).unwrap();
                    let rows = instruments(rows);
                    store(&self.history, day, rows.clone()).await.unwrap();
                    self.days.insert(day, rows);
                }
                Step::ForgetBefore(days) => {
                    self.history.forget_before(later(*days)).await.unwrap();
                    let last = self.days.last_key_value().map(|(day, _)| *day);
                    self.days.retain(|day, _| *day >= later(*days) || Some(*day) == last);
                }
                Step::ForgetAfter(days) => {
                    self.history.forget_after(later(*days)).await.unwrap();
                    self.days.retain(|day, _| *day <= later(*days));
                }
            }
            self.compare().await;
        }
    }

    async fn compare(&self) {
        let mut listed: Vec<_> = self.history.days(1_000).await.unwrap().iter().map(|day| day.day).collect();
        listed.reverse();
        assert_eq!(listed, self.days.keys().copied().collect::<Vec<_>>());
        let end = self.days.last_key_value().map_or(START, |(day, _)| *day);
        let mut day = START;
        while day <= end.tomorrow().unwrap() {
            let known = self.days.range(..=day).next_back();
            let mut rows = self.history.rows(day).await.unwrap();
            if let Some(rows) = &mut rows {
                rows.value.sort_by(|a, b| a.tradingsymbol.cmp(&b.tradingsymbol));
            }
            let expect = known.map(|(stored, rows)| AsOf { stored: *stored, value: rows.clone() });
            assert_eq!(rows, expect, "{day}");
            for token in 0..8 {
                let token = InstrumentToken(token);
                let expect = known.map(|(stored, rows)| AsOf {
                    stored: *stored,
                    value: rows.iter().find(|row| row.token == token).cloned(),
                });
                assert_eq!(self.history.by_token(token, day).await.unwrap(), expect, "{token} on {day}");
            }
            for symbol in ["S0", "S3"] {
                let expect = known.map(|(stored, rows)| AsOf {
                    stored: *stored,
                    value: rows.iter().find(|row| *row.tradingsymbol == *symbol).cloned(),
                });
                assert_eq!(
                    self.history.by_symbol(&Exchange::Nse, symbol, day).await.unwrap(),
                    expect,
                    "{symbol}"
                );
            }
            day = day.tomorrow().unwrap();
        }
    }
}

/// One row per symbol; of two symbols with one token the first has it.
fn instruments(rows: &BTreeMap<u8, (u8, u8)>) -> Vec<Instrument> {
    let mut taken = Vec::new();
    let mut all = Vec::new();
    for (symbol, (token, name)) in rows {
        if taken.contains(token) {
            continue;
        }
        taken.push(*token);
        all.push(Instrument {
            token: InstrumentToken(u32::from(*token)),
            exchange: Exchange::Nse,
            segment: Segment::Nse,
            tradingsymbol: format!("S{symbol}").into(),
            name: format!("N{name}").into(),
            kind: InstrumentKind::Equity,
            lot_size: 1,
            tick_size: Price::from_paise(5),
        });
    }
    all
}
