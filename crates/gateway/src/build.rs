//! The wiring: each part is made in reading order and handed to the next. Read this to learn who talks to whom.

mod parts;

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_api::{ApiConfig, ApiKey, ApiMetrics, ApiState, LatestValues, StreamHub};
use kite_client::{TcpTls, TickerMetrics};
use market_model::{Clock, SubscriptionSet};
use redis_fanout::RedisMetrics;
use resilience::{ShutdownReport, Supervisor, SupervisorMetrics, TaskExit, TaskSpec};
use tick_pipeline::{Fanout, PipelineMetrics, SinkMetrics};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::parts::{
    Stages, calendar, listen, pipeline_config, rest_of, restart, serve_sink, sink_queue, spawn_recorder,
    spawn_redis, start_simulator, ticker_config,
};
use crate::config::Config;
use crate::control::Feeds;
use crate::error::StartError;
use crate::feed::{AccountFeed, FeedParts};
use crate::health::Health;
use crate::instruments::{self, CatalogBoard};
use crate::latency::LatencyWindow;
use crate::logging::Logging;
use crate::sessions;
use crate::subscriptions::{Subscriptions, WishReport};
use crate::telemetry::Telemetry;

/// A gateway that is wired and listens, and does nothing until [`Gateway::run`].
pub struct Gateway {
    address: SocketAddr,
    supervisor: Supervisor,
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
        let api_queue = fanout.add_sink("api", sink_queue(&config));
        let api_sink_metrics = SinkMetrics::register(&telemetry.recorder, "api");
        queues.push(api_queue.clone());
        supervisor.spawn(TaskSpec::optional("sink/api", stages.sinks), restart(), {
            let hub = hub.clone();
            move |_| serve_sink(hub.sink(), api_queue.clone(), api_sink_metrics.clone())
        });
        let redis = match &config.redis {
            None => None,
            Some(redis) => {
                let queue = fanout.add_sink("redis", sink_queue(&config));
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
        let recording = match &config.record {
            None => None,
            Some(record) => Some(spawn_recorder(
                record,
                &accounts,
                &catalog,
                clock.clone(),
                &telemetry,
                &mut supervisor,
                &stages,
            )?),
        };
        let (tap, recording) = recording.unzip();
        let ticker = ticker_config(&config)?;
        let connector = TcpTls::new(&ticker.extra_roots)
            .map_err(|source| StartError::Roots { source })?
            .with_sockets(ticker.sockets);
        let parts = FeedParts {
            ticker,
            pipeline: pipeline_config(&config),
            market: catalog.market(),
            sessions: session_phases.clone(),
            tap,
            data_dir: config.data_dir.clone(),
            clock: clock.clone(),
            ticker_metrics: TickerMetrics::register(&telemetry.recorder),
        };
        let (mut feeds, mut views, mut desired) = (Vec::new(), Vec::new(), Vec::new());
        for account in &accounts {
            let wanted = watch::Sender::new(SubscriptionSet::new());
            let metrics = PipelineMetrics::register(&telemetry.recorder, &account.name);
            let feed = Arc::new(AccountFeed::new(account, &parts, wanted.subscribe(), metrics));
            feeds.push(feed.commands());
            views.push(feed.view());
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
        drop((fanout, parts));

        // Commands: the catalog, and from it and the wishes the desired subscriptions.
        let rest = rest_of(&accounts[0], connector)?;
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
            feeds: views,
            sinks: queues,
            redis,
            tasks: supervisor.status(),
            latency,
            sessions: session_phases,
            recording,
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
