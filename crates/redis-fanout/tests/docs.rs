//! `docs/redis.md` agrees with the code. `UPDATE_DOCS=1` rewrites what is generated.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use market_model::{
    Depth, DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog, InstrumentKind,
    InstrumentSlot, InstrumentToken, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use redis_fanout::{Keys, RedisConfig};
use snapshot_wire::{BatchEncoder, FieldKind, POSITIONS, Table, WireFormat};
use tick_pipeline::{
    ForwardSource, GreeksState, OptionGreeks, Quality, Snapshot, SnapshotBatch, SnapshotCause, Topic,
    TopicKind,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_is_what_the_code_says() {
    let page = repository().join("docs/redis.md");
    let stands = std::fs::read_to_string(&page).unwrap();
    let should = regenerate(&stands);
    if stands == should {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/redis.md is out of date: run UPDATE_DOCS=1 cargo test -p redis-fanout --test docs"
    );
    std::fs::write(&page, should).unwrap();
}

#[test]
fn the_settings_named_in_prose_are_the_defaults() {
    let config = RedisConfig::new("redis://localhost".parse().unwrap());
    let last = config.last_values.unwrap();
    assert_eq!(Keys::new(&config.namespace).health(), "kg:v1:health");
    assert_eq!((last.interval.as_millis(), last.expiry.as_secs()), (1000, 86_400));
    assert_eq!((config.health_records, config.breaker.failures_to_open), (10_000, 5));
    assert_eq!((config.breaker.open_for.as_millis(), config.frozen_after.as_secs()), (250, 1));
}

/// The page with every generated part made anew.
fn regenerate(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- generated: ") {
        let (what, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        write!(out, "{before}<!-- generated: {what} -->\n{}<!-- end -->", generated(what)).unwrap();
        rest = after;
    }
    out + rest
}

fn generated(what: &str) -> String {
    match what.split_once(' ') {
        None if what == "consumer" => {
            let source = repository().join("examples/python/consume.py");
            format!("\n```python\n{}```\n\n", std::fs::read_to_string(source).unwrap())
        }
        None if what == "positional" => {
            let source = repository().join("examples/python/positional.py");
            format!("\n```python\n{}```\n\n", std::fs::read_to_string(source).unwrap())
        }
        None if what == "positions" => positions(),
        None if what == "sample" => format!("\n```json\n{}\n```\n\n", sample()),
        Some(("tables", titles)) => titles.split(' ').map(table).collect::<String>() + "\n",
        _ => panic!("docs/redis.md wants `{what}`, which nobody makes"),
    }
}

fn table(title: &str) -> String {
    let table = Table::named(title).unwrap();
    let mut out =
        format!("\n### `{title}`\n\n| field | value | there | meaning |\n| --- | --- | --- | --- |\n");
    for field in table.fields {
        let when = if field.when.is_empty() { "always" } else { field.when };
        writeln!(out, "| `{}` | {} | {when} | {} |", field.name, kind(field.kind), field.meaning).unwrap();
    }
    out
}

fn positions() -> String {
    let mut out = String::from("\n| place | field |\n| --- | --- |\n");
    for (place, name) in POSITIONS.iter().enumerate() {
        writeln!(out, "| {place} | `{name}` |").unwrap();
    }
    out + "\n"
}

fn kind(kind: FieldKind) -> String {
    match kind {
        FieldKind::Integer => "integer".to_owned(),
        FieldKind::Price => "rupees".to_owned(),
        FieldKind::Number => "number".to_owned(),
        FieldKind::Text => "text".to_owned(),
        FieldKind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        FieldKind::Boolean => "boolean".to_owned(),
        FieldKind::Object(of) => format!("object [`{of}`](#{of})"),
        FieldKind::ObjectOrNull(of) => format!("object [`{of}`](#{of}) or null"),
        FieldKind::Objects(of) => format!("array of [`{of}`](#{of})"),
        FieldKind::Integers => "array of integers".to_owned(),
    }
}

/// A real payload with line breaks where objects of some size begin and end.
fn sample() -> String {
    let encoded = BatchEncoder::new(WireFormat::Json).encode(&batch());
    let text = str::from_utf8(encoded.payload()).unwrap();
    let mut out = String::new();
    let mut column = 0;
    for piece in text.split_inclusive(',') {
        if column > 0 && column + piece.len() > 118 {
            out.push('\n');
            column = 0;
        }
        out.push_str(piece);
        column += piece.len();
    }
    out
}

fn batch() -> SnapshotBatch {
    let expiry = Expiry { date: jiff::civil::date(2026, 11, 24), instant: None };
    let option = Instrument {
        token: InstrumentToken(12_345_602),
        exchange: Exchange::Nfo,
        segment: Segment::NfoOptions,
        tradingsymbol: "NIFTY26NOV25000CE".into(),
        name: "NIFTY".into(),
        kind: InstrumentKind::Option { expiry, strike: Price::from_paise(2_500_000), side: OptionSide::Call },
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let level = |paise, quantity, orders| DepthLevel { price: Price::from_paise(paise), quantity, orders };
    let stamp = UnixNanos::from_secs(1_795_065_301);
    let body = FullTick {
        quote: QuoteTick {
            last_traded_quantity: 65,
            average_traded_price: Price::from_paise(20_311),
            volume_traded: 11_759_865,
            total_buy_quantity: 290_550,
            total_sell_quantity: 310_700,
            ohlc: Ohlc {
                open: Price::from_paise(18_005),
                high: Price::from_paise(23_150),
                low: Price::from_paise(17_040),
                close: Price::from_paise(18_260),
            },
        },
        last_trade_time: Some(stamp),
        oi: 5_117_775,
        oi_day_high: 5_300_100,
        oi_day_low: 4_870_450,
        exchange_timestamp: Some(stamp),
        depth: Depth {
            buy: [0, 5, 10, 15, 20].map(|below| level(21_135 - below, 65 * (3 + below as u32), 2)),
            sell: [0, 5, 10, 15, 20].map(|above| level(21_150 + above, 65 * (2 + above as u32), 3)),
        },
    };
    let snapshot = Snapshot {
        slot: InstrumentSlot(0),
        tick: Tick { token: option.token, last_price: Price::from_paise(21_145), body: TickBody::Full(body) },
        ts_recv: UnixNanos(1_795_065_301_412_345_678),
        ts_event: Some(stamp),
        greeks: GreeksState::Known(OptionGreeks {
            iv: 0.128_734_102_551_32,
            delta: 0.540_211_873_390_4,
            gamma: 0.001_128_437_720_21,
            vega: 10.447_310_295_5,
            theta: -15.902_774_183_1,
            rho: -0.023_171_883_02,
            forward: 25_031.85,
            forward_source: ForwardSource::Parity,
            rate: 0.065,
            t_years: 0.011_111_111_111_11,
            quality: Quality::Good,
        }),
        stale: None,
        cause: SnapshotCause::Tick,
        tick_count: 2,
    };
    SnapshotBatch {
        topic: Arc::new(Topic {
            exchange: "NFO".into(),
            underlying: "NIFTY".into(),
            kind: TopicKind::Options,
        }),
        source: "main/0".into(),
        seq: 48_213,
        tick_count: 2,
        tick_total: 1_204_377,
        ts_publish: UnixNanos(1_795_065_301_414_000_000),
        sim: true,
        catalog: Arc::new(InstrumentCatalog::new(vec![option], |_| None).unwrap()),
        snapshots: vec![snapshot],
    }
}
