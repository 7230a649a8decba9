//! The wiring: each part is made in reading order and handed to the next. Read this to learn who talks to whom.

mod accounts;
mod parts;

use std::net::SocketAddr;
use std::sync::Arc;

use account_pool::{
    AccountPool, DayCounts, LifeConfig, LoginBars, LoginConfig, PoolConfig, PoolParts, SqlAccountStore,
    TokenFiles, TokenKeeper,
};
use feed_control::{
    FeedControl, FeedControlConfig, FeedControlInputs, FeedControlMetrics, StoreSync, StoreSyncConfig,
};
use gateway_api::{ApiConfig, ApiKey, ApiMetrics, ApiState, LatestValues, StreamHub};
use instrument_registry::{RefreshConfig, Refresher, RefresherParts, Registry, RegistryMetrics, SqlHistory};
use kite_client::{FrameTap, RestMetrics, TcpTls, TickerMetrics};
use market_model::Clock;
use redis_fanout::{LastValueReader, RedisMetrics};
use resilience::{ShutdownReport, Supervisor, SupervisorMetrics, TaskExit, TaskSpec};
use sql_store::StoreMetrics;
use sql_store::lease::{LeaseKeeper, SystemUptime};
use subscription_store::{SqlSubscriptionStore, WishLimits};
use tick_pipeline::{Fanout, PipelineMetrics, SinkMetrics};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::parts::restart;

use self::accounts::{directory, vault};
use self::parts::{
    Stages, calendar, lease_config, listen, pipeline_config, redis_config, serve_sink, sink_queue,
    spawn_recorder, spawn_redis, ticker_config,
};
use crate::adapters::broker::Broker;
use crate::adapters::elsewhere::OtherInstances;
use crate::adapters::quotes::NewestPrices;
use crate::adapters::recorder::RecorderTap;
use crate::adapters::web_login::BrokerPages;
use crate::address::AddressWatch;
use crate::automatic::AutomaticLogins;
use crate::catalog::CatalogBoard;
use crate::config::Config;
use crate::database;
use crate::error::StartError;
use crate::feed::FeedParts;
use crate::fleet::{Fleet, FleetParts};
use crate::health::Health;
use crate::latency::LatencyWindow;
use crate::link::Links;
use crate::logging::Logging;
use crate::operations::{Commands, Parts as OperationParts};
use crate::order_counts::OrderCounts;
use crate::ownership::{GuardedSink, Speakers};
use crate::sessions;
use crate::standing::Standing;
use crate::telemetry::Telemetry;
use crate::tokens;

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
        let mut supervisor = Supervisor::new(SupervisorMetrics::register(&*telemetry.recorder));
        let stages = Stages::add_to(&mut supervisor, config.shutdown_deadline);

        // Durable state: a database that is down now is for the operator; one that goes down later is waited for.
        let store_metrics = StoreMetrics::register(&*telemetry.recorder);
        let url = config.database.as_ref().map(|url| url.expose());
        let database = database::open(url, &config.data_dir, store_metrics).await?;
        supervisor.spawn(TaskSpec::optional("database", stages.support), restart(), {
            let database = database.clone();
            move |stop| database::watch(database.clone(), stop)
        });

        // Accounts of every source; without any, one on a simulated market of our own.
        let ticker = ticker_config(&config)?;
        let connector = TcpTls::new(&ticker.extra_roots)
            .map_err(|source| StartError::Roots { source })?
            .with_sockets(ticker.sockets);
        let book = vault(&config, &database).await?;
        let (directory, clock) =
            directory(&config, book.clone(), &connector, clock, &mut supervisor, &stages).await?;
        let accounts = directory.accounts();
        let sim = accounts.iter().any(|account| account.simulated);

        // Tokens, limits and failover of accounts.
        let mut keepers: Vec<Arc<dyn TokenKeeper>> = vec![Arc::new(TokenFiles::within(&config.data_dir))];
        keepers.extend(book.clone().map(|book| book as Arc<dyn TokenKeeper>));
        let login = LoginConfig { login_url: config.accounts.login_url.clone(), ..LoginConfig::default() };
        let life = LifeConfig { look_every: config.clock_look, ..LifeConfig::default() };
        let counts: Arc<dyn DayCounts> = Arc::new(SqlAccountStore::new(database.clone()));
        let pool = Arc::new(AccountPool::new(
            PoolConfig { login, life, ..PoolConfig::default() },
            PoolParts { clock: clock.clone(), recorder: telemetry.recorder.clone(), counts, keepers },
        ));
        supervisor.spawn(TaskSpec::optional("tokens", stages.support), restart(), {
            let (pool, book) = (pool.clone(), book.clone());
            move |stop| {
                let (pool, book) = (pool.clone(), book.clone());
                async move {
                    let board = pool.board().clone();
                    tokio::join!(board.run(stop.cancelled()), tokens::follow(&pool, &book, &stop));
                    pool.close().await;
                    TaskExit::Cancelled
                }
            }
        });

        // Leases: which accounts this instance may speak for.
        let (names, local) = (watch::Sender::default(), watch::Sender::default());
        let leases = LeaseKeeper::new(&database, lease_config(&config), names.subscribe(), SystemUptime);
        let (instance, held) = (leases.id().clone(), leases.held());
        let standing = Standing::new(&database, clock.clone(), local.subscribe(), held.clone());
        let (slots, streamed_until) = (standing.slots(), standing.streamed_until());
        if config.roles.feed {
            supervisor.spawn_once(TaskSpec::critical("leases", stages.support), |stop| async move {
                match leases.run(stop.cancelled()).await {
                    Ok(()) => TaskExit::Cancelled,
                    Err(error) => {
                        warn!(%error, "leases are not given back, they run out by themselves");
                        TaskExit::Cancelled
                    }
                }
            });
        }

        // Sinks: each has its own bounded queue and its own task, and takes nothing from whose lease is lost.
        let api_metrics = ApiMetrics::register(&*telemetry.recorder);
        let latest = Arc::new(LatestValues::new());
        let hub = StreamHub::new(latest.clone(), api_metrics.stream.clone());
        let speakers = Speakers::default();
        let (mut fanout, mut queues) = (Fanout::new(), Vec::new());
        let api_queue = fanout.add_sink("api", sink_queue(&config));
        let api_sink_metrics = SinkMetrics::register(&*telemetry.recorder, "api");
        queues.push(api_queue.clone());
        supervisor.spawn(TaskSpec::optional("sink/api", stages.sinks), restart(), {
            let (hub, speakers) = (hub.clone(), speakers.clone());
            move |_| {
                let sink = GuardedSink::new(hub.sink(), speakers.clone());
                serve_sink(sink, api_queue.clone(), api_sink_metrics.clone())
            }
        });
        let redis_config = config.redis.as_ref().map(redis_config).transpose()?;
        // What nobody keeps cannot be read back.
        let reader = (redis_config.as_ref().filter(|redis| redis.last_values.is_some()))
            .map(|redis| Arc::new(LastValueReader::new(redis)));
        let redis = match redis_config {
            None => None,
            Some(redis) => {
                let queue = fanout.add_sink("redis", sink_queue(&config));
                queues.push(queue.clone());
                let sink_metrics = SinkMetrics::register(&*telemetry.recorder, "redis");
                let metrics = RedisMetrics::register(&*telemetry.recorder);
                let metrics = (sink_metrics, metrics);
                Some(spawn_redis(redis, queue, metrics, speakers.clone(), &mut supervisor, &stages))
            }
        };

        // Hours: what each exchange is doing, so that silence can be told from a closed market.
        let sessions = watch::Sender::new(sessions::at(&calendar, clock.as_ref()));
        let session_phases = sessions.subscribe();
        supervisor.spawn(TaskSpec::optional("sessions", stages.support), restart(), {
            let (calendar, clock) = (calendar.clone(), clock.clone());
            move |stop| sessions::follow(calendar.clone(), clock.clone(), sessions.clone(), stop)
        });

        // Logins without a human, for the accounts that ask for it.
        let rest_metrics = RestMetrics::register(&*telemetry.recorder);
        let broker = Broker { pool: pool.clone(), connector, metrics: rest_metrics };
        let pages =
            BrokerPages { connector: broker.connector.clone(), login_url: config.accounts.login_url.clone() };
        let bars = LoginBars::within(&config.data_dir);
        let automatic = Arc::new(AutomaticLogins::new(
            pages,
            bars,
            broker.clone(),
            SqlAccountStore::new(database.clone()),
            held.clone(),
            clock.clone(),
        ));
        if config.roles.feed {
            supervisor.spawn(TaskSpec::optional("automatic-login", stages.sources), restart(), {
                let automatic = automatic.clone();
                move |stop| {
                    let automatic = automatic.clone();
                    async move { automatic.run(stop).await }
                }
            });
        }

        // Orders: how many the day has seen, and whether they leave from an address that the broker knows.
        let orders = Arc::new(OrderCounts::new(broker.clone(), held.clone(), clock.clone()));
        if config.roles.feed {
            supervisor.spawn(TaskSpec::optional("order-counts", stages.sources), restart(), {
                let orders = orders.clone();
                move |stop| {
                    let orders = orders.clone();
                    async move { orders.run(stop).await }
                }
            });
        }
        let outside = Arc::new(AddressWatch::new(
            config.link.address_source.clone(),
            broker.connector.clone(),
            ticker.sockets,
            directory.clone(),
            clock.clone(),
        ));
        if outside.is_on() {
            supervisor.spawn(TaskSpec::optional("address", stages.support), restart(), {
                let outside = outside.clone();
                move |stop| {
                    let outside = outside.clone();
                    async move { outside.run(stop).await }
                }
            });
        }

        // Instruments: the day's dump, kept for every later question about that day.
        let (registry, requests) = Registry::new();
        let history = SqlHistory::new(database.clone());
        let refresher = Refresher::new(RefresherParts {
            registry: registry.clone(),
            requests,
            source: broker.clone(),
            history: history.clone(),
            clock: clock.clone(),
            calendar,
            config: RefreshConfig { look_again: config.clock_look, ..RefreshConfig::default() },
            metrics: RegistryMetrics::register(&*telemetry.recorder),
        });
        supervisor.spawn_once(TaskSpec::critical("instruments", stages.sources), |stop| refresher.run(stop));
        let catalog = CatalogBoard::new();
        supervisor.spawn(TaskSpec::optional("catalog", stages.sources), restart(), {
            let (catalog, registry) = (catalog.clone(), registry.clone());
            move |stop| catalog.clone().follow(registry.clone(), stop)
        });

        // Feeds: one ticker and one pipeline worker for each account whose lease is held.
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
        let (frame_recorder, recording) = recording.unzip();
        let tap = frame_recorder.clone().map(|recorder| Arc::new(RecorderTap(recorder)) as Arc<dyn FrameTap>);
        let links = Arc::new(Links::default());
        let feed = Arc::new(FeedParts {
            ticker,
            pipeline: pipeline_config(&config),
            market: catalog.market(),
            sessions: session_phases.clone(),
            tap,
            data_dir: config.data_dir.clone(),
            clock: clock.clone(),
            ticker_metrics: TickerMetrics::register(&*telemetry.recorder),
            tokens: pool.board().clone(),
            held: held.clone(),
            streamed_until: streamed_until.clone(),
            speakers,
            carriers: links.carriers(),
        });
        let recorder = telemetry.recorder.clone();
        let fleet = Fleet::new(FleetParts {
            directory: directory.clone(),
            pool: pool.clone(),
            links: links.clone(),
            feed,
            recorder: frame_recorder,
            fanout,
            spawner: supervisor.spawner(),
            stage: stages.sources,
            pipeline_metrics: Arc::new(move |name| PipelineMetrics::register(&*recorder, name)),
            reload_every: config.accounts.reload_every,
            names,
            local,
        })
        .await;
        let (roster, reload) = (fleet.roster(), fleet.reload());
        supervisor.spawn_once(TaskSpec::critical("accounts", stages.sources), |stop| fleet.run(stop));
        supervisor.spawn_once(TaskSpec::critical("standing", stages.sources), |stop| standing.run(stop));

        // Commands: wishes, catalog, prices and accounts make the plan; the plan tells the tickers.
        let control_metrics = FeedControlMetrics::register(&*telemetry.recorder);
        let prices = NewestPrices::new(latest.clone(), roster.clone());
        let inputs = FeedControlInputs {
            catalog: catalog.catalog(),
            accounts: slots.clone(),
            quotes: Arc::new(prices),
            link: links,
            clock: clock.clone(),
        };
        let (control, handle) =
            FeedControl::new(FeedControlConfig::default(), inputs, control_metrics.clone());
        supervisor.spawn(TaskSpec::critical("feed-control", stages.sources), restart(), move |stop| {
            let control = control.clone();
            async move {
                control.run(stop).await;
                TaskExit::Cancelled
            }
        });
        let wishes = Arc::new(SqlSubscriptionStore::new(database.clone(), WishLimits::default()));
        let sync_config = StoreSyncConfig { configured: config.wishes.clone(), ..StoreSyncConfig::default() };
        let sync =
            StoreSync::new(wishes.clone(), sync_config, clock.clone(), handle.clone(), control_metrics);
        let sync_status = sync.status();
        supervisor.spawn(TaskSpec::critical("wishes", stages.sources), restart(), move |stop| {
            let sync = sync.clone();
            async move {
                sync.run(stop).await;
                TaskExit::Cancelled
            }
        });

        // Values of accounts that other instances stream are read back from Redis when somebody asks for them.
        let elsewhere = Arc::new(OtherInstances {
            plan: handle.report(),
            held: held.clone(),
            streamed_until,
            reader,
            clock: clock.clone(),
        });

        // Doors: HTTP, with a report that looks at everything above.
        let latency = Arc::new(LatencyWindow::default());
        let upkeep = Arc::new(telemetry.upkeep(latency.clone(), logging));
        supervisor.spawn(TaskSpec::optional("upkeep", stages.support), restart(), move |stop| {
            let upkeep = upkeep.clone();
            async move { upkeep.run(stop).await }
        });
        let health = Arc::new(Health {
            clock: clock.clone(),
            registry: registry.clone(),
            plan: handle.report(),
            wishes: sync_status,
            directory: directory.clone(),
            tokens: pool.board().clone(),
            automatic: automatic.clone(),
            pool: pool.clone(),
            orders,
            address: outside,
            slots,
            held,
            instance: instance.clone(),
            database: database.status(),
            roles: config.roles,
            roster: roster.clone(),
            sinks: queues,
            redis,
            tasks: supervisor.status(),
            latency,
            sessions: session_phases,
            recording,
        });
        let commands = Arc::new(Commands::new(OperationParts {
            directory,
            pool,
            book,
            broker,
            automatic,
            reload,
            roster,
            registry,
            history,
            wishes,
            control: handle,
            database: database.clone(),
            latest: latest.clone(),
            elsewhere: elsewhere.clone(),
            health: health.clone(),
            instance,
            defaults: config.accounts.defaults.clone(),
            clock: clock.clone(),
        }));
        let state = ApiState {
            latest,
            elsewhere,
            hub,
            health,
            control: commands.clone(),
            operations: commands,
            metrics_text: telemetry.text(),
            sim,
            catalog: catalog.catalog(),
            clock,
            api_key: config.api_key.as_ref().map(|key| ApiKey::new(key.expose())).transpose()?,
            metrics: api_metrics,
        };
        let api = ApiConfig { reports_only: !config.roles.api, ..ApiConfig::default() };
        supervisor.spawn_once(TaskSpec::critical("http", stages.doors), |stop| async move {
            match gateway_api::serve(listener, state, api, stop).await {
                Ok(()) => TaskExit::Cancelled,
                Err(error) => TaskExit::Failed(error.to_string()),
            }
        });

        for notice in &config.notices {
            warn!(notice, "configuration");
        }
        let market = if sim { "SIMULATED" } else { "live" };
        let page = format!("http://{address}/");
        info!(page, market, accounts = accounts.len(), instance = %config.instance, "kite-gateway is up");
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
