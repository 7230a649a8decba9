//! Published snapshots as a Parquet file.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use snapshot_wire::{forward_source_word, no_greeks_word, quality_word, stale_cause_word};
use tick_pipeline::{GreeksState, Snapshot, SnapshotBatch, SnapshotCause};

use crate::columns::SNAPSHOT_COLUMNS;
use crate::error::ExportError;
use crate::labels::Labels;
use crate::table::{ParquetConfig, Row, Table, Written};
use crate::ticks::fill_tick;

/// Writes one row per snapshot; the columns are [`SNAPSHOT_COLUMNS`].
pub struct SnapshotFile<W: Write + Send> {
    table: Table<W>,
    labels: Labels,
    source: (Arc<str>, Bytes),
}

// === impl SnapshotFile ===

impl<W: Write + Send> SnapshotFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When `out` cannot be written, or the configuration has no such compression.
    pub fn new(out: W, config: &ParquetConfig) -> Result<Self, ExportError> {
        let table = Table::new(out, "snapshots", SNAPSHOT_COLUMNS, config)?;
        Ok(Self { table, labels: Labels::default(), source: ("".into(), Bytes::new()) })
    }

    /// Adds the snapshots of one batch.
    ///
    /// # Errors
    /// When a row group cannot be written.
    pub fn push(&mut self, batch: &SnapshotBatch) -> Result<(), ExportError> {
        self.labels.follow(&batch.catalog);
        if self.source.0 != batch.source {
            self.source = (batch.source.clone(), Bytes::copy_from_slice(batch.source.as_bytes()));
        }
        let Self { table, labels, source } = self;
        for snapshot in &batch.snapshots {
            table.push(|row| {
                row.time(batch.ts_publish);
                row.time(snapshot.ts_recv);
                row.maybe_time(snapshot.ts_event);
                row.text(&source.1);
                row.integer(i64::try_from(batch.seq).unwrap_or(i64::MAX));
                row.word(cause_word(snapshot.cause));
                row.integer(snapshot.tick_count);
                row.integer(snapshot.token().0);
                labels.fill(Some(snapshot.slot), row);
                fill_tick(&snapshot.tick, row);
                fill_greeks(snapshot, row);
                row.flag(snapshot.stale.is_some());
                row.maybe_word(snapshot.stale.map(stale_cause_word));
                row.flag(batch.sim);
            })?;
        }
        Ok(())
    }

    /// Writes what waits and the footer. A file that is not finished cannot be read.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn finish(self) -> Result<Written<W>, ExportError> {
        self.table.finish()
    }
}

impl<W: Write + Send> std::fmt::Debug for SnapshotFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotFile").finish_non_exhaustive()
    }
}

fn fill_greeks(snapshot: &Snapshot, row: &mut Row<'_>) {
    let (greeks, reason) = match &snapshot.greeks {
        GreeksState::NotAnOption => (None, None),
        GreeksState::Known(greeks) => (Some(greeks), None),
        GreeksState::Absent(reason) => (None, Some(no_greeks_word(*reason))),
    };
    row.maybe_double(greeks.map(|greeks| greeks.iv));
    row.maybe_double(greeks.map(|greeks| greeks.delta));
    row.maybe_double(greeks.map(|greeks| greeks.gamma));
    row.maybe_double(greeks.map(|greeks| greeks.theta));
    row.maybe_double(greeks.map(|greeks| greeks.vega));
    row.maybe_double(greeks.map(|greeks| greeks.rho));
    row.maybe_double(greeks.map(|greeks| greeks.forward));
    row.maybe_word(greeks.map(|greeks| forward_source_word(greeks.forward_source)));
    row.maybe_double(greeks.map(|greeks| greeks.rate));
    row.maybe_double(greeks.map(|greeks| greeks.t_years));
    row.maybe_word(greeks.map(|greeks| quality_word(greeks.quality)));
    row.maybe_word(reason);
}

const fn cause_word(cause: SnapshotCause) -> &'static str {
    match cause {
        SnapshotCause::Tick => "tick",
        SnapshotCause::Forward => "forward",
        SnapshotCause::Staleness => "staleness",
    }
}
