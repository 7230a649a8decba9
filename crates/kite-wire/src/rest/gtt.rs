//! Orders that wait for a price.

use market_model::{InstrumentToken, Price, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{count, id, or_default, price, time, token};
use crate::{Amount, GttStatus, GttType, OrderType, Product, TransactionType};

/// A trigger, or two, and what they place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GttTrigger {
    /// Kite's number of it; a JSON number, unlike order ids.
    #[serde(with = "count")]
    pub id: u64,
    /// Whose it is.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_id: String,
    /// Always null so far.
    pub parent_trigger: Option<Value>,
    /// One trigger or two.
    #[serde(rename = "type")]
    pub kind: GttType,
    /// When it was made.
    #[serde(with = "time")]
    pub created_at: Option<UnixNanos>,
    /// When it was last changed.
    #[serde(with = "time")]
    pub updated_at: Option<UnixNanos>,
    /// When it ends by itself; a year after it was made.
    #[serde(with = "time")]
    pub expires_at: Option<UnixNanos>,
    /// How it stands.
    pub status: GttStatus,
    /// What is watched.
    #[serde(deserialize_with = "or_default")]
    pub condition: GttCondition,
    /// One for each trigger, in their order.
    #[serde(deserialize_with = "or_default")]
    pub orders: Vec<GttOrder>,
    /// `{}` or null.
    pub meta: Option<Value>,
}

/// What a GTT watches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GttCondition {
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// The price when it was made.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// One price, or two with the lower first.
    #[serde(deserialize_with = "or_default")]
    pub trigger_values: Vec<TriggerValue>,
    /// The instrument as a number.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
}

/// A price that fires a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TriggerValue(
    /// Reached or crossed.
    #[serde(with = "price")]
    pub Price,
);

/// An order that a GTT places; keys beyond these are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GttOrder {
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// How the position is carried.
    pub product: Product,
    /// `LIMIT`.
    pub order_type: OrderType,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Limit price.
    #[serde(with = "price")]
    pub price: Price,
    /// What became of it; `None` until its trigger fires.
    pub result: Option<GttResult>,
}

/// What became of an order of a fired trigger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GttResult {
    /// Whose it is.
    #[serde(deserialize_with = "id::deserialize")]
    pub account_id: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// `DAY`.
    #[serde(deserialize_with = "id::deserialize")]
    pub validity: String,
    /// How the position is carried.
    pub product: Product,
    /// `LIMIT`.
    pub order_type: OrderType,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Limit price.
    #[serde(with = "price")]
    pub price: Price,
    /// JSON text such as `{"app_id":12617,"gtt":105099}`.
    pub meta: Value,
    /// When it fired.
    #[serde(with = "time")]
    pub timestamp: Option<UnixNanos>,
    /// The price at which it fired.
    #[serde(with = "price")]
    pub triggered_at: Price,
    /// The answer to the placement.
    #[serde(deserialize_with = "or_default")]
    pub order_result: GttOrderResult,
}

/// The answer to the placement by a fired trigger. Only an order id here means that an order exists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GttOrderResult {
    /// `success` or `failed`.
    #[serde(deserialize_with = "id::deserialize")]
    pub status: String,
    /// The order; empty when none was made.
    #[serde(deserialize_with = "id::deserialize")]
    pub order_id: String,
    /// Why none was made.
    #[serde(deserialize_with = "id::optional")]
    pub rejection_reason: Option<String>,
}

/// The answer to every change of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TriggerId {
    /// Kite's number of it.
    #[serde(with = "count")]
    pub trigger_id: u64,
}

/// Where the trigger of a cover order may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TriggerRange {
    /// Which instrument; zero in the sample.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// From.
    pub lower: Amount,
    /// To.
    pub upper: Amount,
}
