//! What can go wrong: for whoever starts the server, and for whoever asks it.

use std::io;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::symbols::UnknownSymbol;

/// Why the server could not be started or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The listening socket is unusable.
    #[error("cannot use the listening socket, is it still open?")]
    Listener(#[source] io::Error),
    /// The API key in the configuration cannot be sent in a header.
    #[error("the API key must be 1 to 256 visible ASCII characters")]
    BadApiKey,
}

/// A refusal in Kite's shape: `{"status":"error","error_type":...,"message":...}`.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    error_type: &'static str,
    message: String,
}

#[derive(Serialize)]
struct RefusalBody<'a> {
    status: &'static str,
    error_type: &'static str,
    message: &'a str,
}

/// A success in Kite's shape: `{"status":"success","data":...}`.
pub(crate) struct Success<T>(pub(crate) T);

#[derive(Serialize)]
struct SuccessBody<T> {
    status: &'static str,
    data: T,
}

// === impl Refusal ===

impl Refusal {
    /// The request cannot be understood.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error_type: "InputException", message: message.into() }
    }

    /// What is asked for does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, error_type: "InputException", message: message.into() }
    }

    /// What is asked for exists but has no data yet.
    pub(crate) fn no_data(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, error_type: "DataException", message: message.into() }
    }

    /// Somebody else was faster.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, error_type: "InputException", message: message.into() }
    }

    /// What is needed for it does not answer; nothing was done.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, error_type: "NetworkException", message: message.into() }
    }

    /// The broker said no.
    pub(crate) fn upstream(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, error_type: "NetworkException", message: message.into() }
    }

    /// The key is missing or wrong.
    pub(crate) fn key() -> Self {
        let message = "send the API key in the header `x-api-key` or `authorization: token <key>`";
        Self { status: StatusCode::FORBIDDEN, error_type: "TokenException", message: message.into() }
    }

    /// The page that asks comes from another place.
    pub(crate) fn origin() -> Self {
        let message = "this page's origin may not do that, add it to the allowed origins";
        Self { status: StatusCode::FORBIDDEN, error_type: "PermissionException", message: message.into() }
    }

    /// The path is no text.
    pub(crate) fn path() -> Self {
        Self::input("the path must be percent-encoded UTF-8")
    }

    /// Another instance answers that.
    pub(crate) fn role() -> Self {
        let message = "this instance does not serve the API, ask one with the role `api`".into();
        Self { status: StatusCode::NOT_FOUND, error_type: "GeneralException", message }
    }

    /// No such path.
    pub(crate) fn route() -> Self {
        let message = "no such path, see /openapi.json".into();
        Self { status: StatusCode::NOT_FOUND, error_type: "GeneralException", message }
    }

    /// The path exists, but not with this method.
    pub(crate) fn method() -> Self {
        let message = "this path does not answer that method, see /openapi.json".into();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, error_type: "GeneralException", message }
    }

    /// A WebSocket path was asked for plainly.
    pub(crate) fn upgrade() -> Self {
        let message = "connect to this path with a WebSocket client (version 13)".into();
        Self { status: StatusCode::UPGRADE_REQUIRED, error_type: "InputException", message }
    }
}

impl From<UnknownSymbol> for Refusal {
    fn from(unknown: UnknownSymbol) -> Self {
        match unknown {
            UnknownSymbol::Malformed(_) => Self::input(unknown.to_string()),
            _ => Self::not_found(unknown.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = RefusalBody { status: "error", error_type: self.error_type, message: &self.message };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        Json(SuccessBody { status: "success", data: self.0 }).into_response()
    }
}
