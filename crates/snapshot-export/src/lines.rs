//! Batches and health records as JSON lines: the payloads of every other door, one a line.

use std::io::Write;

use snapshot_wire::{BatchEncoder, WireFormat, encode_health};
use tick_pipeline::{HealthRecord, SnapshotBatch};

use crate::error::ExportError;

/// Writes one line per batch or health record.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    encoder: BatchEncoder,
    health: Vec<u8>,
    lines: u64,
}

// === impl JsonLines ===

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, encoder: BatchEncoder::new(WireFormat::Json), health: Vec::new(), lines: 0 }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn batch(&mut self, batch: &SnapshotBatch) -> Result<(), ExportError> {
        let encoded = self.encoder.encode(batch);
        self.out.write_all(encoded.payload())?;
        self.end_line()
    }

    /// Adds a health record; one that has no published shape is left out.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn health(&mut self, record: &HealthRecord) -> Result<(), ExportError> {
        self.health.clear();
        if encode_health(WireFormat::Json, record, &mut self.health).is_none() {
            return Ok(());
        }
        self.out.write_all(&self.health)?;
        self.end_line()
    }

    /// Flushes, and gives back what was written to with the number of lines.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn finish(mut self) -> Result<(W, u64), ExportError> {
        self.out.flush()?;
        Ok((self.out, self.lines))
    }

    fn end_line(&mut self) -> Result<(), ExportError> {
        self.lines += 1;
        Ok(self.out.write_all(b"\n")?)
    }
}
