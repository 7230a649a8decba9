//! What a tick costs on made-up time: options in full mode, each worker 9,000 of them at 18,000 ticks a second.
//!
//! `cargo run --release -p tick-pipeline --example load -- [WORKERS] [SECONDS]` (at least 2) prints nanoseconds of processor time per
//! tick, the making of the ticks not included, and what came out. One worker is an account; fourteen are the market.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{
    Clock, ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument,
    InstrumentCatalog, InstrumentKind, InstrumentToken, ManualClock, OptionSide, Price, Segment, Tick,
    TickBody, TickFrame, UnixNanos,
};
use tick_pipeline::{GreeksState, Market, Output, Pipeline, PipelineConfig, PipelineMetrics, SnapshotCause};

const UNDERLYINGS: u32 = 15;
const CHAINS: u32 = 3;
const STRIKES: u32 = 100;
const FRAME: usize = 90;
/// Ticks of one frame every five milliseconds make 18,000 a second.
const STEP: Duration = Duration::from_millis(5);
/// Steps that are not counted: a second.
const WARM_UP: u64 = 200;
const START: UnixNanos = UnixNanos::from_secs(1_795_147_200);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let workers: u32 = arguments.next().map_or(Ok(1), |number| number.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |number| number.parse())?;
    let catalog = Arc::new(InstrumentCatalog::new(instruments(workers), |_| None)?);
    let steps = seconds * 1_000_000 / STEP.as_micros() as u64;

    // Once without anybody who listens: what is left of the second time is the pipeline's.
    let mut source = Source::new(&catalog, workers);
    let begun = cpu_time()?;
    for _ in 0..steps {
        source.step();
        for worker in 0..workers {
            std::hint::black_box(source.frame(worker));
        }
    }
    let making = cpu_time()? - begun;

    let mut source = Source::new(&catalog, workers);
    let market = Market::new(catalog.clone());
    let new = |_| {
        let (config, metrics) = (PipelineConfig::default(), PipelineMetrics::noop());
        Pipeline::new(config, "load".into(), true, market.clone(), source.clock.clone(), metrics)
    };
    let mut pipelines: Vec<Pipeline> = (0..workers).map(new).collect();
    let mut seen = Seen::default();
    let mut slowest = Duration::ZERO;
    let (mut begun, mut before) = (cpu_time()?, making);
    for step in 0..steps {
        if step == WARM_UP {
            // By now most instruments have ticked: what comes is the steady state.
            (begun, before) = (cpu_time()?, making.mul_f64(1.0 - WARM_UP as f64 / steps as f64));
            (seen, slowest) = (Seen::default(), Duration::ZERO);
        }
        let now = source.step();
        for (worker, pipeline) in (0..).zip(&mut pipelines) {
            pipeline.push(source.frame(worker), now);
            let polled = Instant::now();
            pipeline.poll(now + STEP);
            slowest = slowest.max(polled.elapsed());
            while let Some(output) = pipeline.next_output() {
                seen.take(&output);
            }
        }
    }
    let spent = cpu_time()?.saturating_sub(begun + before);
    let steps = steps.saturating_sub(WARM_UP);
    let ticks = steps * u64::from(workers) * FRAME as u64;
    let seconds = steps as f64 * STEP.as_secs_f64();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ticks} ticks of {} options in {seconds} s of market time", catalog.len())?;
    writeln!(out, "{:.0} ns/tick, slowest poll {slowest:?}", spent.as_nanos() as f64 / ticks as f64)?;
    writeln!(out, "{:.1} % of one core", 100.0 * spent.as_secs_f64() / seconds)?;
    writeln!(out, "{seen:?}")?;
    let balanced = pipelines.iter().all(|pipeline| pipeline.counts().is_balanced());
    writeln!(out, "every tick accounted for: {balanced}")?;
    Ok(())
}

/// What came out.
#[derive(Debug, Default)]
struct Seen {
    batches: u64,
    ticked: u64,
    refreshed: u64,
    with_greeks: u64,
}

impl Seen {
    fn take(&mut self, output: &Output) {
        let Output::Batch(batch) = output else { return };
        self.batches += 1;
        for snapshot in &batch.snapshots {
            self.ticked += u64::from(snapshot.cause == SnapshotCause::Tick);
            self.refreshed += u64::from(snapshot.cause == SnapshotCause::Forward);
            self.with_greeks += u64::from(matches!(snapshot.greeks, GreeksState::Known(_)));
        }
    }
}

/// Makes the ticks of all workers, the same every time.
struct Source<'c> {
    catalog: &'c InstrumentCatalog,
    clock: Arc<ManualClock>,
    now: Instant,
    random: Random,
    forwards: Vec<f64>,
    connection: ConnectionId,
}

impl<'c> Source<'c> {
    fn new(catalog: &'c InstrumentCatalog, workers: u32) -> Self {
        Self {
            catalog,
            clock: Arc::new(ManualClock::new(START)),
            now: Instant::now(),
            random: Random(1),
            forwards: vec![25_000.0; (workers * UNDERLYINGS) as usize],
            connection: ConnectionId { account: "load".into(), index: 0 },
        }
    }

    /// Lets five milliseconds pass.
    fn step(&mut self) -> Instant {
        self.clock.advance(STEP);
        self.now += STEP;
        for forward in &mut self.forwards {
            // 12 % a year.
            *forward *= 1.0 + 3.6e-6 * (self.random.unit() + self.random.unit() - 1.0) * 2.4;
        }
        self.now
    }

    /// One frame of a worker's own instruments.
    fn frame(&mut self, worker: u32) -> FeedEvent {
        let own = (UNDERLYINGS * CHAINS * STRIKES * 2) as usize;
        let rows = &self.catalog.instruments()[worker as usize * own..][..own];
        let at = self.clock.now();
        let pick = |_| {
            let row = &rows[(self.random.unit() * own as f64) as usize];
            let underlying = (row.token.0 >> 8) / (2 * STRIKES * CHAINS);
            quote(row, self.forwards[underlying as usize], at)
        };
        let ticks: Vec<Tick> = (0..FRAME).map(pick).collect();
        FeedEvent::Ticks(TickFrame { connection: self.connection.clone(), ts_recv: at, ticks })
    }
}

/// Time this thread has had a processor.
fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().ok_or("no scheduler statistics")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

fn instruments(workers: u32) -> Vec<Instrument> {
    let option = |number: u32| {
        let (pair, side) = (number / 2, number % 2);
        let (chain, strike) = (pair / STRIKES, i64::from(pair % STRIKES));
        let days = i64::from(chain % CHAINS) * 7 + 4;
        let instant = START + Duration::from_secs(days as u64 * 86_400);
        let date = jiff::civil::date(2026, 11, 20).saturating_add(jiff::Span::new().days(days));
        Instrument {
            token: InstrumentToken(number << 8 | 2),
            exchange: Exchange::Nfo,
            segment: Segment::NfoOptions,
            tradingsymbol: format!("U{number}").into(),
            name: format!("UNDERLYING{}", chain / CHAINS).into(),
            kind: InstrumentKind::Option {
                expiry: Expiry { date, instant: Some(instant) },
                strike: Price::from_paise((22_500 + 50 * strike) * 100),
                side: if side == 0 { OptionSide::Call } else { OptionSide::Put },
            },
            lot_size: 65,
            tick_size: Price::from_paise(5),
        }
    };
    (0..workers * UNDERLYINGS * CHAINS * STRIKES * 2).map(option).collect()
}

/// Intrinsic value and some time value, in whole ticks of 0.05, one to a few ticks wide.
fn quote(row: &Instrument, forward: f64, at: UnixNanos) -> Tick {
    let InstrumentKind::Option { strike, side, .. } = &row.kind else { unreachable!("only options") };
    let away = (forward - strike.to_f64()) * if *side == OptionSide::Call { 1.0 } else { -1.0 };
    let value = away.max(0.0) + 200.0 * (-away.abs() / 400.0).exp();
    let paise = ((value * 20.0).round() as i64).max(1) * 5;
    let level = |paise: i64| DepthLevel { price: Price::from_paise(paise), quantity: 65, orders: 1 };
    let mut depth = Depth::default();
    depth.buy[0] = level(paise - 5 * (1 + paise / 5000));
    depth.sell[0] = level(paise + 5 * (1 + paise / 5000));
    let body = TickBody::Full(FullTick {
        depth,
        exchange_timestamp: Some(at),
        last_trade_time: Some(at),
        ..FullTick::default()
    });
    Tick { token: row.token, last_price: Price::from_paise(paise), body }
}

/// A small multiplicative generator, enough to pick rows.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
