//! What encoding costs: nanoseconds and bytes per snapshot of an option in full mode with Greeks, per format.
//!
//! `cargo run --release -p snapshot-wire --example encode_cost`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::sync::Arc;
use std::time::Instant;

use market_model::{
    Depth, DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog, InstrumentKind,
    InstrumentSlot, InstrumentToken, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use snapshot_wire::{BatchEncoder, WireFormat};
use tick_pipeline::{
    ForwardSource, GreeksState, OptionGreeks, Quality, Snapshot, SnapshotBatch, SnapshotCause, Topic,
    TopicKind,
};

const OPTIONS: u32 = 70;
/// Few, so that a round fits between two interruptions.
const BATCHES: u32 = 10;
const ROUNDS: usize = 1_000;

fn main() {
    let full = batch();
    let mut without_depth = full.clone();
    let mut without_greeks = full.clone();
    for (bare, plain) in without_depth.snapshots.iter_mut().zip(&mut without_greeks.snapshots) {
        if let TickBody::Full(full) = bare.tick.body {
            bare.tick.body = TickBody::Quote(full.quote);
        }
        plain.greeks = GreeksState::NotAnOption;
    }
    for format in [WireFormat::Json, WireFormat::MessagePack] {
        for (what, batch) in [
            ("full mode with Greeks", &full),
            ("without depth", &without_depth),
            ("without Greeks", &without_greeks),
        ] {
            report(format, what, batch);
        }
    }
}

/// The best round: the machine may be busy with something else.
fn report(format: WireFormat, what: &str, batch: &SnapshotBatch) {
    let mut encoder = BatchEncoder::new(format);
    let mut bytes = 0;
    let best = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..BATCHES {
                bytes = std::hint::black_box(encoder.encode(batch)).payload().len();
            }
            begun.elapsed()
        })
        .min()
        .unwrap_or_default();
    let snapshots = f64::from(OPTIONS);
    println!(
        "{format:?}, {what}: {:.0} ns and {:.0} bytes per snapshot",
        best.as_secs_f64() * 1e9 / (f64::from(BATCHES) * snapshots),
        bytes as f64 / snapshots
    );
}

fn batch() -> SnapshotBatch {
    let expiry = Expiry { date: jiff::civil::date(2026, 11, 24), instant: None };
    let strike = |n: u32| Price::from_paise(2_400_000 + i64::from(n) * 5_000);
    let rows = (0..OPTIONS).map(|n| Instrument {
        token: InstrumentToken(10_000_002 + n * 256),
        exchange: Exchange::Nfo,
        segment: Segment::NfoOptions,
        tradingsymbol: format!("NIFTY26NOV{}CE", 24_000 + n * 50).into(),
        name: "NIFTY".into(),
        kind: InstrumentKind::Option { expiry, strike: strike(n), side: OptionSide::Call },
        lot_size: 65,
        tick_size: Price::from_paise(5),
    });
    let catalog = InstrumentCatalog::new(rows.collect(), |_| None).unwrap_or_default();
    let snapshots = (0..OPTIONS).map(|n| snapshot(&catalog, n)).collect();
    SnapshotBatch {
        topic: Arc::new(Topic {
            exchange: "NFO".into(),
            underlying: "NIFTY".into(),
            kind: TopicKind::Options,
        }),
        source: "main/0".into(),
        seq: 123_456,
        tick_count: u64::from(OPTIONS),
        tick_total: 123_456_789,
        ts_publish: UnixNanos(1_780_000_001_130_000_000),
        sim: true,
        catalog: Arc::new(catalog),
        snapshots,
    }
}

/// Numbers with as many digits as real ones.
fn snapshot(catalog: &InstrumentCatalog, n: u32) -> Snapshot {
    let paise = |p: u32| Price::from_paise(i64::from(p));
    let level = |at: u32| DepthLevel {
        price: paise(48_300 + n * 35 + at * 5),
        quantity: 65 * (3 + at * 7 + n),
        orders: (at + n % 9) as u16,
    };
    let body = FullTick {
        quote: QuoteTick {
            last_traded_quantity: 65 * (1 + n),
            average_traded_price: paise(48_317 + n),
            volume_traded: 11_759_865 + n,
            total_buy_quantity: 2_905_110 + n,
            total_sell_quantity: 3_105_115 + n,
            ohlc: Ohlc { open: paise(47_005), high: paise(49_995), low: paise(44_015), close: paise(46_780) },
        },
        last_trade_time: Some(UnixNanos::from_secs(1_780_000_000)),
        oi: 5_117_775,
        oi_day_high: 6_117_775,
        oi_day_low: 4_117_775,
        exchange_timestamp: Some(UnixNanos::from_secs(1_780_000_001)),
        depth: Depth { buy: [0, 1, 2, 3, 4].map(level), sell: [5, 6, 7, 8, 9].map(level) },
    };
    let spread = 1.0 + f64::from(n) / 97.0;
    Snapshot {
        slot: InstrumentSlot(n),
        tick: Tick {
            token: catalog.get(InstrumentSlot(n)).token,
            last_price: paise(48_325 + n * 35),
            body: TickBody::Full(body),
        },
        ts_recv: UnixNanos(1_780_000_001_123_456_789),
        ts_event: body.exchange_timestamp,
        greeks: GreeksState::Known(OptionGreeks {
            iv: 0.142_345_678_901 * spread,
            delta: 0.512_345_678_901 / spread,
            gamma: 0.000_812_345_678 / spread,
            vega: 14.123_456_789 / spread,
            theta: -12.987_654_321 / spread,
            rho: 1.234_567_891 / spread,
            forward: 25_012.354_321,
            forward_source: ForwardSource::Parity,
            rate: 0.065,
            t_years: 0.019_178_082_191_780_82,
            quality: Quality::Good,
        }),
        stale: None,
        cause: SnapshotCause::Tick,
        tick_count: 1,
    }
}
