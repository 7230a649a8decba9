//! Kite Connect's bytes, text, JSON and CSV as typed values, both ways.
//!
//! This crate refuses to know sockets, runtimes, clocks and accounts. Every function takes bytes or text and
//! returns values; every input has an answer, and what is wrong is named.
//!
//! Of the REST interface, [`api`] has a type for every call, which becomes an [`api::ApiRequest`], and [`rest`] one for
//! every answer. Prices that can be traded are [`market_model::Price`]; other money is [`Amount`], which keeps every digit.
//!
//! ```
//! use kite_wire::{Frame, decode_frame};
//! use market_model::{InstrumentToken, Price};
//!
//! let frame = [0, 1, 0, 8, 0x00, 0x0d, 0x80, 0x01, 0x00, 0x00, 0x99, 0x7f];
//! let Frame::Ticks(packets) = decode_frame(&frame) else {
//!     panic!("a heartbeat has one byte");
//! };
//! for packet in packets {
//!     let tick = packet?.to_tick();
//!     assert_eq!(tick.token, InstrumentToken(884_737));
//!     assert_eq!(tick.last_price, Price::from_paise(39_295));
//! }
//! # Ok::<(), kite_wire::DecodeError>(())
//! ```

mod amount;
pub mod api;
mod checksum;
mod divisor;
mod encode;
mod frame;
mod indian_time;
mod instruments;
mod mf_instruments;
mod packet;
mod request;
pub mod rest;
mod text;
mod vector;
mod words;

pub use amount::{Amount, ParseAmountError};
pub use checksum::{is_genuine_postback, postback_checksum, session_checksum};
pub use divisor::{DivisorError, Divisors, price_divisor};
pub use encode::{EncodeError, FrameBuilder, encode_packet, encode_packet_with};
pub use frame::{DecodeError, DecodeErrorKind, Frame, Packets, decode_frame, decode_frame_with};
pub use indian_time::{format_candle_time, format_indian_time, parse_indian_time, parse_offset_time};
pub use instruments::{
    InstrumentRow, InstrumentRows, InstrumentType, InstrumentsError, RowError, RowErrorReason,
    parse_instruments, write_instruments,
};
pub use mf_instruments::{MfInstrument, parse_mf_instruments};
pub use packet::Packet;
pub use request::{RequestError, TickerRequest};
pub use text::{TextError, TextMessage};
pub use words::{
    AlertStatus, AlertType, ErrorKind, GttStatus, GttType, Interval, MarginSegment, OrderStatus, OrderType,
    PositionType, Product, TransactionType, Validity, Variety,
};
