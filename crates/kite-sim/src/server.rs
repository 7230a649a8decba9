//! One listener for REST and ticker, the tasks behind it, and their end.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use market_model::{Clock, SystemClock, UnixNanos};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::clock::SimClock;
use crate::config::SimConfig;
use crate::engine::{Engine, Replayed};
use crate::fault::Door;
use crate::faults::Faults;
use crate::ledger::Ledgers;
use crate::limits::RateLimiter;
use crate::market::Market;
use crate::random::Stream;
use crate::replay::{FrameSource, Replay, ReplayConfig};
use crate::sent::SentLog;
use crate::socket::{Socket, Tls};
use crate::subscriptions::PHASE_MILLIS;
use crate::ticker::{Admitted, connection};
use crate::web::WebLogins;
use crate::{SimError, door, rest};

/// Handshakes that may wait for their connection task; the loop that starts those is never busy for long.
const ADMITTED_QUEUE: usize = 64;
/// How long tasks get to end after the shutdown signal.
const DRAIN: Duration = Duration::from_secs(2);
/// A client that does not finish its request header by then is gone.
const HEADER_READ: Duration = Duration::from_secs(10);

/// Name of the random stream of faults.
const FAULTS: u64 = 98;

/// A simulated Kite that listens and is ready to run.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
    admitted: mpsc::Receiver<Admitted>,
    tls: Option<Arc<Tls>>,
    replay: Option<Replay>,
}

/// The address a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What every request and connection works on.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: SimConfig,
    pub(crate) admitted: mpsc::Sender<Admitted>,
    pub(crate) clock: SimClock,
    pub(crate) faults: Faults,
    pub(crate) ledgers: Ledgers,
    engine: Mutex<Engine>,
    accounts: Arc<Mutex<Accounts>>,
    web_logins: Mutex<WebLogins>,
    limiter: Mutex<RateLimiter>,
    sent: Arc<Mutex<SentLog>>,
    dumps: Mutex<rest::Dumps>,
}

// === impl Shared ===

impl Shared {
    /// Simulated time.
    pub(crate) fn now(&self) -> UnixNanos {
        self.clock.now()
    }

    /// How long `simulated` is in real time.
    pub(crate) fn real(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.clock.speed())
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        unpoisoned(&self.engine)
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        unpoisoned(&self.accounts)
    }

    pub(crate) fn web_logins(&self) -> MutexGuard<'_, WebLogins> {
        unpoisoned(&self.web_logins)
    }

    pub(crate) fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        unpoisoned(&self.limiter)
    }

    pub(crate) fn sent(&self) -> MutexGuard<'_, SentLog> {
        unpoisoned(&self.sent)
    }

    pub(crate) fn dumps(&self) -> MutexGuard<'_, rest::Dumps> {
        unpoisoned(&self.dumps)
    }
}

/// A request that panicked left nothing half-done that the next one could trip over.
pub(crate) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Simulator ===

impl Simulator {
    /// Builds the market of `config` and listens on `listen`; port 0 takes a free one, see [`Simulator::addr`].
    /// Connections wait until [`Simulator::run`].
    ///
    /// # Errors
    /// [`SimError`] when the configuration makes no sense or the address is not free.
    ///
    /// # Cancel safety
    /// Nothing is left behind when dropped.
    pub async fn bind(config: SimConfig, listen: SocketAddr) -> Result<Self, SimError> {
        config.check()?;
        let tls = if config.tls { Some(Arc::new(Tls::new()?)) } else { None };
        let listening = |source| SimError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let addr = listener.local_addr().map_err(listening)?;
        let clock = match (config.start, config.speed) {
            (None, 1.0) => SimClock::wall(),
            (start, speed) => SimClock::scaled(start.unwrap_or_else(|| SystemClock.now()), speed),
        };
        let now = clock.now();
        let market = Market::new(&config, now)?;
        let (sender, admitted) = mpsc::channel(ADMITTED_QUEUE);
        let accounts = Accounts::new(config.apps.clone(), config.limits.clone(), config.seed, now);
        let accounts = Arc::new(Mutex::new(accounts));
        let faults = Faults::new(clock.clone(), Stream::new(config.seed, FAULTS), Arc::clone(&accounts));
        faults.add_all(config.faults.clone())?;
        let sent = Arc::new(Mutex::new(SentLog::new(config.sent_history)));
        let shared = Shared {
            engine: Mutex::new(Engine::new(&config, market, Arc::clone(&sent))),
            accounts,
            web_logins: Mutex::new(WebLogins::new(&config.apps, config.seed, now)),
            limiter: Mutex::new(RateLimiter::new(config.limits.clone())),
            admitted: sender,
            ledgers: Ledgers::default(),
            dumps: Mutex::default(),
            faults,
            sent,
            clock,
            config,
        };
        Ok(Self { listener, addr, shared: Arc::new(shared), admitted, tls, replay: None })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Simulated time, for whoever must agree with the simulator on what time it is.
    pub fn clock(&self) -> SimClock {
        self.shared.clock.clone()
    }

    /// What goes wrong: for tests that hand in faults themselves.
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// The certificate that clients have to trust, as PEM; `None` without [`SimConfig::tls`].
    pub fn certificate(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.certificate())
    }

    /// Serves recorded frames in place of the seeded market.
    ///
    /// Packets keep the times they were recorded with: let [`SimConfig::start`] and [`SimConfig::speed`] fit them.
    ///
    /// # Errors
    /// [`SimError::Config`] when the speed makes no sense.
    pub fn with_replay(mut self, source: impl FrameSource, config: ReplayConfig) -> Result<Self, SimError> {
        if config.speed.is_some_and(|speed| !(speed > 0.0 && speed <= 1e6)) {
            let problem = "must be above 0 and at most 1000000".to_owned();
            return Err(SimError::Config { setting: "replay speed", problem });
        }
        self.replay = Some(Replay::new(source, &config));
        let tokens = config.instruments.iter().map(|row| row.token);
        self.shared.engine().start_replay(Replayed::new(tokens));
        self.shared.dumps().replace(config.instruments);
        Ok(self)
    }

    /// Serves until `shutdown` is cancelled, then closes every connection and waits for its tasks, two seconds at most.
    ///
    /// # Cancel safety
    /// Dropping the future ends every task at once, without goodbyes.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, addr, shared, mut admitted, tls, replay } = self;
        let router = rest::router(Arc::clone(&shared));
        let mut changes = shared.faults.changes();
        let mut clients = JoinSet::new();
        let mut market = JoinSet::new();
        market.spawn(feed(Arc::clone(&shared), shutdown.clone()));
        if let Some(replay) = replay {
            let (reading, playing) = replay.begin(Arc::clone(&shared), shutdown.clone());
            market.spawn_blocking(reading);
            market.spawn(playing);
        }
        let mut listener = Some(listener);
        while let Some(open) = &listener {
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = open.accept() => match accepted {
                    Ok((stream, from)) => {
                        let peer = Peer(from.ip().to_canonical());
                        let client = Client { stream, peer, tls: tls.clone(), shared: Arc::clone(&shared) };
                        clients.spawn(client.serve(router.clone(), shutdown.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely; spinning would make it worse.
                        tracing::warn!(%error, "connection not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(admitted) = admitted.recv() => {
                    clients.spawn(connection::serve(Arc::clone(&shared), admitted, shutdown.clone()));
                }
                Some(ended) = clients.join_next() => report(ended),
                Ok(()) = changes.changed() => {
                    if let Some(down) = shared.faults.take_restart() {
                        tracing::warn!(?down, "the server is gone");
                        drop(listener.take());
                        clients.shutdown().await;
                        while admitted.try_recv().is_ok() {}
                        listener = again(addr, shared.real(down), &shutdown).await;
                    }
                }
            }
        }
        drop(listener);
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(ended) = clients.join_next().await {
                report(ended);
            }
            while let Some(ended) = market.join_next().await {
                report(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(late = clients.len(), "connections cut off at shutdown");
        }
        clients.shutdown().await;
        // A source that blocks cannot be ended; it ends with its next frame.
        market.abort_all();
    }
}

/// Listens again after `down`; `None` when shutdown comes first.
async fn again(addr: SocketAddr, down: Duration, shutdown: &CancellationToken) -> Option<TcpListener> {
    let listening = async {
        tokio::time::sleep(down).await;
        loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => return listener,
                Err(error) => tracing::warn!(%error, %addr, "cannot listen again yet"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        listener = listening => Some(listener),
        () = shutdown.cancelled() => None,
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "task panicked");
    }
}

/// Moves the market and sends what is due, until shutdown.
async fn feed(shared: Arc<Shared>, shutdown: CancellationToken) {
    let phase_length = Duration::from_millis(PHASE_MILLIS);
    let mut timer = interval(phase_length);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let started = Instant::now();
    let mut done = 0u64;
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = shutdown.cancelled() => return,
        }
        shared.faults.advance();
        let reached = (started.elapsed().as_millis() / u128::from(PHASE_MILLIS)) as u64 + 1;
        let now = shared.now();
        let mut engine = shared.engine();
        // Late phases are made up for, but nothing ticks twice in one step.
        let turn = engine.phases_per_turn();
        engine.step(now, done.max(reached.saturating_sub(turn))..reached);
        done = reached;
    }
}

/// A connection that was accepted.
struct Client {
    stream: TcpStream,
    peer: Peer,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared>,
}

// === impl Client ===

impl Client {
    /// Serves HTTP until the client leaves, the socket becomes a ticker connection, or shutdown.
    async fn serve(self, router: axum::Router, shutdown: CancellationToken) {
        let Self { stream, peer, tls, shared } = self;
        // Small frames must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "socket without nodelay");
        }
        let accepting = async {
            door::delays(&shared, &shared.faults.at_door(Door::Accept, None, "")).await;
            match tls {
                None => Ok(Socket::Plain(stream)),
                Some(tls) => match tokio::time::timeout(HEADER_READ, tls.accept(stream)).await {
                    Ok(accepted) => accepted,
                    Err(late) => Err(late.into()),
                },
            }
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            () = shutdown.cancelled() => return,
        };
        let socket = match accepted {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "tls handshake failed");
                return;
            }
        };
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_READ);
        let service = TowerToHyperService::new(router.layer(axum::Extension(peer)));
        let connection = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "http connection ended");
        }
    }
}
