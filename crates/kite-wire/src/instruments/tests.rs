use super::*;

use market_model::{Expiry, InstrumentKind, OptionSide, UnixNanos};

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n";

fn rows(csv: &str) -> Vec<Result<InstrumentRow, String>> {
    parse_instruments(csv.as_bytes()).unwrap().map(|row| row.map_err(|error| error.to_string())).collect()
}

fn check_row(line: &str, expect: &InstrumentRow) {
    assert_eq!(rows(&format!("{HEADER}{line}\n")), [Ok(expect.clone())], "{line}");
}

fn check_bad(line: &str, expect: &str) {
    assert_eq!(rows(&format!("{HEADER}{line}\n")), [Err(expect.into())], "{line}");
}

fn share() -> InstrumentRow {
    InstrumentRow {
        token: InstrumentToken(3_813_889),
        exchange_token: 14_898,
        tradingsymbol: "CENTRALBK-BE".into(),
        name: "CENTRAL BANK OF INDIA".into(),
        last_price: Price::ZERO,
        expiry: None,
        strike: Price::ZERO,
        tick_size: Price::from_paise(5),
        lot_size: 1,
        instrument_type: InstrumentType::Equity,
        segment: Segment::Nse,
        exchange: Exchange::Nse,
    }
}

fn option() -> InstrumentRow {
    InstrumentRow {
        token: InstrumentToken(12_073_986),
        exchange_token: 47_164,
        tradingsymbol: "NIFTY23JUL20600CE".into(),
        name: "NIFTY".into(),
        expiry: Some(jiff::civil::date(2023, 7, 27)),
        strike: Price::from_paise(2_060_000),
        lot_size: 50,
        instrument_type: InstrumentType::Call,
        segment: Segment::NfoOptions,
        exchange: Exchange::Nfo,
        ..share()
    }
}

#[test]
fn a_row_is_read_in_any_notation() {
    check_row("3813889,14898,CENTRALBK-BE,CENTRAL BANK OF INDIA,0.0,,0.0,0.05,1,EQ,NSE,NSE", &share());
    check_row(" 3813889 , 14898 ,CENTRALBK-BE , CENTRAL BANK OF INDIA,,,,5E-2,1,EQ,NSE,NSE", &share());
    check_row(
        "12073986,47164,NIFTY23JUL20600CE,NIFTY,0,2023-07-27,2.06E+4,0.05,50,CE,NFO-OPT,NFO",
        &option(),
    );
    check_row(
        "3813889,14898,CENTRALBK-BE,CENTRAL BANK OF INDIA,0.000000000001,,-0,0.050000000000000003,1,EQ,NSE,NSE",
        &share(),
    );
    check_row(
        r#"12073986,47164,NIFTY23JUL20600CE,"NIFTY",0,2023-07-27,20600,0.05,50,CE,NFO-OPT,NFO"#,
        &option(),
    );
}

#[test]
fn columns_are_found_by_name() {
    let csv = "\u{feff}exchange, segment, instrument_type, lot_size, tick_size, strike, isin, expiry, last_price, name, \
               tradingsymbol, exchange_token, instrument_token\r\n\
               NSE,NSE,EQ,1,0.05,0.0,INE483A01010,,0.0,CENTRAL BANK OF INDIA,CENTRALBK-BE,14898,3813889\r\n";
    assert_eq!(rows(csv), [Ok(share())]);
}

#[test]
fn unknown_words_are_kept() {
    let expect = InstrumentRow {
        instrument_type: InstrumentType::Other("SWAP".into()),
        segment: Segment::from_word("MOON-FUT"),
        exchange: Exchange::from_word("MOON"),
        ..share()
    };
    check_row("3813889,14898,CENTRALBK-BE,CENTRAL BANK OF INDIA,0.0,,0.0,0.05,1,SWAP,MOON-FUT,MOON", &expect);
    assert_eq!(expect.into_instrument(None).kind, InstrumentKind::Other("SWAP".into()));
}

#[test]
fn a_bad_row_is_named_by_line_and_field() {
    check_bad(
        "x,1,A,,0,,0,0.05,1,EQ,NSE,NSE",
        r#"line 2: instrument_token "x": invalid digit found in string"#,
    );
    check_bad(
        "4294967296,1,A,,0,,0,0.05,1,EQ,NSE,NSE",
        r#"line 2: instrument_token "4294967296": number too large to fit in target type"#,
    );
    check_bad("1,1,A,,abc,,0,0.05,1,EQ,NSE,NSE", r#"line 2: last_price "abc": not a decimal number"#);
    check_bad("1,1,A,,0,,NaN,0.05,1,EQ,NSE,NSE", r#"line 2: strike "NaN": not a decimal number"#);
    check_bad("1,1,A,,0,,0,0.05,-1,EQ,NSE,NSE", r#"line 2: lot_size "-1": invalid digit found in string"#);
    check_bad("1,1,A,,0", "line 2: 5 fields instead of 12");
    let error = rows(&format!("{HEADER}1,1,A,,0,27-07-2023,0,0.05,1,FUT,NFO-FUT,NFO\n"));
    assert!(error[0].as_ref().unwrap_err().starts_with("line 2: expiry \"27-07-2023\": "));
}

#[test]
fn a_bad_row_costs_only_that_row() {
    let good = "3813889,14898,CENTRALBK-BE,CENTRAL BANK OF INDIA,0.0,,0.0,0.05,1,EQ,NSE,NSE";
    let text = format!("{HEADER}{good}\nbad\n\n{good}\n{good},1\n");
    for text in [text.replace('\n', "\r\n"), text] {
        assert_eq!(
            rows(&text),
            [
                Ok(share()),
                Err("line 3: 1 fields instead of 12".into()),
                Ok(share()),
                Err("line 6: 13 fields instead of 12".into()),
            ]
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend(b"1,1,A\xff,,0,,0,0.05,1,EQ,NSE,NSE\n");
    let error = parse_instruments(&csv[..]).unwrap().next().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("line 2: tradingsymbol \"A\u{fffd}\": invalid utf-8"), "{error}");
}

#[test]
fn what_is_not_a_dump_is_named() {
    for (text, expect) in [
        ("", "instrument dump is empty"),
        ("\n\n", "instrument dump is empty"),
        (
            "<html><head><title>502</title>\n",
            "HTML page instead of an instrument dump: <html><head><title>502</title>\n",
        ),
        ("  <!DOCTYPE html>\n", "HTML page instead of an instrument dump: <!DOCTYPE html>\n"),
        (
            "{\"status\":\"error\",\"message\":\"x\"}",
            "JSON instead of an instrument dump: {\"status\":\"error\",\"message\":\"x\"}",
        ),
        (
            "instrument_token,exchange_token,name\n",
            "instrument dump has no column tradingsymbol, header begins instrument_token,exchange_token,name",
        ),
    ] {
        assert_eq!(parse_instruments(text.as_bytes()).unwrap_err().to_string(), expect);
    }
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0";
    assert!(matches!(parse_instruments(gzip), Err(InstrumentsError::Gzip)));
}

#[test]
fn a_reader_that_fails_ends_the_rows() {
    struct Fails<'a>(&'a [u8]);
    impl Read for Fails<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("line cut")),
                read => Ok(read),
            }
        }
    }
    let mut rows = parse_instruments(Fails(HEADER.as_bytes())).unwrap();
    let error = rows.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "line 2: cannot be read: line cut");
    assert!(rows.next().is_none());
}

#[test]
fn kinds_of_instruments() {
    let expiry =
        Expiry { date: jiff::civil::date(2023, 7, 27), instant: Some(UnixNanos::from_secs(1_690_452_000)) };
    let call = option().into_instrument(expiry.instant);
    assert_eq!(
        call.kind,
        InstrumentKind::Option { expiry, strike: Price::from_paise(2_060_000), side: OptionSide::Call }
    );
    assert_eq!((call.lot_size, &*call.name), (50, "NIFTY"));
    assert_eq!(share().into_instrument(None).kind, InstrumentKind::Equity);
    let index = InstrumentRow { segment: Segment::Indices, ..share() };
    assert_eq!(index.into_instrument(None).kind, InstrumentKind::Index);
    let future = InstrumentRow { instrument_type: InstrumentType::Future, ..option() };
    assert_eq!(future.clone().into_instrument(expiry.instant).kind, InstrumentKind::Future { expiry });
    let endless = InstrumentRow { expiry: None, ..future };
    assert_eq!(endless.into_instrument(None).kind, InstrumentKind::Other("FUT".into()));
}

#[test]
fn rows_are_written_as_kite_writes_them() {
    let odd = InstrumentRow { name: "A, \"B\"".into(), tick_size: Price::from_raw(25_000), ..share() };
    let mut out = Vec::new();
    write_instruments([&share(), &option(), &odd], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(
        lines,
        [
            HEADER.trim_end(),
            "3813889,14898,CENTRALBK-BE,CENTRAL BANK OF INDIA,0.0,,0.0,0.05,1,EQ,NSE,NSE",
            "12073986,47164,NIFTY23JUL20600CE,NIFTY,0.0,2023-07-27,20600.0,0.05,50,CE,NFO-OPT,NFO",
            "3813889,14898,CENTRALBK-BE,\"A, \"\"B\"\"\",0.0,,0.0,0.0025,1,EQ,NSE,NSE",
            "",
        ]
    );
    assert_eq!(rows(&text), [Ok(share()), Ok(option()), Ok(odd)]);
}
