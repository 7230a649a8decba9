//! The simulator's own pages, which the real server does not have: status, truth, and what was sent.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use market_model::{DepthLevel, InstrumentToken, Price, Tick, TickBody};
use serde_json::{Map, Value, json};

use super::{Refused, query, required};
use crate::clock::ist_text;
use crate::server::Shared;
use crate::truth;

/// `GET /sim/status`: connections, what they subscribed, and how much was sent.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let now = shared.now();
    let mut engine = shared.engine();
    engine.advance(now);
    let accounts = shared.accounts();
    let connections: Vec<Value> = engine
        .connections
        .iter()
        .map(|(number, connection)| {
            let [ltp, quote, full] = connection.subscriptions.counts();
            json!({
                "connection": number.0,
                "api_key": accounts.app(connection.app).api_key,
                "since": ist_text(connection.since),
                "tokens": connection.subscriptions.len(),
                "modes": { "ltp": ltp, "quote": quote, "full": full },
                "frames_sent": connection.frames,
                "packets_sent": connection.packets,
            })
        })
        .collect();
    let totals = engine.totals;
    axum::response::IntoResponse::into_response(axum::Json(json!({
        "sim": true,
        "time": ist_text(now),
        "seed": shared.config.seed,
        "speed": shared.config.speed,
        "instruments": engine.market.listing().instruments.len(),
        "connections": connections,
        "connections_total": totals.connections,
        "connections_dropped_as_too_slow_total": totals.dropped_as_too_slow,
        "frames_sent_total": totals.frames,
        "packets_sent_total": totals.packets,
    })))
}

/// `GET /sim/truth?underlying=NIFTY`: what the market's prices are made from.
pub(super) async fn truth(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let pairs = query(request.uri());
    let underlying = required(&pairs, "underlying")?;
    let (basis, moment) = {
        let mut engine = shared.engine();
        engine.advance(shared.now());
        (engine.market.basis().clone(), engine.market.moment().clone())
    };
    let truth = truth::of(&basis, &moment, underlying)
        .ok_or_else(|| Refused::input("Unknown `underlying`: ask for NIFTY, BANKNIFTY or SENSEX."))?;
    Ok(axum::response::IntoResponse::into_response(axum::Json(truth)))
}

/// `GET /sim/sent?token=...`: the latest packets of a token, oldest first, when `sent_history` is on.
pub(super) async fn sent(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let pairs = query(request.uri());
    let token = required(&pairs, "token")?.parse().map_err(|_| Refused::input("Invalid `token`."))?;
    let engine = shared.engine();
    if !engine.sent.is_on() {
        return Err(Refused::input("Nothing is remembered: start the simulator with a sent history."));
    }
    let packets: Vec<Value> =
        engine.sent.of(InstrumentToken(token)).map(|(at, tick)| packet(ist_text(*at), tick)).collect();
    Ok(axum::response::IntoResponse::into_response(axum::Json(json!({ "token": token, "packets": packets }))))
}

/// A packet under the names of the official Python client.
fn packet(sent_at: String, tick: &Tick) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("sent_at", sent_at.into());
    put("mode", tick.mode().as_str().into());
    put("instrument_token", tick.token.0.into());
    put("last_price", price(tick.last_price));
    if let Some(ohlc) = tick.ohlc() {
        put(
            "ohlc",
            json!({
                "open": price(ohlc.open), "high": price(ohlc.high), "low": price(ohlc.low), "close": price(ohlc.close),
            }),
        );
    }
    if let Some(quote) = tick.quote() {
        put("last_traded_quantity", quote.last_traded_quantity.into());
        put("average_traded_price", price(quote.average_traded_price));
        put("volume_traded", quote.volume_traded.into());
        put("total_buy_quantity", quote.total_buy_quantity.into());
        put("total_sell_quantity", quote.total_sell_quantity.into());
    }
    if let Some(at) = tick.exchange_timestamp() {
        put("exchange_timestamp", at.as_secs().into());
    }
    if let TickBody::Full(full) = &tick.body {
        put("last_trade_time", full.last_trade_time.map(|at| at.as_secs()).into());
        put("oi", full.oi.into());
        put("oi_day_high", full.oi_day_high.into());
        put("oi_day_low", full.oi_day_low.into());
        let levels = |levels: &[DepthLevel]| -> Vec<Value> {
            levels
                .iter()
                .map(|level| json!({ "quantity": level.quantity, "price": price(level.price), "orders": level.orders }))
                .collect()
        };
        put("depth", json!({ "buy": levels(&full.depth.buy), "sell": levels(&full.depth.sell) }));
    }
    Value::Object(fields)
}

fn price(price: Price) -> Value {
    price.to_f64().into()
}
