//! What was filled.

use jiff::civil::Time;
use market_model::{InstrumentToken, Price, UnixNanos};
use serde::{Deserialize, Serialize};

use super::lenient::{count, id, price, time, time_of_day, token};
use crate::{Product, TransactionType};

/// One fill of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Trade {
    /// The exchange's number of the fill.
    #[serde(deserialize_with = "id::deserialize")]
    pub trade_id: String,
    /// Kite's number of the order.
    #[serde(deserialize_with = "id::deserialize")]
    pub order_id: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// The same as a number.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// How the position is carried.
    pub product: Product,
    /// What was paid; the nearest 1e-7 rupee of what is written.
    #[serde(with = "price")]
    pub average_price: Price,
    /// Units; the documents call it `filled`, the rows do not.
    #[serde(with = "count")]
    pub quantity: u64,
    /// The exchange's number of the order.
    #[serde(deserialize_with = "id::optional")]
    pub exchange_order_id: Option<String>,
    /// Bought or sold.
    pub transaction_type: TransactionType,
    /// When the exchange filled it; missing in old rows.
    #[serde(with = "time")]
    pub fill_timestamp: Option<UnixNanos>,
    /// When Kite registered the order: a time of day without its day.
    #[serde(with = "time_of_day")]
    pub order_timestamp: Option<Time>,
    /// When the exchange registered the order.
    #[serde(with = "time")]
    pub exchange_timestamp: Option<UnixNanos>,
}
