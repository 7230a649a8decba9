//! Snapshots of the market: `/quote`, `/quote/ohlc`, `/quote/ltp`.

use std::collections::BTreeMap;

use market_model::{Depth, InstrumentToken, Ohlc, Price, UnixNanos};
use serde::{Deserialize, Serialize};

use super::lenient::{count, depth, ohlc, price, time, token};

/// The data of the quote routes, keyed by the text asked for (`NSE:INFY`). A key without data is absent.
pub type QuoteMap<T> = BTreeMap<String, T>;

/// One entry of `/quote/ltp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct LtpQuote {
    /// Which instrument.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// Price of the last trade, or the index value.
    #[serde(with = "price")]
    pub last_price: Price,
}

/// One entry of `/quote/ohlc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct OhlcQuote {
    /// Which instrument.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// Price of the last trade, or the index value.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Prices of the day; `close` is the previous day's until the new one exists.
    #[serde(with = "ohlc", default)]
    pub ohlc: Ohlc,
}

/// One entry of `/quote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "AnyQuote")]
pub struct Quote {
    /// Which instrument.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// The exchange's stamp.
    #[serde(with = "time")]
    pub timestamp: Option<UnixNanos>,
    /// Price of the last trade, or the index value.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Last price less previous close; zero in some samples.
    #[serde(with = "price")]
    pub net_change: Price,
    /// Prices of the day; `close` is the previous day's until the new one exists.
    #[serde(with = "ohlc")]
    pub ohlc: Ohlc,
    /// What an index does not have.
    #[serde(flatten)]
    pub tradable: Option<TradableQuote>,
}

/// What `/quote` says about an instrument that can be traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TradableQuote {
    /// When the last trade happened.
    #[serde(with = "time")]
    pub last_trade_time: Option<UnixNanos>,
    /// Units of the last trade.
    #[serde(with = "count")]
    pub last_quantity: u64,
    /// Units wanted in the whole book.
    #[serde(with = "count")]
    pub buy_quantity: u64,
    /// Units offered in the whole book.
    #[serde(with = "count")]
    pub sell_quantity: u64,
    /// Units traded today.
    #[serde(with = "count")]
    pub volume: u64,
    /// Volume-weighted average price of the day.
    #[serde(with = "price")]
    pub average_price: Price,
    /// Open interest in units.
    #[serde(with = "count")]
    pub oi: u64,
    /// Highest open interest of the day.
    #[serde(with = "count")]
    pub oi_day_high: u64,
    /// Lowest open interest of the day.
    #[serde(with = "count")]
    pub oi_day_low: u64,
    /// Lowest price the exchange accepts today.
    #[serde(with = "price")]
    pub lower_circuit_limit: Price,
    /// Highest price the exchange accepts today.
    #[serde(with = "price")]
    pub upper_circuit_limit: Price,
    /// The book.
    #[serde(with = "depth")]
    pub depth: Depth,
}

/// Every field any quote has; a quote without `depth` is an index.
#[derive(Deserialize)]
struct AnyQuote {
    #[serde(with = "token")]
    instrument_token: InstrumentToken,
    #[serde(with = "time", default)]
    timestamp: Option<UnixNanos>,
    #[serde(with = "price")]
    last_price: Price,
    #[serde(with = "price", default)]
    net_change: Price,
    #[serde(with = "ohlc", default)]
    ohlc: Ohlc,
    #[serde(with = "time", default)]
    last_trade_time: Option<UnixNanos>,
    #[serde(with = "count", default)]
    last_quantity: u64,
    #[serde(with = "count", default)]
    buy_quantity: u64,
    #[serde(with = "count", default)]
    sell_quantity: u64,
    #[serde(with = "count", default)]
    volume: u64,
    #[serde(with = "price", default)]
    average_price: Price,
    #[serde(with = "count", default)]
    oi: u64,
    #[serde(with = "count", default)]
    oi_day_high: u64,
    #[serde(with = "count", default)]
    oi_day_low: u64,
    #[serde(with = "price", default)]
    lower_circuit_limit: Price,
    #[serde(with = "price", default)]
    upper_circuit_limit: Price,
    #[serde(default)]
    depth: Option<Book>,
}

#[derive(Deserialize)]
struct Book(#[serde(with = "depth")] Depth);

// === impl Quote ===

impl From<AnyQuote> for Quote {
    fn from(any: AnyQuote) -> Self {
        let tradable = any.depth.map(|Book(depth)| TradableQuote {
            last_trade_time: any.last_trade_time,
            last_quantity: any.last_quantity,
            buy_quantity: any.buy_quantity,
            sell_quantity: any.sell_quantity,
            volume: any.volume,
            average_price: any.average_price,
            oi: any.oi,
            oi_day_high: any.oi_day_high,
            oi_day_low: any.oi_day_low,
            lower_circuit_limit: any.lower_circuit_limit,
            upper_circuit_limit: any.upper_circuit_limit,
            depth,
        });
        Self {
            instrument_token: any.instrument_token,
            timestamp: any.timestamp,
            last_price: any.last_price,
            net_change: any.net_change,
            ohlc: any.ohlc,
            tradable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_no_book() {
        let text = r#"{"instrument_token":256265,"timestamp":"2021-06-08 15:45:56","last_price":15740.1,"net_change":0,"ohlc":{"open":15773.9,"high":15778.8,"low":15680,"close":15751.65}}"#;
        let quote: Quote = serde_json::from_str(text).unwrap();
        assert_eq!(quote.tradable, None);
        assert_eq!(quote.ohlc.low, Price::from_paise(1_568_000));
        assert_eq!(serde_json::to_string(&quote).unwrap(), text);
    }

    #[test]
    fn numbers_are_read_as_they_come() {
        let text = r#"{"instrument_token":"408065","last_price":99725.05000000002,"volume":5.0,"oi":"7","net_change":-0.05,
            "average_price":null,"last_trade_time":null,"ohlc":null,"depth":{"buy":[{"price":"1.5","quantity":2}]}}"#;
        let quote: Quote = serde_json::from_str(text).unwrap();
        assert_eq!(quote.instrument_token, InstrumentToken(408_065));
        assert_eq!(quote.last_price.to_string(), "99725.05");
        assert_eq!(quote.net_change.to_string(), "-0.05");
        let tradable = quote.tradable.unwrap();
        assert_eq!((tradable.volume, tradable.oi), (5, 7));
        assert_eq!(tradable.depth.buy[0].price, Price::from_paise(150));
        assert_eq!(tradable.depth.buy[0].quantity, 2);
        assert_eq!(tradable.depth.sell[4].quantity, 0);
    }

    #[test]
    fn a_field_that_is_no_number_is_an_error() {
        for text in [
            r#"{"instrument_token":1,"last_price":"x"}"#,
            r#"{"instrument_token":-1,"last_price":1}"#,
            r#"{"instrument_token":1,"last_price":1e300}"#,
            r#"{"instrument_token":1,"last_price":[1]}"#,
            r#"{"instrument_token":1,"last_price":1,"depth":{"buy":5}}"#,
            r#"{"instrument_token":1,"last_price":1,"volume":1.5}"#,
        ] {
            assert!(serde_json::from_str::<Quote>(text).is_err(), "{text}");
        }
    }
}
