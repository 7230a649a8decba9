//! The parts of the wiring that take more than a line each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use account_pool::Account;
use exchange_calendar::Calendar;
use feed_recorder::{RecorderHandle, RecorderMetrics, RecorderStatus};
use kite_client::{RateCollapseAction, SocketConfig, TickerConfig};
use market_model::Clock;
use redis_fanout::{LastValuesConfig, RedisMetrics, RedisSink};
use resilience::{BackoffConfig, RestartPolicy, Stage, StageId, Supervisor, TaskExit, TaskSpec};
use sql_store::lease::LeaseConfig;
use tick_pipeline::{
    BatchConfig, EnrichmentConfig, EquityTopics, PipelineConfig, QueueConfig, SinkMetrics, SinkQueue,
    SnapshotSink, run_sink,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::adapters::recorder;
use crate::catalog::CatalogBoard;
use crate::config::{Config, RecordConfig, RedisConfig};
use crate::error::StartError;
use crate::health::RedisView;
use crate::ownership::{GuardedSink, Speakers};
use crate::telemetry::Telemetry;

/// The stages of the shutdown, in the order of the flow.
pub(super) struct Stages {
    pub(super) sources: StageId,
    pub(super) sinks: StageId,
    pub(super) doors: StageId,
    pub(super) support: StageId,
}

pub(super) fn calendar(config: &Config) -> Result<Calendar, StartError> {
    let calendar = Calendar::builtin();
    Ok(match &config.calendar_overrides {
        Some(toml) => calendar.with_overrides(toml)?,
        None => calendar,
    })
}

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// What a recorder leaves behind for the others: its feeding end, and how it stands.
pub(super) type Recording = (RecorderHandle, watch::Receiver<RecorderStatus>);

/// The writer ends when the last tap is gone, which is when the feeds have ended.
pub(super) fn spawn_recorder(
    config: &RecordConfig,
    accounts: &[Account],
    catalog: &CatalogBoard,
    clock: Arc<dyn Clock>,
    telemetry: &Telemetry,
    supervisor: &mut Supervisor,
    stages: &Stages,
) -> Result<Recording, StartError> {
    let metrics = RecorderMetrics::register(&*telemetry.recorder);
    let (handle, task) = recorder::make(config, accounts, clock, metrics)?;
    let status = task.status();
    supervisor.spawn_once(TaskSpec::optional("recorder", stages.sinks), |_| recorder::write(task));
    let (catalogs, catalog_recorder) = (catalog.catalog(), handle.clone());
    supervisor.spawn_once(TaskSpec::optional("recorder/instruments", stages.sources), |stop| {
        recorder::record_catalogs(catalog_recorder, catalogs, stop)
    });
    Ok((handle, status))
}

pub(super) fn redis_config(config: &RedisConfig) -> Result<redis_fanout::RedisConfig, StartError> {
    let mut wanted = redis_fanout::RedisConfig::new(config.url.expose().parse()?);
    wanted.namespace.clone_from(&config.namespace);
    wanted.connections = config.pool;
    wanted.legacy_channels = config.compat_channels;
    wanted.last_values =
        config.last_values_every.map(|interval| LastValuesConfig { interval, ..LastValuesConfig::default() });
    wanted.format = config.format;
    Ok(wanted)
}

/// Sink and writer are one task: when either panics, both are made anew on the same queue.
pub(super) fn spawn_redis(
    wanted: redis_fanout::RedisConfig,
    queue: SinkQueue,
    (sink_metrics, metrics): (SinkMetrics, RedisMetrics),
    speakers: Speakers,
    supervisor: &mut Supervisor,
    stages: &Stages,
) -> Arc<RedisView> {
    let view = Arc::new(RedisView::default());
    let shown = view.clone();
    supervisor.spawn(TaskSpec::optional("sink/redis", stages.sinks), restart(), move |_| {
        let (sink, writer) = RedisSink::new(wanted.clone(), metrics.clone());
        shown.show(sink.status());
        let sink = GuardedSink::new(sink, speakers.clone());
        let serve = serve_sink(sink, queue.clone(), sink_metrics.clone());
        async move { tokio::join!(serve, writer.run()).0 }
    });
    view
}

pub(super) async fn serve_sink<S: SnapshotSink>(sink: S, queue: SinkQueue, metrics: SinkMetrics) -> TaskExit {
    let summary = run_sink(sink, queue, metrics).await;
    info!(
        sink = summary.name,
        delivered = summary.counts.delivered,
        dropped = summary.counts.dropped,
        "sink closed"
    );
    TaskExit::InputClosed
}

/// Leases as long as configured, with the usual proportions.
pub(super) fn lease_config(config: &Config) -> LeaseConfig {
    let (ttl, renew_every, sole) = (config.lease, config.lease / 3, config.sole_instance);
    LeaseConfig { ttl, renew_every, sole, ..LeaseConfig::new(&config.instance) }
}

pub(super) fn ticker_config(config: &Config) -> Result<TickerConfig, StartError> {
    let extra_roots = match &config.link.extra_roots {
        None => Vec::new(),
        Some(pem) => {
            kite_client::roots_from_pem(pem.as_bytes()).map_err(|source| StartError::Roots { source })?
        }
    };
    Ok(TickerConfig {
        rotate_after: config.link.rotate_after,
        on_rate_collapse: match config.link.reconnect_on_rate_collapse {
            true => RateCollapseAction::Reconnect,
            false => RateCollapseAction::Alarm,
        },
        extra_roots,
        sockets: SocketConfig {
            family: config.link.family,
            local_address: config.link.local_address,
            ..SocketConfig::default()
        },
        ..TickerConfig::default()
    })
}

pub(super) fn pipeline_config(config: &Config) -> PipelineConfig {
    let compat = config.redis.as_ref().is_some_and(|redis| redis.compat_channels);
    PipelineConfig {
        enrichment: EnrichmentConfig { rate: config.rate, ..EnrichmentConfig::default() },
        batch: BatchConfig {
            max_age: config.batch.window,
            max_count: config.batch.max_ticks,
            max_bytes: config.batch.max_bytes,
            // The former service had a channel for every share.
            equity_topics: match config.batch.equity_per_symbol || compat {
                true => EquityTopics::PerSymbol,
                false => EquityTopics::Shared,
            },
            ..BatchConfig::default()
        },
        ..PipelineConfig::default()
    }
}

/// How much may wait for a sink.
pub(super) fn sink_queue(config: &Config) -> QueueConfig {
    QueueConfig { max_bytes: config.sink_queue_bytes, ..QueueConfig::default() }
}

/// Again and again, but not for ever: what fails twenty times in ten minutes needs a person.
pub(crate) fn restart() -> RestartPolicy {
    RestartPolicy::OnFailure {
        backoff: BackoffConfig::default(),
        max_restarts: 20,
        window: Duration::from_secs(600),
    }
}

impl Stages {
    pub(super) fn add_to(supervisor: &mut Supervisor, deadline: Duration) -> Self {
        // Sources get most of the time: they close sockets politely and flush pipelines.
        let share = |quarters: u32| deadline * quarters / 8;
        let drained = Stage { name: "sinks", stop_by: resilience::StopBy::InputClosed, deadline: share(2) };
        Self {
            sources: supervisor.add_stage(Stage::cancelled("sources", share(3))),
            sinks: supervisor.add_stage(drained),
            doors: supervisor.add_stage(Stage::cancelled("doors", share(2))),
            support: supervisor.add_stage(Stage::cancelled("support", share(1))),
        }
    }
}
