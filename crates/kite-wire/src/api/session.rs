//! How a token is earned and given back.

use std::fmt;

use super::{ApiRequest, call};
use crate::rest::{RenewedSession, Session, parse_body};

/// `POST /session/token`: turns the request token of a login into a session.
#[derive(Clone, PartialEq, Eq)]
pub struct GenerateSession {
    /// The app.
    pub api_key: String,
    /// What the login page handed to the redirect address; good once, for a few minutes.
    pub request_token: String,
    /// See [`session_checksum`](crate::session_checksum).
    pub checksum: String,
}

/// `POST /session/refresh_token`: only for platforms that the broker approved.
#[derive(Clone, PartialEq, Eq)]
pub struct RenewSession {
    /// The app.
    pub api_key: String,
    /// The token to trade in.
    pub refresh_token: String,
    /// See [`session_checksum`](crate::session_checksum).
    pub checksum: String,
}

/// `DELETE /session/token`: makes a token worthless. Does not log the user out of the broker's own pages.
#[derive(Clone, PartialEq, Eq)]
pub struct EndSession {
    /// The app.
    pub api_key: String,
    /// Which token.
    pub token: SessionToken,
}

/// A token that can be given back.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionToken {
    /// The one in use.
    Access(String),
    /// The one for renewal.
    Refresh(String),
}

call!(GenerateSession, this => Session, parse_body, {
    let request = ApiRequest::post(["session/token"])
        .field("api_key", this.api_key.clone())
        .field("request_token", this.request_token.clone())
        .field("checksum", this.checksum.clone());
    ApiRequest { needs_login: false, ..request }
});

call!(RenewSession, this => RenewedSession, parse_body, {
    let request = ApiRequest::post(["session/refresh_token"])
        .field("api_key", this.api_key.clone())
        .field("refresh_token", this.refresh_token.clone())
        .field("checksum", this.checksum.clone());
    ApiRequest { needs_login: false, ..request }
});

call!(EndSession, this => bool, parse_body, {
    let request = ApiRequest::delete(["session/token"]).ask("api_key", this.api_key.clone());
    match &this.token {
        SessionToken::Access(token) => request.ask("access_token", token.clone()),
        SessionToken::Refresh(token) => request.ask("refresh_token", token.clone()),
    }
});

macro_rules! redacted {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " [redacted]"))
            }
        }
    )+};
}

redacted!(GenerateSession, RenewSession, EndSession, SessionToken);
