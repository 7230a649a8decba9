//! Rows gathered into columns and written as a row group whenever there are enough of them.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use market_model::{Price, UnixNanos};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::columns::{Column, ColumnKind};
use crate::error::ExportError;

/// How Parquet files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetConfig {
    /// Rows in a row group: what is kept in memory, about half a kilobyte a row.
    pub row_group_rows: usize,
    /// zstd's compression level.
    pub compression: i32,
}

impl Default for ParquetConfig {
    fn default() -> Self {
        // 64 MB in memory; larger groups neither compress nor read noticeably better.
        Self { row_group_rows: 128 * 1024, compression: 3 }
    }
}

/// A file that is complete.
#[derive(Debug)]
pub struct Written<W> {
    /// What it was written to.
    pub out: W,
    /// How many rows it has.
    pub rows: u64,
}

/// A Parquet file that is being written.
pub(crate) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Buffer>,
    group_rows: usize,
    waiting: usize,
    rows: u64,
}

/// One row that is being filled, column after column in the order of the table.
pub(crate) struct Row<'t> {
    columns: std::slice::IterMut<'t, Buffer>,
}

struct Buffer {
    values: Values,
    /// By row: 1 where there is a value. Empty for a column without nulls.
    present: Vec<i16>,
    optional: bool,
}

enum Values {
    Long(Vec<i64>),
    Day(Vec<i32>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
    Flag(Vec<bool>),
}

// === impl Table ===

impl<W: Write + Send> Table<W> {
    pub(crate) fn new(
        out: W,
        name: &str,
        columns: &[Column],
        config: &ParquetConfig,
    ) -> Result<Self, ExportError> {
        let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder(name).with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("kite-gateway snapshot-export ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(config.compression)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        Ok(Self {
            writer: SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?,
            columns: columns.iter().map(Buffer::new).collect(),
            group_rows: config.row_group_rows.max(1),
            waiting: 0,
            rows: 0,
        })
    }

    /// Adds the row that `fill` fills.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut Row<'_>)) -> Result<(), ExportError> {
        let mut row = Row { columns: self.columns.iter_mut() };
        fill(&mut row);
        debug_assert_eq!(row.columns.len(), 0, "every column of a row is filled");
        self.waiting += 1;
        if self.waiting == self.group_rows { self.write_group() } else { Ok(()) }
    }

    /// Writes what waits and the footer.
    pub(crate) fn finish(mut self) -> Result<Written<W>, ExportError> {
        if self.waiting > 0 {
            self.write_group()?;
        }
        let mut out = self.writer.into_inner()?;
        out.flush()?;
        Ok(Written { out, rows: self.rows })
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else {
                return Err(ParquetError::General("the file has fewer columns than the table".into()).into());
            };
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        self.rows += self.waiting as u64;
        self.waiting = 0;
        Ok(())
    }
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind {
        ColumnKind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        ColumnKind::Date => (Physical::INT32, Some(LogicalType::Date)),
        ColumnKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnKind::Integer => (Physical::INT64, None),
        ColumnKind::Double => (Physical::DOUBLE, None),
        ColumnKind::Flag => (Physical::BOOLEAN, None),
    };
    let repetition = if column.null.is_empty() { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()?;
    Ok(Arc::new(field))
}

// === impl Buffer ===

impl Buffer {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            ColumnKind::Time | ColumnKind::Integer => Values::Long(Vec::new()),
            ColumnKind::Date => Values::Day(Vec::new()),
            ColumnKind::Text => Values::Text(Vec::new()),
            ColumnKind::Double => Values::Double(Vec::new()),
            ColumnKind::Flag => Values::Flag(Vec::new()),
        };
        Self { values, present: Vec::new(), optional: !column.null.is_empty() }
    }

    fn mark(&mut self, present: bool) {
        debug_assert!(present || self.optional, "a column without nulls has a value in every row");
        if self.optional {
            self.present.push(i16::from(present));
        }
    }

    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = self.optional.then_some(&self.present[..]);
        let written = match (&mut self.values, writer) {
            (Values::Long(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, levels, None).map(|_| values.clear())
            }
            (Values::Day(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                writer.write_batch(values, levels, None).map(|_| values.clear())
            }
            (Values::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, levels, None).map(|_| values.clear())
            }
            (Values::Text(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, levels, None).map(|_| values.clear())
            }
            (Values::Flag(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, levels, None).map(|_| values.clear())
            }
            _ => Err(ParquetError::General("a column is of another type than its table says".into())),
        };
        self.present.clear();
        written
    }
}

// === impl Row ===

impl Row<'_> {
    pub(crate) fn time(&mut self, at: UnixNanos) {
        self.long(Some(at.0));
    }

    pub(crate) fn maybe_time(&mut self, at: Option<UnixNanos>) {
        self.long(at.map(|at| at.0));
    }

    pub(crate) fn integer(&mut self, value: impl Into<i64>) {
        self.long(Some(value.into()));
    }

    pub(crate) fn maybe_integer(&mut self, value: Option<impl Into<i64>>) {
        self.long(value.map(Into::into));
    }

    pub(crate) fn price(&mut self, value: Price) {
        self.maybe_double(Some(value.to_f64()));
    }

    pub(crate) fn maybe_price(&mut self, value: Option<Price>) {
        self.maybe_double(value.map(Price::to_f64));
    }

    pub(crate) fn maybe_double(&mut self, value: Option<f64>) {
        if let Some(Buffer { values: Values::Double(values), .. }) = self.next(value.is_some()) {
            values.extend(value);
        }
    }

    /// Days since 1970.
    pub(crate) fn maybe_day(&mut self, value: Option<i32>) {
        if let Some(Buffer { values: Values::Day(values), .. }) = self.next(value.is_some()) {
            values.extend(value);
        }
    }

    pub(crate) fn text(&mut self, value: &Bytes) {
        self.maybe_text(Some(value));
    }

    pub(crate) fn maybe_text(&mut self, value: Option<&Bytes>) {
        if let Some(Buffer { values: Values::Text(values), .. }) = self.next(value.is_some()) {
            values.extend(value.map(|value| ByteArray::from(value.clone())));
        }
    }

    pub(crate) fn word(&mut self, value: &'static str) {
        self.maybe_word(Some(value));
    }

    pub(crate) fn maybe_word(&mut self, value: Option<&'static str>) {
        self.maybe_text(value.map(|word| Bytes::from_static(word.as_bytes())).as_ref());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        if let Some(Buffer { values: Values::Flag(values), .. }) = self.next(true) {
            values.push(value);
        }
    }

    fn long(&mut self, value: Option<i64>) {
        if let Some(Buffer { values: Values::Long(values), .. }) = self.next(value.is_some()) {
            values.extend(value);
        }
    }

    fn next(&mut self, present: bool) -> Option<&mut Buffer> {
        let column = self.columns.next()?;
        column.mark(present);
        Some(column)
    }
}
