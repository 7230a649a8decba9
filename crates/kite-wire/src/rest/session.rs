//! Who is logged in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lenient::or_default;

/// The data of `POST /session/token`. Its secrets print as `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Session {
    /// Whose session it is, and what they may trade.
    #[serde(flatten)]
    pub profile: Profile,
    /// The app it belongs to.
    #[serde(deserialize_with = "or_default")]
    pub api_key: String,
    /// Secret: the second half of the `Authorization` header.
    #[serde(deserialize_with = "or_default")]
    pub access_token: String,
    /// For session checks that may be exposed publicly.
    #[serde(deserialize_with = "or_default")]
    pub public_token: String,
    /// Secret: internal to Kite, undocumented.
    #[serde(deserialize_with = "or_default")]
    pub enctoken: String,
    /// Secret: empty for individual accounts.
    #[serde(deserialize_with = "or_default")]
    pub refresh_token: String,
    /// Internal to Kite.
    #[serde(deserialize_with = "or_default")]
    pub silo: String,
    /// Indian time without a zone, as Kite writes it.
    #[serde(deserialize_with = "or_default")]
    pub login_time: String,
}

/// The data of `POST /session/refresh_token`. Its secrets print as `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct RenewedSession {
    /// Whose session it is.
    #[serde(deserialize_with = "or_default")]
    pub user_id: String,
    /// Secret: the second half of the `Authorization` header.
    #[serde(deserialize_with = "or_default")]
    pub access_token: String,
    /// Secret: for the next renewal.
    #[serde(deserialize_with = "or_default")]
    pub refresh_token: String,
}

/// The data of `GET /user/profile`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Profile {
    /// Client id, such as `AB1234`.
    #[serde(deserialize_with = "or_default")]
    pub user_id: String,
    /// `individual`, `corporate`, ..; an open set.
    #[serde(deserialize_with = "or_default")]
    pub user_type: String,
    /// E-mail address.
    #[serde(deserialize_with = "or_default")]
    pub email: String,
    /// Full name.
    #[serde(deserialize_with = "or_default")]
    pub user_name: String,
    /// Short name.
    #[serde(deserialize_with = "or_default")]
    pub user_shortname: String,
    /// `ZERODHA`.
    #[serde(deserialize_with = "or_default")]
    pub broker: String,
    /// Exchanges the user may trade on, and `MF`.
    #[serde(deserialize_with = "or_default")]
    pub exchanges: Vec<String>,
    /// Products the user may trade.
    #[serde(deserialize_with = "or_default")]
    pub products: Vec<String>,
    /// Order types the user may use.
    #[serde(deserialize_with = "or_default")]
    pub order_types: Vec<String>,
    /// Address of a picture.
    pub avatar_url: Option<String>,
    /// More about the user.
    #[serde(deserialize_with = "or_default")]
    pub meta: UserMeta,
}

/// More about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct UserMeta {
    /// `physical`, `consent` or empty.
    #[serde(deserialize_with = "or_default")]
    pub demat_consent: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user_id", &self.profile.user_id)
            .field("login_time", &self.login_time)
            .field("access_token", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RenewedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedSession")
            .field("user_id", &self.user_id)
            .field("access_token", &"[redacted]")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"user_id":"XX0000","user_type":"individual","email":"x@y.z","user_name":"Kite Connect",
        "user_shortname":"Connect","broker":"ZERODHA","exchanges":["NSE","NFO"],"products":["CNC"],
        "order_types":["LIMIT"],"avatar_url":null,"meta":{"demat_consent":"physical"},"api_key":"key",
        "access_token":"very","public_token":"p","enctoken":"secret","refresh_token":"things","silo":"",
        "login_time":"2021-01-01 16:15:14"}"#;

    #[test]
    fn a_session_goes_both_ways() {
        let session: Session = serde_json::from_str(BODY).unwrap();
        assert_eq!(session.access_token, "very");
        assert_eq!(session.profile.exchanges, ["NSE", "NFO"]);
        assert_eq!(session.profile.meta.demat_consent, "physical");
        let written = serde_json::to_value(&session).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(BODY).unwrap());
    }

    #[test]
    fn secrets_are_not_printed() {
        let session: Session = serde_json::from_str(BODY).unwrap();
        let printed = format!("{session:?}");
        for secret in ["very", "secret", "things", "x@y.z"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn what_is_missing_is_empty() {
        let session: Session =
            serde_json::from_str(r#"{"access_token":"a","refresh_token":null,"meta":null,"products":null}"#)
                .unwrap();
        let expect = Session { access_token: "a".into(), ..Session::default() };
        assert_eq!(session, expect);
    }
}
