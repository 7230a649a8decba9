//! What a client says on the ticker connection.

use std::fmt::Write as _;

use market_model::{InstrumentToken, Mode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A command of the client. The server acknowledges none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TickerRequest {
    /// Stream these, in quote mode unless a mode follows.
    Subscribe(Vec<InstrumentToken>),
    /// Stream these no longer.
    Unsubscribe(Vec<InstrumentToken>),
    /// Change the mode of these; subscribes those that are not streamed yet.
    Mode(Mode, Vec<InstrumentToken>),
}

/// Why a text is not a [`TickerRequest`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not JSON, or not an object with an action `a` and a value `v`.
    #[error("not a ticker command: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The action is none of subscribe, unsubscribe, mode.
    #[error("unknown action {0:?}")]
    UnknownAction(String),
    /// The mode is none of ltp, quote, full.
    #[error("unknown mode {0:?}")]
    UnknownMode(String),
}

#[derive(Deserialize)]
struct Command {
    a: String,
    v: Box<RawValue>,
}

// === impl TickerRequest ===

impl TickerRequest {
    /// Reads a client's text frame.
    ///
    /// Entries of the token list that are not JSON numbers of 32 bits are left out without an error, as Kite is
    /// seen to do with tokens written as text.
    ///
    /// # Errors
    /// [`RequestError`] names what is not understood.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let command: Command = serde_json::from_str(text).map_err(RequestError::Malformed)?;
        let value = command.v.get();
        Ok(match command.a.as_str() {
            "subscribe" => Self::Subscribe(tokens(value)?),
            "unsubscribe" => Self::Unsubscribe(tokens(value)?),
            "mode" => {
                let (mode, list): (String, Box<RawValue>) =
                    serde_json::from_str(value).map_err(RequestError::Malformed)?;
                match Mode::from_word(&mode) {
                    Some(mode) => Self::Mode(mode, tokens(list.get())?),
                    None => return Err(RequestError::UnknownMode(mode)),
                }
            }
            _ => return Err(RequestError::UnknownAction(command.a)),
        })
    }

    /// The text frame, byte for byte as the official clients write it.
    pub fn to_json(&self) -> String {
        match self {
            Self::Subscribe(tokens) => format!(r#"{{"a":"subscribe","v":{}}}"#, list(tokens)),
            Self::Unsubscribe(tokens) => format!(r#"{{"a":"unsubscribe","v":{}}}"#, list(tokens)),
            Self::Mode(mode, tokens) => {
                format!(r#"{{"a":"mode","v":["{}",{}]}}"#, mode.as_str(), list(tokens))
            }
        }
    }

    /// Whom it is about.
    pub fn tokens(&self) -> &[InstrumentToken] {
        match self {
            Self::Subscribe(tokens) | Self::Unsubscribe(tokens) | Self::Mode(_, tokens) => tokens,
        }
    }
}

fn tokens(json: &str) -> Result<Vec<InstrumentToken>, RequestError> {
    let entries: Vec<&RawValue> = serde_json::from_str(json).map_err(RequestError::Malformed)?;
    let numbers = entries.into_iter().filter_map(|entry| entry.get().parse().ok());
    Ok(numbers.map(InstrumentToken).collect())
}

fn list(tokens: &[InstrumentToken]) -> String {
    let mut text = String::with_capacity(2 + 11 * tokens.len());
    text.push('[');
    for (at, token) in tokens.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{token}");
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: TickerRequest) {
        assert_eq!(TickerRequest::parse(text).unwrap(), expect, "{text}");
    }

    const INFY: InstrumentToken = InstrumentToken(408_065);
    const RELIANCE: InstrumentToken = InstrumentToken(738_561);

    #[test]
    fn the_texts_of_the_official_clients() {
        for (text, request) in [
            (r#"{"a":"subscribe","v":[408065,738561]}"#, TickerRequest::Subscribe(vec![INFY, RELIANCE])),
            (r#"{"a":"unsubscribe","v":[408065]}"#, TickerRequest::Unsubscribe(vec![INFY])),
            (
                r#"{"a":"mode","v":["full",[408065,738561]]}"#,
                TickerRequest::Mode(Mode::Full, vec![INFY, RELIANCE]),
            ),
            (r#"{"a":"mode","v":["ltp",[738561]]}"#, TickerRequest::Mode(Mode::Ltp, vec![RELIANCE])),
            (r#"{"a":"subscribe","v":[]}"#, TickerRequest::Subscribe(vec![])),
        ] {
            assert_eq!(request.to_json(), text);
            check(text, request);
        }
    }

    #[test]
    fn order_of_keys_and_blanks_do_not_matter() {
        check(
            r#" { "v" : [ "quote" , [ 408065 ] ] , "x": 1, "a" : "mode" } "#,
            TickerRequest::Mode(Mode::Quote, vec![INFY]),
        );
    }

    #[test]
    fn tokens_that_are_no_numbers_are_left_out() {
        check(
            r#"{"a":"subscribe","v":["738561",408065,-1,4294967296,1.5,null,[1],{}]}"#,
            TickerRequest::Subscribe(vec![INFY]),
        );
    }

    #[test]
    fn what_is_not_a_command_is_named() {
        for (text, reason) in [
            ("", "not a ticker command: EOF"),
            ("[]", "not a ticker command: "),
            (r#"{"a":"subscribe"}"#, "not a ticker command: missing field `v`"),
            (r#"{"a":"subscribe","v":5}"#, "not a ticker command: invalid type"),
            (r#"{"a":"mode","v":[408065]}"#, "not a ticker command: invalid type"),
            (r#"{"a":"ping","v":[]}"#, "unknown action \"ping\""),
            (r#"{"a":"mode","v":["fast",[1]]}"#, "unknown mode \"fast\""),
        ] {
            let error = TickerRequest::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
