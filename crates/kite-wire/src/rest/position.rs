//! What is open, and what was closed today.

use market_model::{InstrumentToken, Price};
use serde::{Deserialize, Serialize};

use super::lenient::{count, id, or_default, price, signed, token};
use crate::{Amount, Product};

/// The same book seen twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Positions {
    /// Carried and today's together; closed positions stay with quantity 0.
    #[serde(deserialize_with = "or_default")]
    pub net: Vec<Position>,
    /// Today's trades alone.
    #[serde(deserialize_with = "or_default")]
    pub day: Vec<Position>,
}

/// One instrument in one product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Position {
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// The same as a number.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// How it is carried.
    pub product: Product,
    /// Units; below zero when short, zero when closed.
    #[serde(with = "signed")]
    pub quantity: i64,
    /// Of those, carried from before.
    #[serde(with = "signed")]
    pub overnight_quantity: i64,
    /// Units of one lot, where quantity counts lots.
    pub multiplier: Amount,
    /// Of the open side; zero when flat.
    pub average_price: Amount,
    /// Previous close.
    #[serde(with = "price")]
    pub close_price: Price,
    /// Price of the last trade.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Sold less bought.
    pub value: Amount,
    /// Value and what the open part is worth.
    pub pnl: Amount,
    /// Gain of the day.
    pub m2m: Amount,
    /// Same as `pnl` in samples.
    pub unrealised: Amount,
    /// Zero in samples.
    pub realised: Amount,
    /// Units bought.
    #[serde(with = "count")]
    pub buy_quantity: u64,
    /// What was paid, on average.
    pub buy_price: Amount,
    /// What was paid in all.
    pub buy_value: Amount,
    /// The same, with the carried part at the previous close.
    #[serde(alias = "buy_m2m_value")]
    pub buy_m2m: Amount,
    /// Units sold.
    #[serde(with = "count")]
    pub sell_quantity: u64,
    /// What was got, on average.
    pub sell_price: Amount,
    /// What was got in all.
    pub sell_value: Amount,
    /// The same, with the carried part at the previous close.
    #[serde(alias = "sell_m2m_value")]
    pub sell_m2m: Amount,
    /// Units bought today.
    #[serde(with = "count")]
    pub day_buy_quantity: u64,
    /// Average of today.
    pub day_buy_price: Amount,
    /// In all today.
    pub day_buy_value: Amount,
    /// Units sold today.
    #[serde(with = "count")]
    pub day_sell_quantity: u64,
    /// Average of today.
    pub day_sell_price: Amount,
    /// In all today.
    pub day_sell_value: Amount,
}
