//! The answers to order calls, the sliced ones in both shapes that Kite has.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{id, or_default};
use crate::ErrorKind;

/// Which order a call was about. It says that the call was received, nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct OrderId {
    /// Kite's number of the order, up to nineteen digits; a text everywhere.
    #[serde(deserialize_with = "id::deserialize")]
    pub order_id: String,
}

/// The answer to a placement: one order, or the slices of a large one. HTTP says 200 even when slices failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The order; of a sliced one, the parent, which may have no row of its own. `None` in the older sliced shape.
    pub order_id: Option<String>,
    /// The slices in order; empty unless the order was sliced.
    pub slices: Vec<Slice>,
}

/// What became of one slice.
#[derive(Debug, Clone, PartialEq)]
pub enum Slice {
    /// Received; its row carries the tag `autoslice`.
    Placed {
        /// Kite's number of it.
        order_id: String,
    },
    /// Refused; the other slices stand.
    Refused(SliceError),
}

/// Why a slice was refused.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SliceError {
    /// What the HTTP status of an order of its own would have been.
    #[serde(deserialize_with = "or_default")]
    pub code: u16,
    /// Kite's class of the error.
    pub error_type: ErrorKind,
    /// Kite's text.
    #[serde(deserialize_with = "id::deserialize")]
    pub message: String,
    /// Mostly null.
    pub data: Option<Value>,
}

// === impl Placed ===

impl Placed {
    /// Every order that was received, without the parent of slices.
    pub fn order_ids(&self) -> impl Iterator<Item = &str> {
        let single = self.order_id.as_deref().filter(|_| self.slices.is_empty());
        let slices = self.slices.iter().filter_map(|slice| match slice {
            Slice::Placed { order_id } => Some(order_id.as_str()),
            Slice::Refused(_) => None,
        });
        single.into_iter().chain(slices)
    }
}

impl Serialize for Placed {
    /// The newer shape when there is a parent, else the older one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.order_id {
            Some(order_id) => {
                let mut object = serializer.serialize_map(None)?;
                object.serialize_entry("order_id", order_id)?;
                if !self.slices.is_empty() {
                    object.serialize_entry("children", &self.slices)?;
                }
                object.end()
            }
            None => {
                let mut list = serializer.serialize_seq(Some(self.slices.len()))?;
                self.slices.iter().try_for_each(|slice| list.serialize_element(slice))?;
                list.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlacedVisitor;

        #[derive(Deserialize)]
        struct Newer {
            #[serde(deserialize_with = "id::deserialize")]
            order_id: String,
            #[serde(default, deserialize_with = "or_default")]
            children: Vec<Slice>,
        }

        impl<'de> Visitor<'de> for PlacedVisitor {
            type Value = Placed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an order id, or a list of slices")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Placed, A::Error> {
                let Newer { order_id, children } = Newer::deserialize(MapAccessDeserializer::new(map))?;
                if order_id.is_empty() {
                    return Err(A::Error::custom("an order id that is empty"));
                }
                Ok(Placed { order_id: Some(order_id), slices: children })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Placed, A::Error> {
                let mut slices = Vec::new();
                while let Some(slice) = list.next_element()? {
                    slices.push(slice);
                }
                if slices.is_empty() {
                    return Err(A::Error::custom("a list without slices"));
                }
                Ok(Placed { order_id: None, slices })
            }
        }

        deserializer.deserialize_any(PlacedVisitor)
    }
}

// === impl Slice ===

impl Serialize for Slice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        match self {
            Self::Placed { order_id } => object.serialize_entry("order_id", order_id)?,
            Self::Refused(error) => object.serialize_entry("error", error)?,
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for Slice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Either {
            #[serde(default, deserialize_with = "id::optional")]
            order_id: Option<String>,
            #[serde(default)]
            error: Option<SliceError>,
        }
        match Either::deserialize(deserializer)? {
            Either { error: Some(error), .. } => Ok(Self::Refused(error)),
            Either { order_id: Some(order_id), .. } => Ok(Self::Placed { order_id }),
            Either { .. } => Err(D::Error::custom("a slice with neither an order id nor an error")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_shapes_are_read_and_written() {
        let error =
            r#"{"error":{"code":400,"error_type":"MarginException","message":"no funds","data":null}}"#;
        for (text, ids) in [
            (r#"{"order_id":"1914227164488687616"}"#.to_owned(), vec!["1914227164488687616"]),
            (format!(r#"{{"order_id":"1","children":[{{"order_id":"2"}},{error}]}}"#), vec!["2"]),
            (format!(r#"[{{"order_id":"1"}},{error},{{"order_id":"3"}}]"#), vec!["1", "3"]),
        ] {
            let placed: Placed = serde_json::from_str(&text).unwrap();
            assert_eq!(placed.order_ids().collect::<Vec<_>>(), ids);
            assert_eq!(serde_json::to_string(&placed).unwrap(), text);
        }
        let number: Placed =
            serde_json::from_str(r#"{"order_id":1914227164488687616,"children":null}"#).unwrap();
        assert_eq!(number.order_id.as_deref(), Some("1914227164488687616"));
    }

    #[test]
    fn an_answer_without_an_order_is_none() {
        for text in ["[]", "{}", r#"{"order_id":""}"#, r#"{"order_id":null}"#, "[{}]", "true", "null"] {
            assert!(serde_json::from_str::<Placed>(text).is_err(), "{text}");
        }
    }
}
