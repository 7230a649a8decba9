//! Mutual funds. Placing does not work through the live API (section 15); the requests are here because clients send them.

use jiff::civil::Date;

use super::{ApiRequest, call, parse_rows, plain_get};
use crate::rest::{MfHolding, MfOrder, OrderId, Sip, SipId, parse_body};
use crate::{Amount, TransactionType};

plain_get! {
    /// `GET /mf/sips`.
    GetSips: "mf/sips" => Vec<Sip>, parse_rows;
    /// `GET /mf/holdings`.
    GetMfHoldings: "mf/holdings" => Vec<MfHolding>, parse_rows;
    /// `GET /mf/allotments`: undocumented, so the rows are left as JSON.
    GetMfAllotments: "mf/allotments" => Vec<serde_json::Value>, parse_rows;
}

/// `GET /mf/orders`: of the last seven days, or of a range as one official client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GetMfOrders {
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub to: Option<Date>,
}

/// `GET /mf/orders/{order_id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMfOrder(
    /// Which order.
    pub String,
);

/// `GET /mf/sips/{sip_id}`: undocumented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetSip(
    /// Which plan.
    pub String,
);

/// `GET /mf/holdings/{isin}`: undocumented, so the breakdown is left as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMfHolding(
    /// Which fund.
    pub String,
);

/// `POST /mf/orders`: disabled live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceMfOrder {
    /// ISIN.
    pub tradingsymbol: String,
    /// Buy or redeem.
    pub transaction_type: TransactionType,
    /// How much.
    pub size: MfSize,
    /// At most eight characters.
    pub tag: Option<String>,
}

/// How much of a fund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MfSize {
    /// Rupees, to buy.
    Amount(Amount),
    /// Units, to redeem.
    Quantity(Amount),
}

/// `DELETE /mf/orders/{order_id}`: disabled live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelMfOrder(
    /// Which order.
    pub String,
);

/// `POST /mf/sips`: disabled live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSip {
    /// ISIN.
    pub tradingsymbol: String,
    /// Rupees of each instalment.
    pub amount: Amount,
    /// How many; -1 until cancelled.
    pub instalments: i64,
    /// `monthly`, `weekly`, `quarterly`.
    pub frequency: String,
    /// Rupees of the first.
    pub initial_amount: Option<Amount>,
    /// Day of the month, when monthly.
    pub instalment_day: Option<u8>,
    /// At most eight characters.
    pub tag: Option<String>,
}

/// `PUT /mf/sips/{sip_id}`: disabled live. What is not said keeps its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModifySip {
    /// Which plan.
    pub sip_id: String,
    /// Rupees of each instalment.
    pub amount: Option<Amount>,
    /// `active` or `paused`.
    pub status: Option<String>,
    /// How many; -1 until cancelled.
    pub instalments: Option<i64>,
    /// `monthly`, `weekly`, `quarterly`.
    pub frequency: Option<String>,
    /// Day of the month, when monthly.
    pub instalment_day: Option<u8>,
}

/// `DELETE /mf/sips/{sip_id}`: disabled live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelSip(
    /// Which plan.
    pub String,
);

call!(GetMfOrders, this => Vec<MfOrder>, parse_rows, {
    ApiRequest::get(["mf/orders"])
        .ask_if("from", this.from.map(|day| day.to_string()))
        .ask_if("to", this.to.map(|day| day.to_string()))
});

call!(GetMfOrder, this => MfOrder, parse_body, ApiRequest::get(["mf/orders", &this.0]));

call!(GetSip, this => Sip, parse_body, ApiRequest::get(["mf/sips", &this.0]));

call!(GetMfHolding, this => serde_json::Value, parse_body, ApiRequest::get(["mf/holdings", &this.0]));

call!(PlaceMfOrder, this => OrderId, parse_body, {
    let request = ApiRequest::post(["mf/orders"])
        .field("tradingsymbol", this.tradingsymbol.clone())
        .field("transaction_type", this.transaction_type.to_string());
    let request = match this.size {
        MfSize::Amount(rupees) => request.field("amount", rupees.to_string()),
        MfSize::Quantity(units) => request.field("quantity", units.to_string()),
    };
    request.field_if("tag", this.tag.clone())
});

call!(CancelMfOrder, this => OrderId, parse_body, ApiRequest::delete(["mf/orders", &this.0]));

call!(PlaceSip, this => SipId, parse_body, {
    ApiRequest::post(["mf/sips"])
        .field("tradingsymbol", this.tradingsymbol.clone())
        .field("amount", this.amount.to_string())
        .field("instalments", this.instalments.to_string())
        .field("frequency", this.frequency.clone())
        .field_if("initial_amount", this.initial_amount.map(|rupees| rupees.to_string()))
        .field_if("instalment_day", this.instalment_day.map(|day| day.to_string()))
        .field_if("tag", this.tag.clone())
});

call!(ModifySip, this => SipId, parse_body, {
    ApiRequest::put(["mf/sips", &this.sip_id])
        .field_if("amount", this.amount.map(|rupees| rupees.to_string()))
        .field_if("status", this.status.clone())
        .field_if("instalments", this.instalments.map(|count| count.to_string()))
        .field_if("frequency", this.frequency.clone())
        .field_if("instalment_day", this.instalment_day.map(|day| day.to_string()))
});

call!(CancelSip, this => SipId, parse_body, ApiRequest::delete(["mf/sips", &this.0]));
