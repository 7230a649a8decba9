//! Orders and trades.

use market_model::{Exchange, Price};

use super::{ApiRequest, RequestClass, call, parse_rows, plain_get};
use crate::rest::lenient::plain;
use crate::rest::{OrderId, OrderUpdate, Placed, Trade, parse_body};
use crate::{Amount, OrderType, Product, TransactionType, Validity, Variety};

/// `POST /orders/{variety}`. The order id in the answer means "received", nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Which kind of order.
    pub variety: Variety,
    /// Where.
    pub exchange: Exchange,
    /// As in the instrument dump.
    pub tradingsymbol: String,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Units; on MCX and the currency exchanges, lots.
    pub quantity: u64,
    /// How the position is carried.
    pub product: Product,
    /// At which price it may be filled.
    pub order_type: OrderType,
    /// Limit price, for `LIMIT` and `SL`.
    pub price: Option<Price>,
    /// For `SL`, `SL-M` and cover orders.
    pub trigger_price: Option<Price>,
    /// How long it lives; Kite takes `DAY` when nothing is said.
    pub validity: Option<Validity>,
    /// Minutes, with `TTL`.
    pub validity_ttl: Option<u32>,
    /// Units shown to the market.
    pub disclosed_quantity: Option<u64>,
    /// For variety `iceberg`.
    pub iceberg: Option<Iceberg>,
    /// For variety `auction`, from the list of auctions.
    pub auction_number: Option<String>,
    /// The user's mark: letters and digits, at most twenty.
    pub tag: Option<String>,
    /// Needed by `MARKET` and `SL-M` since April 2026.
    pub market_protection: Option<MarketProtection>,
    /// Lets Kite cut what is above the exchange's freeze quantity into at most ten slices.
    pub autoslice: bool,
    /// The exchange's number of a registered strategy; meaning unconfirmed (section 4.4).
    pub algo_id: Option<String>,
    /// Of bracket orders; not in the documents any more.
    pub squareoff: Option<Price>,
    /// Of bracket and cover orders; not in the documents any more.
    pub stoploss: Option<Price>,
    /// Of bracket orders; not in the documents any more.
    pub trailing_stoploss: Option<Price>,
}

/// In how many parts an iceberg order is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iceberg {
    /// 2 to 50.
    pub legs: u32,
    /// Units of each leg: quantity by legs.
    pub quantity: u64,
}

/// How far from the last price a market order may be filled (section 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketProtection {
    /// The broker's own band for that price.
    Automatic,
    /// Percent of the last price, above 0 up to 100.
    Percent(Amount),
}

/// `PUT /orders/{variety}/{order_id}`. What is not said keeps its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyOrder {
    /// As it was placed; `regular` for an after-market order that has gone to the exchange.
    pub variety: Variety,
    /// Kite's number of the order.
    pub order_id: String,
    /// The first leg, for the second leg of a cover order.
    pub parent_order_id: Option<String>,
    /// A new type.
    pub order_type: Option<OrderType>,
    /// A new quantity; whether total or remaining is unconfirmed (section 6.3).
    pub quantity: Option<u64>,
    /// A new limit price.
    pub price: Option<Price>,
    /// A new trigger price.
    pub trigger_price: Option<Price>,
    /// A new part shown to the market.
    pub disclosed_quantity: Option<u64>,
    /// A new life.
    pub validity: Option<Validity>,
    /// Minutes, with `TTL`.
    pub validity_ttl: Option<u32>,
    /// Needed when a limit order becomes a market order.
    pub market_protection: Option<MarketProtection>,
}

/// `DELETE /orders/{variety}/{order_id}`; also the exit of a cover order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOrder {
    /// As it was placed; `regular` for an after-market order that has gone to the exchange.
    pub variety: Variety,
    /// Kite's number of the order.
    pub order_id: String,
    /// The first leg, for the second leg of a cover order.
    pub parent_order_id: Option<String>,
}

plain_get! {
    /// `GET /orders`: the last state of every order of the day.
    GetOrders: "orders" => Vec<OrderUpdate>, parse_rows;
    /// `GET /trades`: every trade of the day.
    GetTrades: "trades" => Vec<Trade>, parse_rows;
}

/// `GET /orders/{order_id}`: every state of one order, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOrderHistory(
    /// Kite's number of the order.
    pub String,
);

/// `GET /orders/{order_id}/trades`: the trades of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOrderTrades(
    /// Kite's number of the order.
    pub String,
);

call!(PlaceOrder, this => Placed, parse_body, {
    ApiRequest::post(["orders", this.variety.as_str()])
        .class(RequestClass::PlaceOrder)
        .field("exchange", this.exchange.as_str().to_owned())
        .field("tradingsymbol", this.tradingsymbol.clone())
        .field("transaction_type", this.transaction_type.to_string())
        .field("quantity", this.quantity.to_string())
        .field("product", this.product.to_string())
        .field("order_type", this.order_type.to_string())
        .field_if("price", this.price.map(plain))
        .field_if("trigger_price", this.trigger_price.map(plain))
        .field_if("validity", this.validity.as_ref().map(ToString::to_string))
        .field_if("validity_ttl", this.validity_ttl.map(|minutes| minutes.to_string()))
        .field_if("disclosed_quantity", this.disclosed_quantity.map(|units| units.to_string()))
        .field_if("iceberg_legs", this.iceberg.map(|iceberg| iceberg.legs.to_string()))
        .field_if("iceberg_quantity", this.iceberg.map(|iceberg| iceberg.quantity.to_string()))
        .field_if("auction_number", this.auction_number.clone())
        .field_if("tag", this.tag.clone())
        .field_if("market_protection", this.market_protection.map(MarketProtection::text))
        .field_if("autoslice", this.autoslice.then_some("true"))
        .field_if("algo_id", this.algo_id.clone())
        .field_if("squareoff", this.squareoff.map(plain))
        .field_if("stoploss", this.stoploss.map(plain))
        .field_if("trailing_stoploss", this.trailing_stoploss.map(plain))
});

call!(ModifyOrder, this => OrderId, parse_body, {
    ApiRequest::put(["orders", this.variety.as_str(), &this.order_id])
        .class(RequestClass::ModifyOrder)
        .field_if("parent_order_id", this.parent_order_id.clone())
        .field_if("order_type", this.order_type.as_ref().map(ToString::to_string))
        .field_if("quantity", this.quantity.map(|units| units.to_string()))
        .field_if("price", this.price.map(plain))
        .field_if("trigger_price", this.trigger_price.map(plain))
        .field_if("disclosed_quantity", this.disclosed_quantity.map(|units| units.to_string()))
        .field_if("validity", this.validity.as_ref().map(ToString::to_string))
        .field_if("validity_ttl", this.validity_ttl.map(|minutes| minutes.to_string()))
        .field_if("market_protection", this.market_protection.map(MarketProtection::text))
});

call!(CancelOrder, this => OrderId, parse_body, {
    ApiRequest::delete(["orders", this.variety.as_str(), &this.order_id])
        .class(RequestClass::CancelOrder)
        .ask_if("parent_order_id", this.parent_order_id.clone())
});

call!(GetOrderHistory, this => Vec<OrderUpdate>, parse_rows, ApiRequest::get(["orders", &this.0]));

call!(GetOrderTrades, this => Vec<Trade>, parse_rows, ApiRequest::get(["orders", &this.0, "trades"]));

// === impl PlaceOrder ===

impl PlaceOrder {
    /// An order of variety `regular` with only what every order needs; set the rest by its fields.
    pub fn regular(
        (exchange, tradingsymbol): (Exchange, impl Into<String>),
        (transaction_type, quantity): (TransactionType, u64),
        product: Product,
        order_type: OrderType,
    ) -> Self {
        Self {
            variety: Variety::Regular,
            exchange,
            tradingsymbol: tradingsymbol.into(),
            transaction_type,
            quantity,
            product,
            order_type,
            price: None,
            trigger_price: None,
            validity: None,
            validity_ttl: None,
            disclosed_quantity: None,
            iceberg: None,
            auction_number: None,
            tag: None,
            market_protection: None,
            autoslice: false,
            algo_id: None,
            squareoff: None,
            stoploss: None,
            trailing_stoploss: None,
        }
    }
}

// === impl ModifyOrder ===

impl ModifyOrder {
    /// A modification that changes nothing yet.
    pub fn new(variety: Variety, order_id: impl Into<String>) -> Self {
        Self {
            variety,
            order_id: order_id.into(),
            parent_order_id: None,
            order_type: None,
            quantity: None,
            price: None,
            trigger_price: None,
            disclosed_quantity: None,
            validity: None,
            validity_ttl: None,
            market_protection: None,
        }
    }
}

// === impl MarketProtection ===

impl MarketProtection {
    fn text(self) -> String {
        match self {
            Self::Automatic => "-1".to_owned(),
            Self::Percent(percent) => percent.to_string(),
        }
    }
}
