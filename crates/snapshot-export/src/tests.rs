//! What is exported is read back, column by column.

use std::sync::Arc;
use std::time::Instant;

use market_model::{
    ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument, InstrumentCatalog,
    InstrumentKind, InstrumentToken, ManualClock, Ohlc, OptionSide, Price, QuoteTick, Segment, Silence, Tick,
    TickBody, TickFrame, UnixNanos,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use tick_pipeline::{
    GreeksState, HealthRecord, Output, Pipeline, PipelineConfig, PipelineMetrics, SnapshotBatch,
};

use crate::*;

const AT: UnixNanos = UnixNanos(1_795_147_200_123_456_789);

const CALL: u32 = 12_345_602;
const FUTURE: u32 = 12_345_858;

fn catalog() -> Arc<InstrumentCatalog> {
    let instant = Some(UnixNanos::from_secs(1_795_515_000));
    let expiry = Expiry { date: "2026-11-24".parse().unwrap(), instant };
    let row = |token, exchange, segment, symbol: &str, name: &str, kind| Instrument {
        token: InstrumentToken(token),
        exchange,
        segment,
        tradingsymbol: symbol.into(),
        name: name.into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let strike = Price::from_paise(2_450_000);
    let call = InstrumentKind::Option { expiry, strike, side: OptionSide::Call };
    let rows = vec![
        row(408_065, Exchange::Nse, Segment::Nse, "INFY", "INFOSYS", InstrumentKind::Equity),
        row(
            FUTURE,
            Exchange::Nfo,
            Segment::NfoFutures,
            "NIFTY26NOVFUT",
            "NIFTY",
            InstrumentKind::Future { expiry },
        ),
        row(CALL, Exchange::Nfo, Segment::NfoOptions, "NIFTY26N2424500CE", "NIFTY", call),
    ];
    Arc::new(InstrumentCatalog::new(rows, |_| None).unwrap())
}

fn ltp(token: u32) -> Tick {
    Tick { token: InstrumentToken(token), last_price: Price::from_paise(157_315), body: TickBody::Ltp }
}

fn full(token: u32) -> Tick {
    let last_price = Price::from_paise(if token == FUTURE { 2_455_000 } else { 10_010 });
    let mut depth = Depth::default();
    if token == FUTURE {
        let body = TickBody::Full(FullTick::default());
        return Tick { token: InstrumentToken(token), last_price, body };
    }
    depth.buy[0] = DepthLevel { price: Price::from_paise(10_005), quantity: u32::MAX, orders: u16::MAX };
    depth.sell[4] = DepthLevel { price: Price::from_paise(10_025), quantity: 65, orders: 2 };
    let ohlc = Ohlc {
        open: Price::from_paise(1),
        high: Price::from_paise(4),
        low: Price::ZERO,
        close: Price::from_paise(3),
    };
    let quote = QuoteTick { volume_traded: 4_000_000_000, ohlc, ..QuoteTick::default() };
    let exchange_timestamp = Some(UnixNanos::from_secs(1_795_147_200));
    let body = FullTick { quote, depth, oi: 77, exchange_timestamp, ..FullTick::default() };
    Tick { token: InstrumentToken(token), last_price, body: TickBody::Full(body) }
}

fn frame(ticks: Vec<Tick>) -> TickFrame {
    TickFrame { connection: ConnectionId { account: "alpha".into(), index: 2 }, ts_recv: AT, ticks }
}

fn rows(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn value(row: &Row, column: &str) -> Field {
    let (_, field) = row.get_column_iter().find(|(name, _)| *name == column).unwrap();
    field.clone()
}

fn text(text: &str) -> Field {
    Field::Str(text.into())
}

fn check(row: &Row, wanted: &[(&str, Field)]) {
    for (column, field) in wanted {
        assert_eq!(value(row, column), *field, "{column}");
    }
}

#[test]
fn ticks_come_back_and_what_a_mode_lacks_is_null() {
    let mut file = TickFile::new(Vec::new(), &ParquetConfig::default()).unwrap();
    file.push(&frame(vec![ltp(408_065), full(CALL), ltp(1)]), &catalog()).unwrap();
    let written = file.finish().unwrap();
    assert_eq!(written.rows, 3);
    let rows = rows(written.out);
    check(
        &rows[0],
        &[
            ("ts_recv", Field::Long(AT.0)),
            ("ts_event", Field::Null),
            ("account", text("alpha")),
            ("connection", Field::Long(2)),
            ("instrument_token", Field::Long(408_065)),
            ("tradingsymbol", text("INFY")),
            ("exchange", text("NSE")),
            ("underlying", Field::Null),
            ("mode", text("ltp")),
            ("last_price", Field::Double(1573.15)),
            ("volume_traded", Field::Null),
            ("bid_price_1", Field::Null),
        ],
    );
    check(
        &rows[1],
        &[
            ("ts_event", Field::Long(1_795_147_200_000_000_000)),
            ("underlying", text("NIFTY")),
            ("expiry", Field::Date(20_781)),
            ("strike", Field::Double(24_500.0)),
            ("option_type", text("CE")),
            ("volume_traded", Field::Long(4_000_000_000)),
            ("open", Field::Double(0.01)),
            ("close", Field::Double(0.03)),
            ("oi", Field::Long(77)),
            ("bid_price_1", Field::Double(100.05)),
            ("bid_quantity_1", Field::Long(4_294_967_295)),
            ("bid_orders_1", Field::Long(65_535)),
            ("bid_price_2", Field::Null),
            ("ask_price_1", Field::Null),
            ("ask_price_5", Field::Double(100.25)),
            ("ask_orders_5", Field::Long(2)),
        ],
    );
    check(&rows[2], &[("tradingsymbol", Field::Null), ("instrument_token", Field::Long(1))]);
}

/// What a pipeline publishes of a frame, and again after the connection fell silent.
fn published() -> Vec<Output> {
    let clock = Arc::new(ManualClock::new(AT));
    let (config, metrics) = (PipelineConfig::default(), PipelineMetrics::noop());
    let mut pipeline = Pipeline::new(config, "alpha".into(), true, catalog(), clock, metrics);
    let now = Instant::now();
    pipeline.push(FeedEvent::Ticks(frame(vec![full(FUTURE), full(CALL)])), now);
    pipeline.flush(now);
    let silence = Silence { connection: frame(Vec::new()).connection, since: AT };
    pipeline.push(FeedEvent::Silent(silence), now);
    pipeline.flush(now);
    std::iter::from_fn(|| pipeline.next_output()).collect()
}

fn batches() -> Vec<Arc<SnapshotBatch>> {
    let batch = |output| match output {
        Output::Batch(batch) => Some(batch),
        Output::Health(_) => None,
    };
    published().into_iter().filter_map(batch).collect()
}

#[test]
fn snapshots_come_back_with_their_greeks_or_the_reason() {
    let mut file = SnapshotFile::new(Vec::new(), &ParquetConfig::default()).unwrap();
    let (mut snapshots, mut known) = (Vec::new(), 0);
    for batch in batches() {
        file.push(&batch).unwrap();
        snapshots.extend(batch.snapshots.iter().map(|snapshot| (batch.seq, snapshot.clone())));
    }
    let rows = rows(file.finish().unwrap().out);
    assert_eq!((rows.len(), snapshots.len()), (4, 4));
    for (row, (seq, snapshot)) in rows.iter().zip(&snapshots) {
        check(
            row,
            &[
                ("ts_publish", Field::Long(AT.0)),
                ("ts_recv", Field::Long(AT.0)),
                ("source", text("alpha")),
                ("seq", Field::Long(*seq as i64)),
                ("instrument_token", Field::Long(i64::from(snapshot.token().0))),
                ("last_price", Field::Double(snapshot.tick.last_price.to_f64())),
                ("sim", Field::Bool(true)),
            ],
        );
        match snapshot.stale {
            None => check(
                row,
                &[("stale", Field::Bool(false)), ("stale_cause", Field::Null), ("cause", text("tick"))],
            ),
            Some(_) => check(row, &[("stale", Field::Bool(true)), ("stale_cause", text("silent"))]),
        }
        if let GreeksState::Known(greeks) = snapshot.greeks {
            known += 1;
            check(
                row,
                &[
                    ("tradingsymbol", text("NIFTY26N2424500CE")),
                    ("iv", Field::Double(greeks.iv)),
                    ("delta", Field::Double(greeks.delta)),
                    ("gamma", Field::Double(greeks.gamma)),
                    ("theta", Field::Double(greeks.theta)),
                    ("vega", Field::Double(greeks.vega)),
                    ("rho", Field::Double(greeks.rho)),
                    ("forward", Field::Double(24_550.0)),
                    ("forward_source", text("future")),
                    ("rate", Field::Double(greeks.rate)),
                    ("t_years", Field::Double(greeks.t_years)),
                    ("greeks_reason", Field::Null),
                ],
            );
        } else {
            check(row, &[("iv", Field::Null), ("forward_source", Field::Null), ("quality", Field::Null)]);
        }
    }
    assert!(known >= 1, "{snapshots:?}");
}

#[test]
fn an_option_without_greeks_says_why() {
    let clock = Arc::new(ManualClock::new(AT));
    let (config, metrics) = (PipelineConfig::default(), PipelineMetrics::noop());
    let mut pipeline = Pipeline::new(config, "alpha".into(), false, catalog(), clock, metrics);
    pipeline.push(FeedEvent::Ticks(frame(vec![full(CALL)])), Instant::now());
    pipeline.flush(Instant::now());
    let Some(Output::Batch(batch)) = pipeline.next_output() else { panic!("a batch") };
    let mut file = SnapshotFile::new(Vec::new(), &ParquetConfig::default()).unwrap();
    file.push(&batch).unwrap();
    let rows = rows(file.finish().unwrap().out);
    check(
        &rows[0],
        &[("iv", Field::Null), ("greeks_reason", text("no_forward")), ("sim", Field::Bool(false))],
    );
}

#[test]
fn rows_are_written_group_by_group() {
    let config = ParquetConfig { row_group_rows: 4, ..ParquetConfig::default() };
    let mut file = TickFile::new(Vec::new(), &config).unwrap();
    for _ in 0..5 {
        file.push(&frame(vec![ltp(408_065), full(CALL)]), &catalog()).unwrap();
    }
    let out = file.finish().unwrap().out;
    let reader = SerializedFileReader::new(bytes::Bytes::from(out.clone())).unwrap();
    let groups = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>();
    assert_eq!(groups, [4, 4, 2]);
    assert_eq!(rows(out).len(), 10);
}

#[test]
fn lines_are_the_payloads_of_every_other_door() {
    let mut lines = JsonLines::new(Vec::new());
    lines.batch(&batches()[0]).unwrap();
    let connection = ConnectionId { account: "alpha".into(), index: 0 };
    let event = FeedEvent::Connected { connection, at: AT };
    let record = HealthRecord { source: "alpha".into(), seq: 1, ts_publish: AT, sim: true, event };
    lines.health(&record).unwrap();
    let (out, count) = lines.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut read = text.lines();
    assert!(read.next().unwrap().starts_with(r#"{"v":1,"type":"ticks""#));
    assert!(read.next().unwrap().starts_with(r#"{"v":1,"type":"connected""#));
    assert_eq!((read.next(), count), (None, 2));
}

/// docs/recording.md shows the columns as they are.
#[test]
fn the_documentation_has_these_columns() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recording.md");
    let page = std::fs::read_to_string(path).unwrap();
    for (title, columns) in [("ticks.parquet", TICK_COLUMNS), ("snapshots.parquet", SNAPSHOT_COLUMNS)] {
        let table = markdown(columns);
        assert!(page.contains(&table), "docs/recording.md lacks this table of {title}:\n{table}");
    }
}
