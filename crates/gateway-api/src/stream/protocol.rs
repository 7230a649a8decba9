//! What clients say on a stream, and the answers that are not ticks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A client's message: `{"action":"subscribe","symbols":[...],"request_id":...}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum Command {
    /// Shows the API key, when the headers could not.
    Authenticate {
        api_key: String,
        #[serde(default)]
        request_id: RequestId,
    },
    Subscribe {
        symbols: Vec<Symbol>,
        #[serde(default)]
        request_id: RequestId,
        /// Only `full` exists: every message carries what the feed's own mode has.
        #[serde(default)]
        mode: Option<String>,
        /// Whether the newest known values come first.
        #[serde(default = "yes")]
        snapshot: bool,
    },
    Unsubscribe {
        symbols: Vec<Symbol>,
        #[serde(default)]
        request_id: RequestId,
    },
    Ping {
        #[serde(default)]
        request_id: RequestId,
    },
    Status {
        #[serde(default)]
        request_id: RequestId,
    },
}

/// Whatever the client sent as `request_id`, given back as it was.
pub(crate) type RequestId = Option<Value>;

/// A token as a number, or any way to name instruments as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Symbol {
    Token(u32),
    Text(String),
}

const fn yes() -> bool {
    true
}

/// Words that [`Command`] knows as actions.
const ACTIONS: [&str; 5] = ["authenticate", "subscribe", "unsubscribe", "ping", "status"];

/// A message that is not ticks and not feed health.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Control<'a> {
    Status {
        state: &'static str,
        connection: u64,
        authenticated: bool,
        policy: &'static str,
        format: &'static str,
        sim: bool,
        heartbeat_ms: u64,
        max_subscriptions: usize,
        subscriptions: usize,
        conflated: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: RequestId,
    },
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: RequestId,
        results: Vec<SymbolResult>,
    },
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: RequestId,
        results: Vec<SymbolResult>,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: RequestId,
        ts: i64,
    },
    /// Nothing else was sent for a while. `seq` is that of the last message with a number.
    Heartbeat { seq: u64, ts: i64, conflated: u64 },
    /// `count` messages were dropped because this client was too slow; `seq` has a hole of the same length.
    Dropped { seq: u64, ts: i64, count: u64 },
    /// Values of these instruments are not current any more, or are again.
    Stale {
        seq: u64,
        ts: i64,
        stale: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        stale_cause: Option<&'static str>,
        instrument_tokens: Vec<u32>,
    },
    Error {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: RequestId,
    },
}

/// How one symbol of a request fared.
#[derive(Debug, Serialize)]
pub(crate) struct SymbolResult {
    pub(crate) symbol: String,
    pub(crate) status: &'static str,
    /// The token, when the symbol means exactly one instrument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instrument_token: Option<u32>,
    /// How many instruments it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instruments: Option<usize>,
    /// How many of them have ticked: less than `instruments` means that some were never heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// Why a client's message is no command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCommand {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) request_id: RequestId,
}

// === impl Command ===

impl Command {
    pub(crate) fn parse(text: &str) -> Result<Self, BadCommand> {
        let bad = |code, message, request_id| BadCommand { code, message, request_id };
        let value: Value = serde_json::from_str(text)
            .map_err(|error| bad("bad_message", format!("this is not JSON: {error}"), None))?;
        let request_id = value.get("request_id").cloned();
        let action = value.get("action").and_then(Value::as_str);
        let Some(action) = action else {
            let message = "send an object with a text member `action`".to_owned();
            return Err(bad("bad_message", message, request_id));
        };
        if !ACTIONS.contains(&action) {
            let message = format!("no such action, use one of {}", ACTIONS.join(", "));
            return Err(bad("unknown_action", message, request_id));
        }
        Self::deserialize(&value)
            .map_err(|error| bad("bad_message", format!("cannot read {action}: {error}"), request_id))
    }
}

// === impl Control ===

impl Control<'_> {
    pub(crate) fn to_json(&self) -> String {
        // These types hold nothing that JSON cannot say; an empty object would be seen at once.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

// === impl Symbol ===

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(token) => token.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_messages_have_stable_codes_and_keep_their_request_id() {
        for (text, code) in [
            ("", "bad_message"),
            ("{", "bad_message"),
            ("[]", "bad_message"),
            ("{\"action\":7}", "bad_message"),
            ("{\"action\":\"fly\"}", "unknown_action"),
            ("{\"action\":\"subscribe\"}", "bad_message"),
            ("{\"action\":\"subscribe\",\"symbols\":[-1]}", "bad_message"),
            ("{\"action\":\"authenticate\"}", "bad_message"),
        ] {
            assert_eq!(Command::parse(text).unwrap_err().code, code, "{text}");
        }
        let error = Command::parse(r#"{"action":"fly","request_id":"a7"}"#).unwrap_err();
        assert_eq!(error.request_id, Some("a7".into()));
    }

    #[test]
    fn symbols_are_tokens_or_text() {
        let command = Command::parse(r#"{"action":"subscribe","symbols":[256265,"NSE:M&M"],"request_id":3}"#);
        let Ok(Command::Subscribe { symbols, request_id, snapshot, mode }) = command else {
            panic!("{command:?}");
        };
        assert_eq!(symbols.iter().map(Symbol::to_string).collect::<Vec<_>>(), ["256265", "NSE:M&M"]);
        assert_eq!((request_id, snapshot, mode), (Some(3.into()), true, None));
    }
}
