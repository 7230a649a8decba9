//! The simulator's own pages, which the real server does not have: status, truth, and what was sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use market_model::{DepthLevel, InstrumentToken, Price, Tick, TickBody};
use serde_json::{Map, Value, json};

use super::{Refused, form, query, required, success, value};
use crate::clock::{from_ist, ist_text};
use crate::ledger::Ledger;
use crate::server::{Peer, Shared};
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
            let (tokens, [ltp, quote, full]) = connection.tokens();
            let ledger = shared.ledgers.get(number.0);
            let (frames, packets) = ledger.map_or((0, 0), |ledger| {
                let written = ledger.written();
                (written.frames, written.packets)
            });
            json!({
                "connection": number.0,
                "api_key": accounts.app(connection.app).api_key,
                "since": ist_text(connection.since),
                "tokens": tokens,
                "modes": { "ltp": ltp, "quote": quote, "full": full },
                "frames_sent": frames,
                "packets_sent": packets,
            })
        })
        .collect();
    let totals = engine.totals;
    let replay = engine.replayed().map(|replayed| {
        json!({
            "frames": replayed.frames, "packets": replayed.packets, "finished": replayed.is_finished,
        })
    });
    let (frames, packets) = shared.ledgers.totals();
    axum::response::IntoResponse::into_response(axum::Json(json!({
        "sim": true,
        "time": ist_text(now),
        "seed": shared.config.seed,
        "speed": shared.clock.speed(),
        "instruments": engine.market.listing().instruments.len(),
        "replay": replay,
        "connections": connections,
        "connections_total": totals.connections,
        "connections_dropped_as_too_slow_total": totals.dropped_as_too_slow,
        "frames_sent_total": frames,
        "packets_sent_total": packets,
        "web_logins": shared.web_logins().report(),
    })))
}

/// `GET /sim/subscribed?connection=`: the tokens of one connection that stands.
pub(super) async fn subscribed(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refused> {
    let pairs = query(request.uri());
    let number = required(&pairs, "connection")?.parse();
    let number: u64 = number.map_err(|_| Refused::input("Invalid `connection`."))?;
    let engine = shared.engine();
    let found = engine.connections.iter().find(|(known, _)| known.0 == number);
    let tokens = found.map_or_else(Vec::new, |(_, connection)| connection.subscriptions.tokens());
    Ok(axum::response::IntoResponse::into_response(axum::Json(
        json!({ "connection": number, "tokens": tokens }),
    )))
}

/// `GET /sim/address`: where the request comes from, as services that tell one's own address do.
pub(super) async fn address(Extension(Peer(peer)): Extension<Peer>) -> String {
    peer.to_string()
}

/// `GET /sim/clock`.
pub(super) async fn clock(State(shared): State<Arc<Shared>>) -> Response {
    success(json!({ "time": ist_text(shared.now()), "speed": shared.clock.speed() }))
}

/// `POST /sim/clock`, a form: `at=YYYY-MM-DD hh:mm:ss` in India puts the clock forward, `speed=60` passes a minute each
/// second. Prices, listing, sessions and tokens follow.
pub(super) async fn set_clock(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refused> {
    let fields = form(request).await?;
    let (at, speed) = (value(&fields, "at"), value(&fields, "speed"));
    let at = match at.map(str::parse::<jiff::civil::DateTime>) {
        None => None,
        Some(Ok(at)) => Some(from_ist(at)),
        Some(Err(_)) => {
            return Err(Refused::input("Invalid `at`: write `2026-11-23 09:14:00`, the time in India."));
        }
    };
    let speed = match speed.map(str::parse::<f64>) {
        None => None,
        Some(Ok(speed)) if speed > 0.0 && speed <= 1e6 => Some(speed),
        Some(_) => return Err(Refused::input("Invalid `speed`: above 0 and at most 1000000.")),
    };
    if let Some(at) = at {
        shared.clock.put_forward(at).map_err(|error| Refused::input(error.to_string()))?;
    }
    if let Some(speed) = speed {
        shared.clock.set_speed(speed);
    }
    Ok(clock(State(shared)).await)
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

/// `GET /sim/sent`: what was written to each connection. `?connection=` adds the packets of each token to one of them;
/// `?token=` asks for the latest packets of a token, oldest first, when `sent_history` is on.
pub(super) async fn sent(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let pairs = query(request.uri());
    let number = |name| match value(&pairs, name).map(str::parse) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Refused::input(format!("Invalid `{name}`."))),
    };
    let answer = match (number("connection")?, value(&pairs, "token")) {
        (Some(connection), _) => {
            let unknown = || Refused::input("Unknown `connection`: it was never there or is long gone.");
            let ledger = shared.ledgers.get(connection).ok_or_else(unknown)?;
            let tokens: BTreeMap<u32, u64> =
                ledger.written().tokens.iter().map(|(token, count)| (*token, *count)).collect();
            let mut row = written(&ledger);
            row["tokens"] = json!(tokens);
            row
        }
        (None, Some(token)) => {
            let token = token.parse().map_err(|_| Refused::input("Invalid `token`."))?;
            let sent = shared.sent();
            if !sent.is_on() {
                return Err(Refused::input(
                    "Nothing is remembered: start the simulator with a sent history.",
                ));
            }
            let packets: Vec<Value> =
                sent.of(InstrumentToken(token)).map(|(at, tick)| packet(ist_text(at), tick)).collect();
            json!({ "token": token, "packets": packets })
        }
        (None, None) => {
            let rows: Vec<Value> = shared.ledgers.all().iter().map(|ledger| written(ledger)).collect();
            json!({ "connections": rows })
        }
    };
    Ok(axum::response::IntoResponse::into_response(axum::Json(answer)))
}

fn written(ledger: &Ledger) -> Value {
    let written = ledger.written();
    json!({
        "connection": ledger.who.number,
        "api_key": &*ledger.who.api_key,
        "ended": written.ended,
        "frames": written.frames,
        "packets": written.packets,
        "damaged_frames": written.damaged_frames,
        "heartbeats": written.heartbeats,
        "texts": written.texts,
        "pongs": written.pongs,
        "bytes": written.bytes,
    })
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
