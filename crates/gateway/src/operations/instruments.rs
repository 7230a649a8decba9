//! What can be traded, today and on earlier days.

use std::sync::Arc;

use gateway_api::OperationError;
use instrument_registry::{DiffReport, Group, InstrumentHistory, Listing};
use jiff::civil::Date;
use market_model::{
    Clock, Exchange, Instrument, InstrumentCatalog, InstrumentKind, InstrumentToken, Price, UnixNanos,
};
use serde_json::{Value, json};

use super::{Parts, of_registry};

/// Strikes shown on each side when nothing is said and no price is known.
const MOST_STRIKES: usize = 500;

impl Parts {
    pub(super) fn search(&self, words: &str, limit: usize) -> Value {
        let listing = self.registry.current();
        let hits = listing.search(words, None, limit);
        hits.iter().map(|hit| row(&listing, listing.catalog().get(hit.slot))).collect()
    }

    /// The instrument that `symbol` names today.
    pub(super) fn listed<'l>(
        &self,
        listing: &'l Listing,
        symbol: &str,
    ) -> Result<&'l Instrument, OperationError> {
        let found = match symbol.parse().map(InstrumentToken) {
            Ok(token) => listing.by_token(token),
            Err(_) => listing.find(symbol),
        };
        found.ok_or_else(|| {
            OperationError::NotFound(format!("nothing is listed as `{symbol}` on {}", listing.day()))
        })
    }

    pub(super) async fn instrument(
        &self,
        symbol: &str,
        as_of: Option<&str>,
    ) -> Result<Value, OperationError> {
        let listing = self.registry.current();
        let Some(day) = as_of else {
            return Ok(row(&listing, self.listed(&listing, symbol)?));
        };
        let day = date(day)?;
        let found = match symbol.parse().map(InstrumentToken) {
            Ok(token) => self.history.by_token(token, day).await,
            Err(_) => {
                let (exchange, tradingsymbol) = symbol.split_once(':').ok_or_else(|| {
                    OperationError::Input("ask for a token or EXCHANGE:TRADINGSYMBOL".to_owned())
                })?;
                self.history.by_symbol(&Exchange::from_word(exchange), tradingsymbol, day).await
            }
        };
        let found = found.map_err(|error| of_registry(&error))?;
        let found = found.ok_or_else(|| OperationError::NotFound(format!("no day up to {day} is stored")))?;
        let instrument = found
            .value
            .ok_or_else(|| OperationError::NotFound(format!("`{symbol}` was nothing on {}", found.stored)))?;
        let mut shown = row(&listing, &instrument);
        shown["as_of"] = json!(found.stored.to_string());
        Ok(shown)
    }

    pub(super) async fn strikes(
        &self,
        name: &str,
        expiry: Option<&str>,
        around: Option<usize>,
    ) -> Result<Value, OperationError> {
        let listing = self.registry.current();
        let id = listing
            .underlying(name)
            .ok_or_else(|| OperationError::NotFound(format!("there is no underlying `{name}` today")))?;
        let today = day_in_india(self.clock.now());
        let expiries = listing.expiries(id, today);
        let expiry = match expiry {
            Some(text) => date(text)?,
            None => expiries
                .iter()
                .find(|expiry| expiry.strikes > 0)
                .map(|expiry| expiry.date)
                .ok_or_else(|| OperationError::NotFound(format!("`{name}` has no options")))?,
        };
        let chain = listing.chain(id, expiry).ok_or_else(|| {
            OperationError::NotFound(format!("`{name}` has no options that end on {expiry}"))
        })?;
        let catalog = listing.catalog();
        let underlying = catalog.underlying(id);
        let carriers = underlying.spot.iter().chain(&underlying.futures);
        let price = self.price_of(carriers.map(|slot| catalog.get(*slot).token).collect(), catalog).await?;
        let ladder =
            price.and_then(|price| listing.around(id, expiry, price, around.unwrap_or(MOST_STRIKES)));
        let rows = match (&ladder, around) {
            (Some(ladder), _) => ladder.rows,
            (None, None) => &chain.rows[..],
            (None, Some(_)) => {
                return Err(OperationError::NotFound(format!("no price of `{name}` is known yet")));
            }
        };
        let symbol = |slot: &market_model::InstrumentSlot| catalog.get(*slot).tradingsymbol.to_string();
        let shown = rows.iter().map(|row| {
            json!({
                "strike": row.strike.to_f64(),
                "call": row.call.as_ref().map(symbol),
                "put": row.put.as_ref().map(symbol),
            })
        });
        Ok(json!({
            "underlying": &*underlying.name,
            "expiry": expiry.to_string(),
            "expiries": expiries.iter().map(|expiry| expiry.date.to_string()).collect::<Vec<_>>(),
            "price": price.map(|price| price.to_f64()),
            "at_the_money": ladder.map(|ladder| ladder.rows[ladder.at_the_money].strike.to_f64()),
            "strikes": shown.collect::<Vec<_>>(),
        }))
    }

    /// The newest price of the first of `tokens` that has one, whoever streams it.
    async fn price_of(
        &self,
        tokens: Vec<InstrumentToken>,
        catalog: &Arc<InstrumentCatalog>,
    ) -> Result<Option<Price>, OperationError> {
        let others = tokens.iter().copied().filter(|token| self.elsewhere.streams(*token)).collect();
        let theirs =
            self.elsewhere.read(others, catalog.clone()).await.map_err(OperationError::Unavailable)?;
        let newest = |token| {
            let mut values = theirs.iter().filter(|value| value.snapshot.token() == token);
            values.next().cloned().or_else(|| self.latest.get(token))
        };
        Ok(tokens.into_iter().find_map(newest).map(|value| value.snapshot.tick.last_price))
    }

    pub(super) fn instrument_changes(&self) -> Value {
        let status = self.registry.status();
        let report = status.morning.or(status.latest);
        report
            .map_or_else(|| json!({ "story": "no dump has come since the start" }), |report| changes(&report))
    }

    pub(super) async fn refresh_instruments(&self) -> Result<Value, OperationError> {
        let report: Arc<DiffReport> =
            self.registry.refresh().await.map_err(|error| {
                OperationError::Refused(format!("the last good instruments stay: {error}"))
            })?;
        Ok(changes(&report))
    }
}

pub(super) fn day_in_india(at: UnixNanos) -> Date {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or_default();
    exchange_calendar::ist().to_datetime(at).date()
}

fn date(text: &str) -> Result<Date, OperationError> {
    text.parse().map_err(|_| OperationError::Input(format!("`{text}` is not a day such as 2026-11-24")))
}

fn row(listing: &Listing, instrument: &Instrument) -> Value {
    let (kind, strike) = match &instrument.kind {
        InstrumentKind::Index => ("INDEX", None),
        InstrumentKind::Equity => ("EQ", None),
        InstrumentKind::Future { .. } => ("FUT", None),
        InstrumentKind::Option { strike, side, .. } => (side.as_str(), Some(strike.to_f64())),
        InstrumentKind::Other(word) => (&**word, None),
        _ => ("OTHER", None),
    };
    let catalog = listing.catalog();
    let slot = catalog
        .slot(instrument.token)
        .filter(|slot| catalog.get(*slot).tradingsymbol == instrument.tradingsymbol);
    json!({
        "instrument_token": instrument.token.0,
        "exchange": instrument.exchange.as_str(),
        "tradingsymbol": &*instrument.tradingsymbol,
        "name": &*instrument.name,
        "instrument_type": kind,
        "expiry": instrument.expiry().map(|expiry| expiry.date.to_string()),
        "strike": strike,
        "lot_size": instrument.lot_size,
        "tick_size": instrument.tick_size.to_f64(),
        "segment": instrument.segment.as_str(),
        "underlying": slot.map(|slot| catalog.underlying(catalog.underlying_of(slot)).name.to_string()),
        "openalgo": slot.map(|slot| {
            let (exchange, symbol) = listing.openalgo(slot);
            format!("{exchange}:{symbol}")
        }),
    })
}

fn changes(report: &DiffReport) -> Value {
    let group = |group: &Group| {
        let parts = group.parts.iter().map(|part| {
            json!({ "exchange": part.exchange.as_str(), "name": &*part.name, "kind": part.kind, "rows": part.rows })
        });
        json!({ "rows": group.rows, "largest": parts.collect::<Vec<_>>() })
    };
    json!({
        "day": report.day.to_string(),
        "previous": report.previous.map(|day| day.to_string()),
        "listed": report.listed,
        "listed_before": report.listed_before,
        "story": report.to_string(),
        "changed": report.changed,
        "new": group(&report.new),
        "expired": group(&report.expired),
        "gone": group(&report.gone),
    })
}
