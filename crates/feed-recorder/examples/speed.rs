//! How fast recording, reading and replay are, on a made market: `cargo run --release -p feed-recorder --example speed`.
//!
//! `speed [SECONDS] [FOLDER]` records that many seconds (default 120) of 9,000 instruments at two full ticks a second
//! over three connections, replays them, and prints what it cost. With a folder the recording is kept there.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use feed_recorder::*;
use kite_wire::FrameBuilder;
use market_model::*;
use tick_pipeline::{Output, PipelineConfig};

const START: UnixNanos = UnixNanos(1_795_147_200_000_000_000);
const CHAINS: u32 = 45;
const STRIKES: u32 = 99;
/// Kite's frames come a few times a second; each has the instruments that traded since the last one.
const FRAME_EVERY: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u32 = arguments.next().map_or(120, |text| text.parse().unwrap());
    let kept: Option<PathBuf> = arguments.next().map(Into::into);
    let folder = kept.clone().unwrap_or_else(|| std::env::temp_dir().join("feed-recorder-speed"));
    let _ = std::fs::remove_dir_all(&folder);
    let market = Arc::new(catalog());
    if kept.is_some() {
        stream(&folder, &market, seconds);
    } else {
        compare(&folder, &market, seconds);
    }
    let recording = Recording::open(&folder).unwrap();
    for round in 0..2 {
        read(&recording);
        decode(&recording);
        replay(&recording, round);
    }
    if kept.is_none() {
        let _ = std::fs::remove_dir_all(&folder);
    }
}

/// Records the same frames with several settings; leaves the recording of the default ones.
fn compare(folder: &Path, market: &Arc<InstrumentCatalog>, seconds: u32) {
    let mut feed = Feed::new(market);
    let frames: Vec<_> = (0..seconds * 10).flat_map(|round| feed.frames(round)).collect();
    let bytes: usize = frames.iter().map(|frame| frame.2.len()).sum();
    println!("{} frames, {} MB, {seconds} s of {} instruments", frames.len(), bytes >> 20, market.len());
    let (level, block) = (RecorderConfig::new(folder).compression, RecorderConfig::new(folder).block_bytes);
    let others = [(1, 256 << 10), (1, 4 << 20), (3, 1 << 20), (-3, 1 << 20), (6, 1 << 20)];
    for (compression, block_bytes) in others.into_iter().chain([(level, block)]) {
        let _ = std::fs::remove_dir_all(folder);
        record(folder, market, &frames, compression, block_bytes);
    }
}

/// Records a feed of any length, made while it is recorded.
fn stream(folder: &Path, market: &Arc<InstrumentCatalog>, seconds: u32) {
    let clock = Arc::new(ManualClock::new(START));
    let mut config = RecorderConfig::new(folder);
    config.accounts = vec![RecordedAccount { name: "load".into(), simulated: true }];
    let room = config.queue_bytes / 2;
    let (handle, task) = Recorder::new(config, clock.clone(), RecorderMetrics::noop()).unwrap();
    let connections = [0, 1, 2].map(|index| ConnectionId { account: "load".into(), index });
    let feed = async move {
        let (mut feed, mut status) = (Feed::new(market), handle.status());
        handle.instruments(market);
        for round in 0..seconds * 10 {
            for (index, at, bytes) in feed.frames(round) {
                clock.set(at);
                handle.frame(&connections[usize::from(index)], at, FrameKind::Binary, &bytes);
            }
            // Far faster than real time, so the recorder has to be waited for.
            while round % 4 == 0 && status.wait_for(|status| status.waiting_bytes < room).await.is_err() {}
            tokio::task::yield_now().await;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (status, ()) = runtime.block_on(async { tokio::join!(task.run(), feed) });
    let status = status.unwrap();
    let counts = status.counts;
    println!(
        "recorded {seconds} s: {} ticks, {} MB in {} files, {} frames lost",
        counts.ticks,
        status.written_bytes >> 20,
        status.files,
        counts.frames_lost
    );
}

/// Nanoseconds of CPU that this thread and the whole process have used: what counts when the machine is busy.
fn cpu() -> (f64, f64) {
    let own = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let own = own.split(' ').next().unwrap().parse().unwrap();
    let all = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = all.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (own, ticks * 1e7)
}

type Frames = [(u8, UnixNanos, Vec<u8>)];

fn record(
    folder: &Path,
    market: &Arc<InstrumentCatalog>,
    frames: &Frames,
    compression: i32,
    block_bytes: usize,
) {
    let mut config =
        RecorderConfig { compression, block_bytes, queue_bytes: 1 << 30, ..RecorderConfig::new(folder) };
    config.accounts = vec![RecordedAccount { name: "load".into(), simulated: true }];
    let clock = Arc::new(ManualClock::new(START));
    let (handle, task) = Recorder::new(config, clock, RecorderMetrics::noop()).unwrap();
    let connections = [0, 1, 2].map(|index| ConnectionId { account: "load".into(), index });
    let start = cpu();
    handle.instruments(market);
    for (index, at, bytes) in frames {
        handle.frame(&connections[usize::from(*index)], *at, FrameKind::Binary, bytes);
    }
    let taken = cpu();
    drop(handle);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let status = runtime.block_on(task.run()).unwrap();
    let written = cpu();
    let ticks = status.counts.ticks as f64;
    println!(
        "record, zstd {compression}, blocks of {} KB: tee {:.0} ns a tick, compress and write {:.0} ns a tick \
         ({:.1} ms of CPU per second at 18,000 ticks/s), {:.1} bytes a tick, ratio {:.2}, lost {}",
        block_bytes >> 10,
        (taken.0 - start.0) / ticks,
        (written.1 - taken.1) / ticks,
        (taken.0 - start.0 + written.1 - taken.1) / ticks * 18_000.0 / 1e6,
        status.written_bytes as f64 / ticks,
        status.raw_bytes as f64 / status.written_bytes as f64,
        status.counts.frames_lost,
    );
}

fn read(recording: &Recording) {
    let start = (Instant::now(), cpu());
    let mut records = recording.records(RecordFilter::default()).unwrap();
    while records.next_record().unwrap().is_some() {}
    say("read", recording.ticks(&RecordFilter::default()), recording, start);
}

fn decode(recording: &Recording) {
    let start = (Instant::now(), cpu());
    let mut replay = Replay::new(recording, RecordFilter::default()).unwrap();
    while replay.next_step().unwrap().is_some() {}
    say("read and decode", replay.counts().ticks, recording, start);
}

fn replay(recording: &Recording, round: usize) {
    let window = [5, 100][round];
    let mut config = PipelineConfig::default();
    config.batch.max_age = Duration::from_millis(window);
    let start = (Instant::now(), cpu());
    let mut replay = Replay::new(recording, RecordFilter::default()).unwrap();
    let mut pipeline = PipelineReplay::new(config, Vec::new());
    let (mut batches, mut snapshots) = (0, 0);
    let mut count = |output| {
        if let Output::Batch(batch) = output {
            batches += 1;
            snapshots += batch.snapshots.len();
        }
    };
    while let Some(step) = replay.next_step().unwrap() {
        pipeline.take(step, &mut count).unwrap();
    }
    pipeline.finish(&mut count);
    say(&format!("read, decode, pipeline, {window} ms"), replay.counts().ticks, recording, start);
    println!("  {batches} batches, {snapshots} snapshots");
}

fn say(what: &str, ticks: u64, recording: &Recording, (begun, (own, all)): (Instant, (f64, f64))) {
    let span = recording.span();
    let recorded = span.end().saturating_since(*span.start()).as_secs_f64();
    let (own, all) = (cpu().0 - own, cpu().1 - all);
    // The reading thread runs beside this one, so the slower of the two sets the pace.
    let slower = own.max(all - own) / 1e9;
    println!(
        "{what}: {ticks} ticks, {:.0} ns of CPU a tick here and {:.0} in the reading thread, {:.0}x real time on \
         two free cores ({:.0}x now)",
        own / ticks as f64,
        (all - own) / ticks as f64,
        recorded / slower,
        recorded / begun.elapsed().as_secs_f64(),
    );
}

// === the market ===

fn spot(chain: u32) -> InstrumentToken {
    InstrumentToken((1000 + chain) * 256 + 9)
}

fn future(chain: u32) -> InstrumentToken {
    InstrumentToken((50_000 + chain) * 256 + 2)
}

fn option(chain: u32, strike: u32, put: u32) -> InstrumentToken {
    InstrumentToken((100_000 + (chain * STRIKES + strike) * 2 + put) * 256 + 2)
}

/// Paise.
fn strike(chain: u32, strike: u32) -> i64 {
    (1_000_000 + i64::from(chain) * 50_000) / 100 * (100 + i64::from(strike) - i64::from(STRIKES / 2))
}

fn catalog() -> InstrumentCatalog {
    let expiry =
        Expiry { date: "2026-11-24".parse().unwrap(), instant: Some(UnixNanos::from_secs(1_795_515_000)) };
    let mut rows = Vec::new();
    for chain in 0..CHAINS {
        let name = format!("UND{chain}");
        let mut row = |token, exchange: &str, segment: &str, symbol: &str, kind| {
            rows.push(Instrument {
                token,
                exchange: Exchange::from_word(exchange),
                segment: Segment::from_word(segment),
                tradingsymbol: symbol.into(),
                name: name.as_str().into(),
                kind,
                lot_size: 50,
                tick_size: Price::from_paise(5),
            });
        };
        row(spot(chain), "NSE", "INDICES", &name, InstrumentKind::Index);
        row(future(chain), "NFO", "NFO-FUT", &format!("{name}26NOVFUT"), InstrumentKind::Future { expiry });
        for at in 0..STRIKES {
            for (put, side) in [(0, OptionSide::Call), (1, OptionSide::Put)] {
                let strike = Price::from_paise(strike(chain, at));
                let symbol = format!("{name}26NOV{}{}", strike.to_f64(), side.as_str());
                let kind = InstrumentKind::Option { expiry, strike, side };
                row(option(chain, at, put), "NFO", "NFO-OPT", &symbol, kind);
            }
        }
    }
    InstrumentCatalog::new(rows, |_| None).unwrap()
}

struct Feed {
    tokens: Vec<InstrumentToken>,
    /// By chain, paise.
    spots: Vec<i64>,
    volumes: Vec<u32>,
    seed: u64,
}

impl Feed {
    fn new(catalog: &InstrumentCatalog) -> Self {
        Self {
            tokens: catalog.instruments().iter().map(|instrument| instrument.token).collect(),
            spots: (0..CHAINS).map(|chain| 1_000_000 + i64::from(chain) * 50_000).collect(),
            volumes: vec![1000; catalog.len()],
            seed: 1,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// One frame of each connection: a fifth of its instruments, so that each ticks twice a second.
    fn frames(&mut self, round: u32) -> Vec<(u8, UnixNanos, Vec<u8>)> {
        let mut frames = Vec::new();
        for chain in 0..CHAINS as usize {
            self.spots[chain] += self.random(101) as i64 * 5 - 250;
        }
        let each = self.tokens.len() / 3;
        for connection in 0..3u8 {
            let at = START + FRAME_EVERY * round + Duration::from_millis(u64::from(connection) * 7);
            let mut builder = FrameBuilder::default();
            let first = usize::from(connection) * each;
            for place in (first..first + each).filter(|place| place % 5 == round as usize % 5) {
                builder.push(&self.tick(place, at)).unwrap();
            }
            frames.push((connection, at, builder.finish().to_vec()));
        }
        frames
    }

    fn tick(&mut self, place: usize, at: UnixNanos) -> Tick {
        let token = self.tokens[place];
        let per_chain = (2 + 2 * STRIKES) as usize;
        let (chain, inside) = (place / per_chain, place % per_chain);
        let spot = self.spots[chain];
        let stamp = Some(UnixNanos::from_secs(at.as_secs()));
        let paise = match inside {
            0 => spot,
            1 => spot + spot / 1000,
            _ => {
                let (at, put) = ((inside - 2) as u32 / 2, (inside - 2) % 2);
                let forward = (spot + spot / 1000) as f64;
                let strike = strike(chain as u32, at) as f64;
                let distance = (forward - strike) / forward;
                let time_value = 0.02 * forward * (-(distance / 0.06).powi(2)).exp() + 200.0;
                let inner = if put == 0 { forward - strike } else { strike - forward };
                (inner.max(0.0) + time_value) as i64
            }
        };
        let paise = paise / 5 * 5;
        let price = Price::from_paise(paise);
        if inside == 0 {
            let ohlc = Ohlc { open: price, high: price, low: price, close: Price::from_paise(1_000_000) };
            let body = TickBody::IndexFull { ohlc, change: Price::ZERO, exchange_timestamp: stamp };
            return Tick { token, last_price: price, body };
        }
        let traded = self.random(20) as u32 * 50;
        self.volumes[place] += traded;
        let volume = self.volumes[place];
        let mut level = |offset: i64| DepthLevel {
            price: Price::from_paise((paise + offset * 5).max(5)),
            quantity: 50 * (1 + self.random(200) as u32),
            orders: 1 + self.random(30) as u16,
        };
        let depth =
            Depth { buy: [-1, -2, -3, -4, -5].map(&mut level), sell: [1, 2, 3, 4, 5].map(&mut level) };
        let quote = QuoteTick {
            last_traded_quantity: 50 + traded,
            average_traded_price: price,
            volume_traded: volume,
            total_buy_quantity: 100_000 + volume / 3,
            total_sell_quantity: 120_000 + volume / 7,
            ohlc: Ohlc {
                open: Price::from_paise(1000),
                high: price,
                low: Price::from_paise(500),
                close: Price::from_paise(900),
            },
        };
        let body = FullTick {
            quote,
            last_trade_time: stamp,
            oi: 500_000 + volume / 11,
            oi_day_high: 900_000,
            oi_day_low: 100_000,
            exchange_timestamp: stamp,
            depth,
        };
        Tick { token, last_price: price, body: TickBody::Full(body) }
    }
}
