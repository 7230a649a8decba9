//! The daily instrument dump, one CSV row at a time.

use std::io::{self, Chain, Cursor, Read};
use std::str::{self, FromStr};

use csv::ByteRecord;
use market_model::{Exchange, InstrumentToken, ParsePriceError, Price, Segment};

pub use row::{InstrumentRow, InstrumentType};
pub use write::write_instruments;

mod row;
mod write;

/// The columns of the dump, in Kite's order.
const COLUMNS: [&str; 12] = [
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
];

/// The rows of a dump. A bad row is an error in its place and the next row follows.
#[derive(Debug)]
pub struct InstrumentRows<R> {
    reader: csv::Reader<Chain<Cursor<Vec<u8>>, R>>,
    record: ByteRecord,
    columns: [usize; COLUMNS.len()],
    width: usize,
    failed: bool,
}

/// Why a text is not an instrument dump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstrumentsError {
    /// There is nothing.
    #[error("instrument dump is empty")]
    Empty,
    /// An HTML page, as the gateway in front of Kite answers when Kite is down.
    #[error("HTML page instead of an instrument dump: {start}")]
    Html {
        /// How it begins.
        start: String,
    },
    /// A JSON document, most likely an error body.
    #[error("JSON instead of an instrument dump: {start}")]
    Json {
        /// How it begins.
        start: String,
    },
    /// Still compressed.
    #[error("gzip instead of an instrument dump, decompress it first")]
    Gzip,
    /// The header does not name a column that is needed.
    #[error("instrument dump has no column {column}, header begins {start}")]
    MissingColumn {
        /// The missing column.
        column: &'static str,
        /// How the header begins.
        start: String,
    },
    /// Reading failed.
    #[error("instrument dump cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// What is wrong with one row.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RowError {
    /// Line of the dump where the row begins, or the first of the blank lines before it; the header is line 1.
    pub line: u64,
    /// What is wrong there.
    pub reason: RowErrorReason,
}

/// The second half of a [`RowError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowErrorReason {
    /// Another number of fields than the header.
    #[error("{found} fields instead of {expected}")]
    FieldCount {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A field that does not say what it should.
    #[error("{field} {value:?}: {problem}")]
    Field {
        /// Name of the column.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Reading failed; no more rows follow.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
}

/// Reads the header of a dump and returns its rows.
///
/// Columns are found by name, blanks around names and values are ignored, further columns too. An empty expiry is
/// `None`, an empty strike, price or tick size zero.
///
/// # Errors
/// [`InstrumentsError`] when `reader` does not give an instrument dump, with its first words.
pub fn parse_instruments<R: Read>(mut reader: R) -> Result<InstrumentRows<R>, InstrumentsError> {
    let mut start = Vec::new();
    reader.by_ref().take(START).read_to_end(&mut start)?;
    refuse_what_is_no_csv(&start)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        // Not the default: with it the lines of a file with CR LF are counted one too low.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Cursor::new(start).chain(reader));
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(io::Error::from)?;
    let names: Vec<_> = record.iter().map(<[u8]>::trim_ascii).collect();
    let mut columns = [0; COLUMNS.len()];
    for (place, column) in columns.iter_mut().zip(COLUMNS) {
        *place = names.iter().position(|name| *name == column.as_bytes()).ok_or_else(|| {
            InstrumentsError::MissingColumn { column, start: first_words(&names.join(&b',')) }
        })?;
    }
    let width = names.len();
    Ok(InstrumentRows { reader, record, columns, width, failed: false })
}

/// How much of the text is looked at, and shown when it is not a dump.
const START: u64 = 120;

fn refuse_what_is_no_csv(start: &[u8]) -> Result<(), InstrumentsError> {
    let text = start.trim_ascii_start();
    let start = first_words(text);
    match text {
        [] => Err(InstrumentsError::Empty),
        [b'<', ..] => Err(InstrumentsError::Html { start }),
        [b'{' | b'[', ..] => Err(InstrumentsError::Json { start }),
        [0x1f, 0x8b, ..] => Err(InstrumentsError::Gzip),
        _ => Ok(()),
    }
}

fn first_words(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(START as usize).collect()
}

// === impl InstrumentRows ===

impl<R> InstrumentRows<R> {
    fn is_blank(&self) -> bool {
        self.record.len() == 1 && self.record[0].trim_ascii().is_empty()
    }

    fn row(&self) -> Result<InstrumentRow, RowErrorReason> {
        let found = self.record.len();
        if found != self.width {
            let expected = self.width;
            return Err(RowErrorReason::FieldCount { expected, found });
        }
        Ok(InstrumentRow {
            token: InstrumentToken(self.parsed(0)?),
            exchange_token: self.parsed(1)?,
            tradingsymbol: self.text(2)?.into(),
            name: self.text(3)?.into(),
            last_price: self.price(4)?,
            expiry: match self.text(5)? {
                "" => None,
                _ => Some(self.parsed(5)?),
            },
            strike: self.price(6)?,
            tick_size: self.price(7)?,
            lot_size: self.parsed(8)?,
            instrument_type: InstrumentType::from_word(self.text(9)?),
            segment: Segment::from_word(self.text(10)?),
            exchange: Exchange::from_word(self.text(11)?),
        })
    }

    fn text(&self, column: usize) -> Result<&str, RowErrorReason> {
        let bytes = self.record.get(self.columns[column]).unwrap_or_default();
        str::from_utf8(bytes.trim_ascii()).map_err(|error| refused(column, bytes, error))
    }

    fn parsed<T: FromStr<Err: ToString>>(&self, column: usize) -> Result<T, RowErrorReason> {
        let text = self.text(column)?;
        text.parse().map_err(|error: T::Err| refused(column, text.as_bytes(), error))
    }

    /// More decimals than a price has are the noise of somebody's floats and rounded away.
    fn price(&self, column: usize) -> Result<Price, RowErrorReason> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(Price::ZERO);
        }
        let nearest = || text.parse().ok().and_then(Price::from_f64);
        match text.parse() {
            Err(ParsePriceError::TooPrecise) => nearest().ok_or(ParsePriceError::OutOfRange),
            exact => exact,
        }
        .map_err(|error| refused(column, text.as_bytes(), error))
    }
}

fn refused(column: usize, text: &[u8], problem: impl ToString) -> RowErrorReason {
    RowErrorReason::Field {
        field: COLUMNS[column],
        value: String::from_utf8_lossy(text).into_owned(),
        problem: problem.to_string(),
    }
}

impl<R: Read> Iterator for InstrumentRows<R> {
    type Item = Result<InstrumentRow, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            let line = self.reader.position().line();
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) if self.is_blank() => {}
                Ok(true) => return Some(self.row().map_err(|reason| RowError { line, reason })),
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    let reason = RowErrorReason::Io(error.into());
                    return Some(Err(RowError { line, reason }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
