//! The envelope around every JSON body: success with data, or an error.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;

use super::lenient::or_default;
use crate::ErrorKind;

/// `{"status":"success","data":..}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Success<T> {
    /// What was asked for.
    pub data: T,
}

/// `{"status":"error",..}`.
#[derive(Debug, Clone, PartialEq, Deserialize, serde::Serialize)]
pub struct ErrorBody {
    /// `error`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// What is wrong, for people; clients match on some of these texts.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// Mostly null; an object with hints in some refusals.
    #[serde(default)]
    pub data: Option<Value>,
    /// Kite's name for the class of the error, such as `TokenException`; an open set, and may be missing.
    #[serde(default)]
    pub error_type: Option<String>,
}

/// Why a body holds no data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Kite refused, in its own words.
    #[error("{}: {}", .0.error_type.as_deref().unwrap_or("error"), .0.message)]
    Refused(ErrorBody),
    /// An HTML page, as the gateway in front of Kite answers when Kite is down.
    #[error("HTML page instead of JSON: {start}")]
    Html {
        /// How it begins.
        start: String,
    },
    /// Neither data of the expected shape nor an error.
    #[error("unexpected body of {len} bytes: {source}")]
    Malformed {
        /// Its length. What is in it is not shown, because it may be a secret.
        len: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// Reads the data of a JSON body.
///
/// A body is an error when its status says so or an `error_type` is given, whatever the HTTP status was; one
/// without any status is a success if it has data.
///
/// # Errors
/// [`BodyError`] says whether Kite refused or something else answered.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        error_type: Option<String>,
    }
    let read = serde_json::from_slice(body).and_then(|verdict: Verdict| {
        let refused = verdict.status.as_deref() == Some("error")
            || verdict.error_type.is_some_and(|name| !name.is_empty());
        if refused {
            serde_json::from_slice(body).map(Err)
        } else {
            serde_json::from_slice(body).map(|Success { data }| Ok(data))
        }
    });
    match read {
        Ok(Ok(data)) => Ok(data),
        Ok(Err(error)) => Err(BodyError::Refused(error)),
        Err(source) => Err(match body.trim_ascii_start() {
            html @ [b'<', ..] => {
                BodyError::Html { start: String::from_utf8_lossy(html).chars().take(120).collect() }
            }
            _ => BodyError::Malformed { len: body.len(), source },
        }),
    }
}

// === impl Success ===

impl<T: Serialize> Serialize for Success<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("Success", 2)?;
        body.serialize_field("status", "success")?;
        body.serialize_field("data", &self.data)?;
        body.end()
    }
}

// === impl ErrorBody ===

impl ErrorBody {
    /// The class of the error; without a name it is [`ErrorKind::General`].
    pub fn kind(&self) -> ErrorKind {
        match self.error_type.as_deref() {
            None | Some("") => ErrorKind::General,
            Some(name) => ErrorKind::from_word(name),
        }
    }

    /// An error of class `error_type`.
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: "error".into(),
            message: message.into(),
            data: None,
            error_type: Some(error_type.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: Result<Vec<u8>, &str>) {
        let got = parse_body::<Vec<u8>>(body.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn data_or_the_reason_why_not() {
        check(r#"{"status":"success","data":[1,2]}"#, Ok(vec![1, 2]));
        check(r#"{"data":[1]}"#, Ok(vec![1]));
        check(
            r#"{"status":"error","message":"Too many requests","error_type":"NetworkException","data":null}"#,
            Err("NetworkException: Too many requests"),
        );
        check(r#"{"status":"success","error_type":"DataException"}"#, Err("DataException: "));
        check(r#"{"status":"error","message":null}"#, Err("error: "));
        check(" <html>502", Err("HTML page instead of JSON: <html>502"));
        check(
            r#"{"status":"success"}"#,
            Err(r#"unexpected body of 20 bytes: missing field `data` at line 1 column 20"#),
        );
        check("", Err("unexpected body of 0 bytes: EOF while parsing a value at line 1 column 0"));
    }

    #[test]
    fn bodies_are_written_as_kite_writes_them() {
        let success = Success { data: true };
        assert_eq!(serde_json::to_string(&success).unwrap(), r#"{"status":"success","data":true}"#);
        let error = ErrorBody::new("TokenException", "Incorrect `api_key` or `access_token`.");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"status":"error","message":"Incorrect `api_key` or `access_token`.","data":null,"error_type":"TokenException"}"#
        );
    }

    #[test]
    fn hints_are_kept() {
        let body = r#"{"status":"error","message":"m","error_type":"InputException","data":{"hints":["switch_to_amo"]}}"#;
        let Err(BodyError::Refused(error)) = parse_body::<bool>(body.as_bytes()) else {
            panic!("not refused");
        };
        assert_eq!(error.data.unwrap()["hints"][0], "switch_to_amo");
    }
}
