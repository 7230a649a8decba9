//! Holdings and positions: a small portfolio whose prices are the market's.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use market_model::Price;
use serde_json::{Value, json};

use super::{Refused, authorize, form, success};
use crate::clock::ist;
use crate::limits::Class;
use crate::server::Shared;

/// Symbol, ISIN, shares, average price in rupees.
const HELD: [(&str, &str, i64, f64); 3] = [
    ("INFY", "INE009A01021", 20, 1_482.35),
    ("SBIN", "INE062A01020", 16, 801.781_25),
    ("RELIANCE", "INE002A01018", 5, 1_391.0),
];

/// An instrument's token, last price and previous close, in rupees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priced {
    pub(super) token: u32,
    pub(super) last: f64,
    pub(super) close: f64,
}

/// What the market says of `EXCHANGE:TRADINGSYMBOL`; `None` when it is not listed.
pub(super) fn priced(shared: &Shared, symbol: &str) -> Option<Priced> {
    let mut engine = shared.engine();
    engine.advance(shared.now());
    let slot = engine.market.listing().slot_of_symbol(symbol)?;
    let tick = engine.market.tick(slot);
    let close = tick.ohlc().map_or(Price::ZERO, |ohlc| ohlc.close);
    Some(Priced { token: tick.token.0, last: tick.last_price.to_f64(), close: close.to_f64() })
}

pub(super) async fn holdings(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    Ok(success(rows(&shared)))
}

pub(super) async fn summary(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    let rows = rows(&shared);
    let sum = |of: &dyn Fn(&Value) -> f64| rows.iter().map(of).sum::<f64>();
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap_or_default();
    let invested = sum(&|row| number(row, "average_price") * number(row, "quantity"));
    let current = sum(&|row| number(row, "last_price") * number(row, "quantity"));
    let today = sum(&|row| number(row, "day_change") * number(row, "quantity"));
    let yesterday = current - today;
    Ok(success(json!({
        "total_pnl": current - invested,
        "total_pnl_percent": (current - invested) / invested * 100.0,
        "today_pnl": today,
        "today_pnl_percent": today / yesterday * 100.0,
        "invested_amount": invested,
        "current_value": current,
    })))
}

pub(super) async fn compact(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    let names = ["exchange", "tradingsymbol", "instrument_token", "t1_quantity", "quantity"];
    let short = |row: &Value| -> Value {
        names.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect()
    };
    Ok(success(rows(&shared).iter().map(short).collect::<Vec<_>>()))
}

/// Nothing of this portfolio was ever sold short into an auction.
pub(super) async fn auctions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    Ok(success(json!([])))
}

/// Answers a request id; the page that would follow does not exist here.
pub(super) async fn authorise(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = authorize(&shared, request.headers(), Class::Other)?;
    form(request).await?;
    let user = shared.accounts().app(caller.app).user_id.clone();
    Ok(success(json!({ "request_id": format!("SIM{user}{}", shared.now().as_secs()) })))
}

pub(super) async fn positions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    authorize(&shared, &headers, Class::Other)?;
    let Some(sold) = priced(&shared, "NSE:TCS") else {
        return Ok(success(json!({ "net": [], "day": [] })));
    };
    let day = position(sold, 0, 10);
    // Carried overnight and added to today.
    let net: Vec<Value> = priced(&shared, "NSE:INFY")
        .map(|carried| with_symbol(position(carried, 4, 0), "INFY"))
        .into_iter()
        .chain([with_symbol(day.clone(), "TCS")])
        .collect();
    Ok(success(json!({ "net": net, "day": [with_symbol(day, "TCS")] })))
}

fn rows(shared: &Shared) -> Vec<Value> {
    let midnight = format!("{} 00:00:00", ist(shared.now()).date());
    let row = |&(symbol, isin, quantity, average): &(&str, &str, i64, f64)| {
        let Priced { token, last, close } = priced(shared, &format!("NSE:{symbol}"))?;
        Some(json!({
            "tradingsymbol": symbol, "exchange": "NSE", "instrument_token": token, "isin": isin, "product": "CNC",
            "price": 0, "quantity": quantity, "used_quantity": 0, "t1_quantity": 0, "realised_quantity": quantity,
            "authorised_quantity": 0, "authorised_date": midnight, "authorisation": {}, "opening_quantity": quantity,
            "short_quantity": 0, "collateral_quantity": 0, "collateral_type": "", "discrepancy": false,
            "average_price": average, "last_price": last, "close_price": close,
            "pnl": (last - average) * quantity as f64, "day_change": last - close,
            "day_change_percentage": (last - close) / close * 100.0,
            "mtf": { "quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0 },
        }))
    };
    HELD.iter().filter_map(row).collect()
}

/// `overnight` shares carried, `bought` bought today at the previous close.
fn position(at: Priced, overnight: i64, bought: i64) -> Value {
    let Priced { token, last, close } = at;
    let (quantity, day_value) = (overnight + bought, bought as f64 * close);
    let value = -(overnight as f64 * close + day_value);
    let pnl = value + quantity as f64 * last;
    json!({
        "exchange": "NSE", "instrument_token": token, "product": "MIS", "quantity": quantity,
        "overnight_quantity": overnight, "multiplier": 1, "average_price": close, "close_price": close,
        "last_price": last, "value": value, "pnl": pnl, "m2m": pnl, "unrealised": pnl, "realised": 0,
        "buy_quantity": quantity, "buy_price": close, "buy_value": -value, "buy_m2m": -value,
        "sell_quantity": 0, "sell_price": 0, "sell_value": 0, "sell_m2m": 0,
        "day_buy_quantity": bought, "day_buy_price": if bought > 0 { close } else { 0.0 }, "day_buy_value": day_value,
        "day_sell_quantity": 0, "day_sell_price": 0, "day_sell_value": 0,
    })
}

fn with_symbol(mut row: Value, symbol: &str) -> Value {
    row["tradingsymbol"] = json!(symbol);
    row
}
