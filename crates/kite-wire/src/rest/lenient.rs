//! How single fields are read and written, for `#[serde(with = ..)]`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Absent and `null` are the default.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A yes or no; no when absent. Numbers and texts that say one are understood.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Bool(bool),
        Other(Scalar),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(false),
        Some(Flag::Bool(flag)) => Ok(flag),
        Some(Flag::Other(Scalar::Nothing | Scalar::Unsigned(0))) => Ok(false),
        Some(Flag::Other(Scalar::Unsigned(1))) => Ok(true),
        Some(Flag::Other(Scalar::Text(text))) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Flag::Other(Scalar::Text(text))) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(Flag::Other(other)) => Err(refused(&other, "true or false")),
    }
}

/// A JSON scalar.
enum Scalar {
    Nothing,
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or null")
            }
            fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Unsigned(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Signed(value))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                // Kept with its blanks: only what is read as a number or a time does without them.
                Ok(if value.trim_ascii().is_empty() {
                    Scalar::Nothing
                } else {
                    Scalar::Text(value.to_owned())
                })
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

fn refused<E: Error>(scalar: &Scalar, expected: &'static str) -> E {
    let found = match scalar {
        Scalar::Nothing => Unexpected::Unit,
        Scalar::Unsigned(value) => Unexpected::Unsigned(*value),
        Scalar::Signed(value) => Unexpected::Signed(*value),
        Scalar::Float(value) => Unexpected::Float(*value),
        Scalar::Text(value) => Unexpected::Str(value),
    };
    E::invalid_value(found, &expected)
}

/// A price: the nearest 1e-7 rupee of what is written; a whole one is written without a point, as Kite does.
pub(crate) mod price {
    use super::*;
    use market_model::Price;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(price: &Price, serializer: S) -> Result<S::Ok, S::Error> {
        if price.raw() % Price::SCALE == 0 {
            serializer.serialize_i64(price.raw() / Price::SCALE)
        } else {
            serializer.serialize_f64(price.to_f64())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        let scalar = Scalar::deserialize(deserializer)?;
        let whole = |rupees: Option<i64>| {
            rupees.and_then(|rupees| rupees.checked_mul(Price::SCALE)).map(Price::from_raw)
        };
        let price = match &scalar {
            Scalar::Nothing => Some(Price::ZERO),
            Scalar::Unsigned(value) => whole(i64::try_from(*value).ok()),
            Scalar::Signed(value) => whole(Some(*value)),
            Scalar::Float(value) => Price::from_f64(*value),
            Scalar::Text(text) => {
                let text = text.trim_ascii();
                text.parse().ok().or_else(|| Price::from_f64(text.parse().ok()?))
            }
        };
        price.ok_or_else(|| refused(&scalar, "a price of at most 922 billion rupees"))
    }
}

/// A price as a form field: the shortest decimal, `463`, `1412.95`.
pub(crate) fn plain(price: market_model::Price) -> String {
    let text = price.to_string();
    text.strip_suffix(".00").map_or_else(|| text.trim_end_matches('0').to_owned(), str::to_owned)
}

/// A count: zero when absent. `5.0` and `"5"` are five.
pub(crate) mod count {
    use super::*;
    use serde::Serializer;

    pub(crate) fn serialize<T, S>(count: &T, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Copy + Into<u64>,
        S: Serializer,
    {
        serializer.serialize_u64((*count).into())
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: TryFrom<u64>,
        D: Deserializer<'de>,
    {
        let scalar = Scalar::deserialize(deserializer)?;
        let whole =
            |float: f64| (float.fract() == 0.0 && (0.0..9e15).contains(&float)).then_some(float as u64);
        let count = match &scalar {
            Scalar::Nothing => Some(0),
            Scalar::Unsigned(value) => Some(*value),
            Scalar::Signed(value) => u64::try_from(*value).ok(),
            Scalar::Float(value) => whole(*value),
            Scalar::Text(text) => {
                let text = text.trim_ascii();
                text.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
        };
        count.and_then(|count| T::try_from(count).ok()).ok_or_else(|| refused(&scalar, "a count"))
    }

    /// A count that may not be said; `null` and `""` say nothing.
    pub(crate) fn optional<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: TryFrom<u64>,
        D: Deserializer<'de>,
    {
        struct Units<T>(T);
        impl<'de, T: TryFrom<u64>> Deserialize<'de> for Units<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize(deserializer).map(Self)
            }
        }
        match Option::<serde_json::Value>::deserialize(deserializer)? {
            None => Ok(None),
            Some(serde_json::Value::String(text)) if text.trim_ascii().is_empty() => Ok(None),
            Some(value) => match Units::deserialize(value) {
                Ok(Units(count)) => Ok(Some(count)),
                Err(error) => Err(D::Error::custom(error)),
            },
        }
    }
}

/// A count that may be below zero, such as the quantity of a short position.
pub(crate) mod signed {
    use super::*;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(*number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let scalar = Scalar::deserialize(deserializer)?;
        let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
        let number = match &scalar {
            Scalar::Nothing => Some(0),
            Scalar::Unsigned(value) => i64::try_from(*value).ok(),
            Scalar::Signed(value) => Some(*value),
            Scalar::Float(value) => whole(*value),
            Scalar::Text(text) => {
                let text = text.trim_ascii();
                text.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
        };
        number.ok_or_else(|| refused(&scalar, "a whole number"))
    }
}

/// An instrument token.
pub(crate) mod token {
    use super::*;
    use market_model::InstrumentToken;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        token: &InstrumentToken,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(token.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<InstrumentToken, D::Error> {
        count::deserialize(deserializer).map(InstrumentToken)
    }
}

/// A time without a zone, Indian; `None` when absent, null or unreadable.
pub(crate) mod time {
    use super::*;
    use crate::{format_indian_time, parse_indian_time};
    use market_model::UnixNanos;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<UnixNanos>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&format_indian_time(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UnixNanos>, D::Error> {
        Ok(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => parse_indian_time(text.trim_ascii()),
            _ => None,
        })
    }
}

/// A day; `None` when absent, null or unreadable. A time of day beside it is dropped.
pub(crate) mod date {
    use super::*;
    use jiff::civil::{Date, DateTime};
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => serializer.collect_str(day),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        Ok(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text.trim_ascii().parse::<DateTime>().ok().map(DateTime::date),
            _ => None,
        })
    }
}

/// `09:16:39`, the whole of a trade's `order_timestamp`; `None` when absent, null or unreadable.
pub(crate) mod time_of_day {
    use super::*;
    use jiff::civil::Time;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(&time.strftime("%H:%M:%S")),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
        Ok(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text.trim_ascii().parse().ok(),
            _ => None,
        })
    }
}

/// An identifier: a text, even when written as a number.
pub(crate) mod id {
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Ok(optional(deserializer)?.unwrap_or_default())
    }

    pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        Ok(match Scalar::deserialize(deserializer)? {
            Scalar::Nothing => None,
            Scalar::Unsigned(value) => Some(value.to_string()),
            Scalar::Signed(value) => Some(value.to_string()),
            Scalar::Float(value) => Some(value.to_string()),
            Scalar::Text(text) => Some(text),
        })
    }
}

/// Open, high, low, close.
pub(crate) mod ohlc {
    use super::*;
    use market_model::{Ohlc, Price};
    use serde::{Serialize, Serializer};

    #[derive(Default, Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Prices {
        #[serde(with = "price")]
        open: Price,
        #[serde(with = "price")]
        high: Price,
        #[serde(with = "price")]
        low: Price,
        #[serde(with = "price")]
        close: Price,
    }

    pub(crate) fn serialize<S: Serializer>(ohlc: &Ohlc, serializer: S) -> Result<S::Ok, S::Error> {
        let Ohlc { open, high, low, close } = *ohlc;
        Prices { open, high, low, close }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ohlc, D::Error> {
        let Prices { open, high, low, close } = or_default(deserializer)?;
        Ok(Ohlc { open, high, low, close })
    }
}

/// The book. Levels beyond five are ignored, missing ones are empty.
pub(crate) mod depth {
    use super::*;
    use market_model::{Depth, DepthLevel, Price};
    use serde::{Serialize, Serializer};

    #[derive(Default, Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Level {
        #[serde(with = "price")]
        price: Price,
        #[serde(with = "count")]
        quantity: u32,
        #[serde(with = "count")]
        orders: u16,
    }

    #[derive(Default, Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Sides {
        #[serde(deserialize_with = "or_default")]
        buy: Vec<Level>,
        #[serde(deserialize_with = "or_default")]
        sell: Vec<Level>,
    }

    pub(crate) fn serialize<S: Serializer>(depth: &Depth, serializer: S) -> Result<S::Ok, S::Error> {
        let side = |levels: [DepthLevel; 5]| {
            levels.map(|DepthLevel { price, quantity, orders }| Level { price, quantity, orders }).into()
        };
        Sides { buy: side(depth.buy), sell: side(depth.sell) }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Depth, D::Error> {
        let Sides { buy, sell } = or_default(deserializer)?;
        let side = |levels: Vec<Level>| {
            let mut filled = [DepthLevel::default(); 5];
            for (place, Level { price, quantity, orders }) in filled.iter_mut().zip(levels) {
                *place = DepthLevel { price, quantity, orders };
            }
            filled
        };
        Ok(Depth { buy: side(buy), sell: side(sell) })
    }
}
