//! The REST side: routes, envelopes, and who may call what how often.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::{HeaderMap, StatusCode, Uri, header};
use kite_wire::rest::{ErrorBody, Success};
use serde::Serialize;

use crate::accounts::AppId;
use crate::limits::Class;
use crate::server::Shared;
use crate::{door, ticker};

mod books;
mod faults;
mod funds;
mod historical;
mod instruments;
mod login;
mod margins;
mod portfolio;
mod quotes;
mod session;
mod sim;
mod triggers;
mod user;
mod web;

pub(crate) use instruments::Dumps;

/// An error as Kite answers it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    status: StatusCode,
    error_type: &'static str,
    message: String,
}

/// Who calls, after the `Authorization` header was checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) app: AppId,
}

/// Every route of the simulator.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(ticker::root))
        .route("/ws", get(ticker::upgrade))
        .route("/connect/login", get(login::page).post(login::submit))
        .route("/connect/finish", get(login::finish))
        .route("/api/login", post(web::login))
        .route("/api/twofa", post(web::twofa))
        .route("/session/token", post(session::create).delete(session::delete))
        .route("/user/profile", get(user::profile))
        .route("/user/margins", get(user::margins))
        .route("/user/margins/{segment}", get(user::margins_of))
        .route("/user/profile/full", get(user::full_profile))
        .route("/orders", get(books::orders))
        .route("/orders/{order}", get(books::unknown).post(books::refuse))
        .route("/orders/{order}/{id}", put(books::refuse).delete(books::refuse))
        .route("/orders/{order}/trades", get(books::unknown))
        .route("/trades", get(books::empty))
        .route("/portfolio/holdings", get(portfolio::holdings))
        .route("/portfolio/holdings/summary", get(portfolio::summary))
        .route("/portfolio/holdings/compact", get(portfolio::compact))
        .route("/portfolio/holdings/auctions", get(portfolio::auctions))
        .route("/portfolio/holdings/authorise", post(portfolio::authorise))
        .route("/portfolio/positions", get(portfolio::positions))
        .route("/margins/orders", post(margins::orders))
        .route("/margins/basket", post(margins::basket))
        .route("/charges/orders", post(margins::contract_note))
        .route("/gtt/triggers", get(triggers::gtts))
        .route("/gtt/triggers/{id}", get(triggers::gtt))
        .route("/alerts", get(triggers::alerts))
        .route("/alerts/{uuid}", get(triggers::alert))
        .route("/alerts/{uuid}/history", get(triggers::alert_history))
        .route("/mf/orders", get(funds::orders))
        .route("/mf/orders/{id}", get(funds::order_of))
        .route("/mf/sips", get(funds::sips))
        .route("/mf/sips/{id}", get(funds::sip_of))
        .route("/mf/holdings", get(funds::holdings))
        .route("/mf/holdings/{isin}", get(funds::holding_of))
        .route("/mf/instruments", get(funds::instruments))
        .route("/instruments", get(instruments::all))
        .route("/instruments/trigger_range/{side}", get(books::trigger_range))
        .route("/instruments/{exchange}", get(instruments::of_exchange))
        .route("/instruments/historical/{token}/{interval}", get(historical::candles))
        .route("/quote", get(quotes::full))
        .route("/quote/ohlc", get(quotes::ohlc))
        .route("/quote/ltp", get(quotes::ltp))
        .route("/sim/status", get(sim::status))
        .route("/sim/clock", get(sim::clock).post(sim::set_clock))
        .route("/sim/address", get(sim::address))
        .route("/sim/truth", get(sim::truth))
        .route("/sim/subscribed", get(sim::subscribed))
        .route("/sim/sent", get(sim::sent))
        .route("/sim/faults", get(faults::list).post(faults::add).delete(faults::clear))
        .route("/sim/faults/{id}", get(faults::one).delete(faults::remove))
        .fallback(async || Refused::new(StatusCode::NOT_FOUND, "GeneralException", "Route not found"))
        .method_not_allowed_fallback(async || {
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "GeneralException", "Method not allowed")
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), door::pass))
        .with_state(shared)
}

/// What `GET /` says to somebody who did not come for the ticker.
pub(crate) fn greeting() -> Response {
    "kite-sim: a simulated Kite. Nothing here is real.\n\
     REST as at api.kite.trade, the ticker at / and /ws, the simulator's own pages at /sim/status and \
     /sim/truth?underlying=NIFTY.\n"
        .into_response()
}

/// `data` in the envelope of success.
pub(crate) fn success(data: impl Serialize) -> Response {
    axum::Json(Success { data }).into_response()
}

/// Who calls, when the key exists, has not used up its budget for `class`, and its access token is alive.
///
/// # Errors
/// The answer to send instead.
pub(crate) fn authorize(shared: &Shared, headers: &HeaderMap, class: Class) -> Result<Caller, Refused> {
    let (api_key, access_token) = credentials(headers).ok_or_else(Refused::bad_token)?;
    let app = shared.accounts().find(api_key).ok_or_else(Refused::bad_token)?;
    admit(shared, app, class)?;
    if !shared.accounts().is_valid(app, access_token, shared.now()) {
        return Err(Refused::bad_token());
    }
    Ok(Caller { app })
}

/// Counts a request of `app`.
///
/// # Errors
/// 429 when it is one too many.
pub(crate) fn admit(shared: &Shared, app: AppId, class: Class) -> Result<(), Refused> {
    match shared.limiter().admit(app, class) {
        true => Ok(()),
        false => Err(Refused::too_many_requests()),
    }
}

/// Key and token of `Authorization: token key:token`.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("token ")?.split_once(':')
}

/// The pairs of the query, decoded, in order.
pub(crate) fn query(uri: &Uri) -> Vec<(String, String)> {
    axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(pairs)| pairs).unwrap_or_default()
}

/// The first value of `name` that is not empty.
pub(crate) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// [`value`], or Kite's complaint.
///
/// # Errors
/// 400 ``Missing `name`.``
pub(crate) fn required<'a>(pairs: &'a [(String, String)], name: &str) -> Result<&'a str, Refused> {
    value(pairs, name).ok_or_else(|| Refused::input(format!("Missing `{name}`.")))
}

/// The fields of a form body.
///
/// # Errors
/// 400 when the body is no form.
pub(crate) async fn form(request: Request) -> Result<Vec<(String, String)>, Refused> {
    use axum::extract::FromRequest;
    axum::extract::Form::from_request(request, &())
        .await
        .map(|axum::extract::Form(pairs)| pairs)
        .map_err(|_| Refused::input("Expected a body of application/x-www-form-urlencoded."))
}

// === impl Refused ===

impl Refused {
    pub(crate) fn new(status: StatusCode, error_type: &'static str, message: impl Into<String>) -> Self {
        Self { status, error_type, message: message.into() }
    }

    /// 400 `InputException`.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InputException", message)
    }

    /// 403 `TokenException`.
    pub(crate) fn token(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "TokenException", message)
    }

    pub(crate) fn bad_token() -> Self {
        Self::token("Incorrect `api_key` or `access_token`.")
    }

    pub(crate) fn too_many_requests() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "NetworkException", "Too many requests")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, axum::Json(ErrorBody::new(self.error_type, self.message))).into_response()
    }
}
