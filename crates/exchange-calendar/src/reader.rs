//! Reads TOML tables field by field and writes down every problem instead of stopping at the first.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Problem;

/// The file being read and what was wrong with it so far.
pub(crate) struct Notes<'i> {
    file: Arc<str>,
    text: &'i str,
    problems: Vec<Problem>,
}

/// One table of the file.
pub(crate) struct Row<'n, 'i> {
    notes: &'n mut Notes<'i>,
    table: &'n DeTable<'i>,
    place: Range<usize>,
    path: String,
    asked: BTreeSet<&'static str>,
}

// === impl Notes ===

impl<'i> Notes<'i> {
    pub(crate) fn new(file: &str, text: &'i str) -> Self {
        Self { file: file.into(), text, problems: Vec::new() }
    }

    pub(crate) fn file(&self) -> Arc<str> {
        self.file.clone()
    }

    pub(crate) fn problem(&mut self, place: Range<usize>, field: &str, message: impl Into<String>) {
        let (line, column) = self.position(place.start);
        let problem = Problem {
            file: self.file.clone(),
            line,
            column,
            field: field.to_owned(),
            message: message.into(),
        };
        self.problems.push(problem);
    }

    /// All problems, in the order of the file.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }

    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

// === impl Row ===

impl<'n, 'i> Row<'n, 'i> {
    pub(crate) fn new(
        notes: &'n mut Notes<'i>,
        table: &'n DeTable<'i>,
        place: Range<usize>,
        path: String,
    ) -> Self {
        Self { notes, table, place, path, asked: BTreeSet::new() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn file(&self) -> Arc<str> {
        self.notes.file()
    }

    pub(crate) fn position(&self) -> (usize, usize) {
        self.notes.position(self.place.start)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a problem with `key`, or with the whole row when it has no such key.
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let place = self.table.get(key).map_or(self.place.clone(), Spanned::span);
        let field = format!("{}.{key}", self.path);
        self.notes.problem(place, &field, message);
    }

    /// The value of `key`; a missing key and a wrong type are both noted.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.asked.insert(key);
            self.problem(key, format!("missing, expected {expected}"));
            return None;
        }
        self.optional(key, expected, read)
    }

    /// The value of `key` when there; a wrong type is noted.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<T> {
        self.asked.insert(key);
        let value = self.table.get(key)?.get_ref();
        let read = read(value);
        if read.is_none() {
            self.problem(key, format!("expected {expected}, found {}", describe(value)));
        }
        read
    }

    pub(crate) fn text(&mut self, key: &'static str, expected: &str) -> Option<String> {
        self.required(key, expected, |value| text(value).map(str::to_owned))
    }

    pub(crate) fn optional_text(&mut self, key: &'static str, expected: &str) -> Option<String> {
        self.optional(key, expected, |value| text(value).map(str::to_owned))
    }

    pub(crate) fn date(&mut self, key: &'static str) -> Option<Date> {
        self.required(key, "a date such as 2026-12-25", date)
    }

    pub(crate) fn optional_date(&mut self, key: &'static str) -> Option<Date> {
        self.optional(key, "a date such as 2026-12-25", date)
    }

    pub(crate) fn time(&mut self, key: &'static str) -> Option<Time> {
        self.required(key, "a time such as 15:30", time)
    }

    pub(crate) fn optional_time(&mut self, key: &'static str) -> Option<Time> {
        self.optional(key, "a time such as 15:30", time)
    }

    pub(crate) fn positive(&mut self, key: &'static str) -> Option<u32> {
        self.required(key, "a whole number above zero", positive)
    }

    pub(crate) fn optional_positive(&mut self, key: &'static str) -> Option<u32> {
        self.optional(key, "a whole number above zero", positive)
    }

    /// A list of one or more non-empty texts.
    pub(crate) fn texts(&mut self, key: &'static str, expected: &str) -> Option<Vec<String>> {
        self.required(key, expected, |value| {
            let texts: Option<Vec<String>> =
                value.as_array()?.iter().map(|item| text(item.get_ref()).map(str::to_owned)).collect();
            texts.filter(|texts| !texts.is_empty())
        })
    }

    /// One of a fixed set of names.
    pub(crate) fn name<T>(
        &mut self,
        key: &'static str,
        names: &[&str],
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let expected = format!("one of {}", names.join(", "));
        self.required(key, &expected, |value| from_name(text(value)?))
    }

    /// One of a fixed set of names, when there.
    pub(crate) fn optional_name<T>(
        &mut self,
        key: &'static str,
        names: &[&str],
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let expected = format!("one of {}", names.join(", "));
        self.optional(key, &expected, |value| from_name(text(value)?))
    }

    /// Runs `read` over each table of the list `key`; those it cannot use are left out, their problems noted.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        mut read: impl FnMut(&mut Row<'_, 'i>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.asked.insert(key);
        let Some(value) = self.table.get(key) else {
            self.problem(key, format!("missing, expected {expected}"));
            return None;
        };
        let Some(items) = value.get_ref().as_array().filter(|items| !items.is_empty()) else {
            self.problem(key, format!("expected {expected}, found {}", describe(value.get_ref())));
            return None;
        };
        let mut rows = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}.{key}[{index}]", self.path);
            let Some(table) = item.get_ref().as_table() else {
                let found = describe(item.get_ref());
                self.notes.problem(item.span(), &path, format!("expected {expected}, found {found}"));
                continue;
            };
            let mut row = Row::new(self.notes, table, item.span(), path);
            rows.extend(read(&mut row));
            row.finish();
        }
        Some(rows)
    }

    /// The table `key` as pairs of name and positive number.
    pub(crate) fn quantities(&mut self, key: &'static str) -> Option<Vec<(String, u32)>> {
        let expected = "a table such as { NIFTY = 1800 }";
        self.asked.insert(key);
        let Some(value) = self.table.get(key) else {
            self.problem(key, format!("missing, expected {expected}"));
            return None;
        };
        let Some(table) = value.get_ref().as_table() else {
            self.problem(key, format!("expected {expected}, found {}", describe(value.get_ref())));
            return None;
        };
        let mut pairs = Vec::new();
        for (name, quantity) in table {
            match positive(quantity.get_ref()) {
                Some(number) => pairs.push((name.get_ref().to_string(), number)),
                None => {
                    let field = format!("{}.{key}.{}", self.path, name.get_ref());
                    let found = describe(quantity.get_ref());
                    let message = format!("expected a whole number above zero, found {found}");
                    self.notes.problem(quantity.span(), &field, message);
                }
            }
        }
        Some(pairs)
    }

    /// Names every field nobody asked for; a typing error must not pass as a comment.
    pub(crate) fn finish(self) {
        for key in self.table.keys() {
            if !self.asked.contains(key.get_ref().as_ref()) {
                let known: Vec<&str> = self.asked.iter().copied().collect();
                let field = format!("{}.{}", self.path, key.get_ref());
                self.notes.problem(
                    key.span(),
                    &field,
                    format!("unknown field, expected {}", known.join(", ")),
                );
            }
        }
    }
}

// === values ===

fn text<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

fn positive(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number > 0)
}

fn date(value: &DeValue<'_>) -> Option<Date> {
    let found = value.as_datetime()?;
    let (Some(date), None, None) = (found.date, found.time, found.offset) else { return None };
    Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?)
        .ok()
}

pub(crate) fn time(value: &DeValue<'_>) -> Option<Time> {
    let found = value.as_datetime()?;
    let (None, Some(time), None) = (found.date, found.time, found.offset) else { return None };
    let second = i8::try_from(time.second.unwrap_or(0)).ok()?;
    Time::new(i8::try_from(time.hour).ok()?, i8::try_from(time.minute).ok()?, second, 0).ok()
}

pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(moment) => format!("{moment}"),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
