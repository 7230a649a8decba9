//! JSON bodies of the REST interface, as Kite writes them and as leniently as they must be read.
//!
//! Absent, `null` and `""` mean the same; numbers may be integers, decimals or text; unknown fields are ignored.
//! What is missing becomes zero, an empty text or `None`.

mod body;
mod candle;
mod lenient;
mod order;
mod quote;
mod session;

pub use body::{BodyError, ErrorBody, Success, parse_body};
pub use candle::{Candle, Candles};
pub use order::OrderUpdate;
pub use quote::{LtpQuote, OhlcQuote, Quote, QuoteMap, TradableQuote};
pub use session::{Profile, Session, UserMeta};
