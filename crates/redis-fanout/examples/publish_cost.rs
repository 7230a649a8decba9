//! What publishing costs at full load: CPU per tick of this process, beside encoding alone and beside a bare socket.
//!
//! `redis-server --save '' &` and
//! `cargo run --release -p redis-fanout --example publish_cost [127.0.0.1:6379]`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, CustomCommand, Value};
use market_model::{
    Depth, DepthLevel, Exchange, FullTick, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot,
    InstrumentToken, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use redis_fanout::{LastValuesConfig, RedisConfig, RedisMetrics, RedisSink};
use snapshot_wire::{BatchEncoder, WireFormat};
use tick_pipeline::{GreeksState, Snapshot, SnapshotBatch, SnapshotCause, SnapshotSink, Topic, TopicKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Instruments of one API key, each ticking twice a second.
const INSTRUMENTS: u32 = 9_000;
const TICKS_PER_SECOND: u32 = 2 * INSTRUMENTS;
/// Batch windows in a second, as the pipeline's default of 5 ms makes them.
const WINDOWS_PER_SECOND: u32 = 200;
const SECONDS: u32 = 5;

/// A stream of batches.
struct Load {
    name: &'static str,
    topics: u32,
    ticks_per_batch: u32,
    /// Batches handed over together, or `None` for as fast as Redis takes them.
    pace: Option<Duration>,
    batches_at_once: u32,
}

const LOADS: [Load; 3] = [
    Load {
        name: "18,000 ticks/s in 20 topics",
        topics: 20,
        ticks_per_batch: TICKS_PER_SECOND / WINDOWS_PER_SECOND / 18,
        pace: Some(Duration::from_millis(5)),
        batches_at_once: 18,
    },
    Load {
        name: "18,000 ticks/s in 2 topics",
        topics: 2,
        ticks_per_batch: TICKS_PER_SECOND / WINDOWS_PER_SECOND / 2,
        pace: Some(Duration::from_millis(5)),
        batches_at_once: 2,
    },
    Load { name: "batches of 50, unpaced", topics: 9, ticks_per_batch: 50, pace: None, batches_at_once: 1 },
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    for load in LOADS {
        let batches = batches(&load)?;
        println!("{}", load.name);
        for format in [WireFormat::Json, WireFormat::MessagePack] {
            encode_only(format, &batches);
            raw_socket(format, &address, &load, &batches).await?;
            client_library(format, &address, &load, &batches).await?;
            for (connections, last_values) in [(1, None), (2, None), (2, Some(LastValuesConfig::default()))] {
                let mut config = RedisConfig::new(format!("redis://{address}").parse()?);
                (config.connections, config.last_values, config.format) = (connections, last_values, format);
                run(config, &load, &batches).await?;
            }
        }
    }
    Ok(())
}

fn total(load: &Load) -> u32 {
    match load.pace {
        Some(pace) => (SECONDS * 1000 / pace.as_millis() as u32) * load.batches_at_once,
        None => 20_000,
    }
}

fn say(what: &str, format: WireFormat, begun: (f64, Instant), ticks: f64) {
    let (used, took) = (cpu_seconds() - begun.0, begun.1.elapsed().as_secs_f64());
    println!(
        "  {format:?} {what}: {:.0} ns per tick, {:.2} % of a core, {:.0} ticks/s",
        used * 1e9 / ticks,
        used * 100.0 / took,
        ticks / took
    );
}

fn encode_only(format: WireFormat, batches: &[SnapshotBatch]) {
    let mut encoder = BatchEncoder::new(format);
    let begun = (cpu_seconds(), Instant::now());
    let mut ticks = 0;
    for batch in batches.iter().cycle().take(20_000) {
        ticks += std::hint::black_box(encoder.encode(batch)).len();
    }
    say("encode only", format, begun, ticks as f64);
}

/// The least it can cost: the same payloads as `PUBLISH` on a bare socket, the batches of a window in one write.
async fn raw_socket(
    format: WireFormat,
    address: &str,
    load: &Load,
    batches: &[SnapshotBatch],
) -> Result<(), Box<dyn Error>> {
    let mut encoder = BatchEncoder::new(format);
    let payloads: Vec<_> = batches.iter().map(|batch| encoder.encode(batch).payload().clone()).collect();
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut out, mut answers) = (Vec::new(), vec![0; 1024]);
    let mut pace = load.pace.map(tokio::time::interval);
    let mut next = payloads.iter().cycle();
    let begun = (cpu_seconds(), Instant::now());
    for _ in 0..total(load) / load.batches_at_once {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        out.clear();
        for payload in next.by_ref().take(load.batches_at_once as usize) {
            out.extend_from_slice(
                format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n${}\r\n", payload.len()).as_bytes(),
            );
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\r\n");
        }
        socket.write_all(&out).await?;
        let mut lines = 0;
        while lines < load.batches_at_once {
            let got = socket.read(&mut answers).await?;
            lines += answers[..got].iter().filter(|byte| **byte == b'\n').count() as u32;
        }
    }
    say("bare socket, already encoded", format, begun, f64::from(total(load) * load.ticks_per_batch));
    Ok(())
}

/// The client library without the sink: the batches of a window as one command.
async fn client_library(
    format: WireFormat,
    address: &str,
    load: &Load,
    batches: &[SnapshotBatch],
) -> Result<(), Box<dyn Error>> {
    let mut encoder = BatchEncoder::new(format);
    let payloads: Vec<_> = batches.iter().map(|batch| encoder.encode(batch).payload().clone()).collect();
    let client = Builder::from_config(Config::from_url(&format!("redis://{address}"))?).build()?;
    client.init().await?;
    let script = "for i = 1, #ARGV do redis.call('PUBLISH', 'c', ARGV[i]) end";
    let mut pace = load.pace.map(tokio::time::interval);
    let mut next = payloads.iter().cycle();
    let begun = (cpu_seconds(), Instant::now());
    for _ in 0..total(load) / load.batches_at_once {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let mut arguments = vec![Value::from_static_str(script), Value::Integer(0)];
        let at_once = next.by_ref().take(load.batches_at_once as usize);
        arguments.extend(at_once.map(|payload| Value::Bytes(payload.clone())));
        let eval = CustomCommand::new_static("EVAL", None::<u16>, false);
        client.custom::<Value, Value>(eval, arguments).await?;
    }
    say("client library, already encoded", format, begun, f64::from(total(load) * load.ticks_per_batch));
    client.quit().await?;
    Ok(())
}

async fn run(config: RedisConfig, load: &Load, batches: &[SnapshotBatch]) -> Result<(), Box<dyn Error>> {
    let with = if config.last_values.is_some() { "with" } else { "without" };
    let what = format!("sink, {} connections, {with} last values", config.connections);
    let format = config.format;
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    let status = sink.status();
    let begun = (cpu_seconds(), Instant::now());
    let publish = async {
        let mut pace = load.pace.map(tokio::time::interval);
        let mut next = batches.iter().cycle();
        for _ in 0..total(load) / load.batches_at_once {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            for batch in next.by_ref().take(load.batches_at_once as usize) {
                sink.deliver(batch).await?;
            }
        }
        drop(sink);
        Ok::<(), redis_fanout::RedisError>(())
    };
    let (published, ()) = tokio::join!(publish, writer.run());
    published?;
    say(&what, format, begun, f64::from(total(load) * load.ticks_per_batch));
    let now = status.now();
    println!(
        "    {} batches, {} last values, {} failures",
        now.batches,
        now.last_values,
        now.publish_failures + now.circuit_open_drops
    );
    Ok(())
}

/// CPU time of this thread so far; the runtime has no other.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn batches(load: &Load) -> Result<Vec<SnapshotBatch>, Box<dyn Error>> {
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
            underlying: format!("TOPIC{}", first / load.ticks_per_batch % load.topics).into(),
            kind: TopicKind::Options,
        }),
        source: "main/0".into(),
        seq: u64::from(first),
        tick_count: u64::from(load.ticks_per_batch),
        tick_total: u64::from(first + load.ticks_per_batch),
        ts_publish: UnixNanos(1_780_000_001_130_000_000),
        sim: true,
        catalog: catalog.clone(),
        snapshots: (first..first + load.ticks_per_batch).map(snapshot).collect(),
    };
    Ok((0..INSTRUMENTS).step_by(load.ticks_per_batch as usize).map(batch_of).collect())
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
        tick_count: 1,
    }
}
