//! The routes that answer once.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use market_model::{InstrumentCatalog, Underlying};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use snapshot_wire::{BatchEncoder, WireFormat};

use crate::chain::{ChainBody, ChainQuery, tokens_of};
use crate::error::{Refusal, Success};
use crate::hub::batch_of;
use crate::latest::LatestValues;
use crate::router::Door;
use crate::symbols::{ExpiryChoice, Wish, date_in_india, find_chain, find_underlying};

type Shared = State<Arc<Door>>;

pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(crate) async fn ready(State(door): Shared) -> Response {
    let missing = door.state.health.missing();
    let (status, word) = match missing.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    (status, Json(json!({ "status": word, "missing": missing }))).into_response()
}

/// The gateway's report with what this door knows itself beside it.
pub(crate) async fn health(State(door): Shared) -> Json<Value> {
    let mut report = match door.state.health.report() {
        Value::Object(report) => report,
        other => serde_json::Map::from_iter([("report".to_owned(), other)]),
    };
    let missing = door.state.health.missing();
    let own = [
        ("status", json!(if missing.is_empty() { "ok" } else { "degraded" })),
        ("missing", json!(missing)),
        ("sim", json!(door.state.sim)),
        ("ts", json!(door.state.clock.now().0)),
        ("values", json!(door.state.latest.counts())),
        ("stream", json!(door.state.hub.stats())),
        ("instruments", json!(door.catalog().len())),
    ];
    report.extend(own.map(|(name, value)| (name.to_owned(), value)));
    Json(Value::Object(report))
}

pub(crate) async fn metrics(State(door): Shared) -> impl IntoResponse {
    let text = (door.state.metrics_text)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// One underlying in `/v1/underlyings`.
#[derive(Debug, Serialize)]
struct UnderlyingBody {
    name: String,
    exchange: String,
    spot: Option<SpotBody>,
    futures: usize,
    expiries: Vec<ExpiryBody>,
    /// How many of its instruments have a value.
    live: usize,
}

#[derive(Debug, Serialize)]
struct SpotBody {
    instrument_token: u32,
    exchange: String,
    tradingsymbol: String,
    last_price: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ExpiryBody {
    date: String,
    strikes: usize,
}

pub(crate) async fn underlyings(State(door): Shared) -> Result<impl IntoResponse, Refusal> {
    let catalog = door.catalog();
    let with_derivatives: Vec<_> = (catalog.underlyings().iter())
        .filter(|each| !each.chains.is_empty() || !each.futures.is_empty())
        .collect();
    let spots = with_derivatives.iter().filter_map(|each| Some(catalog.get(each.spot?).token)).collect();
    let spots = door.newest(spots, &catalog).await?;
    let mut bodies: Vec<UnderlyingBody> =
        with_derivatives.iter().map(|each| UnderlyingBody::of(each, &catalog, &door, &spots)).collect();
    // What is streamed first: of hundreds of underlyings a household watches a few.
    bodies.sort_by(|a, b| b.live.cmp(&a.live).then_with(|| a.name.cmp(&b.name)));
    Ok(Success(bodies))
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChainParameters {
    #[serde(default = "nearest")]
    expiry: String,
    around: Option<usize>,
}

fn nearest() -> String {
    "nearest".to_owned()
}

pub(crate) async fn chain(
    State(door): Shared,
    name: Result<Path<String>, PathRejection>,
    parameters: Result<Query<ChainParameters>, QueryRejection>,
) -> Result<Success<ChainBody>, Refusal> {
    let Query(parameters) = parameters.map_err(|_| {
        Refusal::input("use expiry=YYYY-MM-DD or expiry=nearest, and around=<number of strikes>")
    })?;
    let expiry = ExpiryChoice::parse(&parameters.expiry).ok_or_else(|| {
        Refusal::input(format!("cannot read expiry {:?}: use YYYY-MM-DD or nearest", parameters.expiry))
    })?;
    let Path(name) = name.map_err(|_| Refusal::path())?;
    let (catalog, now) = (door.catalog(), door.state.clock.now());
    let underlying = find_underlying(&catalog, &name)?;
    let chain = find_chain(underlying, expiry, date_in_india(now))?;
    let tokens = tokens_of(&catalog, underlying, chain);
    let latest = door.newest(tokens, &catalog).await?;
    Ok(Success(ChainBody::build(&ChainQuery {
        catalog: &catalog,
        latest: &latest,
        underlying,
        chain,
        around: parameters.around,
        sim: door.state.sim,
        now,
    })))
}

pub(crate) async fn tick(
    State(door): Shared,
    symbol: Result<Path<String>, PathRejection>,
) -> Result<Success<Box<RawValue>>, Refusal> {
    let Path(symbol) = symbol.map_err(|_| Refusal::path())?;
    let wish = match Wish::parse(&symbol)? {
        wish @ (Wish::Token(_) | Wish::Symbol { .. }) => wish,
        _ => return Err(Refusal::input("ask for one token or one EXCHANGE:TRADINGSYMBOL")),
    };
    let catalog = door.catalog();
    let tokens = wish.resolve(&catalog, date_in_india(door.state.clock.now()))?;
    let latest = door.newest(tokens.clone(), &catalog).await?;
    let value = tokens.first().and_then(|&token| latest.get(token));
    let value = value.ok_or_else(|| Refusal::no_data(format!("no tick of {symbol} has arrived yet")))?;
    let batch = batch_of(vec![value], &catalog);
    let encoded = BatchEncoder::new(WireFormat::Json).encode(&batch);
    let text = (encoded.len() == 1).then(|| String::from_utf8_lossy(encoded.tick(0)).into_owned());
    let raw = text.and_then(|text| RawValue::from_string(text).ok());
    raw.map(Success).ok_or_else(|| Refusal::no_data(format!("no tick of {symbol} has arrived yet")))
}

// === impl UnderlyingBody ===

impl UnderlyingBody {
    fn of(underlying: &Underlying, catalog: &InstrumentCatalog, door: &Door, spots: &LatestValues) -> Self {
        let spot = underlying.spot.map(|slot| catalog.get(slot));
        let options =
            underlying.chains.iter().flat_map(|chain| &chain.rows).flat_map(|row| [row.call, row.put]);
        let slots = options.flatten().chain(underlying.futures.iter().copied()).chain(underlying.spot);
        // What others stream is not fetched to be counted: they have it, or will in a moment.
        let (theirs, ours): (Vec<_>, Vec<_>) = (slots.map(|slot| catalog.get(slot).token))
            .partition(|token| door.state.elsewhere.streams(*token));
        let mut live = theirs.len();
        door.state.latest.each(ours, |_| live += 1);
        Self {
            name: underlying.name.to_string(),
            exchange: underlying.exchange.to_string(),
            spot: spot.map(|spot| SpotBody {
                instrument_token: spot.token.0,
                exchange: spot.exchange.to_string(),
                tradingsymbol: spot.tradingsymbol.to_string(),
                last_price: spots.get(spot.token).map(|value| value.snapshot.tick.last_price.to_f64()),
            }),
            futures: underlying.futures.len(),
            expiries: underlying
                .chains
                .iter()
                .map(|chain| ExpiryBody { date: chain.expiry.date.to_string(), strikes: chain.rows.len() })
                .collect(),
            live,
        }
    }
}
