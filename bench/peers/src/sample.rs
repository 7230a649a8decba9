//! Frames and batches made of the market's ticks.

use std::error::Error;
use std::sync::Arc;

use kite_wire::FrameBuilder;
use market_model::{Clock, ConnectionId, FeedEvent, ManualClock, Tick, TickBody, TickFrame};
use tick_pipeline::{BatchConfig, Output, Pipeline, PipelineConfig, PipelineMetrics, SnapshotBatch};

use crate::market::{Market, OPTIONS, START};

/// Packets in a frame.
pub const PACKETS: usize = 100;

/// Ticks in a message of the peers: the best found for them.
pub const BATCH: usize = 1000;

/// Frames of full mode, quote mode, and a mixture, with their names.
pub fn frames(market: &Market) -> Result<[(&'static str, Vec<u8>); 3], Box<dyn Error>> {
    let quote = |tick: Tick| match tick.body {
        TickBody::Full(full) => Tick { body: TickBody::Quote(full.quote), ..tick },
        _ => tick,
    };
    let mixed = |n: u32| match n % PACKETS as u32 {
        0..70 => market.tick(n),
        70..90 => quote(market.tick(n)),
        _ => Tick { body: TickBody::Ltp, ..market.tick(n) },
    };
    Ok([
        ("100 full", frame(0, |n| market.tick(n))?),
        ("100 quote", frame(0, |n| quote(market.tick(n)))?),
        ("mixed 100", frame(0, mixed)?),
    ])
}

/// `count` frames of full mode, one after the other.
pub fn stream(market: &Market, count: u32) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    (0..count).map(|number| frame(number * PACKETS as u32, |n| market.tick(n))).collect()
}

fn frame(first: u32, tick: impl Fn(u32) -> Tick) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut builder = FrameBuilder::new();
    for n in first..first + PACKETS as u32 {
        builder.push(&tick(n))?;
    }
    Ok(builder.finish())
}

/// A pipeline that publishes every tick, in batches of its default size: 256 KB.
pub fn pipeline(market: &Market, clock: Arc<dyn Clock>) -> Pipeline {
    let age = std::time::Duration::from_secs(60);
    let batch = BatchConfig { max_age: age, conflate: false, ..BatchConfig::default() };
    let config = PipelineConfig { batch, ..PipelineConfig::default() };
    Pipeline::new(config, "bench".into(), true, market.catalog.clone(), clock, PipelineMetrics::noop())
}

/// Batches as the pipeline makes them, with Greeks.
pub fn batches(market: &Market) -> Vec<Arc<SnapshotBatch>> {
    let clock = Arc::new(ManualClock::new(START));
    let mut pipeline = pipeline(market, clock.clone());
    let mut now = std::time::Instant::now();
    let mut batches = Vec::new();
    for round in 0..8 {
        for first in (0..OPTIONS).step_by(PACKETS) {
            clock.advance(std::time::Duration::from_millis(5));
            now += std::time::Duration::from_millis(5);
            let ticks = (first..first + PACKETS as u32).map(|n| market.tick(round * OPTIONS + n)).collect();
            let connection = ConnectionId { account: "bench".into(), index: 0 };
            pipeline.push(FeedEvent::Ticks(TickFrame { connection, ts_recv: clock.now(), ticks }), now);
            pipeline.poll(now);
        }
        while let Some(output) = pipeline.next_output() {
            if let Output::Batch(batch) = output
                && round > 2
            {
                batches.push(batch);
            }
        }
    }
    batches
}
