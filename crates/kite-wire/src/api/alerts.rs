//! Alerts on a price.

use market_model::Exchange;

use super::{ApiRequest, call, parse_rows};
use crate::rest::{Alert, AlertBasket, AlertFiring, parse_body};
use crate::{AlertStatus, AlertType, Amount};

/// What an alert watches and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSpec {
    /// For people.
    pub name: String,
    /// Tell, or place orders.
    pub kind: AlertType,
    /// Where the watched instrument is; `INDICES` for an index, unlike in quotes.
    pub lhs_exchange: Exchange,
    /// The watched instrument.
    pub lhs_tradingsymbol: String,
    /// What of it; only `LastTradedPrice` is documented.
    pub lhs_attribute: String,
    /// `<=`, `>=`, `<`, `>`, `==`.
    pub operator: String,
    /// What it is compared with.
    pub rhs: AlertSide,
    /// What an alert of type `ato` places.
    pub basket: Option<AlertBasket>,
}

/// What a price is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertSide {
    /// A number.
    Constant(Amount),
    /// Another instrument.
    Instrument {
        /// Where it is.
        exchange: Exchange,
        /// Which.
        tradingsymbol: String,
        /// What of it.
        attribute: String,
    },
}

/// `POST /alerts`. The answer does not repeat the basket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAlert(
    /// What to watch.
    pub AlertSpec,
);

/// `PUT /alerts/{uuid}`: replaces everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyAlert {
    /// Which alert.
    pub uuid: String,
    /// What to watch instead.
    pub spec: AlertSpec,
}

/// `GET /alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetAlerts {
    /// Only these.
    pub status: Option<AlertStatus>,
    /// Which page.
    pub page: Option<u32>,
    /// How many on a page; sizes are unconfirmed.
    pub page_size: Option<u32>,
}

/// `GET /alerts/{uuid}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetAlert(
    /// Which alert.
    pub String,
);

/// `GET /alerts/{uuid}/history`: when it fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetAlertHistory(
    /// Which alert.
    pub String,
);

/// `DELETE /alerts?uuid=..&uuid=..`: marks them as deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteAlerts(
    /// Which alerts.
    pub Vec<String>,
);

call!(CreateAlert, this => Alert, parse_body, this.0.fields(ApiRequest::post(["alerts"])));

call!(ModifyAlert, this => Alert, parse_body, this.spec.fields(ApiRequest::put(["alerts", &this.uuid])));

call!(GetAlerts, this => Vec<Alert>, parse_rows, {
    ApiRequest::get(["alerts"])
        .ask_if("status", this.status.as_ref().map(ToString::to_string))
        .ask_if("page", this.page.map(|page| page.to_string()))
        .ask_if("page_size", this.page_size.map(|size| size.to_string()))
});

call!(GetAlert, this => Alert, parse_body, ApiRequest::get(["alerts", &this.0]));

call!(GetAlertHistory, this => Vec<AlertFiring>, parse_rows, ApiRequest::get(["alerts", &this.0, "history"]));

call!(DeleteAlerts, this => serde_json::Value, parse_body, {
    this.0.iter().fold(ApiRequest::delete(["alerts"]), |request, uuid| request.ask("uuid", uuid.clone()))
});

// === impl AlertSpec ===

impl AlertSpec {
    fn fields(&self, request: ApiRequest) -> ApiRequest {
        let request = request
            .field("name", self.name.clone())
            .field("type", self.kind.to_string())
            .field("lhs_exchange", self.lhs_exchange.as_str().to_owned())
            .field("lhs_tradingsymbol", self.lhs_tradingsymbol.clone())
            .field("lhs_attribute", self.lhs_attribute.clone())
            .field("operator", self.operator.clone());
        let request = match &self.rhs {
            AlertSide::Constant(number) => {
                request.field("rhs_type", "constant").field("rhs_constant", number.to_string())
            }
            AlertSide::Instrument { exchange, tradingsymbol, attribute } => request
                .field("rhs_type", "instrument")
                .field("rhs_exchange", exchange.as_str().to_owned())
                .field("rhs_tradingsymbol", tradingsymbol.clone())
                .field("rhs_attribute", attribute.clone()),
        };
        match &self.basket {
            Some(basket) => request.json_field("basket", basket),
            None => request,
        }
    }
}
