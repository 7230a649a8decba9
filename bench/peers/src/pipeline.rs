//! Frames to a subscriber of Redis in one process: decode, Greeks, JSON or MessagePack with depth, every tick
//! published in batches of the default size; beside the best stack of crates, which publishes 1000 ticks at once.
//! Producer, Redis and subscriber share the machine.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kite_wire::{Frame, decode_frame};
use market_model::{Clock, ConnectionId, FeedEvent, ManualClock, TickFrame};
use redis_fanout::{RedisConfig, RedisMetrics, RedisSink};
use snapshot_wire::WireFormat;
use tick_pipeline::{Output, SnapshotCause, SnapshotSink};
use tokio::sync::mpsc;

use crate::market::{Market, START};
use crate::redis_server::{RedisServer, Subscriber};
use crate::report::Report;
use crate::rival::Rival;
use crate::rounds::{median, process_seconds};
use crate::sample::{self, BATCH, PACKETS};

const ROUNDS: usize = 5;
const SECONDS: Duration = Duration::from_millis(2500);
const FRAMES: u32 = 400;

/// What a round came to.
#[derive(Default)]
struct Round {
    ticks: u64,
    messages: u64,
    lost: u64,
    wall: f64,
    /// Of this process without the subscriber, and of redis-server.
    cpu: f64,
    redis_cpu: f64,
    reader_cpu: f64,
    bytes: u64,
    hops: Vec<(&'static str, Histogram<u64>)>,
}

/// All ways take turns.
pub fn run(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    let frames: Arc<[Vec<u8>]> = sample::stream(&market, FRAMES)?.into();
    let server = RedisServer::start()?;
    let names = [
        "crates: kiteconnect, implied-vol, serde_json, redis-rs",
        "kite-gateway, JSON",
        "kite-gateway, MessagePack",
        "kite-gateway, MessagePack by position",
    ];
    let formats = [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional];
    let mut rounds: [Vec<Round>; 4] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(measure(&server, |until| rival(&market, &frames, &server, until))?);
        for (rounds, format) in rounds[1..].iter_mut().zip(formats) {
            rounds.push(measure(&server, |until| ours(&market, &frames, &server, format, until))?);
        }
    }
    let of = |figure: fn(&Round) -> f64| -> Vec<_> {
        let medians = rounds.iter().map(|rounds| median(rounds.iter().map(figure).collect()));
        names.into_iter().zip(medians).collect()
    };
    let title = "frames to a subscriber";
    let rate = of(|round| round.ticks as f64 / round.wall / 1e3);
    report.lines(title, "thousand ticks per second", &rate);
    report.lines("CPU of the producer", "ns per tick", &of(|round| round.cpu * 1e9 / round.ticks as f64));
    report.lines(
        "CPU of redis-server",
        "ns per tick",
        &of(|round| round.redis_cpu * 1e9 / round.ticks as f64),
    );
    report.lines(
        "CPU of producer, redis-server and subscriber",
        "ns per tick",
        &of(|round| (round.cpu + round.redis_cpu + round.reader_cpu) * 1e9 / round.ticks as f64),
    );
    report.lines("size", "bytes per tick", &of(|round| round.bytes as f64 / round.ticks as f64));
    let lost: u64 = rounds.iter().flatten().map(|round| round.lost).sum();
    report.say(&format!("batches that were not published: {lost}"));
    for (rounds, name) in rounds.iter().zip(names).skip(1) {
        let Some(last) = rounds.last() else { continue };
        for (hop, histogram) in &last.hops {
            let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1e3;
            let lines = [("p50", at(0.5)), ("p99", at(0.99)), ("p99.9", at(0.999))];
            report.lines(&format!("{name}, at full load: {hop}"), "us", &lines);
        }
    }
    Ok(())
}

/// Runs one way until its time is over and the subscriber has everything.
fn measure(
    server: &RedisServer,
    way: impl FnOnce(Instant) -> Result<Round, Box<dyn Error>>,
) -> Result<Round, Box<dyn Error>> {
    let subscriber = Subscriber::start(server)?;
    let own = || process_seconds(std::process::id());
    let begun = (own(), process_seconds(server.process()), Instant::now());
    let mut round = way(begun.2 + SECONDS)?;
    subscriber.wait_for(round.messages.saturating_sub(round.lost));
    round.wall = begun.2.elapsed().as_secs_f64();
    round.reader_cpu = subscriber.cpu_seconds();
    round.cpu = own() - begun.0 - round.reader_cpu;
    round.redis_cpu = process_seconds(server.process()) - begun.1;
    round.bytes = subscriber.bytes();
    Ok(round)
}

/// One thread computes, one writes.
fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

fn ours(
    market: &Market,
    frames: &[Vec<u8>],
    server: &RedisServer,
    format: WireFormat,
    until: Instant,
) -> Result<Round, Box<dyn Error>> {
    let mut config = RedisConfig::new(format!("redis://{}", server.address()).parse()?);
    (config.last_values, config.format) = (None, format);
    config.command_timeout = Duration::from_secs(5);
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    let status = sink.status();
    let clock = Arc::new(ManualClock::new(START));
    let mut pipeline = sample::pipeline(market, clock.clone());
    let connection = ConnectionId { account: "bench".into(), index: 0 };
    let hop = || Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3);
    let (mut decoding, mut computing, mut handing) = (hop()?, hop()?, hop()?);
    let (mut ticks, mut messages) = (0, 0);
    let runtime = runtime()?;
    let writing = runtime.spawn(writer.run());
    runtime.block_on(async {
        let mut buffer = Vec::new();
        for frame in frames.iter().cycle() {
            let begun = Instant::now();
            if begun > until {
                break;
            }
            if let Frame::Ticks(packets) = decode_frame(frame) {
                packets.decode_into(&mut buffer, |_| {});
            }
            let decoded = Instant::now();
            clock.advance(Duration::from_micros(100));
            let ticks_of_frame = std::mem::replace(&mut buffer, Vec::with_capacity(PACKETS));
            let event =
                TickFrame { connection: connection.clone(), ts_recv: clock.now(), ticks: ticks_of_frame };
            pipeline.push(FeedEvent::Ticks(event), decoded);
            pipeline.poll(decoded);
            let computed = Instant::now();
            let mut delivered = false;
            while let Some(output) = pipeline.next_output() {
                if let Output::Batch(batch) = output {
                    delivered = true;
                    messages += 1;
                    let of_ticks = batch.snapshots.iter().filter(|one| one.cause == SnapshotCause::Tick);
                    ticks += of_ticks.count() as u64;
                    let _ = sink.deliver(&batch).await;
                }
            }
            let nanos = |from: Instant, to: Instant| to.duration_since(from).as_nanos() as u64;
            decoding.saturating_record(nanos(begun, decoded));
            computing.saturating_record(nanos(decoded, computed));
            if delivered {
                handing.saturating_record(nanos(computed, Instant::now()));
            }
        }
        drop(sink);
        let _ = writing.await;
    });
    let now = status.now();
    Ok(Round {
        ticks,
        messages,
        lost: now.publish_failures + now.circuit_open_drops,
        hops: vec![
            ("a frame decoded", decoding),
            ("a frame validated, Greeks computed, batched", computing),
            ("a batch encoded and taken by the writer", handing),
        ],
        ..Round::default()
    })
}

fn rival(
    market: &Market,
    frames: &[Vec<u8>],
    server: &RedisServer,
    until: Instant,
) -> Result<Round, Box<dyn Error>> {
    let mut rival = Rival::new(market);
    let (messages, mut waiting) = mpsc::channel::<Vec<u8>>(4);
    let runtime = runtime()?;
    let client = redis::Client::open(format!("redis://{}", server.address()))?;
    let mut ticks = 0;
    let lost = runtime.block_on(async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let writing = runtime.spawn(async move {
            let mut lost = 0;
            while let Some(message) = waiting.recv().await {
                let mut command = redis::cmd("PUBLISH");
                command.arg("ticks").arg(&message[..]);
                lost += u64::from(command.query_async::<i64>(&mut connection).await.is_err());
            }
            lost
        });
        for frame in frames.iter().cycle() {
            if Instant::now() > until {
                break;
            }
            if let Some(message) = rival.frame(frame) {
                ticks += BATCH as u64;
                messages.send(message).await?;
            }
        }
        drop(messages);
        Ok::<u64, Box<dyn Error>>(writing.await?)
    })?;
    Ok(Round { ticks, messages: ticks / BATCH as u64, lost, ..Round::default() })
}
