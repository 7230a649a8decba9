//! The list of mutual funds, one CSV row at a time.

use std::io::Read;
use std::str;

use csv::{ByteRecord, ReaderBuilder, Trim};
use jiff::civil::Date;

use crate::{Amount, InstrumentsError, RowError, RowErrorReason};

/// The columns, in Kite's order.
const COLUMNS: [&str; 16] = [
    "tradingsymbol",
    "amc",
    "name",
    "purchase_allowed",
    "redemption_allowed",
    "minimum_purchase_amount",
    "purchase_amount_multiplier",
    "minimum_additional_purchase_amount",
    "minimum_redemption_quantity",
    "redemption_quantity_multiplier",
    "dividend_type",
    "scheme_type",
    "plan",
    "settlement_type",
    "last_price",
    "last_price_date",
];

/// One fund that can be bought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MfInstrument {
    /// ISIN.
    pub tradingsymbol: String,
    /// The fund house.
    pub amc: String,
    /// Name of the fund.
    pub name: String,
    /// Whether it can be bought.
    pub purchase_allowed: bool,
    /// Whether it can be redeemed.
    pub redemption_allowed: bool,
    /// Rupees of the first purchase, at least.
    pub minimum_purchase_amount: Amount,
    /// Purchases are multiples of this.
    pub purchase_amount_multiplier: Amount,
    /// Rupees of further purchases, at least.
    pub minimum_additional_purchase_amount: Amount,
    /// Units of a redemption, at least.
    pub minimum_redemption_quantity: Amount,
    /// Redemptions are multiples of this.
    pub redemption_quantity_multiplier: Amount,
    /// `growth`, `payout`, ..
    pub dividend_type: String,
    /// `equity`, `debt`, ..
    pub scheme_type: String,
    /// `regular` or `direct`.
    pub plan: String,
    /// `T3` and so on.
    pub settlement_type: String,
    /// Last price of a unit.
    pub last_price: Amount,
    /// Of that price.
    pub last_price_date: Option<Date>,
}

/// Reads the list of funds. A bad row is an error in its place and the next row follows.
///
/// Columns are found by name, blanks around names and values are ignored, further columns too.
///
/// # Errors
/// [`InstrumentsError`] when `reader` does not give such a list, with its first words.
pub fn parse_mf_instruments<R: Read>(
    reader: R,
) -> Result<impl Iterator<Item = Result<MfInstrument, RowError>>, InstrumentsError> {
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(reader);
    let header = reader.byte_headers().map_err(io_error)?.clone();
    let start: String = String::from_utf8_lossy(header.as_slice()).chars().take(80).collect();
    match start.bytes().next() {
        None => return Err(InstrumentsError::Empty),
        Some(b'<') => return Err(InstrumentsError::Html { start }),
        Some(b'{') => return Err(InstrumentsError::Json { start }),
        Some(_) if header.as_slice().starts_with(&[0x1f, 0x8b]) => return Err(InstrumentsError::Gzip),
        Some(_) => {}
    }
    let mut columns = [0; COLUMNS.len()];
    for (place, column) in columns.iter_mut().zip(COLUMNS) {
        *place = (header.iter().position(|name| name == column.as_bytes()))
            .ok_or_else(|| InstrumentsError::MissingColumn { column, start: start.clone() })?;
    }
    let width = header.len();
    Ok(reader.into_byte_records().map(move |record| {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            RowError { line, reason: RowErrorReason::Io(error.into()) }
        })?;
        row(&record, &columns, width).map_err(|reason| {
            let line = record.position().map_or(0, csv::Position::line);
            RowError { line, reason }
        })
    }))
}

fn io_error(error: csv::Error) -> InstrumentsError {
    InstrumentsError::Io(error.into())
}

fn row(
    record: &ByteRecord,
    columns: &[usize; COLUMNS.len()],
    width: usize,
) -> Result<MfInstrument, RowErrorReason> {
    if record.len() != width {
        return Err(RowErrorReason::FieldCount { expected: width, found: record.len() });
    }
    let bad = |at: usize, value: &[u8], problem: &str| RowErrorReason::Field {
        field: COLUMNS[at],
        value: String::from_utf8_lossy(value).into_owned(),
        problem: problem.to_owned(),
    };
    let raw = |at: usize| record.get(columns[at]).unwrap_or_default();
    let text = |at: usize| str::from_utf8(raw(at)).map_err(|_| bad(at, raw(at), "is not UTF-8"));
    let owned = |at: usize| text(at).map(str::to_owned);
    let flag = |at: usize| match raw(at) {
        b"1" => Ok(true),
        b"0" | b"" => Ok(false),
        other => Err(bad(at, other, "is neither 0 nor 1")),
    };
    let amount = |at: usize| match text(at)? {
        "" => Ok(Amount::ZERO),
        number => number.parse().map_err(|_| bad(at, raw(at), "is no number")),
    };
    let date = |at: usize| match text(at)? {
        "" => Ok(None),
        day => day.parse().map(Some).map_err(|_| bad(at, raw(at), "is no day")),
    };
    Ok(MfInstrument {
        tradingsymbol: owned(0)?,
        amc: owned(1)?,
        name: owned(2)?,
        purchase_allowed: flag(3)?,
        redemption_allowed: flag(4)?,
        minimum_purchase_amount: amount(5)?,
        purchase_amount_multiplier: amount(6)?,
        minimum_additional_purchase_amount: amount(7)?,
        minimum_redemption_quantity: amount(8)?,
        redemption_quantity_multiplier: amount(9)?,
        dividend_type: owned(10)?,
        scheme_type: owned(11)?,
        plan: owned(12)?,
        settlement_type: owned(13)?,
        last_price: amount(14)?,
        last_price_date: date(15)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &str) -> Vec<Result<MfInstrument, String>> {
        let text = format!("{}\n{rows}", COLUMNS.join(", "));
        let rows = parse_mf_instruments(text.as_bytes()).unwrap();
        rows.map(|row| row.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn good_rows_are_read_around_bad_ones() {
        let rows = list(
            "INF0,A_MF,Fund,1,0,1234.0,1.314E+1,1000.0,0.001,0.001,growth,equity,direct,T3,106.8,2017-11-23\n\
             INF1,A_MF,Fund,yes,0,,,,,,growth,equity,direct,T3,,\n\
             INF2,short\n\
             INF3,A_MF,Fund,0,1,,,,,,growth,equity,direct,T3,,\n",
        );
        let first = rows[0].as_ref().unwrap();
        assert_eq!(first.purchase_amount_multiplier.to_string(), "13.14");
        assert!(first.purchase_allowed && !first.redemption_allowed);
        assert_eq!(rows[1], Err(r#"line 3: purchase_allowed "yes": is neither 0 nor 1"#.to_owned()));
        assert_eq!(rows[2], Err("line 4: 2 fields instead of 16".to_owned()));
        assert_eq!(rows[3].as_ref().unwrap().last_price_date, None);
    }

    #[test]
    fn what_is_no_list_is_named() {
        for (text, reason) in [
            ("", "instrument dump is empty"),
            ("<html>502", "HTML page instead"),
            (r#"{"status":"error"}"#, "JSON instead"),
            ("a,b\n1,2\n", "instrument dump has no column tradingsymbol"),
        ] {
            let error = parse_mf_instruments(text.as_bytes()).err().unwrap().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
