//! The WebSocket side: handshake and one task per connection.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::accounts::AppId;
use crate::engine::Seat;
use crate::faults::Who;
use crate::ledger::Ledger;
use crate::rest::{self, Refused, query};
use crate::server::Shared;

pub(crate) mod connection;
mod shape;
mod wire;

/// A connection that was admitted and waits for its socket.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) place: Place,
    pub(crate) access_token: String,
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    pub(crate) seat: Seat,
    pub(crate) app: AppId,
    /// What is written to it.
    pub(crate) ledger: Arc<Ledger>,
    /// Where the faults begin that concern it.
    pub(crate) order: u64,
}

// === impl Place ===

impl Place {
    /// A place for a new connection of `app`.
    ///
    /// # Errors
    /// 429 when it has as many as it may have.
    fn take(shared: &Arc<Shared>, app: AppId) -> Result<Self, Refused> {
        let api_key = shared.accounts().app(app).api_key.as_str().into();
        let seat = {
            let mut engine = shared.engine();
            if engine.connections_of(app) >= shared.config.limits.connections {
                return Err(Refused::too_many_requests());
            }
            engine.connect(app)
        };
        let who = Who { number: seat.number.0, api_key };
        let order = shared.faults.opened(&who);
        Ok(Self { shared: Arc::clone(shared), seat, app, ledger: shared.ledgers.open(who), order })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.seat.number;
        self.shared.engine().disconnect(number);
        self.shared.faults.closed(number.0);
        self.shared.ledgers.close(number.0);
    }
}

/// `GET /`: the ticker for a WebSocket handshake, else a line that says what this is.
pub(crate) async fn root(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if !wants_websocket(request.headers()) {
        return rest::greeting();
    }
    upgrade(State(shared), request).await
}

/// `GET /ws`: the ticker.
pub(crate) async fn upgrade(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    match admit(&shared, &mut request) {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

fn admit(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Refused> {
    let bad = |text: &str| Refused::input(text);
    let headers = request.headers();
    if !wants_websocket(headers) {
        return Err(bad("Not a WebSocket handshake."));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad("Only WebSocket version 13 is spoken here."));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| bad("Missing `Sec-WebSocket-Key`."))?;
    let accept = derive_accept_key(key.as_bytes());
    let query = query(request.uri());
    let value =
        |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let access_token = value("access_token").to_owned();
    let app = {
        let accounts = shared.accounts();
        accounts
            .find(value("api_key"))
            .filter(|app| accounts.is_valid(*app, &access_token, shared.now()))
            .ok_or_else(Refused::bad_token)?
    };
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| bad("This connection cannot be upgraded."))?;
    let place = Place::take(shared, app)?;
    let admitted = Admitted { upgrade, place, access_token };
    shared.admitted.try_send(admitted).map_err(|_| Refused::too_many_requests())?;
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .map_err(|_| bad("Bad handshake."))
}

/// Whether a request is a WebSocket handshake.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}
