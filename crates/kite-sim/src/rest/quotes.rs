//! `/quote`, `/quote/ohlc`, `/quote/ltp`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use kite_wire::rest::{LtpQuote, OhlcQuote, Quote, QuoteMap, TradableQuote};
use market_model::{InstrumentToken, Price, Tick, TickBody};

use super::{Refused, authorize, query, success};
use crate::limits::Class;
use crate::listing::{Kind, Listed};
use crate::server::Shared;

pub(super) async fn full(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let limit = shared.config.limits.quote_instruments;
    answer(&shared, &request, limit, full_quote).map(success)
}

pub(super) async fn ohlc(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let limit = shared.config.limits.ltp_instruments;
    let quotes = answer(&shared, &request, limit, |_, tick| OhlcQuote {
        instrument_token: tick.token,
        last_price: tick.last_price,
        ohlc: tick.ohlc().copied().unwrap_or_default(),
    });
    quotes.map(success)
}

pub(super) async fn ltp(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let limit = shared.config.limits.ltp_instruments;
    let quotes = answer(&shared, &request, limit, |_, tick| LtpQuote {
        instrument_token: tick.token,
        last_price: tick.last_price,
    });
    quotes.map(success)
}

/// What `quote` makes of each instrument asked for, under the text it was asked by. The unknown is absent.
fn answer<T>(
    shared: &Shared,
    request: &Request,
    limit: usize,
    quote: impl Fn(&Listed, &Tick) -> T,
) -> Result<QuoteMap<T>, Refused> {
    authorize(shared, request.headers(), Class::Quote)?;
    let asked: Vec<String> =
        query(request.uri()).into_iter().filter(|(name, _)| name == "i").map(|(_, text)| text).collect();
    if asked.is_empty() {
        return Err(Refused::input("Missing `i`."));
    }
    if asked.len() > limit {
        return Err(Refused::input(format!("Maximum {limit} instruments are allowed per request.")));
    }
    let mut engine = shared.engine();
    engine.advance(shared.now());
    let listing = Arc::clone(engine.market.listing());
    let quotes = asked.into_iter().filter_map(|text| {
        let slot = match text.parse() {
            Ok(token) => listing.slot(InstrumentToken(token)),
            Err(_) => listing.slot_of_symbol(&text),
        }?;
        let tick = engine.market.tick(slot);
        Some((text, quote(listing.get(slot), &tick)))
    });
    Ok(quotes.collect())
}

fn full_quote(listed: &Listed, tick: &Tick) -> Quote {
    let ohlc = tick.ohlc().copied().unwrap_or_default();
    let tradable = match &tick.body {
        TickBody::Full(full) => {
            let (lower_circuit_limit, upper_circuit_limit) = circuit(listed, ohlc.close);
            Some(TradableQuote {
                last_trade_time: full.last_trade_time,
                last_quantity: full.quote.last_traded_quantity.into(),
                buy_quantity: full.quote.total_buy_quantity.into(),
                sell_quantity: full.quote.total_sell_quantity.into(),
                volume: full.quote.volume_traded.into(),
                average_price: full.quote.average_traded_price,
                oi: full.oi.into(),
                oi_day_high: full.oi_day_high.into(),
                oi_day_low: full.oi_day_low.into(),
                lower_circuit_limit,
                upper_circuit_limit,
                depth: full.depth,
            })
        }
        _ => None,
    };
    Quote {
        instrument_token: tick.token,
        timestamp: tick.exchange_timestamp(),
        last_price: tick.last_price,
        net_change: tick.last_price - ohlc.close,
        ohlc,
        tradable,
    }
}

/// Day limits around the previous close: ten percent for futures, twenty for shares, wide open for options.
fn circuit(listed: &Listed, close: Price) -> (Price, Price) {
    let tick = listed.tick_paise.max(1);
    let on_grid =
        |rupees: f64| Price::from_paise(((rupees * 100.0 / tick as f64).round() as i64).max(1) * tick);
    let close = close.to_f64();
    match listed.kind {
        Kind::Option { strike, .. } => (on_grid(0.0), on_grid(close * 20.0 + strike * 0.1)),
        Kind::Future { .. } => (on_grid(close * 0.9), on_grid(close * 1.1)),
        _ => (on_grid(close * 0.8), on_grid(close * 1.2)),
    }
}
