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
use crate::rest::{self, Refused, query};
use crate::server::Shared;

pub(crate) mod connection;

/// A connection that was admitted and waits for its socket.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) place: Place,
    pub(crate) access_token: String,
    pub(crate) app: AppId,
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    pub(crate) seat: Seat,
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.engine().disconnect(self.seat.number);
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
    let place = {
        let mut engine = shared.engine();
        if engine.connections_of(app) >= shared.config.limits.connections {
            return Err(Refused::too_many_requests());
        }
        Place { seat: engine.connect(app), shared: Arc::clone(shared) }
    };
    let admitted = Admitted { upgrade, place, access_token, app };
    shared.admitted.try_send(admitted).map_err(|_| Refused::too_many_requests())?;
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .map_err(|_| bad("Bad handshake."))
}

fn wants_websocket(headers: &HeaderMap) -> bool {
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
