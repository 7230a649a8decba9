//! Historical candles: arrays, not objects.

use std::fmt;

use market_model::{Price, UnixNanos};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::lenient::{count, price};
use crate::{format_candle_time, parse_offset_time};

/// The data of `/instruments/historical/..`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct Candles {
    /// In ascending order of time; empty when nothing was traded in the range.
    pub candles: Vec<Candle>,
}

/// One candle: `[time, open, high, low, close, volume]`, and the open interest if it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// When it begins.
    pub start: UnixNanos,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Units traded; 0 for an index.
    pub volume: u64,
    /// Open interest at its end, in units.
    pub oi: Option<u64>,
}

#[derive(Deserialize, Serialize)]
struct Rupees(#[serde(with = "price")] Price);

#[derive(Deserialize, Serialize)]
struct Units(#[serde(with = "count")] u64);

// === impl Candle ===

impl Serialize for Candle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_seq(None)?;
        fields.serialize_element(&format_candle_time(self.start))?;
        for price in [self.open, self.high, self.low, self.close] {
            fields.serialize_element(&Rupees(price))?;
        }
        for units in [Some(self.volume), self.oi].into_iter().flatten() {
            fields.serialize_element(&Units(units))?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Candle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CandleVisitor)
    }
}

struct CandleVisitor;

impl<'de> Visitor<'de> for CandleVisitor {
    type Value = Candle;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of time, open, high, low, close, volume and perhaps open interest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Candle, A::Error> {
        let time: String = next(&mut fields, 0)?;
        let start = parse_offset_time(&time).ok_or_else(|| {
            A::Error::custom(format_args!("candle time {time:?} is not like 2017-12-15T09:15:00+0530"))
        })?;
        let Rupees(open) = next(&mut fields, 1)?;
        let Rupees(high) = next(&mut fields, 2)?;
        let Rupees(low) = next(&mut fields, 3)?;
        let Rupees(close) = next(&mut fields, 4)?;
        let Units(volume) = next(&mut fields, 5)?;
        let oi = fields.next_element()?.map(|Units(oi)| oi);
        while fields.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Candle { start, open, high, low, close, volume, oi })
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A, at: usize) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &"at least 6 fields of a candle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candles_go_both_ways() {
        for text in [
            r#"["2017-12-15T09:15:00+0530",1704.5,1705,1699.25,1702.8,2499]"#,
            r#"["2019-12-04T00:00:00+0530",12009.9,12019.35,12001.25,12001.5,163275,13667775]"#,
        ] {
            let candle: Candle = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&candle).unwrap(), text);
        }
    }

    #[test]
    fn a_short_or_strange_candle_is_named() {
        for (text, reason) in [
            ("[]", "invalid length 0"),
            (r#"["2017-12-15T09:15:00+0530",1,1,1,1]"#, "invalid length 5"),
            (r#"["yesterday",1,1,1,1,1]"#, "candle time \"yesterday\""),
            (r#"["2017-12-15T09:15:00+0530",1,1,1,1,-5]"#, "invalid value: integer `-5`"),
            ("{}", "invalid type: map"),
        ] {
            let error = serde_json::from_str::<Candle>(text).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
