//! Quotes, candles and the two instrument dumps.

use market_model::{InstrumentToken, UnixNanos};

use super::{ApiRequest, RequestClass, call};
use crate::rest::{Candles, LtpQuote, OhlcQuote, Quote, QuoteMap, TriggerRange, parse_body};
use crate::{Interval, TransactionType, format_indian_time};

/// `GET /quote`: the whole picture of at most 500 instruments. What Kite does not know is absent from the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetQuotes(
    /// `EXCHANGE:SYMBOL` of each.
    pub Vec<String>,
);

/// `GET /quote/ohlc`: the day's prices of at most 1000 instruments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetOhlc(
    /// `EXCHANGE:SYMBOL` of each.
    pub Vec<String>,
);

/// `GET /quote/ltp`: the last prices of at most 1000 instruments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetLtp(
    /// `EXCHANGE:SYMBOL` of each.
    pub Vec<String>,
);

/// `GET /instruments/trigger_range/{side}`: where the trigger of a cover order may lie. Undocumented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetTriggerRange {
    /// Buy or sell.
    pub side: TransactionType,
    /// `EXCHANGE:SYMBOL` of each.
    pub instruments: Vec<String>,
}

/// `GET /instruments/historical/{token}/{interval}`. [`Interval::most_days`] says how far `from` and `to` may be apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetCandles {
    /// Which instrument.
    pub instrument_token: InstrumentToken,
    /// How long each candle lasts.
    pub interval: Interval,
    /// The first candle begins here or later.
    pub from: UnixNanos,
    /// The last candle begins here or earlier.
    pub to: UnixNanos,
    /// Day candles of expired futures behind the live contract's.
    pub continuous: bool,
    /// With open interest.
    pub oi: bool,
}

/// `GET /instruments` or `/instruments/{exchange}`: CSV, so it is no [`Call`](super::Call); read it with
/// [`parse_instruments`](crate::parse_instruments).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetInstruments {
    /// Only this exchange's.
    pub exchange: Option<String>,
}

/// `GET /mf/instruments`: CSV; read it with [`parse_mf_instruments`](crate::parse_mf_instruments).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GetMfInstruments;

call!(GetQuotes, this => QuoteMap<Quote>, parse_body, quotes("quote", &this.0));

call!(GetOhlc, this => QuoteMap<OhlcQuote>, parse_body, quotes("quote/ohlc", &this.0));

call!(GetLtp, this => QuoteMap<LtpQuote>, parse_body, quotes("quote/ltp", &this.0));

call!(GetTriggerRange, this => QuoteMap<TriggerRange>, parse_body, {
    let side = this.side.as_str().to_ascii_lowercase();
    with_instruments(ApiRequest::get(["instruments/trigger_range", &side]), &this.instruments)
});

call!(GetCandles, this => Candles, parse_body, {
    let switch = |on: bool| if on { "1" } else { "0" };
    let token = this.instrument_token.to_string();
    ApiRequest::get(["instruments/historical", &token, this.interval.as_str()])
        .class(RequestClass::Historical)
        .ask("from", format_indian_time(this.from))
        .ask("to", format_indian_time(this.to))
        .ask("continuous", switch(this.continuous))
        .ask("oi", switch(this.oi))
});

fn quotes(route: &'static str, instruments: &[String]) -> ApiRequest {
    with_instruments(ApiRequest::get([route]).class(RequestClass::Quote), instruments)
}

fn with_instruments(request: ApiRequest, instruments: &[String]) -> ApiRequest {
    instruments.iter().fold(request, |request, instrument| request.ask("i", instrument.clone()))
}

// === impl dumps ===

impl GetInstruments {
    /// The request as it goes over the wire.
    pub fn request(&self) -> ApiRequest {
        match &self.exchange {
            Some(exchange) => ApiRequest::get(["instruments", exchange]),
            None => ApiRequest::get(["instruments"]),
        }
    }
}

impl GetMfInstruments {
    /// The request as it goes over the wire.
    pub fn request(&self) -> ApiRequest {
        ApiRequest::get(["mf/instruments"])
    }
}
