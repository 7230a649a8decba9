//! Snapshots and ticks into files for people: JSON lines as every other door publishes them, and Parquet for
//! pandas, polars and whatever else reads columns.
//!
//! This crate refuses to know where ticks come from and how they were enriched. It writes to any [`std::io::Write`]
//! and keeps one row group in memory, however long the export is.
//!
//! ```
//! use std::sync::Arc;
//! use market_model::{ConnectionId, InstrumentCatalog, InstrumentToken, Price, Tick, TickBody, TickFrame, UnixNanos};
//! use snapshot_export::{ParquetConfig, TickFile};
//!
//! let connection = ConnectionId { account: "demo".into(), index: 0 };
//! let tick = Tick { token: InstrumentToken(408_065), last_price: Price::from_paise(157_315), body: TickBody::Ltp };
//! let frame = TickFrame { connection, ts_recv: UnixNanos::from_secs(1_800_000_000), ticks: vec![tick] };
//!
//! let mut file = TickFile::new(Vec::new(), &ParquetConfig::default())?;
//! file.push(&frame, &Arc::new(InstrumentCatalog::default()))?;
//! let written = file.finish()?;
//! assert_eq!(written.rows, 1);
//! assert_eq!(written.out[..4], *b"PAR1");
//! # Ok::<(), snapshot_export::ExportError>(())
//! ```

mod columns;
mod error;
mod labels;
mod lines;
mod snapshots;
mod table;
#[cfg(test)]
mod tests;
mod ticks;

pub use columns::{Column, ColumnKind, SNAPSHOT_COLUMNS, TICK_COLUMNS, markdown};
pub use error::ExportError;
pub use lines::JsonLines;
pub use snapshots::SnapshotFile;
pub use table::{ParquetConfig, Written};
pub use ticks::TickFile;
