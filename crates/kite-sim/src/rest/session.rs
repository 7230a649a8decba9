//! `POST` and `DELETE /session/token`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use kite_wire::rest::Session;

use super::{Refused, form, query, required, success, user};
use crate::accounts::SessionRefused;
use crate::clock::ist_text;
use crate::limits::Class;
use crate::server::Shared;

/// Exchanges a request token for an access token.
pub(super) async fn create(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let fields = form(request).await?;
    let api_key = required(&fields, "api_key")?;
    let request_token = required(&fields, "request_token")?;
    let checksum = required(&fields, "checksum")?;
    if let Some(app) = shared.accounts().find(api_key) {
        super::admit(&shared, app, Class::Other)?;
    }
    let now = shared.now();
    let mut accounts = shared.accounts();
    let (app, session) = accounts.exchange(api_key, request_token, checksum, now).map_err(refused)?;
    let app = accounts.app(app);
    Ok(success(Session {
        profile: user::profile_of(app),
        api_key: app.api_key.clone(),
        enctoken: session.public_token.clone(),
        access_token: session.access_token,
        public_token: session.public_token,
        refresh_token: String::new(),
        silo: String::new(),
        login_time: ist_text(session.login_time),
    }))
}

/// Ends an access token. Needs no `Authorization` beyond the two values in the query.
pub(super) async fn delete(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let pairs = query(request.uri());
    let api_key = required(&pairs, "api_key")?;
    let access_token = required(&pairs, "access_token")?;
    let app = shared.accounts().find(api_key).ok_or_else(Refused::bad_token)?;
    super::admit(&shared, app, Class::Other)?;
    let now = shared.now();
    let mut accounts = shared.accounts();
    if !accounts.is_valid(app, access_token, now) {
        return Err(Refused::bad_token());
    }
    accounts.logout(app, access_token);
    Ok(success(true))
}

fn refused(why: SessionRefused) -> Refused {
    match why {
        SessionRefused::UnknownKey => Refused::token("Invalid `api_key`."),
        SessionRefused::RequestToken => Refused::token("Token is invalid or has expired."),
        SessionRefused::Checksum => Refused::token("Invalid `checksum`."),
    }
}
