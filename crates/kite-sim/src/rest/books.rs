//! Order and trade books, and the routes that would change them: the simulator places no orders yet.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use kite_wire::OrderStatus;
use kite_wire::rest::OrderUpdate;
use serde_json::json;

use super::portfolio::{Priced, priced};
use super::{Refused, authorize, query, success};
use crate::clock::ist_text;
use crate::limits::Class;
use crate::server::{Peer, Shared};

/// The day's orders: those that were placed before the simulator came, each of them done.
pub(super) async fn orders(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let placed = shared.accounts().app(caller.app).orders_placed;
    let now = shared.now();
    let day = ist_text(now);
    let rows = (1..=placed).map(|number| OrderUpdate {
        order_id: format!("{}{number:06}", day[..10].replace('-', "")),
        status: OrderStatus::Complete,
        order_timestamp: Some(now),
        exchange: "NSE".to_owned(),
        tradingsymbol: "INFY".to_owned(),
        quantity: 1,
        filled_quantity: 1,
        ..OrderUpdate::default()
    });
    Ok(success(rows.collect::<Vec<_>>()))
}

/// Nothing was traded, so the day's book is empty.
pub(super) async fn empty(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    Ok(success(json!([])))
}

/// History or trades of one order: there is none by that number.
pub(super) async fn unknown(
    State(shared): State<Arc<Shared>>,
    Path(_order_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    Err(Refused::new(StatusCode::BAD_REQUEST, "GeneralException", "Couldn't find that `order_id`."))
}

/// Placing, modifying and cancelling: refused from an address that is not registered, as since April 2026; beyond that
/// the answer is that of an order system that is down.
pub(super) async fn refuse(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Refused> {
    authorize(&shared, request.headers(), Class::Orders)?;
    if let Some(registered) = &shared.config.limits.order_addresses {
        let text = match registered.is_empty() {
            true => {
                "No IPs configured for this app. Add allowed IPs on the Kite developer console.".to_owned()
            }
            false => format!(
                "IP ({peer}) is not allowed to place orders for this app. Update allowed IPs on the Kite developer console."
            ),
        };
        if !registered.contains(&peer) {
            return Err(Refused::new(StatusCode::FORBIDDEN, "PermissionException", text));
        }
    }
    let down = "Request failed (kitetrade-oms)";
    Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "NetworkException", down))
}

/// `GET /instruments/trigger_range/{side}?i=NSE:INFY`: five percent around the last price.
pub(super) async fn trigger_range(
    State(shared): State<Arc<Shared>>,
    Path(side): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    authorize(&shared, request.headers(), Class::Other)?;
    if !matches!(side.to_ascii_lowercase().as_str(), "buy" | "sell") {
        return Err(Refused::input("Invalid `transaction_type`."));
    }
    let asked = query(request.uri()).into_iter().filter(|(name, _)| name == "i");
    let ranges: serde_json::Map<_, _> = asked
        .filter_map(|(_, symbol)| {
            let Priced { token, last, .. } = priced(&shared, &symbol)?;
            let range = json!({ "instrument_token": token, "lower": last * 0.95, "upper": last * 1.05 });
            Some((symbol, range))
        })
        .collect();
    Ok(success(ranges))
}
