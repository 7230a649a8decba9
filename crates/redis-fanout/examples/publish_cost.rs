//! What publishing costs at full load: CPU per tick of this process, with last values and without.
//!
//! `redis-server --save '' &` and
//! `cargo run --release -p redis-fanout --example publish_cost [redis://127.0.0.1:6379]`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use market_model::{
    Depth, DepthLevel, Exchange, FullTick, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot,
    InstrumentToken, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use redis_fanout::{LastValuesConfig, RedisConfig, RedisMetrics, RedisSink};
use tick_pipeline::{GreeksState, Snapshot, SnapshotBatch, SnapshotCause, SnapshotSink, Topic, TopicKind};

/// Instruments of one API key, each ticking twice a second.
const INSTRUMENTS: u32 = 9_000;
const TOPICS: u32 = 9;
const BATCH: u32 = 60;
const SECONDS: u32 = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    for last_values in [None, Some(LastValuesConfig::default())] {
        let mut config = RedisConfig::new(url.parse()?);
        config.last_values = last_values;
        run(config).await?;
    }
    Ok(())
}

async fn run(config: RedisConfig) -> Result<(), Box<dyn Error>> {
    let with = if config.last_values.is_some() { "with" } else { "without" };
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    let status = sink.status();
    let batches = batches()?;
    let begun = cpu_seconds();
    let publish = async {
        // 18,000 ticks a second, as batches at even distances.
        let per_second = 2 * INSTRUMENTS / BATCH;
        let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
        for batch in batches.iter().cycle().take((per_second * SECONDS) as usize) {
            pace.tick().await;
            sink.deliver(batch).await?;
        }
        drop(sink);
        Ok::<(), redis_fanout::RedisError>(())
    };
    let (published, ()) = tokio::join!(publish, writer.run());
    published?;
    let (used, now) = (cpu_seconds() - begun, status.now());
    let ticks = f64::from(2 * INSTRUMENTS * SECONDS);
    println!(
        "{with} last values: {:.2} us per tick, {:.1} % of a core; {} batches, {} last values, {} failures",
        used * 1e6 / ticks,
        used * 100.0 / f64::from(SECONDS),
        now.batches,
        now.last_values,
        now.publish_failures + now.circuit_open_drops,
    );
    Ok(())
}

/// CPU time of this process so far; the kernel counts in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    // After the name and the state come ten numbers, then user and system time.
    fields.get(10..12).map_or(0.0, |times| times.iter().sum::<u64>() as f64 / 100.0)
}

fn batches() -> Result<Vec<SnapshotBatch>, Box<dyn Error>> {
    let rows = (0..INSTRUMENTS).map(|n| Instrument {
        token: InstrumentToken(n * 256 + 2),
        exchange: Exchange::Nfo,
        segment: Segment::NfoOptions,
        tradingsymbol: format!("NIFTY26NOV{}CE", 20_000 + n).into(),
        name: "NIFTY".into(),
        kind: InstrumentKind::Equity,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    });
    let catalog = Arc::new(InstrumentCatalog::new(rows.collect(), |_| None)?);
    let batch_of = |first: u32| SnapshotBatch {
        topic: Arc::new(Topic {
            exchange: "NFO".into(),
            underlying: format!("TOPIC{}", first % TOPICS).into(),
            kind: TopicKind::Options,
        }),
        source: "main/0".into(),
        seq: u64::from(first),
        ts_publish: UnixNanos(1_780_000_001_130_000_000),
        sim: true,
        catalog: catalog.clone(),
        snapshots: (first..first + BATCH).map(snapshot).collect(),
    };
    Ok((0..INSTRUMENTS).step_by(BATCH as usize).map(batch_of).collect())
}

fn snapshot(n: u32) -> Snapshot {
    let level = |at: u32| DepthLevel {
        price: Price::from_paise(i64::from(48_300 + at * 5)),
        quantity: 65 * (3 + at * 7),
        orders: 7,
    };
    let body = FullTick {
        quote: QuoteTick { volume_traded: 11_759_865, ..QuoteTick::default() },
        depth: Depth { buy: [0, 1, 2, 3, 4].map(level), sell: [5, 6, 7, 8, 9].map(level) },
        ..FullTick::default()
    };
    Snapshot {
        slot: InstrumentSlot(n),
        tick: Tick {
            token: InstrumentToken(n * 256 + 2),
            last_price: Price::from_paise(48_325),
            body: TickBody::Full(body),
        },
        ts_recv: UnixNanos(1_780_000_001_123_456_789),
        ts_event: None,
        greeks: GreeksState::NotAnOption,
        stale: None,
        cause: SnapshotCause::Tick,
    }
}
