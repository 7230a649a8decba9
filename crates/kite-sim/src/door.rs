//! Faults that meet a request before anything else looks at it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::fault::{Door, Fault};
use crate::faults::Active;
use crate::rest::{self, Refused};
use crate::server::Shared;
use crate::ticker::wants_websocket;

/// Lets a request through, late or not at all where a fault says so. The simulator's own pages are never touched.
pub(crate) async fn pass(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/sim/") {
        return next.run(request).await;
    }
    let door = if wants_websocket(request.headers()) { Door::Handshake } else { Door::Rest };
    let query = rest::query(request.uri());
    let api_key = rest::credentials(request.headers())
        .map(|(api_key, _)| api_key)
        .or_else(|| rest::value(&query, "api_key"));
    let met = shared.faults.at_door(door, api_key, path);
    delays(&shared, &met).await;
    match met.iter().find_map(|active| refusal(&active.plan.fault)) {
        Some(response) => response,
        None => next.run(request).await,
    }
}

/// Waits as long as the faults that were met say together.
pub(crate) async fn delays(shared: &Shared, met: &[Arc<Active>]) {
    for active in met {
        if let Fault::Delay { by, .. } = active.plan.fault {
            tokio::time::sleep(shared.real(by)).await;
        }
    }
}

fn refusal(fault: &Fault) -> Option<Response> {
    let Fault::Refuse { status, html, .. } = *fault else { return None };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = match html {
        true => page(status),
        false => {
            let (error_type, message) = words(status);
            Refused::new(status, error_type, message).into_response()
        }
    };
    Some(response)
}

/// Kite's words for a status.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("InputException", "Invalid request."),
        403 => ("TokenException", "Incorrect `api_key` or `access_token`."),
        429 => ("NetworkException", "Too many requests"),
        502 => ("DataException", "Request failed (kitetrade-oms)"),
        503 | 504 => ("NetworkException", "Request failed (kitetrade-oms)"),
        _ => ("GeneralException", "Something went wrong. Please try again."),
    }
}

/// What a proxy in front of Kite answers.
fn page(status: StatusCode) -> Response {
    let body = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{status}</title></head>\n\
         <body><center><h1>{status}</h1></center></body>\n</html>\n"
    );
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
}
