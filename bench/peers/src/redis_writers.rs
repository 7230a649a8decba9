//! `PUBLISH` of small and of large payloads: our sink, redis-rs, fred, and bare RESP over a socket.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use fred::prelude::{Builder, ClientLike, Config, PubsubInterface};
use market_model::TickBody;
use redis_fanout::{RedisConfig, RedisMetrics, RedisSink};
use snapshot_wire::{BatchEncoder, WireFormat};
use tick_pipeline::{GreeksState, SnapshotBatch, SnapshotSink};
use tokio::runtime::Runtime;

use crate::market::Market;
use crate::redis_server::{RedisServer, Subscriber};
use crate::report::Report;
use crate::rounds::{median, thread_seconds};
use crate::sample;

const ROUNDS: usize = 5;

/// Commands under way at once.
const CHUNK: usize = 64;

/// A payload and how many of it make a round.
struct Load {
    title: &'static str,
    snapshots: usize,
    /// Only prices, without depth and Greeks.
    prices: bool,
    commands: usize,
    subscriber: bool,
}

const LOADS: [Load; 4] = [
    load("PUBLISH of one price, no subscriber", 1, true, 64 * 600, false),
    load("PUBLISH of a small batch, no subscriber", 1, false, 64 * 600, false),
    load("PUBLISH of 30 KB, no subscriber", 22, false, 64 * 60, false),
    load("PUBLISH of one price, one subscriber", 1, true, 64 * 600, true),
];

const fn load(
    title: &'static str,
    snapshots: usize,
    prices: bool,
    commands: usize,
    subscriber: bool,
) -> Load {
    Load { title, snapshots, prices, commands, subscriber }
}

/// Client CPU per command, everything on one thread; the sink's figure has the encoding in it.
pub fn run(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    let source = sample::batches(&market).pop().ok_or("the pipeline made no batch")?;
    let server = RedisServer::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for load in LOADS {
        let mut batch = SnapshotBatch::clone(&source);
        batch.snapshots.truncate(load.snapshots);
        if load.prices {
            for snapshot in &mut batch.snapshots {
                (snapshot.tick.body, snapshot.greeks) = (TickBody::Ltp, GreeksState::NotAnOption);
            }
        }
        let _subscriber = load.subscriber.then(|| Subscriber::start(&server)).transpose()?;
        let payload = BatchEncoder::new(WireFormat::Json).encode(&batch).payload().to_vec();
        report.say(&format!("\npayload of {} bytes", payload.len()));
        let mut cpu = [const { Vec::new() }; 4];
        let mut wall = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            let ways: [&dyn Fn() -> Result<(), Box<dyn Error>>; 4] = [
                &|| bare(&server, &payload, load.commands),
                &|| ours(&runtime, &server, &batch, load.commands),
                &|| redis_rs(&runtime, &server, &payload, load.commands),
                &|| with_fred(&runtime, &server, &payload, load.commands),
            ];
            for ((way, cpu), wall) in ways.iter().zip(&mut cpu).zip(&mut wall) {
                let begun = (thread_seconds(), Instant::now());
                way()?;
                cpu.push((thread_seconds() - begun.0) * 1e6 / load.commands as f64);
                wall.push(load.commands as f64 / begun.1.elapsed().as_secs_f64() / 1e3);
            }
        }
        let names = [
            "bare RESP, chunks of 64",
            "redis-fanout, encoding included",
            "redis-rs 1.8.1 pipe() of 64",
            "fred 10.1.0, 64 under way",
        ];
        for (unit, values) in [("client CPU us per command", cpu), ("thousand commands per second", wall)] {
            let medians: Vec<_> = names.iter().copied().zip(values.map(median)).collect();
            report.lines(&format!("{} ({unit})", load.title), unit, &medians);
        }
    }
    Ok(())
}

fn bare(server: &RedisServer, payload: &[u8], commands: usize) -> Result<(), Box<dyn Error>> {
    let mut socket = TcpStream::connect(server.address())?;
    socket.set_nodelay(true)?;
    let mut command = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n${}\r\n", payload.len()).into_bytes();
    command.extend_from_slice(payload);
    command.extend_from_slice(b"\r\n");
    let (mut out, mut answers) = (Vec::new(), [0; 4096]);
    for _ in 0..commands / CHUNK {
        out.clear();
        for _ in 0..CHUNK {
            out.extend_from_slice(&command);
        }
        socket.write_all(&out)?;
        let mut lines = 0;
        while lines < CHUNK {
            let got = socket.read(&mut answers)?;
            lines += answers.get(..got).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
        }
    }
    Ok(())
}

fn ours(
    runtime: &Runtime,
    server: &RedisServer,
    batch: &SnapshotBatch,
    commands: usize,
) -> Result<(), Box<dyn Error>> {
    let mut config = RedisConfig::new(format!("redis://{}", server.address()).parse()?);
    (config.connections, config.last_values, config.in_flight) = (1, None, CHUNK);
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    let status = sink.status();
    runtime.block_on(async {
        let publish = async {
            for _ in 0..commands {
                sink.deliver(batch).await?;
            }
            drop(sink);
            Ok::<(), redis_fanout::RedisError>(())
        };
        let (published, ()) = tokio::join!(publish, writer.run());
        published
    })?;
    let now = status.now();
    match now.publish_failures + now.circuit_open_drops {
        0 => Ok(()),
        lost => Err(format!("{lost} batches were not published").into()),
    }
}

fn redis_rs(
    runtime: &Runtime,
    server: &RedisServer,
    payload: &[u8],
    commands: usize,
) -> Result<(), Box<dyn Error>> {
    runtime.block_on(async {
        let client = redis::Client::open(format!("redis://{}", server.address()))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        for _ in 0..commands / CHUNK {
            let mut pipe = redis::pipe();
            for _ in 0..CHUNK {
                pipe.cmd("PUBLISH").arg("c").arg(payload).ignore();
            }
            pipe.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    })
}

fn with_fred(
    runtime: &Runtime,
    server: &RedisServer,
    payload: &[u8],
    commands: usize,
) -> Result<(), Box<dyn Error>> {
    runtime.block_on(async {
        let client =
            Builder::from_config(Config::from_url(&format!("redis://{}", server.address()))?).build()?;
        client.init().await?;
        let payload: Arc<[u8]> = payload.into();
        for _ in 0..commands / CHUNK {
            let under_way = (0..CHUNK).map(|_| client.publish::<i64, _, _>("c", &*payload));
            futures_util::future::try_join_all(under_way).await?;
        }
        client.quit().await?;
        Ok(())
    })
}
