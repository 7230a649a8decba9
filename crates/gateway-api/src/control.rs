//! What an operator may do to the feed: hand over a new token, ask for a reconnect.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Refusal, Success};
use crate::router::Door;

/// A token on its way to where it is used and kept.
pub type Renewing<'a> = Pin<Box<dyn Future<Output = Result<(), ControlError>> + Send + 'a>>;

/// The commands an operator has; the whole gateway carries them out.
pub trait FeedControl: Send + Sync + 'static {
    /// Takes `access_token` for `account`: its connections change over to it without a restart, and the next start knows
    /// it.
    ///
    /// # Errors
    /// [`ControlError`] when there is no such account, or the text cannot be a token.
    fn renew_token<'a>(&'a self, account: &'a str, access_token: &'a str) -> Renewing<'a>;

    /// Makes one connection of `account` anew, or all of them.
    ///
    /// # Errors
    /// [`ControlError`] when there is no such account or connection.
    fn reconnect(&self, account: &str, connection: Option<u8>) -> Result<(), ControlError>;
}

/// A door in front of no account: it refuses every command.
#[derive(Debug, Clone, Copy)]
pub struct NoAccounts;

impl FeedControl for NoAccounts {
    fn renew_token<'a>(&'a self, account: &'a str, _access_token: &'a str) -> Renewing<'a> {
        Box::pin(async { Err(ControlError::UnknownAccount(account.to_owned())) })
    }

    fn reconnect(&self, account: &str, _connection: Option<u8>) -> Result<(), ControlError> {
        Err(ControlError::UnknownAccount(account.to_owned()))
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No account has that name.
    #[error("there is no account `{0}`, see `accounts` in /health")]
    UnknownAccount(String),
    /// The account has fewer connections.
    #[error("account `{account}` has no connection {connection}, see `connections` in /health")]
    UnknownConnection {
        /// The account.
        account: String,
        /// What was asked for.
        connection: u8,
    },
    /// Not what a broker hands out.
    #[error("that is no access token: it has 1 to 256 visible ASCII characters")]
    BadToken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    access_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconnectBody {
    connection: Option<u8>,
}

type Shared = State<Arc<Door>>;

/// `PUT /v1/accounts/{account}/access_token`.
pub(crate) async fn renew_token(
    State(door): Shared,
    headers: HeaderMap,
    account: Result<Path<String>, PathRejection>,
    body: Result<Json<TokenBody>, JsonRejection>,
) -> Result<Success<Value>, Refusal> {
    let account = may_command(&door, &headers, account)?;
    // The parser's own words may quote the token.
    let Json(body) = body.map_err(|_| Refusal::input("send JSON: {\"access_token\": \"...\"}"))?;
    door.state.control.renew_token(&account, body.access_token.trim()).await?;
    Ok(Success(json!({ "account": account })))
}

/// `POST /v1/accounts/{account}/reconnect`.
pub(crate) async fn reconnect(
    State(door): Shared,
    headers: HeaderMap,
    account: Result<Path<String>, PathRejection>,
    body: Result<Json<ReconnectBody>, JsonRejection>,
) -> Result<Success<Value>, Refusal> {
    let account = may_command(&door, &headers, account)?;
    let Json(body) = body.map_err(|_| {
        Refusal::input("send JSON: {} for all connections, or {\"connection\": 0} for one of them")
    })?;
    door.state.control.reconnect(&account, body.connection)?;
    Ok(Success(json!({ "account": account, "connection": body.connection })))
}

/// A page from elsewhere must not command a gateway on this machine, even where no key is configured.
fn may_command(
    door: &Door,
    headers: &HeaderMap,
    account: Result<Path<String>, PathRejection>,
) -> Result<String, Refusal> {
    if !door.is_origin_allowed(headers) {
        return Err(Refusal::origin());
    }
    account.map(|Path(account)| account).map_err(|_| Refusal::path())
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::BadToken => Self::input(error.to_string()),
            _ => Self::not_found(error.to_string()),
        }
    }
}
