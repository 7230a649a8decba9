use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use market_model::{
    ConnectionId, Depth, DepthLevel, DisconnectReason, Exchange, Expiry, FeedEvent, FullTick, Gap, GapCause,
    Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, InstrumentToken, Mode, Ohlc, OptionSide,
    Price, QuoteTick, RateCollapse, Segment, Silence, SubscriptionChange, SubscriptionState, Tick, TickBody,
    TickFrame, TokenGap, TokenLoss, UnixNanos,
};
use proptest::prelude::*;
use serde_json::Value;
use tick_pipeline::{
    ForwardSource, GreeksState, HealthRecord, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotBatch,
    SnapshotCause, StaleCause, Topic, TopicKind,
};

use crate::decode::{GreeksMessage, HealthMessage, TickMessage, TicksMessage};
use crate::{BatchEncoder, FieldKind, TABLES, Table, TicksHead, WireFormat, encode_health, write_ticks};

const EQUITY: InstrumentSlot = InstrumentSlot(0);
const INDEX: InstrumentSlot = InstrumentSlot(1);
const FUTURE: InstrumentSlot = InstrumentSlot(2);
const OPTION: InstrumentSlot = InstrumentSlot(3);

mod limits;
mod positional;
mod read_back;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn catalog() -> Arc<InstrumentCatalog> {
    let expiry = Expiry { date: jiff::civil::date(2026, 11, 24), instant: None };
    let row = |token, exchange, symbol: &str, name: &str, kind| Instrument {
        token: InstrumentToken(token),
        exchange,
        segment: Segment::Indices,
        tradingsymbol: symbol.into(),
        name: name.into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let strike = price("25000");
    let side = OptionSide::Call;
    let rows = vec![
        row(408_065, Exchange::Nse, "M&M \"é\\\n\u{1}", "", InstrumentKind::Equity),
        row(256_265, Exchange::Nse, "NIFTY 50", "NIFTY 50", InstrumentKind::Index),
        row(258, Exchange::Nfo, "NIFTY26NOVFUT", "NIFTY", InstrumentKind::Future { expiry }),
        row(
            514,
            Exchange::Nfo,
            "NIFTY26NOV25000CE",
            "NIFTY",
            InstrumentKind::Option { expiry, strike, side },
        ),
    ];
    Arc::new(InstrumentCatalog::new(rows, |_| None).unwrap())
}

fn ohlc() -> Ohlc {
    Ohlc { open: price("1569.15"), high: price("1575"), low: price("1561.05"), close: price("1567.8") }
}

fn quote() -> QuoteTick {
    QuoteTick {
        last_traded_quantity: 1,
        average_traded_price: price("1570.33"),
        volume_traded: 1_175_986,
        total_buy_quantity: 290_511,
        total_sell_quantity: u32::MAX,
        ohlc: ohlc(),
    }
}

fn full() -> FullTick {
    let level = |n: u32| DepthLevel {
        price: Price::from_paise(157_300 + i64::from(n)),
        quantity: n * 100,
        orders: n as u16,
    };
    FullTick {
        quote: quote(),
        last_trade_time: Some(UnixNanos::from_secs(1_780_000_000)),
        oi: 100,
        oi_day_high: 200,
        oi_day_low: 0,
        exchange_timestamp: Some(UnixNanos::from_secs(1_780_000_001)),
        depth: Depth { buy: [0, 1, 2, 3, 4].map(level), sell: [5, 6, 7, 8, 9].map(level) },
    }
}

fn greeks() -> OptionGreeks {
    OptionGreeks {
        iv: 0.1 + 0.2,
        delta: 0.512_345_678_901_234_5,
        gamma: 1.234e-7,
        vega: 12.5,
        theta: -8.0,
        rho: 3.25,
        forward: 25_012.35,
        forward_source: ForwardSource::Parity,
        rate: 0.065,
        t_years: 1.0 / 3.0,
        quality: Quality::Good,
    }
}

fn snapshot(slot: InstrumentSlot, body: TickBody, greeks: GreeksState) -> Snapshot {
    let token = catalog().get(slot).token;
    let tick = Tick { token, last_price: price("1573.15"), body };
    Snapshot {
        slot,
        ts_event: tick.exchange_timestamp(),
        tick,
        ts_recv: UnixNanos(1_780_000_001_123_456_789),
        greeks,
        stale: None,
        cause: SnapshotCause::Tick,
        tick_count: 3,
    }
}

fn samples() -> Vec<Snapshot> {
    use GreeksState::{Absent, Known, NotAnOption};
    let mut samples = vec![
        snapshot(EQUITY, TickBody::Ltp, NotAnOption),
        snapshot(EQUITY, TickBody::Quote(quote()), NotAnOption),
        snapshot(FUTURE, TickBody::Full(full()), NotAnOption),
        snapshot(INDEX, TickBody::IndexQuote { ohlc: ohlc(), change: Price::ZERO }, NotAnOption),
        snapshot(
            INDEX,
            TickBody::IndexFull { ohlc: Ohlc::default(), change: Price::ZERO, exchange_timestamp: None },
            NotAnOption,
        ),
        snapshot(OPTION, TickBody::Full(full()), Known(greeks())),
        snapshot(OPTION, TickBody::Ltp, Absent(NoGreeks::BelowIntrinsic)),
        snapshot(OPTION, TickBody::Ltp, Known(OptionGreeks { vega: f64::NAN, ..greeks() })),
    ];
    samples[2].stale = Some(StaleCause::Feed(GapCause::Silent));
    samples[2].cause = SnapshotCause::Staleness;
    samples
}

fn batch_of(snapshots: Vec<Snapshot>) -> SnapshotBatch {
    SnapshotBatch {
        topic: Arc::new(Topic {
            exchange: "NFO".into(),
            underlying: "NIFTY".into(),
            kind: TopicKind::Options,
        }),
        source: "main/0".into(),
        seq: u64::MAX,
        tick_count: snapshots.iter().map(|one| u64::from(one.tick_count)).sum(),
        tick_total: u64::MAX,
        ts_publish: UnixNanos(1_780_000_001_130_000_000),
        sim: true,
        catalog: catalog(),
        snapshots,
    }
}

/// What nine significant digits keep.
fn nine(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap()
}

fn json_of(snapshot: Snapshot) -> String {
    let encoded = BatchEncoder::new(WireFormat::Json).encode(&batch_of(vec![snapshot]));
    String::from_utf8(encoded.tick(0).to_vec()).unwrap()
}

fn health_samples() -> Vec<FeedEvent> {
    let connection = ConnectionId { account: "main".into(), index: 2 };
    let at = UnixNanos(5);
    let reconnecting = |reason| FeedEvent::Reconnecting {
        connection: connection.clone(),
        at,
        attempt: 3,
        delay: Duration::from_millis(1500),
        reason,
    };
    let gap = |tokens, lost_ticks| {
        FeedEvent::Gap(Gap {
            connection: connection.clone(),
            from: UnixNanos(1),
            to: UnixNanos(9),
            cause: GapCause::Overrun,
            tokens,
            lost_ticks,
        })
    };
    vec![
        FeedEvent::Connected { connection: connection.clone(), at },
        reconnecting(DisconnectReason::ClosedByServer(Some(1006))),
        reconnecting(DisconnectReason::ClosedByServer(None)),
        reconnecting(DisconnectReason::Io("reset \"by\" peer".into())),
        reconnecting(DisconnectReason::NoHeartbeat(Duration::from_secs(5))),
        FeedEvent::Reconnected { connection: connection.clone(), at, attempts: 4 },
        FeedEvent::Disconnected {
            connection: connection.clone(),
            at,
            reason: DisconnectReason::HandshakeStatus(429),
        },
        gap(None, None),
        gap(Some([InstrumentToken(258), InstrumentToken(514)].into()), Some(7)),
        FeedEvent::Silent(Silence { connection: connection.clone(), since: at }),
        FeedEvent::SilenceEnded { connection: connection.clone(), at },
        FeedEvent::RateCollapse(RateCollapse {
            connection: connection.clone(),
            at,
            rate: 0.5,
            baseline: 900.25,
        }),
        FeedEvent::RateRestored { connection: connection.clone(), at, rate: 899.5 },
        FeedEvent::Rotated {
            connection: connection.clone(),
            at,
            overlap: Duration::from_millis(750),
            reason: DisconnectReason::NoPong(Duration::from_secs(10)),
        },
        FeedEvent::TokenGaps {
            connection: connection.clone(),
            cause: GapCause::Disconnected,
            gaps: vec![TokenGap { token: InstrumentToken(258), from: UnixNanos(1), to: UnixNanos(9) }],
        },
        FeedEvent::TokenLost(TokenLoss { account: "main".into(), detail: "403".into() }),
        FeedEvent::TokenRestored { account: "main".into() },
        FeedEvent::Subscriptions {
            connection,
            changes: vec![SubscriptionChange {
                token: InstrumentToken(258),
                mode: Mode::Full,
                state: SubscriptionState::Live,
            }],
        },
    ]
}

fn health_of(format: WireFormat, event: FeedEvent) -> Vec<u8> {
    let record =
        HealthRecord { source: "main/0".into(), seq: 12, ts_publish: UnixNanos(10), sim: false, event };
    let mut out = Vec::new();
    let kind = encode_health(format, &record, &mut out);
    assert_eq!(kind.is_none(), out.is_empty());
    out
}

/// Checks an object against its table and notes which fields it had.
fn check_object(title: &str, value: &Value, seen: &mut BTreeSet<String>) {
    let table = Table::named(title).unwrap_or_else(|| panic!("no table {title}"));
    let object = value.as_object().unwrap_or_else(|| panic!("{title} is no object: {value}"));
    for name in object.keys() {
        assert!(table.fields.iter().any(|field| field.name == name), "{title}.{name} is not documented");
    }
    for field in table.fields {
        let Some(value) = object.get(field.name) else {
            assert!(!field.when.is_empty(), "{title}.{} is missing: {object:?}", field.name);
            continue;
        };
        seen.insert(format!("{title}.{}", field.name));
        let fits = match field.kind {
            FieldKind::Integer => value.is_i64() || value.is_u64(),
            FieldKind::Price | FieldKind::Number => value.is_f64(),
            FieldKind::Text => value.is_string(),
            FieldKind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            FieldKind::Boolean => value.is_boolean(),
            FieldKind::ObjectOrNull(_) if value.is_null() => true,
            FieldKind::Object(title) | FieldKind::ObjectOrNull(title) => {
                check_object(title, value, seen);
                true
            }
            FieldKind::Objects(title) => value
                .as_array()
                .is_some_and(|items| items.iter().map(|item| check_object(title, item, seen)).count() > 0),
            FieldKind::Integers => value.as_array().is_some_and(|items| items.iter().all(Value::is_u64)),
        };
        assert!(fits, "{title}.{} does not fit its table: {value}", field.name);
    }
}

#[test]
fn every_published_field_is_in_the_tables_and_every_listed_field_is_published() {
    let encoded = BatchEncoder::new(WireFormat::Json).encode(&batch_of(samples()));
    let mut seen = BTreeSet::new();
    check_object("batch", &serde_json::from_slice(encoded.payload()).unwrap(), &mut seen);
    for event in health_samples() {
        let record = health_of(WireFormat::Json, event);
        check_object("health", &serde_json::from_slice(&record).unwrap(), &mut seen);
    }
    let listed = TABLES
        .iter()
        .flat_map(|table| table.fields.iter().map(move |field| format!("{}.{}", table.title, field.name)))
        .collect();
    assert_eq!(seen, listed);
}

#[test]
fn a_full_option_tick_reads_back_as_it_was() {
    let tick: TickMessage = serde_json::from_str(&json_of(samples().remove(5))).unwrap();
    assert_eq!(tick.tradingsymbol.as_deref(), Some("NIFTY26NOV25000CE"));
    assert_eq!(tick.underlying.as_deref(), Some("NIFTY"));
    assert_eq!(tick.expiry.as_deref(), Some("2026-11-24"));
    assert_eq!((tick.strike, tick.option_type.as_deref()), (Some(25_000.0), Some("CE")));
    assert_eq!(tick.total_sell_quantity, Some(u32::MAX));
    assert_eq!(tick.change, Some(nine((1573.15 - 1567.8) * 100.0 / 1567.8)));
    assert_eq!(tick.net_change, Some(5.35));
    assert_eq!(
        (tick.exchange_timestamp, tick.ts_event),
        (Some(1_780_000_001), Some(1_780_000_001_000_000_000))
    );
    let depth = tick.depth.unwrap();
    assert_eq!((depth.buy.len(), depth.sell[4].price), (5, 1573.09));
    assert_eq!((depth.sell[4].quantity, depth.sell[4].orders), (900, 9));
    let read = tick.greeks.unwrap();
    let wrote = greeks();
    assert_eq!(
        [
            read.iv,
            read.delta,
            read.gamma,
            read.theta,
            read.vega,
            read.rho,
            read.forward,
            read.rate,
            read.t_years
        ],
        [
            wrote.iv,
            wrote.delta,
            wrote.gamma,
            wrote.theta,
            wrote.vega,
            wrote.rho,
            wrote.forward,
            wrote.rate,
            wrote.t_years
        ]
        .map(nine)
    );
    assert_eq!((&*read.forward_source, &*read.quality, tick.stale), ("parity", "good", false));
}

#[test]
fn what_is_absent_is_absent_and_never_zero() {
    let samples = samples();
    assert_eq!(
        json_of(samples[0].clone()),
        concat!(
            r#"{"instrument_token":408065,"tradingsymbol":"M&M \"é\\\n\u0001","exchange":"NSE","mode":"ltp","#,
            r#""tradable":true,"last_price":1573.15,"ts_recv":1780000001123456789,"stale":false,"cause":"tick"}"#
        )
    );
    assert_eq!(
        json_of(samples[4].clone()),
        concat!(
            r#"{"instrument_token":256265,"tradingsymbol":"NIFTY 50","exchange":"NSE","mode":"full","#,
            r#""tradable":false,"last_price":1573.15,"ohlc":{"open":0.0,"high":0.0,"low":0.0,"close":0.0},"#,
            r#""ts_recv":1780000001123456789,"stale":false,"cause":"tick"}"#
        )
    );
    assert!(json_of(samples[6].clone()).contains(r#""greeks":null,"greeks_reason":"below_intrinsic""#));
    assert!(json_of(samples[7].clone()).contains(r#""greeks":null,"greeks_reason":"unsolvable""#));
    assert!(
        json_of(samples[2].clone()).contains(r#""stale":true,"stale_cause":"silent","cause":"staleness""#)
    );
}

#[test]
fn a_slot_outside_the_catalog_costs_the_names_and_nothing_else() {
    let mut lost = snapshot(EQUITY, TickBody::Ltp, GreeksState::NotAnOption);
    lost.slot = InstrumentSlot(99);
    let tick: TickMessage = serde_json::from_str(&json_of(lost)).unwrap();
    assert_eq!((tick.instrument_token, tick.tradingsymbol), (408_065, None));
}

/// A tick as JSON shows it: nine digits of what has no fixed number of decimals.
fn rounded(tick: &TickMessage) -> TickMessage {
    let mut tick = tick.clone();
    tick.change = tick.change.map(nine);
    if let Some(greeks) = &mut tick.greeks {
        let GreeksMessage { iv, delta, gamma, theta, vega, rho, forward, rate, t_years, .. } = greeks;
        for value in [iv, delta, gamma, theta, vega, rho, forward, rate, t_years] {
            *value = nine(*value);
        }
    }
    tick
}

#[test]
fn both_formats_say_the_same() {
    let batch = batch_of(samples());
    let json = BatchEncoder::new(WireFormat::Json).encode(&batch);
    let msgpack = BatchEncoder::new(WireFormat::MessagePack).encode(&batch);
    let from_json: TicksMessage = serde_json::from_slice(json.payload()).unwrap();
    let from_msgpack: TicksMessage = rmp_serde::from_slice(msgpack.payload()).unwrap();
    let exact = from_msgpack.ticks.clone();
    assert_eq!(from_json, TicksMessage { ticks: exact.iter().map(rounded).collect(), ..from_msgpack });
    assert_eq!(from_json.seq, u64::MAX);
    for (index, (tick, exact)) in from_json.ticks.iter().zip(&exact).enumerate() {
        let json: TickMessage = serde_json::from_slice(json.tick(index)).unwrap();
        let msgpack: TickMessage = rmp_serde::from_slice(&msgpack.tick_bytes(index)).unwrap();
        assert_eq!((tick, exact), (&json, &msgpack));
    }
    for event in health_samples() {
        let json: HealthMessage =
            serde_json::from_slice(&health_of(WireFormat::Json, event.clone())).unwrap();
        let msgpack: HealthMessage =
            rmp_serde::from_slice(&health_of(WireFormat::MessagePack, event)).unwrap();
        assert_eq!(json, msgpack);
    }
}

#[test]
fn ticks_are_no_health_record() {
    let frame = TickFrame {
        connection: ConnectionId { account: "main".into(), index: 0 },
        ts_recv: UnixNanos(0),
        ticks: Vec::new(),
    };
    assert!(health_of(WireFormat::Json, FeedEvent::Ticks(frame)).is_empty());
}

#[test]
fn prices_are_the_shortest_exact_decimals() {
    for (raw, text) in [
        (0, "0.0"),
        (1, "0.0000001"),
        (10_000_000, "1.0"),
        (15_731_500_000, "1573.15"),
        (15_731_000_000, "1573.1"),
        (842_575_000, "84.2575"),
        (-500_000, "-0.05"),
        (i64::MIN, "-922337203685.4775808"),
        (i64::MAX, "922337203685.4775807"),
    ] {
        let mut tick = snapshot(EQUITY, TickBody::Ltp, GreeksState::NotAnOption);
        tick.tick.last_price = Price::from_raw(raw);
        let json = json_of(tick);
        assert!(json.contains(&format!("\"last_price\":{text},")), "{json}");
    }
}

proptest! {
    #[test]
    fn any_price_reads_back_as_its_double(raw: i64) {
        let mut tick = snapshot(EQUITY, TickBody::Ltp, GreeksState::NotAnOption);
        tick.tick.last_price = Price::from_raw(raw);
        let json = json_of(tick);
        let value: Value = serde_json::from_str(&json).unwrap();
        let text = json.split("\"last_price\":").nth(1).unwrap().split(',').next().unwrap();
        prop_assert_eq!(text.parse::<Price>(), Ok(Price::from_raw(raw)));
        prop_assert!(value["last_price"].is_f64());
    }

    #[test]
    fn any_text_and_double_survive(source in ".*", rate: f64) {
        let event = FeedEvent::RateCollapse(RateCollapse {
            connection: ConnectionId { account: source.as_str().into(), index: 0 },
            at: UnixNanos(5),
            rate,
            baseline: 1.0,
        });
        let json: Value = serde_json::from_slice(&health_of(WireFormat::Json, event.clone())).unwrap();
        prop_assert_eq!(json["account"].as_str(), Some(&*source));
        prop_assert_eq!(json["rate"].as_f64(), Some(rate).filter(|rate| rate.is_finite()));
        let msgpack: HealthMessage = rmp_serde::from_slice(&health_of(WireFormat::MessagePack, event)).unwrap();
        prop_assert_eq!(msgpack.account, Some(source));
    }
}
