//! Decoded ticks as a Parquet file.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use market_model::{Depth, DepthLevel, InstrumentCatalog, Tick, TickFrame};

use crate::columns::TICK_COLUMNS;
use crate::error::ExportError;
use crate::labels::Labels;
use crate::table::{ParquetConfig, Row, Table, Written};

/// Writes one row per tick; the columns are [`TICK_COLUMNS`].
pub struct TickFile<W: Write + Send> {
    table: Table<W>,
    labels: Labels,
    account: (Arc<str>, Bytes),
}

// === impl TickFile ===

impl<W: Write + Send> TickFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When `out` cannot be written, or the configuration has no such compression.
    pub fn new(out: W, config: &ParquetConfig) -> Result<Self, ExportError> {
        let table = Table::new(out, "ticks", TICK_COLUMNS, config)?;
        Ok(Self { table, labels: Labels::default(), account: ("".into(), Bytes::new()) })
    }

    /// Adds the ticks of one frame; `catalog` names their instruments.
    ///
    /// # Errors
    /// When a row group cannot be written.
    pub fn push(&mut self, frame: &TickFrame, catalog: &Arc<InstrumentCatalog>) -> Result<(), ExportError> {
        self.labels.follow(catalog);
        let id = &frame.connection;
        if self.account.0 != id.account {
            self.account = (id.account.clone(), Bytes::copy_from_slice(id.account.as_bytes()));
        }
        let Self { table, labels, account } = self;
        for tick in &frame.ticks {
            table.push(|row| {
                row.time(frame.ts_recv);
                row.maybe_time(tick.exchange_timestamp());
                row.text(&account.1);
                row.integer(id.index);
                row.integer(tick.token.0);
                labels.fill(catalog.slot(tick.token), row);
                fill_tick(tick, row);
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

impl<W: Write + Send> std::fmt::Debug for TickFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TickFile").finish_non_exhaustive()
    }
}

/// Fills the columns from `mode` to `ask_orders_5`.
pub(crate) fn fill_tick(tick: &Tick, row: &mut Row<'_>) {
    row.word(tick.mode().as_str());
    row.price(tick.last_price);
    let quote = tick.quote();
    row.maybe_integer(quote.map(|quote| quote.last_traded_quantity));
    row.maybe_price(quote.map(|quote| quote.average_traded_price));
    row.maybe_integer(quote.map(|quote| quote.volume_traded));
    row.maybe_integer(quote.map(|quote| quote.total_buy_quantity));
    row.maybe_integer(quote.map(|quote| quote.total_sell_quantity));
    let ohlc = tick.ohlc();
    row.maybe_price(ohlc.map(|ohlc| ohlc.open));
    row.maybe_price(ohlc.map(|ohlc| ohlc.high));
    row.maybe_price(ohlc.map(|ohlc| ohlc.low));
    row.maybe_price(ohlc.map(|ohlc| ohlc.close));
    let full = match &tick.body {
        market_model::TickBody::Full(full) => Some(full),
        _ => None,
    };
    row.maybe_time(full.and_then(|full| full.last_trade_time));
    row.maybe_integer(full.map(|full| full.oi));
    row.maybe_integer(full.map(|full| full.oi_day_high));
    row.maybe_integer(full.map(|full| full.oi_day_low));
    let empty = Depth::default();
    let depth = tick.depth().unwrap_or(&empty);
    for level in depth.buy.iter().chain(&depth.sell) {
        // An empty level is all zeros on the wire; in a column a zero would be a price.
        let level = Some(level).filter(|level| **level != DepthLevel::default());
        row.maybe_price(level.map(|level| level.price));
        row.maybe_integer(level.map(|level| level.quantity));
        row.maybe_integer(level.map(|level| level.orders));
    }
}
