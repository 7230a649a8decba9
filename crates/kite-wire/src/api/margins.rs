//! The calculators: what orders need and what they cost. `POST`, but nothing changes by them.

use market_model::{Exchange, Price};
use serde::{Serialize, Serializer};

use super::{ApiRequest, call, parse_rows};
use crate::rest::lenient::price;
use crate::rest::{BasketMargin, ContractNote, OrderMargin, parse_body};
use crate::{OrderType, Product, TransactionType, Variety};

/// An order to compute a margin for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarginOrder {
    /// Where.
    #[serde(serialize_with = "word")]
    pub exchange: Exchange,
    /// As in the instrument dump.
    pub tradingsymbol: String,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Which kind of order.
    pub variety: Variety,
    /// How the position is carried.
    pub product: Product,
    /// At which price it may be filled.
    pub order_type: OrderType,
    /// Units.
    pub quantity: u64,
    /// Limit price; zero for a market order.
    #[serde(serialize_with = "price::serialize")]
    pub price: Price,
    /// Trigger price; zero without one.
    #[serde(serialize_with = "price::serialize")]
    pub trigger_price: Price,
}

/// `POST /margins/orders`: each order alone, with the positions and open orders there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderMargins {
    /// The orders.
    pub orders: Vec<MarginOrder>,
    /// Only the totals.
    pub compact: bool,
}

/// `POST /margins/basket`: the orders together, with the benefit of spreads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BasketMargins {
    /// The orders.
    pub orders: Vec<MarginOrder>,
    /// Whether open positions count; what Kite takes when nothing is said is unconfirmed.
    pub consider_positions: Option<bool>,
    /// Only the totals.
    pub compact: bool,
}

/// An executed order to compute charges for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChargeOrder {
    /// Any text; the answer keeps the order but not this.
    pub order_id: String,
    /// Where.
    #[serde(serialize_with = "word")]
    pub exchange: Exchange,
    /// As in the instrument dump.
    pub tradingsymbol: String,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Which kind of order.
    pub variety: Variety,
    /// How the position is carried.
    pub product: Product,
    /// At which price it could be filled.
    pub order_type: OrderType,
    /// Units.
    pub quantity: u64,
    /// What was paid; above zero.
    #[serde(serialize_with = "price::serialize")]
    pub average_price: Price,
}

/// `POST /charges/orders`: a virtual contract note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetCharges(
    /// The executed orders.
    pub Vec<ChargeOrder>,
);

call!(OrderMargins, this => Vec<OrderMargin>, parse_rows, {
    ApiRequest::post(["margins/orders"])
        .calculation(&this.orders)
        .ask_if("mode", this.compact.then_some("compact"))
});

call!(BasketMargins, this => BasketMargin, parse_body, {
    ApiRequest::post(["margins/basket"])
        .calculation(&this.orders)
        .ask_if("consider_positions", this.consider_positions.map(|consider| consider.to_string()))
        .ask_if("mode", this.compact.then_some("compact"))
});

call!(GetCharges, this => Vec<ContractNote>, parse_rows, {
    ApiRequest::post(["charges/orders"]).calculation(&this.0)
});

fn word<S: Serializer>(exchange: &Exchange, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(exchange.as_str())
}
