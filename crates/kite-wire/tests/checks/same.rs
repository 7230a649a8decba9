//! Whether a body was read whole: it is written again and held against what it was.

use kite_wire::parse_indian_time;
use kite_wire::rest::{Success, parse_body};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a body and writes it again. Everything it said must be there, but for `dropped`, the names of fields whose
/// values no type keeps.
pub(crate) fn both_ways<T>(name: &str, body: &[u8], dropped: &[&str]) -> T
where
    T: DeserializeOwned + Serialize,
{
    let data: T = parse_body(body).unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = serde_json::to_value(Success { data: &data }).unwrap();
    let again: T = serde_json::from_value(written["data"].clone()).unwrap();
    assert_eq!(serde_json::to_value(Success { data: &again }).unwrap(), written, "{name} changes on the way");
    let mut lost = Vec::new();
    compare(name, &written, &serde_json::from_slice(body).unwrap(), &mut lost);
    lost.sort();
    lost.dedup();
    assert_eq!(lost, dropped, "{name} loses fields");
    data
}

/// Equal but for how numbers and times are written, and for the ways of saying nothing; names of lost fields go to `lost`.
pub(crate) fn compare(name: &str, written: &Value, original: &Value, lost: &mut Vec<String>) {
    match (written, original) {
        (Value::Object(written), Value::Object(original)) => {
            for (key, value) in original {
                let renamed = match key.as_str() {
                    "buy_m2m_value" => "buy_m2m",
                    "sell_m2m_value" => "sell_m2m",
                    "instalment_date" => "instalment_day",
                    same => same,
                };
                match written.get(renamed) {
                    Some(found) => compare(&format!("{name}.{key}"), found, value, lost),
                    None if is_nothing(value) => {}
                    None => lost.push(key.clone()),
                }
            }
        }
        (Value::Array(written), Value::Array(original)) => {
            assert_eq!(written.len(), original.len(), "{name}");
            for (written, original) in written.iter().zip(original) {
                compare(name, written, original, lost);
            }
        }
        (Value::Number(written), Value::Number(original)) => {
            assert_eq!(written.as_f64(), original.as_f64(), "{name}");
        }
        (Value::Number(written), Value::String(original)) => {
            assert_eq!(written.to_string(), *original, "{name}");
        }
        (Value::String(written), Value::Number(original)) => {
            assert_eq!(*written, original.to_string(), "{name}");
        }
        (Value::String(written), Value::String(original)) if written != original => {
            let times = [written, original].map(|text| parse_indian_time(text));
            assert!(times[0].is_some() && times[0] == times[1], "{name}: {written} was {original}");
        }
        _ => assert!(
            written == original || (is_nothing(written) && is_nothing(original)),
            "{name}: {written} was {original}"
        ),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "0001-01-01 00:00:00",
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(_) => false,
    }
}
