//! Alerts on a price.

use market_model::{InstrumentToken, Ohlc, Price, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{count, id, ohlc, or_default, price, signed, time, token};
use crate::{AlertStatus, AlertType, Amount, OrderType, Product, TransactionType, Validity, Variety};

/// What an alert watches and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Alert {
    /// Tells, or places orders.
    #[serde(rename = "type")]
    pub kind: AlertType,
    /// Whose it is.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_id: String,
    /// Kite's name of it.
    #[serde(deserialize_with = "id::deserialize")]
    pub uuid: String,
    /// The user's name of it.
    #[serde(deserialize_with = "id::deserialize")]
    pub name: String,
    /// How it stands.
    pub status: AlertStatus,
    /// Why it does not watch, if anybody said so.
    #[serde(deserialize_with = "id::deserialize")]
    pub disabled_reason: String,
    /// What an alert of type `ato` places. The answer to its creation does not repeat it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basket: Option<AlertBasket>,
    /// What is watched; only `LastTradedPrice` is documented.
    #[serde(deserialize_with = "id::deserialize")]
    pub lhs_attribute: String,
    /// Where the watched instrument is; `INDICES` for an index.
    #[serde(deserialize_with = "id::deserialize")]
    pub lhs_exchange: String,
    /// The watched instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub lhs_tradingsymbol: String,
    /// `<=`, `>=`, `<`, `>`, `==`.
    #[serde(deserialize_with = "id::deserialize")]
    pub operator: String,
    /// `constant` or `instrument`.
    #[serde(deserialize_with = "id::deserialize")]
    pub rhs_type: String,
    /// What of the other instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub rhs_attribute: String,
    /// Where the other instrument is.
    #[serde(deserialize_with = "id::deserialize")]
    pub rhs_exchange: String,
    /// The other instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub rhs_tradingsymbol: String,
    /// The number it is compared with.
    pub rhs_constant: Amount,
    /// How often it fired.
    #[serde(with = "count")]
    pub alert_count: u64,
    /// When it was made.
    #[serde(with = "time")]
    pub created_at: Option<UnixNanos>,
    /// When it was last changed.
    #[serde(with = "time")]
    pub updated_at: Option<UnixNanos>,
}

/// The orders of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertBasket {
    /// For people.
    #[serde(deserialize_with = "id::deserialize", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Kind of basket.
    #[serde(rename = "type", deserialize_with = "id::deserialize", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Marks.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The orders.
    #[serde(deserialize_with = "or_default")]
    pub items: Vec<AlertBasketItem>,
}

/// One order of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertBasketItem {
    /// `insert` in a request.
    #[serde(rename = "type", deserialize_with = "id::deserialize", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Kite's number of it, in answers.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count::optional")]
    pub id: Option<u64>,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// The same as a number, in answers.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count::optional")]
    pub instrument_token: Option<u32>,
    /// Its part of the basket.
    #[serde(with = "signed")]
    pub weight: i64,
    /// How it is placed.
    #[serde(deserialize_with = "or_default")]
    pub params: AlertBasketParams,
}

/// How an order of an alert is placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertBasketParams {
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// How the position is carried.
    pub product: Product,
    /// At which price it may be filled.
    pub order_type: OrderType,
    /// How long it lives.
    pub validity: Validity,
    /// Minutes, with `TTL`.
    #[serde(with = "count")]
    pub validity_ttl: u64,
    /// Units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Limit price.
    #[serde(with = "price")]
    pub price: Price,
    /// Trigger price of a stop order.
    #[serde(with = "price")]
    pub trigger_price: Price,
    /// Units shown to the market.
    #[serde(with = "count")]
    pub disclosed_quantity: u64,
    /// The price when the alert was made.
    #[serde(with = "price", skip_serializing_if = "is_free")]
    pub last_price: Price,
    /// Which kind of order.
    pub variety: Variety,
    /// The user's marks.
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Of bracket orders.
    #[serde(with = "price")]
    pub squareoff: Price,
    /// Of bracket and cover orders.
    #[serde(with = "price")]
    pub stoploss: Price,
    /// Of bracket orders.
    #[serde(with = "price")]
    pub trailing_stoploss: Price,
    /// For variety `iceberg`.
    #[serde(with = "count", skip_serializing_if = "is_zero")]
    pub iceberg_legs: u64,
    /// Percent, or -1 for the automatic band.
    #[serde(skip_serializing_if = "is_nothing")]
    pub market_protection: Amount,
    /// A GTT that follows the order.
    #[serde(deserialize_with = "or_default")]
    pub gtt: AlertBasketGtt,
}

/// Prices, or percents, of a GTT that follows an order; zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertBasketGtt {
    /// Where to take the profit.
    pub target: Amount,
    /// Where to limit the loss.
    pub stoploss: Amount,
}

/// One time an alert fired.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertFiring {
    /// Kite's name of the alert.
    #[serde(deserialize_with = "id::deserialize")]
    pub uuid: String,
    /// Told, or placed orders.
    #[serde(rename = "type")]
    pub kind: AlertType,
    /// The market when it fired.
    #[serde(deserialize_with = "or_default")]
    pub meta: Vec<AlertSnapshot>,
    /// In words, such as `LastTradedPrice("INDICES:NIFTY NEXT 50") <= 58290.35`.
    #[serde(deserialize_with = "id::deserialize")]
    pub condition: String,
    /// When it fired.
    #[serde(with = "time")]
    pub created_at: Option<UnixNanos>,
    /// What was placed; the shape is unconfirmed.
    pub order_meta: Option<Value>,
}

/// The market when an alert fired.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AlertSnapshot {
    /// Which instrument.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// The same as text.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Stamp of the quote.
    #[serde(with = "time")]
    pub timestamp: Option<UnixNanos>,
    /// Price of the last trade, or the index value.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Prices of the day.
    #[serde(with = "ohlc")]
    pub ohlc: Ohlc,
    /// Last price less previous close.
    #[serde(with = "price")]
    pub net_change: Price,
    /// Where; `INDICES` for an index.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// When the last trade happened.
    #[serde(with = "time")]
    pub last_trade_time: Option<UnixNanos>,
    /// Units of the last trade.
    #[serde(with = "count")]
    pub last_quantity: u64,
    /// Units wanted.
    #[serde(with = "count")]
    pub buy_quantity: u64,
    /// Units offered.
    #[serde(with = "count")]
    pub sell_quantity: u64,
    /// Units traded that day.
    #[serde(with = "count")]
    pub volume: u64,
    /// Units since the quote before.
    #[serde(with = "signed")]
    pub volume_tick: i64,
    /// Volume-weighted price of the day.
    #[serde(with = "price")]
    pub average_price: Price,
    /// Open interest in units.
    #[serde(with = "count")]
    pub oi: u64,
    /// Highest of the day.
    #[serde(with = "count")]
    pub oi_day_high: u64,
    /// Lowest of the day.
    #[serde(with = "count")]
    pub oi_day_low: u64,
    /// Lowest price the exchange accepted.
    #[serde(with = "price")]
    pub lower_circuit_limit: Price,
    /// Highest price the exchange accepted.
    #[serde(with = "price")]
    pub upper_circuit_limit: Price,
}

fn is_free(price: &Price) -> bool {
    price.is_zero()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_nothing(amount: &Amount) -> bool {
    amount.is_zero()
}
