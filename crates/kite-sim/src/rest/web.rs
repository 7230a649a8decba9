//! `POST /api/login` and `POST /api/twofa`: the web login that no documentation has.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{Refused, form, required, success};
use crate::server::Shared;
use crate::web::WebLoginRefused;

/// The cookie that stands for a session of the web login.
const COOKIE: &str = "kf_session";

/// User and password; the answer asks for a code.
pub(super) async fn login(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let fields = form(request).await?;
    let (user_id, password) = (required(&fields, "user_id")?, required(&fields, "password")?);
    let request_id = shared.web_logins().password(user_id, password).map_err(refused)?;
    Ok(success(json!({ "user_id": user_id, "request_id": request_id, "twofa_type": "totp" })))
}

/// The code; the answer brings the cookie of the session.
pub(super) async fn twofa(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let fields = form(request).await?;
    let (user_id, request_id) = (required(&fields, "user_id")?, required(&fields, "request_id")?);
    let code = required(&fields, "twofa_value")?;
    if required(&fields, "twofa_type")? != "totp" {
        return Err(Refused::input("Invalid `twofa_type`."));
    }
    let now = shared.now();
    let cookie = shared.web_logins().code(user_id, request_id, code, now).map_err(refused)?;
    let cookies = AppendHeaders([
        (header::SET_COOKIE, format!("user_id={user_id}; path=/")),
        (header::SET_COOKIE, format!("{COOKIE}={cookie}; path=/; HttpOnly")),
    ]);
    Ok((cookies, success(json!({ "profile": {} }))).into_response())
}

/// The user whose cookie came along.
pub(super) fn visitor(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, cookie) = pairs.find(|(name, _)| *name == COOKIE)?;
    shared.web_logins().user_of(cookie).map(str::to_owned)
}

fn refused(why: WebLoginRefused) -> Refused {
    let (error_type, text) = match why {
        WebLoginRefused::Password => ("UserException", "Invalid username or password."),
        WebLoginRefused::Locked => ("UserException", "Your account is locked. Reset your password."),
        WebLoginRefused::Code => ("TwoFAException", "Invalid app code."),
        WebLoginRefused::Request => ("InputException", "Invalid `request_id`."),
    };
    Refused::new(StatusCode::FORBIDDEN, error_type, text)
}
