//! The page and the API on made-up prices: `cargo run -p gateway-api --example demo [address [api-key]]`, then open
//! the printed address.

mod market;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_api::{
    ApiConfig, ApiKey, ApiMetrics, ApiState, HealthSource, LatestValues, NoAccounts, NoOperations,
    NobodyElse, StreamHub, serve,
};
use market_model::{Clock, ConnectionId, FeedEvent, Gap, GapCause, SystemClock};
use serde_json::{Value, json};
use tick_pipeline::HealthRecord;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::market::SyntheticMarket;

/// A report of the shape that the whole gateway gives.
#[derive(Default)]
struct DemoHealth {
    ticks: AtomicU64,
    gaps: AtomicU64,
}

impl HealthSource for DemoHealth {
    fn report(&self) -> Value {
        let (ticks, gaps) = (self.ticks.load(Ordering::Relaxed), self.gaps.load(Ordering::Relaxed));
        let connection = |name: &str, instruments, ticks, reconnects, age| {
            json!({
                "name": name, "state": "up", "instruments": instruments, "ticks": ticks, "silent": 0,
                "dropped_ticks": 0, "reconnects": reconnects, "last_frame_age_ms": age,
            })
        };
        json!({
            "connections": [
                connection("demo/0", 820, ticks / 2, gaps, 38), connection("demo/1", 644, ticks / 2, 0, 51),
            ],
            "sinks": [
                { "name": "api", "state": "ok", "delivered": ticks, "dropped": 0, "failed": 0 },
                { "name": "redis", "state": "ok", "delivered": ticks, "dropped": 12, "failed": 0 },
            ],
            "tasks": [{ "name": "pipeline", "state": "running", "restarts": 0, "panics": 0 }],
            "latency": {
                "socket_to_pipeline": { "p50": 0.000_021, "p90": 0.000_044, "p99": 0.000_180, "max": 0.002_1 },
                "greeks": { "p50": 0.000_000_4, "p90": 0.000_000_7, "p99": 0.000_001_9, "max": 0.000_061 },
                "socket_to_publish": { "p50": 0.003_1, "p90": 0.005_2, "p99": 0.007_9, "max": 0.021 },
            },
        })
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut market = SyntheticMarket::new(clock.now())?;
    let (_catalog, catalog) = tokio::sync::watch::channel(market.catalog.clone());
    let latest = Arc::new(LatestValues::new());
    let metrics = ApiMetrics::noop();
    let hub = StreamHub::new(latest.clone(), metrics.stream.clone());
    let mut sink = hub.sink();
    let health = Arc::new(DemoHealth::default());
    let shutdown = CancellationToken::new();
    let state = ApiState {
        latest,
        elsewhere: Arc::new(NobodyElse),
        hub,
        health: health.clone(),
        control: Arc::new(NoAccounts),
        operations: Arc::new(NoOperations),
        metrics_text: Arc::new(String::new),
        sim: true,
        catalog,
        clock: clock.clone(),
        api_key: std::env::args().nth(2).map(|key| ApiKey::new(&key)).transpose()?,
        metrics,
    };
    let listener = TcpListener::bind(&listen).await?;
    writeln_stdout(&format!("open http://{listen}/"))?;

    let mut tasks = JoinSet::new();
    let feed_clock = clock.clone();
    tasks.spawn(async move {
        let mut rounds = interval(Duration::from_millis(100));
        for round in 0u64.. {
            rounds.tick().await;
            for batch in market.step(feed_clock.now(), round == 0) {
                health.ticks.fetch_add(batch.snapshots.len() as u64, Ordering::Relaxed);
                sink.publish(&batch);
            }
            if round % 300 == 299 {
                health.gaps.fetch_add(1, Ordering::Relaxed);
                sink.publish_health(&gap(round, feed_clock.now()));
                sink.publish(&market.go_stale(feed_clock.now()));
            }
        }
    });
    let stop = shutdown.clone();
    tasks.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    serve(listener, state, ApiConfig::default(), shutdown).await?;
    Ok(())
}

fn gap(seq: u64, now: market_model::UnixNanos) -> HealthRecord {
    let event = FeedEvent::Gap(Gap {
        connection: ConnectionId { account: "demo".into(), index: 0 },
        from: now - Duration::from_millis(1200),
        to: now,
        cause: GapCause::Disconnected,
        tokens: None,
        lost_ticks: None,
    });
    HealthRecord { source: "demo/0".into(), seq, ts_publish: now, sim: true, event }
}

fn writeln_stdout(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}")
}
