//! Reads a YAML file of accounts into drafts that know their lines.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::draft::{Draft, Field, Written};

/// Every entry of `account:`, or why the file is not such a list. The parser's own words may quote the file, so only the
/// place is kept of them.
pub(super) fn drafts(text: &str) -> Result<Vec<Draft>, Vec<String>> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or_else(
            || "somewhere".to_owned(),
            |at| format!("line {}, column {}", at.line(), at.column()),
        );
        vec![format!("{place}: this is not YAML, or not a list of accounts under `account:`")]
    })?;
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    for (key, value) in document.0 {
        let place = line(&key);
        match value {
            Rows::Accounts(rows) if key.value == "account" => {
                for row in rows {
                    let place = line(&row);
                    match row.value {
                        Row::Fields(fields) => {
                            drafts.push(Draft { place, fields: fields.into_iter().map(field).collect() });
                        }
                        Row::Other => problems.push(format!("{place}: an account is a map of fields")),
                    }
                }
            }
            Rows::Accounts(_) | Rows::Other => {
                problems.push(format!("{place}: write accounts as a list under `account:`, nothing else"));
            }
        }
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

fn line<T>(spanned: &Spanned<T>) -> String {
    format!("line {}", spanned.referenced.line())
}

fn field((name, value): (Spanned<String>, Value)) -> Field {
    Field { place: line(&name), name: name.value, value: value.0 }
}

/// What is in the file, field by field; anything of a wrong shape is kept as "other" so that all mistakes are told.
struct Document(Vec<(Spanned<String>, Rows)>);

enum Rows {
    Accounts(Vec<Spanned<Row>>),
    Other,
}

enum Row {
    Fields(Vec<(Spanned<String>, Value)>),
    Other,
}

struct Value(Written);

fn entries<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
    mut map: A,
) -> Result<Vec<(Spanned<String>, V)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn items<'de, A: SeqAccess<'de>, V: Deserialize<'de>>(mut sequence: A) -> Result<Vec<V>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = sequence.next_element()? {
        items.push(item);
    }
    Ok(items)
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Document;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Document, A::Error> {
                entries(map).map(Document)
            }
            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document(Vec::new()))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// The arms of a visitor that turn every plain value into one result.
macro_rules! other_values {
    ($other:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Rows;
            other_values!(Rows::Other);
            fn visit_seq<A: SeqAccess<'de>>(self, rows: A) -> Result<Rows, A::Error> {
                items(rows).map(Rows::Accounts)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rows, A::Error> {
                entries::<A, IgnoredAny>(map).map(|_| Rows::Other)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Row;
            other_values!(Row::Other);
            fn visit_seq<A: SeqAccess<'de>>(self, rows: A) -> Result<Row, A::Error> {
                items::<A, IgnoredAny>(rows).map(|_| Row::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Row, A::Error> {
                entries(map).map(Row::Fields)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value(Written::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value(Written::Integer(value)))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value(
                    i64::try_from(value).map_or(Written::Other("a number of that size"), Written::Integer),
                ))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value(Written::Other("a number with a fraction; put quotes around a text")))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value(Written::Text(value.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value(Written::Null))
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value(Written::Null))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Value, A::Error> {
                let items: Vec<Value> = items(sequence)?;
                let texts: Option<Vec<String>> = items
                    .into_iter()
                    .map(|item| match item.0 {
                        Written::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect();
                Ok(Value(texts.map_or(Written::Other("a list of other things than texts"), Written::List)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                entries::<A, IgnoredAny>(map).map(|_| Value(Written::Other("a map")))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}
