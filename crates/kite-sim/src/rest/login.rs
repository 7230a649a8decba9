//! The login page: a button instead of a password, or the cookie of a web login.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};

use super::{Refused, form, query, value, web};
use crate::server::Shared;

/// `GET /connect/login?v=3&api_key=...`: the page. With `skip=1` (or the real site's `skip_session=true`) the button
/// presses itself; whoever brings the cookie of a web login is sent on without a page.
pub(super) async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let pairs = query(request.uri());
    if web::visitor(&shared, request.headers()).is_some() {
        let location = format!("/connect/finish?{}", request.uri().query().unwrap_or_default());
        return (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    }
    let skip = |name| value(&pairs, name).is_some_and(|text| matches!(text, "1" | "true"));
    if skip("skip") || skip("skip_session") {
        return enter(&shared, &pairs);
    }
    let Some(api_key) = value(&pairs, "api_key") else {
        return complaint("Missing `api_key`.");
    };
    let accounts = shared.accounts();
    let Some(id) = accounts.find(api_key) else {
        return complaint("Invalid `api_key`.");
    };
    let user = escape(&accounts.app(id).user_id);
    let api_key = escape(api_key);
    let params = escape(value(&pairs, "redirect_params").unwrap_or_default());
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated Kite login</title>\
         <style>body{{font:16px system-ui;display:grid;place-items:center;min-height:90vh;background:#f6f6f6}}\
         form{{background:#fff;padding:2rem 3rem;border:1px solid #ddd;text-align:center}}\
         b{{color:#b00020}}button{{font:inherit;padding:.6rem 2rem;background:#387ed1;color:#fff;border:0}}</style>\
         <form method=post action=/connect/login><p><b>SIMULATED</b> Kite login</p>\
         <p>App <code>{api_key}</code>, user <code>{user}</code></p>\
         <input type=hidden name=api_key value=\"{api_key}\">\
         <input type=hidden name=redirect_params value=\"{params}\">\
         <button>Log in</button></form></html>"
    ))
    .into_response()
}

/// `POST /connect/login`: what the button does.
pub(super) async fn submit(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let fields = form(request).await?;
    Ok(enter(&shared, &fields))
}

/// `GET /connect/finish`: on to the app, for the user whose cookie this is.
pub(super) async fn finish(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let pairs = query(request.uri());
    let Some(user) = web::visitor(&shared, request.headers()) else {
        return complaint("Log in first.");
    };
    let app_user = {
        let accounts = shared.accounts();
        let id = value(&pairs, "api_key").and_then(|api_key| accounts.find(api_key));
        id.map(|id| accounts.app(id).user_id.clone())
    };
    match app_user {
        Some(app_user) if app_user == user => enter(&shared, &pairs),
        Some(_) => complaint("The user is not enabled for the app."),
        None => complaint("Invalid `api_key`."),
    }
}

fn enter(shared: &Shared, pairs: &[(String, String)]) -> Response {
    let Some(api_key) = value(pairs, "api_key") else {
        return complaint("Missing `api_key`.");
    };
    let mut accounts = shared.accounts();
    let Some(id) = accounts.find(api_key) else {
        return complaint("Invalid `api_key`.");
    };
    let request_token = accounts.begin_login(id);
    let redirect = &accounts.app(id).redirect_url;
    let joint = if redirect.contains('?') { '&' } else { '?' };
    let mut location =
        format!("{redirect}{joint}action=login&type=login&status=success&request_token={request_token}");
    // Already a query string: the page's own parameter was decoded once and holds encoded pairs.
    if let Some(params) = value(pairs, "redirect_params") {
        location.push('&');
        location.push_str(params);
    }
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn complaint(text: &str) -> Response {
    (StatusCode::BAD_REQUEST, Html(format!("<!doctype html><p>{}</p>", escape(text)))).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
