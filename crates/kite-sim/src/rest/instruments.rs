//! The instrument dump, as CSV.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, StatusCode, header};
use kite_wire::{InstrumentRow, InstrumentType, write_instruments};
use market_model::{OptionSide, Price};

use super::{Refused, authorize, credentials};
use crate::limits::Class;
use crate::listing::{Kind, Listed, Listing};
use crate::load::LoadContract;
use crate::server::Shared;

/// Exchanges that answer, if only with a header, because the real ones would.
const EXCHANGES: [&str; 8] = ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"];

/// The dumps of one listing, each made when it is first asked for: fourteen accounts ask for the same one at once.
#[derive(Debug, Default)]
pub(crate) struct Dumps {
    listing: Option<Arc<Listing>>,
    /// By exchange, if only one is asked for, and whether compressed.
    made: HashMap<(Option<String>, bool), Bytes>,
    /// What a recording lists in place of the market.
    recorded: Vec<InstrumentRow>,
}

pub(super) async fn all(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refused> {
    dump(shared, &headers, None).await
}

pub(super) async fn of_exchange(
    State(shared): State<Arc<Shared>>,
    Path(exchange): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if !EXCHANGES.contains(&exchange.as_str()) {
        return Err(Refused::input("Invalid `exchange`."));
    }
    dump(shared, &headers, Some(exchange)).await
}

/// Many tools fetch the dump without logging in, so no header is fine; a wrong one is not.
async fn dump(
    shared: Arc<Shared>,
    headers: &HeaderMap,
    exchange: Option<String>,
) -> Result<Response, Refused> {
    if credentials(headers).is_some() {
        authorize(&shared, headers, Class::Other)?;
    }
    let listing = {
        let mut engine = shared.engine();
        engine.advance(shared.now());
        Arc::clone(engine.market.listing())
    };
    let gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    // A whole market takes long enough to hold up the ticks of this thread.
    let made = tokio::task::spawn_blocking(move || shared.dumps().get(listing, exchange, gzip)).await;
    let body = made.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        tracing::error!(%error, "instrument dump not written");
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "GeneralException", "Internal error.")
    })?;
    let content_type = (header::CONTENT_TYPE, "text/csv");
    Ok(match gzip {
        true => ([content_type, (header::CONTENT_ENCODING, "gzip")], body).into_response(),
        false => ([content_type], body).into_response(),
    })
}

// === impl Dumps ===

impl Dumps {
    /// Lists `recorded` in place of the market.
    pub(crate) fn replace(&mut self, recorded: Vec<InstrumentRow>) {
        *self = Self { recorded, ..Self::default() };
    }

    fn get(&mut self, listing: Arc<Listing>, exchange: Option<String>, gzip: bool) -> io::Result<Bytes> {
        if self.listing.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &listing)) {
            self.made.clear();
            self.listing = Some(Arc::clone(&listing));
        }
        let key = (exchange, gzip);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let wanted = key.0.as_deref();
        let is_wanted = |row: &InstrumentRow| wanted.is_none_or(|wanted| row.exchange.as_str() == wanted);
        let rows: Vec<InstrumentRow> = match self.recorded.is_empty() {
            true => listing.instruments.iter().map(row).filter(is_wanted).collect(),
            false => self.recorded.iter().filter(|row| is_wanted(row)).cloned().collect(),
        };
        let body = written(&rows, gzip)?;
        self.made.insert(key, body.clone());
        Ok(body)
    }
}

fn written(rows: &[InstrumentRow], gzip: bool) -> io::Result<Bytes> {
    if !gzip {
        let mut body = Vec::new();
        write_instruments(rows, &mut body)?;
        return Ok(body.into());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write_instruments(rows, &mut encoder)?;
    encoder.flush()?;
    Ok(encoder.finish()?.into())
}

fn row(listed: &Listed) -> InstrumentRow {
    let (instrument_type, strike) = match listed.kind {
        Kind::Future { .. } => (InstrumentType::Future, 0.0),
        Kind::Option { strike, side, .. } => match side {
            OptionSide::Call => (InstrumentType::Call, strike),
            OptionSide::Put => (InstrumentType::Put, strike),
        },
        Kind::Load(load) => match load.contract {
            LoadContract::Share => (InstrumentType::Equity, 0.0),
            LoadContract::Future { .. } => (InstrumentType::Future, 0.0),
            LoadContract::Option { strike, side: OptionSide::Call, .. } => (InstrumentType::Call, strike),
            LoadContract::Option { strike, side: OptionSide::Put, .. } => (InstrumentType::Put, strike),
        },
        _ => (InstrumentType::Equity, 0.0),
    };
    InstrumentRow {
        token: listed.token,
        exchange_token: listed.token.0 / 256,
        tradingsymbol: listed.tradingsymbol.as_str().into(),
        name: (*listed.name).into(),
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
