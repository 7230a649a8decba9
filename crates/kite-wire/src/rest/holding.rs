//! What is held in the depository.

use market_model::{InstrumentToken, Price, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{count, flag, id, or_default, price, time, token};
use crate::{Amount, Product};

/// One security.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Holding {
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// The same as a number; in auctions, of the auction market.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// The security.
    #[serde(deserialize_with = "id::deserialize")]
    pub isin: String,
    /// How it is carried.
    pub product: Product,
    /// Undocumented; zero.
    pub price: Amount,
    /// Settled units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Of those, sold today.
    #[serde(with = "count")]
    pub used_quantity: u64,
    /// Units bought yesterday, not yet settled.
    #[serde(with = "count")]
    pub t1_quantity: u64,
    /// Units delivered.
    #[serde(with = "count")]
    pub realised_quantity: u64,
    /// Units authorised for sale.
    #[serde(with = "count")]
    pub authorised_quantity: u64,
    /// When they were authorised.
    #[serde(with = "time")]
    pub authorised_date: Option<UnixNanos>,
    /// More about it; `{}` so far.
    pub authorisation: Value,
    /// Units at the start of the day.
    #[serde(with = "count")]
    pub opening_quantity: u64,
    /// Units sold short.
    #[serde(with = "count")]
    pub short_quantity: u64,
    /// Units pledged.
    #[serde(with = "count")]
    pub collateral_quantity: u64,
    /// Kind of pledge.
    #[serde(deserialize_with = "id::optional")]
    pub collateral_type: Option<String>,
    /// Whether the average price is doubtful.
    #[serde(deserialize_with = "flag")]
    pub discrepancy: bool,
    /// What was paid, on average.
    pub average_price: Amount,
    /// Price of the last trade.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Previous close.
    #[serde(with = "price")]
    pub close_price: Price,
    /// Last less average price, by quantity.
    pub pnl: Amount,
    /// Last price less previous close.
    pub day_change: Amount,
    /// The same in percent.
    pub day_change_percentage: Amount,
    /// The funded part.
    #[serde(deserialize_with = "or_default")]
    pub mtf: MtfHolding,
}

/// The part of a holding that the broker funds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MtfHolding {
    /// Units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Of those, sold today.
    #[serde(with = "count")]
    pub used_quantity: u64,
    /// What was paid, on average.
    pub average_price: Amount,
    /// What was paid in all.
    pub value: Amount,
    /// The user's own part.
    pub initial_margin: Amount,
}

/// A security that can be sold into an auction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AuctionHolding {
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// The same as a number; in auctions, of the auction market.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// The security.
    #[serde(deserialize_with = "id::deserialize")]
    pub isin: String,
    /// How it is carried.
    pub product: Product,
    /// Undocumented; zero.
    pub price: Amount,
    /// Settled units.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Units bought yesterday, not yet settled.
    #[serde(with = "count")]
    pub t1_quantity: u64,
    /// Units delivered.
    #[serde(with = "count")]
    pub realised_quantity: u64,
    /// Units authorised for sale.
    #[serde(with = "count")]
    pub authorised_quantity: u64,
    /// When they were authorised.
    #[serde(with = "time")]
    pub authorised_date: Option<UnixNanos>,
    /// Units at the start of the day.
    #[serde(with = "count")]
    pub opening_quantity: u64,
    /// Units pledged.
    #[serde(with = "count")]
    pub collateral_quantity: u64,
    /// Kind of pledge.
    #[serde(deserialize_with = "id::optional")]
    pub collateral_type: Option<String>,
    /// Whether the average price is doubtful.
    #[serde(deserialize_with = "flag")]
    pub discrepancy: bool,
    /// What was paid, on average.
    pub average_price: Amount,
    /// Price of the last trade.
    #[serde(with = "price")]
    pub last_price: Price,
    /// Previous close.
    #[serde(with = "price")]
    pub close_price: Price,
    /// Last less average price, by quantity.
    pub pnl: Amount,
    /// Last price less previous close.
    pub day_change: Amount,
    /// The same in percent.
    pub day_change_percentage: Amount,
    /// The auction, for an order of variety `auction`.
    #[serde(deserialize_with = "id::deserialize")]
    pub auction_number: String,
}

/// All holdings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct HoldingsSummary {
    /// Gain since they were bought.
    pub total_pnl: Amount,
    /// The same in percent.
    pub total_pnl_percent: Amount,
    /// Gain of the day.
    pub today_pnl: Amount,
    /// The same in percent.
    pub today_pnl_percent: Amount,
    /// What was paid.
    pub invested_amount: Amount,
    /// What they are worth.
    pub current_value: Amount,
}

/// One security in few words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct CompactHolding {
    /// Where.
    #[serde(deserialize_with = "id::deserialize")]
    pub exchange: String,
    /// Which instrument.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// The same as a number.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// Units bought yesterday, not yet settled.
    #[serde(with = "count")]
    pub t1_quantity: u64,
    /// Settled units.
    #[serde(with = "count")]
    pub quantity: u64,
}

/// Names an authorisation of sales; the user goes on with it on the page of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AuthorisationId {
    /// Part of the address of that page.
    #[serde(deserialize_with = "id::deserialize")]
    pub request_id: String,
}
