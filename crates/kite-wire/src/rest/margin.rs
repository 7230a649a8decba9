//! What orders need and what they cost.

use serde::{Deserialize, Serialize};

use super::lenient::{count, id, or_default};
use crate::{Amount, OrderType, Product, TransactionType, Variety};

/// What an order needs. Of a compact answer only the names and the total are there; the rest is zero.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct OrderMargin {
    /// `equity` or `commodity`; empty in the sums of a basket.
    #[serde(rename = "type", deserialize_with = "id::deserialize")]
    pub kind: String,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// SPAN margin.
    pub span: Amount,
    /// Exposure margin.
    pub exposure: Amount,
    /// Premium; below zero when received.
    pub option_premium: Amount,
    /// Additional margin.
    pub additional: Amount,
    /// Of bracket orders.
    pub bo: Amount,
    /// Cash.
    pub cash: Amount,
    /// Value at risk.
    pub var: Amount,
    /// Gains that count.
    #[serde(deserialize_with = "or_default")]
    pub pnl: MarginPnl,
    /// Leverage given.
    pub leverage: Amount,
    /// What it costs.
    #[serde(deserialize_with = "or_default")]
    pub charges: Charges,
    /// In all.
    pub total: Amount,
}

/// Gains that count for a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MarginPnl {
    /// Made.
    pub realised: Amount,
    /// Open.
    pub unrealised: Amount,
}

/// What orders need together. The `charges` at the top of the body mix kinds of tax and are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct BasketMargin {
    /// Before the benefit of spreads.
    #[serde(deserialize_with = "or_default")]
    pub initial: OrderMargin,
    /// After it.
    #[serde(deserialize_with = "or_default")]
    pub r#final: OrderMargin,
    /// Each alone.
    #[serde(deserialize_with = "or_default")]
    pub orders: Vec<OrderMargin>,
}

/// Taxes and fees. Do not check the arithmetic: two rows of the samples leave out a part of the tax.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Charges {
    /// STT or CTT.
    pub transaction_tax: Amount,
    /// `stt`, `ctt` or empty.
    #[serde(deserialize_with = "id::deserialize")]
    pub transaction_tax_type: String,
    /// The exchange's.
    pub exchange_turnover_charge: Amount,
    /// The regulator's.
    pub sebi_turnover_charge: Amount,
    /// The broker's.
    pub brokerage: Amount,
    /// Of the state.
    pub stamp_duty: Amount,
    /// On fees.
    #[serde(deserialize_with = "or_default")]
    pub gst: Gst,
    /// In all.
    pub total: Amount,
}

/// Goods and services tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Gst {
    /// Integrated.
    pub igst: Amount,
    /// Central.
    pub cgst: Amount,
    /// The state's.
    pub sgst: Amount,
    /// In all.
    pub total: Amount,
}

/// What an executed order cost; in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ContractNote {
    /// Bought or sold.
    pub transaction_type: TransactionType,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// Which kind of order.
    pub variety: Variety,
    /// How the position is carried.
    pub product: Product,
    /// At which price it could be filled.
    pub order_type: OrderType,
    /// Units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// The average price of the request.
    pub price: Amount,
    /// What it cost.
    #[serde(deserialize_with = "or_default")]
    pub charges: Charges,
}
