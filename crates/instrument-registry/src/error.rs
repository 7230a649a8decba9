//! What can go wrong, and what to do about it.

use jiff::civil::Date;
use market_model::CatalogError;
use sql_store::StoreError;

/// Why a dump was not taken, or a question about a past day not answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The dump did not arrive.
    #[error("instrument dump cannot be fetched: {0}")]
    Fetch(String),
    /// What arrived is something else.
    #[error("{0}")]
    NotADump(String),
    /// A header and nothing else.
    #[error("instrument dump has no readable row")]
    Empty,
    /// It stops in the middle of a line.
    #[error("instrument dump is cut off after {bytes} bytes")]
    CutOff {
        /// Bytes that arrived.
        bytes: u64,
    },
    /// Far fewer rows than the last good one.
    #[error("instrument dump has {rows} rows, the last good one {last}: fewer than {least} are not believed")]
    TooFew {
        /// Rows of this dump.
        rows: usize,
        /// Rows of the last good one.
        last: usize,
        /// The fewest that are believed.
        least: usize,
    },
    /// Far more rows than the last good one, or than anything.
    #[error("instrument dump has more than {most} rows, which is not believed")]
    TooMany {
        /// The most that are believed.
        most: usize,
    },
    /// More bytes than any dump has.
    #[error("instrument dump is larger than {most} bytes, which is not believed")]
    TooLarge {
        /// The most that are believed.
        most: u64,
    },
    /// Too many rows could not be read.
    #[error("{skipped} of {rows} rows of the instrument dump cannot be read, first {first}")]
    TooManySkipped {
        /// Rows that could not be read.
        skipped: usize,
        /// All rows.
        rows: usize,
        /// What was wrong with the first.
        first: String,
    },
    /// Too many rows say again what another row said.
    #[error("{repeated} of {rows} rows of the instrument dump repeat a token or symbol, first {first}")]
    TooManyRepeated {
        /// Rows that repeat one.
        repeated: usize,
        /// All rows.
        rows: usize,
        /// The first of them.
        first: String,
    },
    /// The rows make no catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A thread that parses or compares died.
    #[error("work on the instrument dump was lost: {0}")]
    Worker(String),
    /// The clock or an operator went back: days are stored in order.
    #[error(
        "instruments of {day} cannot be stored behind {stored}: check the clock, then forget the days after {day}"
    )]
    DayBeforeStored {
        /// The day to store.
        day: Date,
        /// The last stored one.
        stored: Date,
    },
    /// Another instance stored a day at the same moment.
    #[error("another instance stored instruments at the same time, try again")]
    Conflict,
    /// A stored row that this version cannot read.
    #[error("stored instrument {symbol} has an unreadable {field}")]
    BadStoredRow {
        /// Which instrument.
        symbol: String,
        /// Which column.
        field: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody refreshes: the task has ended or was never started.
    #[error("instruments are not being refreshed: the task has ended")]
    NotRunning,
}
