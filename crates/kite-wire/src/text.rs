//! What the server says in text frames on the ticker connection.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

/// A text frame from the server. Some kinds are undocumented; none of them is a reason to disconnect.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TextMessage {
    /// An order changed. The JSON object has the fields of a postback, with either `user_id` or `account_id`;
    /// read it with [`crate::rest::OrderUpdate`].
    Order(Box<RawValue>),
    /// The server refuses something, such as the 3001st subscription. The connection stays.
    Error(String),
    /// A notice from the broker, for people.
    Message(String),
    /// Sent on connect, undocumented: how many instruments today's dump has, and its entity tag.
    InstrumentsMeta {
        /// Rows of the dump.
        count: u64,
        /// The dump's HTTP entity tag, such as `W/"68907d60-55bf"`.
        etag: String,
    },
    /// Sent on connect, undocumented.
    AppCode {
        /// RFC 3339 with +05:30.
        timestamp: String,
    },
    /// A kind this version does not know, or a known one with data of another shape.
    Other {
        /// The frame's `type`.
        kind: String,
    },
}

/// Why a text frame says nothing. Count it and read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not JSON, or not an object with a text `type`.
    #[error("not a text message of the ticker: {0}")]
    Malformed(#[source] serde_json::Error),
    /// An order frame whose data is not an object.
    #[error("order message without an object as data")]
    OrderWithoutObject,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize, Serialize)]
struct Meta {
    count: u64,
    #[serde(default)]
    etag: String,
}

// === impl TextMessage ===

impl TextMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`TextError`] when the text is not one of the server's messages. It says nothing about the connection.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let Envelope { kind, data, timestamp } = serde_json::from_str(text).map_err(TextError::Malformed)?;
        Ok(match (kind.as_str(), data) {
            ("order", Some(data)) if data.get().starts_with('{') => Self::Order(data.to_owned()),
            ("order", _) => return Err(TextError::OrderWithoutObject),
            ("error", data) => Self::Error(words(data)),
            ("message", data) => Self::Message(words(data)),
            ("instruments_meta", Some(data)) => match serde_json::from_str(data.get()) {
                Ok(Meta { count, etag }) => Self::InstrumentsMeta { count, etag },
                Err(_) => Self::Other { kind },
            },
            ("app_code", _) => Self::AppCode { timestamp: words(timestamp) },
            _ => Self::Other { kind },
        })
    }

    /// An order frame with `order` as its data.
    ///
    /// # Errors
    /// [`TextError`] when `order` does not serialise to a JSON object.
    pub fn order(order: &impl Serialize) -> Result<Self, TextError> {
        let data = serde_json::value::to_raw_value(order).map_err(TextError::Malformed)?;
        if !data.get().starts_with('{') {
            return Err(TextError::OrderWithoutObject);
        }
        Ok(Self::Order(data))
    }

    /// The frame's `type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Order(_) => "order",
            Self::Error(_) => "error",
            Self::Message(_) => "message",
            Self::InstrumentsMeta { .. } => "instruments_meta",
            Self::AppCode { .. } => "app_code",
            Self::Other { kind } => kind,
        }
    }

    /// The text frame as the server writes it. Of [`TextMessage::Other`] only the kind is left.
    pub fn to_json(&self) -> String {
        match self {
            Self::Order(data) => format!(r#"{{"type":"order","id":"","data":{}}}"#, data.get()),
            Self::Error(text) | Self::Message(text) => {
                format!(r#"{{"type":"{}","data":{}}}"#, self.kind(), json!(text))
            }
            Self::InstrumentsMeta { count, etag } => {
                format!(r#"{{"type":"instruments_meta","data":{{"count":{count},"etag":{}}}}}"#, json!(etag))
            }
            Self::AppCode { timestamp } => {
                format!(r#"{{"type":"app_code","timestamp":{}}}"#, json!(timestamp))
            }
            Self::Other { kind } => format!(r#"{{"type":{},"data":null}}"#, json!(kind)),
        }
    }
}

impl PartialEq for TextMessage {
    /// Orders are equal when their JSON texts are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Order(left), Self::Order(right)) => left.get() == right.get(),
            (Self::Error(left), Self::Error(right)) | (Self::Message(left), Self::Message(right)) => {
                left == right
            }
            (
                Self::InstrumentsMeta { count, etag },
                Self::InstrumentsMeta { count: other_count, etag: other_etag },
            ) => count == other_count && etag == other_etag,
            (Self::AppCode { timestamp: left }, Self::AppCode { timestamp: right })
            | (Self::Other { kind: left }, Self::Other { kind: right }) => left == right,
            _ => false,
        }
    }
}

/// The text, or whatever else it is as JSON; nothing when absent or null.
fn words(data: Option<&RawValue>) -> String {
    let json = data.map_or("", RawValue::get);
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: TextMessage) {
        assert_eq!(TextMessage::parse(text).unwrap(), expect, "{text}");
    }

    fn other(kind: &str) -> TextMessage {
        TextMessage::Other { kind: kind.into() }
    }

    #[test]
    fn messages_are_written_as_they_are_read() {
        for text in [
            r#"{"type":"error","data":"permission denied"}"#,
            r#"{"type":"message","data":"market \"closing\" soon"}"#,
            r#"{"type":"instruments_meta","data":{"count":86481,"etag":"W/\"68907d60-55bf\""}}"#,
            r#"{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}"#,
            r#"{"type":"order","id":"","data":{"account_id":"AB1234","price":6.25,"meta":{}}}"#,
        ] {
            let message = TextMessage::parse(text).unwrap();
            assert_eq!(message.to_json(), text);
            assert!(!matches!(message, TextMessage::Other { .. }), "{text}");
        }
    }

    #[test]
    fn data_of_another_shape_is_not_fatal() {
        check(r#"{"type":"error","data":{"code":1}}"#, TextMessage::Error(r#"{"code":1}"#.into()));
        check(r#"{"type":"error"}"#, TextMessage::Error(String::new()));
        check(r#"{"type":"message","data":null}"#, TextMessage::Message(String::new()));
        check(r#"{"type":"message","data":[1, 2]}"#, TextMessage::Message("[1, 2]".into()));
        check(r#"{"type":"instruments_meta","data":"many"}"#, other("instruments_meta"));
        check(r#"{"type":"instruments_meta"}"#, other("instruments_meta"));
        check(r#"{"type":"app_code","data":5}"#, TextMessage::AppCode { timestamp: String::new() });
        check(r#"{"type":"something_new","data":{"a":1}}"#, other("something_new"));
        check(r#"{"data":[],"type":""}"#, other(""));
    }

    #[test]
    fn what_says_nothing_is_named() {
        for (text, reason) in [
            ("", "not a text message of the ticker: EOF"),
            ("5", "not a text message of the ticker: invalid type"),
            ("{}", "not a text message of the ticker: missing field `type`"),
            (r#"{"type":1}"#, "not a text message of the ticker: invalid type"),
            (r#"{"type":"order"}"#, "order message without an object"),
            (r#"{"type":"order","data":"x"}"#, "order message without an object"),
            (r#"{"type":"order","data":null}"#, "order message without an object"),
            (r#"{"type":"order","data":[{}]}"#, "order message without an object"),
        ] {
            let error = TextMessage::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_order_must_be_an_object() {
        let order = TextMessage::order(&json!({"order_id": "1"})).unwrap();
        assert_eq!(order.to_json(), r#"{"type":"order","id":"","data":{"order_id":"1"}}"#);
        assert!(matches!(TextMessage::order(&"x"), Err(TextError::OrderWithoutObject)));
    }
}
