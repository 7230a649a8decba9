//! JSON bodies of the REST interface, as Kite writes them and as leniently as they must be read.
//!
//! Absent, `null` and `""` mean the same; numbers may be integers, decimals or text; unknown fields are ignored.
//! What is missing becomes zero, an empty text or `None`.

mod alert;
mod body;
mod candle;
mod gtt;
mod holding;
pub(crate) mod lenient;
mod margin;
mod mf;
mod order;
mod placed;
mod position;
mod quote;
mod session;
mod trade;
mod user;

pub use alert::{
    Alert, AlertBasket, AlertBasketGtt, AlertBasketItem, AlertBasketParams, AlertFiring, AlertSnapshot,
};
pub use body::{BodyError, ErrorBody, Success, parse_body};
pub use candle::{Candle, Candles};
pub use gtt::{
    GttCondition, GttOrder, GttOrderResult, GttResult, GttTrigger, TriggerId, TriggerRange, TriggerValue,
};
pub use holding::{AuctionHolding, AuthorisationId, CompactHolding, Holding, HoldingsSummary, MtfHolding};
pub use margin::{BasketMargin, Charges, ContractNote, Gst, MarginPnl, OrderMargin};
pub use mf::{MfHolding, MfOrder, Sip, SipId};
pub use order::{IcebergLeg, OrderUpdate};
pub use placed::{OrderId, Placed, Slice, SliceError};
pub use position::{Position, Positions};
pub use quote::{LtpQuote, OhlcQuote, Quote, QuoteMap, TradableQuote};
pub use session::{Profile, RenewedSession, Session, UserMeta};
pub use trade::Trade;
pub use user::{
    AvailableMargin, BankAccount, FullProfile, FullUserMeta, Margins, SegmentMargins, UtilisedMargin,
};
