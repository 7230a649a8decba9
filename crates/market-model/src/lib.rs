//! The words every other part of the gateway speaks: instruments, prices, ticks, depth, feed events, time.
//!
//! This crate refuses to know any wire format, any socket, any runtime and any serialisation library; a type
//! here means the same thing whether it came from Kite, a file or a test.
//!
//! ```
//! use market_model::{InstrumentToken, Price, Tick, TickBody};
//!
//! let tick = Tick {
//!     token: InstrumentToken(408_065),
//!     last_price: "1573.15".parse().unwrap(),
//!     body: TickBody::Ltp,
//! };
//! assert_eq!(tick.last_price, Price::from_paise(157_315));
//! assert_eq!(tick.last_price.to_f64(), 1573.15);
//! assert_eq!(tick.token.segment_byte(), 1); // NSE
//! ```

mod catalog;
mod feed;
mod instrument;
mod price;
mod sessions;
mod subscription;
mod tick;
mod time;
mod token;

pub use catalog::{
    CatalogError, ExpiryChain, InstrumentCatalog, InstrumentSlot, StrikeRow, Underlying, UnderlyingId,
};
pub use feed::{
    ConnectionId, DisconnectReason, FeedEvent, Gap, GapCause, RateCollapse, Silence, SubscriptionChange,
    SubscriptionState, TickFrame, TokenGap, TokenLoss,
};
pub use instrument::{Exchange, Expiry, Instrument, InstrumentKind, OptionSide, Segment};
pub use price::{ParsePriceError, Price};
pub use sessions::{SessionPhase, Sessions};
pub use subscription::{Subscription, SubscriptionSet};
pub use tick::{Depth, DepthLevel, FullTick, Mode, Ohlc, Quantity, QuoteTick, Tick, TickBody};
pub use time::{Clock, ManualClock, SystemClock, UnixNanos};
pub use token::InstrumentToken;
