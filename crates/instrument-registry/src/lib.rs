//! Which instruments exist, today and on any past day.
//!
//! A [`Refresher`] fetches the broker's daily dump on schedule and swaps a whole [`Listing`] into the [`Registry`], or
//! keeps the last good one and says why. Every day goes into an [`InstrumentHistory`], which answers what a token or a
//! symbol was on any stored day. This crate refuses to know the broker: the gateway gives it a [`DumpSource`]; it
//! refuses to take symbols apart: what belongs together says so in the columns of the dump.
//!
//! ```
//! use exchange_calendar::Calendar;
//! use instrument_registry::Listing;
//! use market_model::*;
//!
//! # let date = jiff::civil::date(2026, 8, 25);
//! # let row = |token, symbol: &str, kind| Instrument {
//! #     token: InstrumentToken(token), exchange: Exchange::Nfo, segment: Segment::NfoOptions, tradingsymbol: symbol.into(),
//! #     name: "NIFTY".into(), kind, lot_size: 65, tick_size: Price::from_paise(5),
//! # };
//! # let option = |side| InstrumentKind::Option { expiry: Expiry { date, instant: None }, strike: Price::from_paise(2_455_000), side };
//! # let rows = vec![row(2, "NIFTY26AUG24550CE", option(OptionSide::Call)), row(258, "NIFTY26AUG24550PE", option(OptionSide::Put))];
//! let calendar = Calendar::builtin();
//! let listing = Listing::of_rows(date, UnixNanos(0), rows, &calendar)?;
//! let call = listing.find("NFO:NIFTY25AUG2624550CE").unwrap(); // OpenAlgo's spelling
//! assert_eq!(&*call.tradingsymbol, "NIFTY26AUG24550CE"); // Kite's
//! let nifty = listing.underlying("NIFTY").unwrap();
//! assert_eq!(listing.expiries(nifty, date)[0].date, date);
//! let ladder = listing.around(nifty, date, "24561.35".parse()?, 20).unwrap();
//! assert_eq!(ladder.rows[ladder.at_the_money].strike.to_string(), "24550.00");
//! assert_eq!(listing.search("nifty 24550 put", None, 10).len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod diff;
mod error;
#[cfg(test)]
mod fixture;
mod history;
mod intake;
mod listing;
mod metrics;
mod refresher;
mod registry;
mod report;
mod schedule;
mod search;
mod source;
mod spelling;

pub use self::metrics::RegistryMetrics;
pub use diff::{Difference, RowChange, compare, same_facts};
pub use error::RegistryError;
pub use history::{AsOf, Head, InstrumentHistory, MemoryHistory, SCHEMA, SqlHistory, StoredDay, Version};
pub use intake::{IntakeLimits, SkippedRows};
pub use listing::{ExpiryInfo, Freeze, IndexBytes, Ladder, Listing, LotSize, Origin};
pub use refresher::{RefreshConfig, Refresher, RefresherParts};
pub use registry::{ListingSummary, RefreshFailure, RefreshRequests, Registry, RegistryStatus};
pub use report::{ChangeLine, Column, ColumnChanges, DiffReport, Group, MOST_LINES, Part};
pub use schedule::{Due, ScheduleConfig, dump_day, next_refresh};
pub use search::{Fit, Hit, MOST_HITS};
pub use source::{DumpReader, DumpRefused, DumpSource, DumpWriter};
