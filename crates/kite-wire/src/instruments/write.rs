//! The instrument dump as Kite writes it.

use std::io::{self, Write};

use jiff::civil::Date;
use market_model::Price;

use super::{COLUMNS, InstrumentRow};

/// Writes the header and `rows` in Kite's order of columns, lines ended by CR LF as in Kite's own samples.
///
/// Decimals are the shortest exact ones with at least one digit after the point (`0.0`, `0.05`, `20600.0`).
///
/// # Errors
/// What `out` says.
pub fn write_instruments<'a>(
    rows: impl IntoIterator<Item = &'a InstrumentRow>,
    out: impl Write,
) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.write_record([
            row.token.to_string().as_str(),
            &row.exchange_token.to_string(),
            &row.tradingsymbol,
            &row.name,
            &decimal(row.last_price),
            &row.expiry.as_ref().map(Date::to_string).unwrap_or_default(),
            &decimal(row.strike),
            &decimal(row.tick_size),
            &row.lot_size.to_string(),
            row.instrument_type.as_str(),
            row.segment.as_str(),
            row.exchange.as_str(),
        ])?;
    }
    writer.flush()
}

fn decimal(price: Price) -> String {
    let mut text = price.to_string();
    if text.ends_with('0') {
        text.pop();
    }
    text
}
