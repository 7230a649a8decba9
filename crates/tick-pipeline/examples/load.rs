//! What a tick costs: 9,000 options in full mode at 18,000 ticks a second, on made-up time.
//!
//! `cargo run --release -p tick-pipeline --example load` prints nanoseconds per tick and what came out.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{
    Clock, ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument,
    InstrumentCatalog, InstrumentKind, InstrumentToken, ManualClock, OptionSide, Price, Segment, Tick,
    TickBody, TickFrame, UnixNanos,
};
use tick_pipeline::{GreeksState, Output, Pipeline, PipelineConfig, PipelineMetrics, SnapshotCause};

const UNDERLYINGS: u32 = 15;
const CHAINS: u32 = 3;
const STRIKES: u32 = 100;
const FRAME: usize = 90;
/// Ticks of one frame every five milliseconds make 18,000 a second.
const STEP: Duration = Duration::from_millis(5);
const SECONDS: u64 = 10;
const START: UnixNanos = UnixNanos::from_secs(1_795_147_200);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let catalog = Arc::new(InstrumentCatalog::new(instruments(), |_| None)?);
    let clock = Arc::new(ManualClock::new(START));
    let (config, metrics) = (PipelineConfig::default(), PipelineMetrics::noop());
    let mut pipeline = Pipeline::new(config, "load".into(), true, catalog.clone(), clock.clone(), metrics);
    let mut random = Random(1);
    let mut forwards = [25_000.0; UNDERLYINGS as usize];
    let mut now = Instant::now();
    let connection = ConnectionId { account: "load".into(), index: 0 };
    let (mut pushing, mut polling) = (Duration::ZERO, Duration::ZERO);
    let (mut ticked, mut refreshed, mut known, mut batches) = (0u64, 0u64, 0u64, 0u64);
    let steps = SECONDS * 1_000_000 / STEP.as_micros() as u64;
    for _ in 0..steps {
        clock.advance(STEP);
        now += STEP;
        for forward in &mut forwards {
            // 12 % a year.
            *forward *= 1.0 + 3.6e-6 * (random.unit() + random.unit() - 1.0) * 2.4;
        }
        let pick = |_| {
            let row = &catalog.instruments()[(random.unit() * catalog.len() as f64) as usize];
            let underlying = (row.token.0 >> 8) / (2 * STRIKES * CHAINS);
            quote(row, forwards[underlying as usize], clock.now())
        };
        let ticks: Vec<Tick> = (0..FRAME).map(pick).collect();
        let event =
            FeedEvent::Ticks(TickFrame { connection: connection.clone(), ts_recv: clock.now(), ticks });
        let started = Instant::now();
        pipeline.push(event, now);
        pushing += started.elapsed();
        let started = Instant::now();
        pipeline.poll(now + STEP);
        polling += started.elapsed();
        while let Some(Output::Batch(batch)) = pipeline.next_output() {
            batches += 1;
            for snapshot in &batch.snapshots {
                ticked += u64::from(snapshot.cause == SnapshotCause::Tick);
                refreshed += u64::from(snapshot.cause == SnapshotCause::Forward);
                known += u64::from(matches!(snapshot.greeks, GreeksState::Known(_)));
            }
        }
    }
    let ticks = steps * FRAME as u64;
    let per_tick = |spent: Duration| spent.as_nanos() as f64 / ticks as f64;
    let busy = (pushing + polling).as_secs_f64() / SECONDS as f64;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ticks} ticks of {} options in {SECONDS} s of market time", catalog.len())?;
    writeln!(out, "push {:.0} ns/tick, poll {:.0} ns/tick", per_tick(pushing), per_tick(polling))?;
    writeln!(out, "{:.1} % of one core", 100.0 * busy)?;
    writeln!(
        out,
        "out: {ticked} ticked, {refreshed} by their forward, {known} with Greeks, {batches} batches"
    )?;
    writeln!(out, "{:?}", pipeline.counts())?;
    Ok(())
}

fn instruments() -> Vec<Instrument> {
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
    (0..UNDERLYINGS * CHAINS * STRIKES * 2).map(option).collect()
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
