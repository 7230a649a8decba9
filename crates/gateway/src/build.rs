//! The wiring: each part is made in reading order and handed to the next. Read this to learn who talks to whom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use exchange_calendar::Calendar;
use gateway_api::{ApiConfig, ApiKey, ApiMetrics, ApiState, LatestValues, StreamHub};
use kite_client::{AccessToken, KiteRest, TickerMetrics};
use market_model::{Clock, SubscriptionSet};
use redis_fanout::{RedisMetrics, RedisSink};
use resilience::{
    BackoffConfig, RestartPolicy, ShutdownReport, Stage, StageId, Supervisor, SupervisorMetrics, TaskExit,
    TaskSpec,
};
use tick_pipeline::{
    BatchConfig, EnrichmentConfig, Fanout, OverflowPolicy, PipelineConfig, PipelineMetrics, QueueConfig,
    SinkMetrics, SinkQueue, SnapshotSink, run_sink,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::adapters::simulator;
use crate::config::{Account, Config, RedisConfig};
use crate::control::Feeds;
use crate::error::StartError;
use crate::feed::{AccountFeed, FeedParts};
use crate::health::{Health, RedisView};
use crate::instruments::{self, CatalogBoard};
use crate::latency::LatencyWindow;
use crate::logging::Logging;
use crate::rates::RateMeter;
use crate::sessions;
use crate::subscriptions::{Subscriptions, WishReport};
use crate::telemetry::Telemetry;

/// A gateway that is wired and listens, and does nothing until [`Gateway::run`].
pub struct Gateway {
    address: SocketAddr,
    supervisor: Supervisor,
}

/// The stages of the shutdown, in the order of the flow.
struct Stages {
    sources: StageId,
    sinks: StageId,
    doors: StageId,
    support: StageId,
}

impl Gateway {
    /// Makes every part and joins them. `logging` is kept until the end, so that the last lines are written.
    ///
    /// # Errors
    /// [`StartError`] for what an operator must mend before a start makes sense. A broker, an account or a Redis that
    /// does not answer is no such thing: the gateway starts and `/readyz` says what is missing.
    pub async fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        logging: Option<Logging>,
    ) -> Result<Self, StartError> {
        let telemetry = Telemetry::new()?;
        let calendar = calendar(&config)?;
        let listener = listen(config.listen).await?;
        let address = listener.local_addr()?;
        let mut supervisor = Supervisor::new(SupervisorMetrics::register(&telemetry.recorder));
        let stages = Stages::add_to(&mut supervisor, config.shutdown_deadline);

        // Accounts: the configured ones, or one on a simulated market of our own.
        let (accounts, clock) = match config.accounts.is_empty() {
            false => (config.accounts.clone(), clock),
            true => start_simulator(&config, clock, &mut supervisor, &stages).await?,
        };
        let sim = accounts.iter().any(|account| account.simulated);

        // Sinks: each has its own bounded queue and its own task.
        let api_metrics = ApiMetrics::register(&telemetry.recorder);
        let latest = Arc::new(LatestValues::new());
        let hub = StreamHub::new(latest.clone(), api_metrics.stream.clone());
        let (mut fanout, mut queues) = (Fanout::new(), Vec::new());
        let api_queue = fanout.add_sink("api", SINK_QUEUE);
        let api_sink_metrics = SinkMetrics::register(&telemetry.recorder, "api");
        queues.push(api_queue.clone());
        supervisor.spawn(TaskSpec::optional("sink/api", stages.sinks), restart(), {
            let hub = hub.clone();
            move |_| serve_sink(hub.sink(), api_queue.clone(), api_sink_metrics.clone())
        });
        let redis = match &config.redis {
            None => None,
            Some(redis) => {
                let queue = fanout.add_sink("redis", SINK_QUEUE);
                queues.push(queue.clone());
                let sink_metrics = SinkMetrics::register(&telemetry.recorder, "redis");
                let metrics = RedisMetrics::register(&telemetry.recorder);
                Some(spawn_redis(redis, queue, (sink_metrics, metrics), &mut supervisor, &stages)?)
            }
        };

        // Hours: what each exchange is doing, so that silence can be told from a closed market.
        let sessions = watch::Sender::new(sessions::at(&calendar, clock.as_ref()));
        let session_phases = sessions.subscribe();
        supervisor.spawn(TaskSpec::optional("sessions", stages.support), restart(), {
            let (calendar, clock) = (calendar.clone(), clock.clone());
            move |stop| sessions::follow(calendar.clone(), clock.clone(), sessions.clone(), stop)
        });

        // Feeds: one ticker and one pipeline worker per account.
        let catalog = CatalogBoard::new();
        let parts = FeedParts {
            limits: config.limits,
            pipeline: pipeline_config(&config),
            market: catalog.market(),
            clock: clock.clone(),
            ticker_metrics: TickerMetrics::register(&telemetry.recorder),
        };
        let (mut feeds, mut desired) = (Vec::new(), Vec::new());
        for account in &accounts {
            let wanted = watch::Sender::new(SubscriptionSet::new());
            let metrics = PipelineMetrics::register(&telemetry.recorder, &account.name);
            let feed = Arc::new(AccountFeed::new(account, &parts, wanted.subscribe(), metrics));
            feeds.push(feed.clone());
            desired.push(wanted);
            let fanout = fanout.clone();
            supervisor.spawn(
                TaskSpec::optional(format!("feed/{}", account.name), stages.sources),
                restart(),
                {
                    move |stop| {
                        let (feed, fanout) = (feed.clone(), fanout.clone());
                        async move { feed.run(fanout, stop).await }
                    }
                },
            );
        }
        drop(fanout);

        // Commands: the catalog, and from it and the wishes the desired subscriptions.
        let rest = rest_of(&accounts[0])?;
        supervisor.spawn(TaskSpec::optional("instruments", stages.sources), restart(), {
            let catalog = catalog.clone();
            move |stop| instruments::load(rest.clone(), calendar.clone(), catalog.clone(), stop)
        });
        let wishes = watch::Sender::new(WishReport::default());
        let subscriptions = Subscriptions {
            wishes: config.wishes.clone(),
            market: catalog.market(),
            latest: latest.clone(),
            clock: clock.clone(),
            desired,
            capacity: usize::from(config.limits.connections) * config.limits.tokens_per_connection,
            report: wishes.clone(),
        };
        supervisor.spawn(TaskSpec::critical("subscriptions", stages.sources), restart(), move |stop| {
            subscriptions.clone().run(stop)
        });

        // Doors: HTTP, with a report that looks at everything above.
        let latency = Arc::new(LatencyWindow::default());
        let upkeep = Arc::new(telemetry.upkeep(latency.clone(), logging));
        supervisor.spawn(TaskSpec::optional("upkeep", stages.support), restart(), move |stop| {
            let upkeep = upkeep.clone();
            async move { upkeep.run(stop).await }
        });
        let health = Health {
            clock: clock.clone(),
            catalog: catalog.clone(),
            wishes: wishes.subscribe(),
            feeds: feeds.iter().map(|feed| feed.view()).collect(),
            sinks: queues,
            redis,
            tasks: supervisor.status(),
            latency,
            sessions: session_phases,
            rates: RateMeter::default(),
        };
        let state = ApiState {
            latest,
            hub,
            health: Arc::new(health),
            control: Arc::new(Feeds(feeds)),
            metrics_text: telemetry.text(),
            sim,
            catalog: catalog.catalog(),
            clock,
            api_key: config.api_key.as_ref().map(|key| ApiKey::new(key.expose())).transpose()?,
            metrics: api_metrics,
        };
        supervisor.spawn_once(TaskSpec::critical("http", stages.doors), |stop| async move {
            match gateway_api::serve(listener, state, ApiConfig::default(), stop).await {
                Ok(()) => TaskExit::Cancelled,
                Err(error) => TaskExit::Failed(error.to_string()),
            }
        });

        for notice in &config.notices {
            warn!(notice, "configuration");
        }
        let market = if sim { "SIMULATED" } else { "live" };
        info!(page = format!("http://{address}/"), market, accounts = accounts.len(), "kite-gateway is up");
        Ok(Self { address, supervisor })
    }

    /// Where the HTTP door listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `stop` is cancelled or a part that nothing works without has ended; then drains stage by stage.
    ///
    /// # Cancel safety
    /// Dropping the future ends every task at once, without draining.
    pub async fn run(self, stop: CancellationToken) -> ShutdownReport {
        let report = self.supervisor.run(stop).await;
        let late: Vec<&str> = report.late().collect();
        if report.is_clean() {
            info!(cause = %report.cause, "drained, every part ended in time");
        } else {
            warn!(cause = %report.cause, ?late, "stopped, not everything ended in order");
        }
        report
    }
}

// === parts ===

fn calendar(config: &Config) -> Result<Calendar, StartError> {
    let calendar = Calendar::builtin();
    Ok(match &config.calendar_overrides {
        Some(toml) => calendar.with_overrides(toml)?,
        None => calendar,
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Starts the simulated market. When its time runs at another speed, the whole gateway lives in that time: the
/// Greeks would otherwise count down to an expiry on another clock than the prices.
async fn start_simulator(
    config: &Config,
    clock: Arc<dyn Clock>,
    supervisor: &mut Supervisor,
    stages: &Stages,
) -> Result<(Vec<Account>, Arc<dyn Clock>), StartError> {
    let (simulator, account) = simulator::bind(config.sim).await?;
    let clock = if config.sim.speed == 1.0 { clock } else { Arc::new(simulator.clock()) };
    supervisor.spawn_once(TaskSpec::critical("simulator", stages.support), |stop| async move {
        simulator.run(stop).await;
        TaskExit::Cancelled
    });
    Ok((vec![account], clock))
}

/// Sink and writer are one task: when either panics, both are made anew on the same queue.
fn spawn_redis(
    config: &RedisConfig,
    queue: SinkQueue,
    (sink_metrics, metrics): (SinkMetrics, RedisMetrics),
    supervisor: &mut Supervisor,
    stages: &Stages,
) -> Result<Arc<RedisView>, StartError> {
    let mut wanted = redis_fanout::RedisConfig::new(config.url.expose().parse()?);
    wanted.namespace.clone_from(&config.namespace);
    wanted.connections = config.pool;
    wanted.legacy_channels = config.compat_channels;
    if config.msgpack {
        wanted.format = snapshot_wire::WireFormat::MessagePack;
    }
    let view = Arc::new(RedisView::default());
    let shown = view.clone();
    supervisor.spawn(TaskSpec::optional("sink/redis", stages.sinks), restart(), move |_| {
        let (sink, writer) = RedisSink::new(wanted.clone(), metrics.clone());
        shown.show(sink.status());
        let serve = serve_sink(sink, queue.clone(), sink_metrics.clone());
        async move { tokio::join!(serve, writer.run()).0 }
    });
    Ok(view)
}

async fn serve_sink<S: SnapshotSink>(sink: S, queue: SinkQueue, metrics: SinkMetrics) -> TaskExit {
    let summary = run_sink(sink, queue, metrics).await;
    info!(
        sink = summary.name,
        delivered = summary.counts.delivered,
        dropped = summary.counts.dropped,
        "sink closed"
    );
    TaskExit::InputClosed
}

fn rest_of(account: &Account) -> Result<KiteRest, StartError> {
    let (key, token) = (account.api_key.expose(), account.access_token.expose());
    KiteRest::new(&account.rest_url, kite_client::ApiKey::new(key), AccessToken::new(token))
        .map_err(|source| StartError::Account { account: account.name.clone(), source })
}

fn pipeline_config(config: &Config) -> PipelineConfig {
    PipelineConfig {
        enrichment: EnrichmentConfig { rate: config.rate, ..EnrichmentConfig::default() },
        batch: BatchConfig {
            max_age: config.batch.window,
            max_count: config.batch.max_ticks,
            max_bytes: config.batch.max_bytes,
            ..BatchConfig::default()
        },
        ..PipelineConfig::default()
    }
}

/// What may wait for a sink: newer values replace older ones once it falls behind.
const SINK_QUEUE: QueueConfig = QueueConfig {
    max_bytes: 64 << 20,
    max_batches: 16_384,
    patience: Duration::from_millis(50),
    deliver_timeout: Duration::from_secs(30),
    overflow: OverflowPolicy::Conflate,
};

/// Again and again, but not for ever: what fails twenty times in ten minutes needs a person.
fn restart() -> RestartPolicy {
    RestartPolicy::OnFailure {
        backoff: BackoffConfig::default(),
        max_restarts: 20,
        window: Duration::from_secs(600),
    }
}

impl Stages {
    fn add_to(supervisor: &mut Supervisor, deadline: Duration) -> Self {
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
