//! When the Indian exchanges trade and how their contracts are cut: sessions, holidays, expiries, lots, freeze
//! quantities, strike steps - as dated data with its sources and doubts.
//!
//! This crate refuses to know any clock, any file, any broker and any price; it answers for the date it is given, and
//! says [`Answer::Unknown`] outside its tables rather than guess. The facts are the TOML files in `data/`; a text of
//! the same form put on top ([`Calendar::with_overrides`]) adds a holiday or new hours without a release.
//!
//! ```
//! use exchange_calendar::{Answer, Calendar, Day};
//! use jiff::civil::date;
//!
//! let calendar = Calendar::builtin();
//! let Answer::Known(Day::Open { sessions, .. }) = calendar.day("NFO", date(2026, 8, 3)) else { panic!() };
//! let last = sessions.iter().filter(|session| session.kind.is_continuous()).last().unwrap();
//! assert_eq!(last.end.to_string(), "15:40:00");
//! assert_eq!(calendar.lot_size("NIFTY", date(2026, 1, 27)), Answer::Known(65));
//! assert_eq!(calendar.freeze_quantity("NIFTY", date(2030, 1, 1)), Answer::Unknown);
//! ```

mod answer;
mod calendar;
mod contract;
mod days;
mod doubts;
mod error;
mod expiry;
mod facts;
mod load;
mod reader;
mod session;

pub use answer::{Answer, Fact};
pub use calendar::{Calendar, Day, ist};
pub use contract::StrikeStep;
pub use error::{CalendarError, Problem};
pub use expiry::{Expiry, ExpiryKind};
pub use session::{Scope, Session, SessionKind};
