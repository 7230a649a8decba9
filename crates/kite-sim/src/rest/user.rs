//! `/user/profile` and `/user/margins`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use kite_wire::rest::{Profile, UserMeta};
use serde_json::{Value, json};

use super::{Refused, authorize, success};
use crate::config::App;
use crate::limits::Class;
use crate::server::Shared;

/// Money of every simulated account, in rupees.
const CASH: i64 = 1_000_000;

pub(super) async fn profile(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    Ok(success(profile_of(shared.accounts().app(caller.app))))
}

/// What the Go client's full profile shows.
pub(super) async fn full_profile(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, &headers, Class::Other)?;
    let profile = profile_of(shared.accounts().app(caller.app));
    Ok(success(json!({
        "user_id": profile.user_id, "twofa_type": "totp", "user_name": profile.user_name, "user_type": profile.user_type,
        "email": profile.email, "phone": "*0000", "broker": profile.broker,
        "bank_accounts": [{ "name": "SIMULATED BANK", "branch": "", "account": "*0000" }],
        "dp_ids": ["1208160000000001"], "products": profile.products, "order_types": profile.order_types,
        "exchanges": profile.exchanges, "pan": "*000S", "user_shortname": profile.user_shortname, "avatar_url": null,
        "tags": [], "password_timestamp": "1970-01-01 00:00:00", "twofa_timestamp": "1970-01-01 00:00:00",
        "meta": { "poa": "physical", "silo": "", "account_blocks": [] },
    })))
}

pub(super) async fn margins(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    Ok(success(json!({ "equity": segment(CASH), "commodity": segment(CASH / 10) })))
}

pub(super) async fn margins_of(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    match name.as_str() {
        "equity" => Ok(success(segment(CASH))),
        "commodity" => Ok(success(segment(CASH / 10))),
        _ => Err(Refused::input("Invalid `segment`.")),
    }
}

/// The user of `app`.
pub(super) fn profile_of(app: &App) -> Profile {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Profile {
        user_id: app.user_id.clone(),
        user_type: "individual".to_owned(),
        email: format!("{}@simulated.invalid", app.user_id.to_lowercase()),
        user_name: format!("Simulated {}", app.user_id),
        user_shortname: "Simulated".to_owned(),
        broker: "ZERODHA".to_owned(),
        exchanges: words(&["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "MF"]),
        products: words(&["CNC", "NRML", "MIS", "MTF"]),
        order_types: words(&["MARKET", "LIMIT", "SL", "SL-M"]),
        avatar_url: None,
        meta: UserMeta { demat_consent: "consent".to_owned() },
    }
}

/// Orders come later; until then nothing is ever used.
fn segment(cash: i64) -> Value {
    json!({
        "enabled": true,
        "net": cash,
        "available": {
            "adhoc_margin": 0, "cash": cash, "opening_balance": cash, "live_balance": cash, "collateral": 0,
            "intraday_payin": 0,
        },
        "utilised": {
            "debits": 0, "exposure": 0, "m2m_realised": 0, "m2m_unrealised": 0, "option_premium": 0, "payout": 0,
            "span": 0, "holding_sales": 0, "turnover": 0, "liquid_collateral": 0, "stock_collateral": 0,
            "delivery": 0,
        },
    })
}
