//! The instrument dump, as CSV.

use std::io::Write;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, StatusCode, header};
use kite_wire::{InstrumentRow, InstrumentType, write_instruments};
use market_model::{OptionSide, Price};

use super::{Refused, authorize, credentials};
use crate::limits::Class;
use crate::listing::{Kind, Listed};
use crate::server::Shared;

/// Exchanges that answer, if only with a header, because the real ones would.
const EXCHANGES: [&str; 8] = ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"];

pub(super) async fn all(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refused> {
    dump(&shared, &headers, None)
}

pub(super) async fn of_exchange(
    State(shared): State<Arc<Shared>>,
    Path(exchange): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if !EXCHANGES.contains(&exchange.as_str()) {
        return Err(Refused::input("Invalid `exchange`."));
    }
    dump(&shared, &headers, Some(&exchange))
}

/// Many tools fetch the dump without logging in, so no header is fine; a wrong one is not.
fn dump(shared: &Shared, headers: &HeaderMap, exchange: Option<&str>) -> Result<Response, Refused> {
    if credentials(headers).is_some() {
        authorize(shared, headers, Class::Other)?;
    }
    let listing = {
        let mut engine = shared.engine();
        engine.advance(shared.now());
        Arc::clone(engine.market.listing())
    };
    let rows: Vec<InstrumentRow> = listing
        .instruments
        .iter()
        .filter(|listed| exchange.is_none_or(|wanted| listed.exchange.as_str() == wanted))
        .map(row)
        .collect();
    let gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    written(&rows, gzip).map_err(|error| {
        tracing::error!(%error, "instrument dump not written");
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "GeneralException", "Internal error.")
    })
}

fn written(rows: &[InstrumentRow], gzip: bool) -> std::io::Result<Response> {
    let content_type = (header::CONTENT_TYPE, "text/csv");
    if !gzip {
        let mut body = Vec::new();
        write_instruments(rows, &mut body)?;
        return Ok(([content_type], body).into_response());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write_instruments(rows, &mut encoder)?;
    encoder.flush()?;
    let body = encoder.finish()?;
    Ok(([content_type, (header::CONTENT_ENCODING, "gzip")], body).into_response())
}

fn row(listed: &Listed) -> InstrumentRow {
    let (instrument_type, strike) = match listed.kind {
        Kind::Future { .. } => (InstrumentType::Future, 0.0),
        Kind::Option { strike, side, .. } => match side {
            OptionSide::Call => (InstrumentType::Call, strike),
            OptionSide::Put => (InstrumentType::Put, strike),
        },
        _ => (InstrumentType::Equity, 0.0),
    };
    InstrumentRow {
        token: listed.token,
        exchange_token: listed.token.0 / 256,
        tradingsymbol: listed.tradingsymbol.as_str().into(),
        name: listed.name.into(),
        last_price: Price::ZERO,
        expiry: listed.expiry,
        strike: Price::from_f64(strike).unwrap_or_default(),
        tick_size: Price::from_paise(listed.tick_paise),
        lot_size: listed.lot_size,
        instrument_type,
        segment: listed.segment.clone(),
        exchange: listed.exchange.clone(),
    }
}
