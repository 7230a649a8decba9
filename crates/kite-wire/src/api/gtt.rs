//! Orders that wait for a price: good till triggered.

use market_model::{Exchange, InstrumentToken, Price};
use serde::{Serialize, Serializer};

use super::{ApiRequest, call, parse_rows, plain_get};
use crate::rest::lenient::{price, token};
use crate::rest::{GttTrigger, TriggerId, parse_body};
use crate::{GttType, OrderType, Product, TransactionType};

/// What triggers, and what is placed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GttSpec {
    /// One trigger or two.
    pub kind: GttType,
    /// Where the price is watched.
    pub exchange: Exchange,
    /// Whose price is watched.
    pub tradingsymbol: String,
    /// The same as a number; optional.
    pub instrument_token: Option<InstrumentToken>,
    /// The price now; Kite refuses a trigger that equals it.
    pub last_price: Price,
    /// One or two, the low one first, each with the order it places.
    pub legs: Vec<GttLeg>,
}

/// One trigger and its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GttLeg {
    /// Fires when the price reaches or crosses this.
    pub trigger_value: Price,
    /// Buy or sell.
    pub transaction_type: TransactionType,
    /// Units.
    pub quantity: u64,
    /// `LIMIT`; whether `MARKET` is taken is unconfirmed.
    pub order_type: OrderType,
    /// How the position is carried.
    pub product: Product,
    /// Limit price.
    pub price: Price,
}

/// `POST /gtt/triggers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceGtt(
    /// What to wait for.
    pub GttSpec,
);

/// `PUT /gtt/triggers/{id}`: replaces everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyGtt {
    /// Which trigger.
    pub id: u64,
    /// What to wait for instead.
    pub spec: GttSpec,
}

/// `GET /gtt/triggers/{id}`: one trigger of any age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetGtt(
    /// Which trigger.
    pub u64,
);

/// `DELETE /gtt/triggers/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteGtt(
    /// Which trigger.
    pub u64,
);

plain_get! {
    /// `GET /gtt/triggers`: the active ones and the others of the last seven days.
    GetGtts: "gtt/triggers" => Vec<GttTrigger>, parse_rows;
}

call!(PlaceGtt, this => TriggerId, parse_body, this.0.fields(ApiRequest::post(["gtt/triggers"])));

call!(ModifyGtt, this => TriggerId, parse_body, {
    this.spec.fields(ApiRequest::put(["gtt/triggers", &this.id.to_string()]))
});

call!(GetGtt, this => GttTrigger, parse_body, ApiRequest::get(["gtt/triggers", &this.0.to_string()]));

call!(DeleteGtt, this => TriggerId, parse_body, ApiRequest::delete(["gtt/triggers", &this.0.to_string()]));

// === impl GttSpec ===

#[derive(Serialize)]
struct Condition<'a> {
    exchange: &'a str,
    tradingsymbol: &'a str,
    trigger_values: Vec<Rupees>,
    last_price: Rupees,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "known_token")]
    instrument_token: Option<InstrumentToken>,
}

#[derive(Serialize)]
struct Order<'a> {
    exchange: &'a str,
    tradingsymbol: &'a str,
    transaction_type: &'a TransactionType,
    quantity: u64,
    order_type: &'a OrderType,
    product: &'a Product,
    price: Rupees,
}

#[derive(Serialize)]
struct Rupees(#[serde(serialize_with = "price::serialize")] Price);

fn known_token<S: Serializer>(
    instrument: &Option<InstrumentToken>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    token::serialize(&instrument.unwrap_or_default(), serializer)
}

impl GttSpec {
    fn fields(&self, request: ApiRequest) -> ApiRequest {
        let (exchange, tradingsymbol) = (self.exchange.as_str(), self.tradingsymbol.as_str());
        let condition = Condition {
            exchange,
            tradingsymbol,
            trigger_values: self.legs.iter().map(|leg| Rupees(leg.trigger_value)).collect(),
            last_price: Rupees(self.last_price),
            instrument_token: self.instrument_token,
        };
        let orders = self.legs.iter().map(|leg| Order {
            exchange: self.exchange.as_str(),
            tradingsymbol: &self.tradingsymbol,
            transaction_type: &leg.transaction_type,
            quantity: leg.quantity,
            order_type: &leg.order_type,
            product: &leg.product,
            price: Rupees(leg.price),
        });
        let orders: Vec<_> = orders.collect();
        request
            .field("type", self.kind.to_string())
            .json_field("condition", &condition)
            .json_field("orders", &orders)
    }
}
