//! GTT triggers and alerts, to be read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::portfolio::priced;
use super::{Refused, authorize, success};
use crate::clock::ist_text;
use crate::limits::Class;
use crate::server::Shared;

const DAY: Duration = Duration::from_secs(86_400);
const ALERT: &str = "550e8400-e29b-41d4-a716-446655440000";

pub(super) async fn gtts(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let user = shared.accounts().app(caller.app).user_id.clone();
    Ok(success(gtt_rows(&shared, &user)))
}

pub(super) async fn gtt(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let user = shared.accounts().app(caller.app).user_id.clone();
    let found = gtt_rows(&shared, &user).into_iter().find(|row| row["id"] == id);
    found.map(success).ok_or_else(|| not_found("Trigger not found."))
}

pub(super) async fn alerts(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let user = shared.accounts().app(caller.app).user_id.clone();
    Ok(success(json!([alert_row(&shared, &user)])))
}

pub(super) async fn alert(
    State(shared): State<Arc<Shared>>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let user = shared.accounts().app(caller.app).user_id.clone();
    match uuid == ALERT {
        true => Ok(success(alert_row(&shared, &user))),
        false => Err(not_found("Alert not found.")),
    }
}

/// The one alert has not fired.
pub(super) async fn alert_history(
    State(shared): State<Arc<Shared>>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    match uuid == ALERT {
        true => Ok(success(json!([]))),
        false => Err(not_found("Alert not found.")),
    }
}

fn not_found(text: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "GeneralException", text)
}

/// A single trigger below the market and a two-leg one around it.
fn gtt_rows(shared: &Shared, user: &str) -> Vec<Value> {
    let now = shared.now();
    let made = ist_text(now - DAY);
    let row = |id: u64, kind: &str, symbol: &str, values: &[f64], side: &str| {
        let at = priced(shared, &format!("NSE:{symbol}"))?;
        let on_grid = |factor: f64| (at.close * factor * 10.0).round() / 10.0;
        let values: Vec<f64> = values.iter().map(|factor| on_grid(*factor)).collect();
        let orders: Vec<Value> = values
            .iter()
            .map(|price| {
                json!({
                    "exchange": "NSE", "tradingsymbol": symbol, "product": "CNC", "order_type": "LIMIT",
                    "transaction_type": side, "quantity": 1, "price": price, "result": null,
                })
            })
            .collect();
        Some(json!({
            "id": id, "user_id": user, "parent_trigger": null, "type": kind, "created_at": made, "updated_at": made,
            "expires_at": ist_text(now + 364 * DAY), "status": "active",
            "condition": {
                "exchange": "NSE", "last_price": at.close, "tradingsymbol": symbol, "trigger_values": values,
                "instrument_token": at.token,
            },
            "orders": orders,
            "meta": if kind == "single" { json!({}) } else { Value::Null },
        }))
    };
    let single = row(100_001, "single", "INFY", &[0.9], "BUY");
    let both = row(100_002, "two-leg", "SBIN", &[0.9, 1.1], "SELL");
    single.into_iter().chain(both).collect()
}

fn alert_row(shared: &Shared, user: &str) -> Value {
    let made = ist_text(shared.now() - DAY);
    let level = priced(shared, "NSE:NIFTY 50").map_or(27_000.0, |nifty| (nifty.close * 1.1).round());
    json!({
        "type": "simple", "user_id": user, "uuid": ALERT, "name": "NIFTY 50", "status": "enabled",
        "disabled_reason": "", "lhs_attribute": "LastTradedPrice", "lhs_exchange": "INDICES",
        "lhs_tradingsymbol": "NIFTY 50", "operator": ">=", "rhs_type": "constant", "rhs_attribute": "",
        "rhs_exchange": "", "rhs_tradingsymbol": "", "rhs_constant": level, "alert_count": 0, "created_at": made,
        "updated_at": made,
    })
}
