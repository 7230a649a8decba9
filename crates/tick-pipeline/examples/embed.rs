//! How another service uses the pipeline: make feed events from anything, take batches out.
//!
//! `cargo run -p tick-pipeline --example embed` runs a made-up market of one index and a few options for a second.

use std::sync::Arc;
use std::time::Duration;

use market_model::{
    Clock, ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument,
    InstrumentCatalog, InstrumentKind, InstrumentToken, OptionSide, Price, Segment, SystemClock, Tick,
    TickBody, TickFrame,
};
use tick_pipeline::{
    Fanout, GreeksState, HealthRecord, Pipeline, PipelineConfig, PipelineMetrics, QueueConfig, SinkMetrics,
    SnapshotBatch, SnapshotSink, run, run_sink,
};
use tokio::sync::mpsc;

/// Step 1: somewhere to send batches. This one prints; yours writes to a socket, a file, a database.
struct Print;

impl SnapshotSink for Print {
    type Error = std::io::Error;

    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), Self::Error> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        let topic = &batch.topic;
        writeln!(out, "{}:{}:{} seq {}", topic.exchange, topic.underlying, topic.kind.as_str(), batch.seq)?;
        for snapshot in &batch.snapshots {
            let symbol = &batch.catalog.get(snapshot.slot).tradingsymbol;
            write!(out, "  {symbol:<12} {:>10}", snapshot.tick.last_price)?;
            match &snapshot.greeks {
                GreeksState::NotAnOption => writeln!(out)?,
                GreeksState::Absent(reason) => writeln!(out, "  no Greeks: {reason:?}")?,
                GreeksState::Known(greeks) => writeln!(
                    out,
                    "  iv {:.4}  delta {:+.4}  forward {:.2} ({:?})",
                    greeks.iv, greeks.delta, greeks.forward, greeks.forward_source
                )?,
            }
        }
        Ok(())
    }

    async fn health(&mut self, record: &HealthRecord) -> Result<(), Self::Error> {
        use std::io::Write;
        writeln!(std::io::stdout().lock(), "health {}: {:?}", record.seq, record.event)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Step 2: which instruments exist.
    let clock = Arc::new(SystemClock);
    let catalog = Arc::new(InstrumentCatalog::new(instruments(&*clock), |name| {
        (name == "DEMO").then_some("DEMO INDEX")
    })?);

    // Step 3: a pipeline, and a queue for each sink. `metrics::Recorder` handles would replace the no-ops.
    let (config, metrics) = (PipelineConfig::default(), PipelineMetrics::noop());
    let pipeline = Pipeline::new(config, "demo".into(), true, catalog.clone(), clock.clone(), metrics);
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("print", QueueConfig::default());

    // Step 4: run both loops and feed events. They end by themselves, in order, when the feed is dropped.
    let (feed, events) = mpsc::channel(64);
    let source = async move {
        let connection = ConnectionId { account: "demo".into(), index: 0 };
        for step in 0..5 {
            let ticks = catalog.instruments().iter().map(|row| quote(row, f64::from(step))).collect();
            let frame = TickFrame { connection: connection.clone(), ts_recv: clock.now(), ticks };
            if feed.send(FeedEvent::Ticks(frame)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let (_, sink, ()) =
        tokio::join!(run(pipeline, events, fanout), run_sink(Print, queue, SinkMetrics::noop()), source);
    tracing::info!(delivered = sink.counts.delivered, failed = sink.counts.failed, "drained");
    Ok(())
}

const INDEX: InstrumentToken = InstrumentToken(265);

fn instruments(clock: &dyn Clock) -> Vec<Instrument> {
    let end = clock.now() + Duration::from_secs(4 * 86_400);
    let expiry = Expiry { date: jiff::civil::date(2026, 11, 24), instant: Some(end) };
    let row = |token, symbol: String, kind| Instrument {
        token,
        exchange: if token == INDEX { Exchange::Nse } else { Exchange::Nfo },
        segment: Segment::NfoOptions,
        tradingsymbol: symbol.into(),
        name: "DEMO".into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let mut rows = vec![row(INDEX, "DEMO INDEX".to_owned(), InstrumentKind::Index)];
    for strike in [24_900, 25_000, 25_100] {
        for side in [OptionSide::Call, OptionSide::Put] {
            let token = InstrumentToken((rows.len() as u32) << 8 | 2);
            let kind = InstrumentKind::Option { expiry, strike: Price::from_paise(strike * 100), side };
            rows.push(row(token, format!("DEMO{strike}{}", side.as_str()), kind));
        }
    }
    rows
}

/// A made-up price: intrinsic value plus some time value, quoted one tick wide.
fn quote(row: &Instrument, step: f64) -> Tick {
    let spot = 25_020.0 + 3.0 * step;
    let rupees = |value: f64| Price::from_f64(value).unwrap_or_default();
    let InstrumentKind::Option { strike, side, .. } = &row.kind else {
        return Tick { token: row.token, last_price: rupees(spot), body: TickBody::Ltp };
    };
    let strike = strike.to_f64();
    let intrinsic = if *side == OptionSide::Call { spot - strike } else { strike - spot }.max(0.0);
    let last = (intrinsic + 180.0 - 0.5 * (spot - strike).abs()).round();
    let level = |value: f64| DepthLevel { price: rupees(value), quantity: 65, orders: 1 };
    let mut depth = Depth::default();
    depth.buy[0] = level(last - 0.05);
    depth.sell[0] = level(last + 0.05);
    let body = TickBody::Full(FullTick { depth, ..FullTick::default() });
    Tick { token: row.token, last_price: rupees(last), body }
}
