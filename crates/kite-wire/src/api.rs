//! Every call of the REST interface as a typed request that knows its route and how its answer is read.
//!
//! A request is plain data until [`Call::request`] turns it into an [`ApiRequest`]: method, path, query and body, ready
//! to be sent by anything that speaks HTTP. Nothing here checks order rules; the fields are what Kite documents.

use serde::de::DeserializeOwned;

use crate::rest::{BodyError, parse_body};

mod alerts;
mod form;
mod gtt;
mod margins;
mod market;
mod mf;
mod orders;
mod portfolio;
mod request;
mod session;
mod user;

pub use alerts::{
    AlertSide, AlertSpec, CreateAlert, DeleteAlerts, GetAlert, GetAlertHistory, GetAlerts, ModifyAlert,
};
pub use form::{FormError, decode_form, encode_form};
pub use gtt::{DeleteGtt, GetGtt, GetGtts, GttLeg, GttSpec, ModifyGtt, PlaceGtt};
pub use margins::{BasketMargins, ChargeOrder, GetCharges, MarginOrder, OrderMargins};
pub use market::{GetCandles, GetInstruments, GetLtp, GetMfInstruments, GetOhlc, GetQuotes, GetTriggerRange};
pub use mf::{
    CancelMfOrder, CancelSip, GetMfAllotments, GetMfHolding, GetMfHoldings, GetMfOrder, GetMfOrders, GetSip,
    GetSips, MfSize, ModifySip, PlaceMfOrder, PlaceSip,
};
pub use orders::{
    CancelOrder, GetOrderHistory, GetOrderTrades, GetOrders, GetTrades, Iceberg, MarketProtection,
    ModifyOrder, PlaceOrder,
};
pub use portfolio::{
    AuthoriseHoldings, ConvertPosition, GetAuctions, GetCompactHoldings, GetHoldings, GetHoldingsSummary,
    GetPositions,
};
pub use request::{ApiRequest, Method, RequestBody, RequestClass};
pub use session::{EndSession, GenerateSession, RenewSession, SessionToken};
pub use user::{GetFullProfile, GetMargins, GetProfile, GetSegmentMargins};

/// One call of the REST interface.
pub trait Call {
    /// What a successful answer says.
    type Answer;

    /// The request as it goes over the wire.
    fn request(&self) -> ApiRequest;

    /// Reads the body of an answer.
    ///
    /// # Errors
    /// [`BodyError`] says whether Kite refused or something else answered.
    fn read(&self, body: &[u8]) -> Result<Self::Answer, BodyError>;
}

/// Lists: a book that is empty may come as `null` (section 6.1).
fn parse_rows<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, BodyError> {
    parse_body::<Option<Vec<T>>>(body).map(Option::unwrap_or_default)
}

/// Writes `impl Call` for a type whose answer is read by one of the functions of this module.
macro_rules! call {
    ($name:ident, $this:ident => $answer:ty, $read:path, $request:expr) => {
        impl crate::api::Call for $name {
            type Answer = $answer;

            fn request(&self) -> crate::api::ApiRequest {
                let $this = self;
                $request
            }

            fn read(&self, body: &[u8]) -> Result<$answer, crate::rest::BodyError> {
                $read(body)
            }
        }
    };
}

/// A `GET` of one fixed address without any field.
macro_rules! plain_get {
    ($($(#[$doc:meta])* $name:ident: $path:literal => $answer:ty, $read:path;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name;

        call!($name, _this => $answer, $read, crate::api::ApiRequest::get([$path]));
    )+};
}

use call;
use plain_get;

#[cfg(test)]
mod tests;
