//! The market-data ticker: wishes in, one ordered feed out, over a pool of connections that keep themselves up.

mod announce;
mod backlog;
mod carriers;
mod config;
mod connect;
mod connection;
mod endpoint;
mod gate;
mod intake;
mod ledger;
mod liveness;
mod merge;
mod metrics;
mod outlet;
mod overlap;
mod pace;
mod plan;
mod rate;
mod recycler;
mod relief;
mod session;
mod socket;
mod status;
mod tap;
mod text;
mod tls;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kite_wire::TextMessage;
use market_model::{
    Clock, ConnectionId, DisconnectReason, FeedEvent, Sessions, Subscription, SubscriptionChange,
    SubscriptionSet, SubscriptionState, UnixNanos,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::carriers::Carriers;
pub use self::config::{RateCollapseAction, TickerConfig, TickerCredentials};
pub use self::connect::{AddressFamily, ByteStream, Connect, SocketConfig, TcpTls};
pub use self::endpoint::Endpoint;
pub use self::ledger::SubscriptionCounts;
pub use self::metrics::TickerMetrics;
pub use self::plan::{ConnectionLimits, ConnectionPlan, plan_connections};
pub use self::rate::{RateProfile, RateProfileError, RateSlot};
pub use self::recycler::TickRecycler;
pub use self::status::{ConnectionState, ConnectionStatus, TickerStatus};
pub use self::tap::{FrameTap, TapKind};
pub use self::tls::roots_from_pem;

use self::connection::{Connection, Orders, Shared};
use self::endpoint::TickerUrl;
use self::gate::TokenGate;
use self::outlet::Outlet;
use self::pace::Pace;
use self::status::Board;
use self::text::TextOutlet;
use crate::KiteError;

/// A connection task that panicked is started again after this long: not at once, in case it panics on every start.
const PANIC_DELAY: Duration = Duration::from_secs(1);

/// The ticker of one account. Made by [`Ticker::new`], it does nothing until [`Ticker::run`].
pub struct Ticker {
    account: Arc<str>,
    shared: Arc<Shared>,
    credentials: watch::Receiver<Option<TickerCredentials>>,
    desired: watch::Receiver<Arc<SubscriptionSet>>,
    reconnects: Vec<watch::Receiver<u64>>,
    feed: mpsc::Sender<FeedEvent>,
    texts: mpsc::Sender<TextMessage>,
    tap: Option<Arc<dyn FrameTap>>,
    sessions: watch::Receiver<Sessions>,
    seed: u64,
}

/// The command side of a ticker. Clones command the same one.
#[derive(Clone)]
pub struct TickerHandle {
    account: Arc<str>,
    shared: Arc<Shared>,
    desired: watch::Sender<Arc<SubscriptionSet>>,
    reconnects: Arc<[watch::Sender<u64>]>,
}

/// Where a ticker's output arrives. Both end when [`Ticker::run`] has ended.
#[derive(Debug)]
pub struct TickerStreams {
    /// Ticks and what is known about ticks that are missing, in order per connection. When it is full, ticks are
    /// dropped, counted, and told as a [`Gap`](market_model::Gap); everything else waits.
    pub feed: mpsc::Receiver<FeedEvent>,
    /// Order updates, errors and notices of all connections; the server may send an update on each of them. Read
    /// `/orders` after each [`FeedEvent::Reconnected`], because updates may be lost while a connection is down.
    /// Drop it if nobody wants them.
    pub text: mpsc::Receiver<TextMessage>,
    /// Where the vectors of frames may be given back.
    pub recycler: TickRecycler,
}

/// Why [`Ticker::run`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TickerEnd {
    /// It was told to.
    Shutdown,
    /// Nobody reads the feed any more.
    FeedClosed,
}

// === impl Ticker ===

impl Ticker {
    /// A ticker for `account` that connects over TCP and TLS.
    ///
    /// `credentials` may hold `None` at first; the connections wait for a login.
    ///
    /// # Errors
    /// [`KiteError`] when a setting cannot work.
    pub fn new(
        config: TickerConfig,
        account: Arc<str>,
        credentials: watch::Receiver<Option<TickerCredentials>>,
        clock: Arc<dyn Clock>,
        metrics: TickerMetrics,
    ) -> Result<(Self, TickerHandle, TickerStreams), KiteError> {
        let connector = TcpTls::new(&config.extra_roots)?.with_sockets(config.sockets);
        Self::with_connector(config, account, credentials, clock, metrics, Arc::new(connector))
    }

    /// [`Ticker::new`] with another way to open connections.
    ///
    /// # Errors
    /// [`KiteError`] when a setting cannot work.
    pub fn with_connector(
        config: TickerConfig,
        account: Arc<str>,
        credentials: watch::Receiver<Option<TickerCredentials>>,
        clock: Arc<dyn Clock>,
        metrics: TickerMetrics,
        connector: Arc<dyn Connect>,
    ) -> Result<(Self, TickerHandle, TickerStreams), KiteError> {
        config.check()?;
        let url = TickerUrl::parse(&config.url)?;
        let connections = config.limits.connections;
        let handshakes = config.handshakes_per_minute as usize;
        let (feed, feed_events) = mpsc::channel(config.feed_capacity);
        let (texts, text_messages) = mpsc::channel(config.text_capacity);
        let (desired, wishes) = watch::channel(Arc::new(SubscriptionSet::new()));
        let (_, sessions) = watch::channel(Sessions::default());
        let (reconnect_senders, reconnects): (Vec<_>, Vec<_>) =
            (0..connections).map(|_| watch::channel(0)).unzip();
        let seed = config.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let shared = Arc::new(Shared {
            config,
            url,
            connector,
            clock,
            gate: TokenGate::new(),
            board: Board::new(connections),
            slots: Arc::new(Semaphore::new(usize::from(connections))),
            paces: (0..connections).map(|_| Mutex::new(Pace::new(handshakes))).collect(),
            profile: Mutex::default(),
            started: Instant::now(),
            resumes_after: OnceLock::new(),
            carriers: OnceLock::new(),
            recycler: TickRecycler::default(),
            rotation_phase: (seed >> 11) as f64 / (1u64 << 53) as f64,
            metrics,
        });
        let recycler = shared.recycler.clone();
        let streams = TickerStreams { feed: feed_events, text: text_messages, recycler };
        let handle = TickerHandle {
            account: account.clone(),
            shared: shared.clone(),
            desired,
            reconnects: reconnect_senders.into(),
        };
        let ticker = Self {
            account,
            shared,
            credentials,
            desired: wishes,
            reconnects,
            feed,
            texts,
            tap: None,
            sessions,
            seed,
        };
        Ok((ticker, handle, streams))
    }

    /// Shows everything to `tap` before it is decoded.
    #[must_use]
    pub fn with_tap(mut self, tap: Arc<dyn FrameTap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Judges rates and silence by what the exchanges do. Without this nobody knows, and a rate is compared with
    /// the last minutes only.
    #[must_use]
    pub fn follow_sessions(mut self, sessions: watch::Receiver<Sessions>) -> Self {
        self.sessions = sessions;
        self
    }

    /// Knows from the start what is usual at which time of the day: [`TickerHandle::rate_profile`] of an earlier
    /// run.
    #[must_use]
    pub fn with_rate_profile(self, profile: RateProfile) -> Self {
        *self.shared.profile.lock().unwrap_or_else(PoisonError::into_inner) = profile;
        self
    }

    /// Takes over from another process, which streamed this account until `at`: what came between then and the first
    /// frame of each connection is told as a [`Gap`](market_model::Gap).
    #[must_use]
    pub fn resume_after(self, at: UnixNanos) -> Self {
        // A second call has nothing to add: the first hole contains the later one.
        let _ = self.shared.resumes_after.set(at);
        self
    }

    /// Shares instruments with other tickers: what begins to tick here after it had ceased to tick there, with nobody
    /// carrying it in between, is told as a [`Gap`](market_model::Gap) of those instruments.
    #[must_use]
    pub fn share_carriers(self, carriers: Arc<Carriers>) -> Self {
        // Of two the first one stays: what connections have told it must be taken back there.
        let _ = self.shared.carriers.set(carriers);
        self
    }

    /// Connects and keeps the connections up. The first one always stands, because order updates need no
    /// subscription; the others stand while they have something to carry.
    ///
    /// Ends when `shutdown` is cancelled or the feed's receiver is dropped, after closing politely and delivering
    /// what still waits: within about twice [`close_timeout`](TickerConfig::close_timeout).
    ///
    /// # Cancel safety
    /// Dropping the future drops every socket without a close frame. Nothing is left running.
    pub async fn run(mut self, shutdown: CancellationToken) -> TickerEnd {
        // Its own, because it also ends when nobody listens.
        let stop = shutdown.child_token();
        let mut tasks = JoinSet::new();
        let mut indexes: Vec<(Id, u8)> = Vec::new();
        let (wishes, receivers): (Vec<_>, Vec<_>) =
            (self.reconnects.iter()).map(|_| watch::channel(Arc::new(SubscriptionSet::new()))).unzip();
        for (index, desired) in (0u8..).zip(&receivers) {
            let connection = self.connection(index, desired.clone(), &stop);
            indexes.push((self.spawn(&mut tasks, connection, Duration::ZERO), index));
        }
        let mut surplus_outlet = self.outlet(self.shared.config.limits.connections - 1);
        let mut plan = ConnectionPlan::default();
        self.desired.mark_changed();
        let end = loop {
            tokio::select! {
                // Connections end on the same signal; seen before it, their ends would look like failures.
                biased;
                () = stop.cancelled() => break TickerEnd::Shutdown,
                () = self.feed.closed() => break TickerEnd::FeedClosed,
                Ok(()) = self.desired.changed() => {
                    let desired = self.desired.borrow_and_update().clone();
                    let next = plan_connections(&desired, &plan, self.shared.config.limits);
                    self.tell_surplus(&plan.rejected, &next, &mut surplus_outlet);
                    for (wish, carried) in wishes.iter().zip(&next.connections) {
                        wish.send_if_modified(|held| {
                            let differs = **held != *carried;
                            if differs {
                                *held = Arc::new(carried.clone());
                            }
                            differs
                        });
                    }
                    plan = next;
                }
                () = surplus_outlet.room(), if surplus_outlet.has_backlog() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    if let Some(index) = self.ended(ended, &mut indexes) {
                        let desired = receivers[usize::from(index)].clone();
                        let connection = self.connection(index, desired, &stop);
                        indexes.push((self.spawn(&mut tasks, connection, PANIC_DELAY), index));
                    }
                }
            }
        };
        stop.cancel();
        // Each connection takes at most one close timeout to close and one to deliver.
        let patience = 2 * self.shared.config.close_timeout + Duration::from_millis(100);
        let all = async { while tasks.join_next().await.is_some() {} };
        let now = self.shared.clock.now();
        let last_words = surplus_outlet.finish(now, self.shared.config.close_timeout);
        let (closed, ()) = tokio::join!(timeout(patience, all), last_words);
        if closed.is_err() {
            tracing::warn!(account = %self.account, "ticker connections did not close in time");
        }
        end
    }

    fn id(&self, index: u8) -> ConnectionId {
        ConnectionId { account: self.account.clone(), index }
    }

    fn connection(
        &self,
        index: u8,
        desired: watch::Receiver<Arc<SubscriptionSet>>,
        stop: &CancellationToken,
    ) -> Connection {
        let metrics = &self.shared.metrics;
        let orders = Orders {
            credentials: self.credentials.clone(),
            desired,
            reconnects: self.reconnects[usize::from(index)].clone(),
            sessions: self.sessions.clone(),
            shutdown: stop.clone(),
        };
        Connection::new(
            self.id(index),
            self.shared.clone(),
            orders,
            self.tap.clone(),
            self.outlet(index),
            TextOutlet::new(self.id(index), self.texts.clone(), metrics.clone()),
            self.seed.wrapping_add(u64::from(index)),
        )
    }

    fn outlet(&self, index: u8) -> Outlet {
        let metrics = self.shared.metrics.clone();
        Outlet::new(self.id(index), self.feed.clone(), self.tap.clone(), metrics)
    }

    fn spawn(&self, tasks: &mut JoinSet<()>, connection: Connection, delay: Duration) -> Id {
        let span = tracing::info_span!("ticker", connection = %connection.id);
        let stop = connection.orders.shutdown.clone();
        let task = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(delay) => {}
            }
            connection.run().await;
        };
        tasks.spawn(task.instrument(span)).id()
    }

    /// A connection task ended although nobody stopped it. Answers which.
    fn ended(&self, ended: Result<(Id, ()), JoinError>, indexes: &mut Vec<(Id, u8)>) -> Option<u8> {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let at = indexes.iter().position(|(known, _)| *known == id)?;
        let (_, index) = indexes.swap_remove(at);
        if panicked {
            self.shared.metrics.panics.increment(1);
            tracing::error!(account = %self.account, index, "ticker connection panicked, starting it again");
        }
        let now = self.shared.clock.now();
        self.outlet(index).control(
            FeedEvent::Reconnecting {
                connection: self.id(index),
                at: now,
                attempt: 1,
                delay: PANIC_DELAY,
                reason: DisconnectReason::TaskFailed,
            },
            now,
        );
        Some(index)
    }

    /// Says which wishes no connection has room for, and which of those before are no longer wanted. What found
    /// room is told by its connection. They are told on the last connection, the one that is full.
    fn tell_surplus(&self, before: &[Subscription], plan: &ConnectionPlan, outlet: &mut Outlet) {
        let fresh = |wish: &&Subscription| !before.contains(wish);
        let mut changes: Vec<SubscriptionChange> = (plan.rejected.iter().filter(fresh))
            .map(|wish| SubscriptionChange {
                token: wish.token,
                mode: wish.mode,
                state: SubscriptionState::Rejected,
            })
            .collect();
        let rejected: SubscriptionSet = plan.rejected.iter().copied().collect();
        let gone = (before.iter())
            .filter(|wish| rejected.mode(wish.token).is_none() && plan.home_of(wish.token).is_none());
        changes.extend(gone.map(|wish| SubscriptionChange {
            token: wish.token,
            mode: wish.mode,
            state: SubscriptionState::Removed,
        }));
        self.shared.board.set_surplus(plan.rejected.iter().map(|wish| wish.token));
        if changes.is_empty() {
            return;
        }
        if !plan.rejected.is_empty() {
            tracing::error!(
                account = %self.account,
                surplus = plan.rejected.len(),
                first = %plan.rejected[0].token,
                "more instruments wanted than the connections can carry"
            );
        }
        let now = self.shared.clock.now();
        let connection = self.id(self.shared.config.limits.connections - 1);
        outlet.control(FeedEvent::Subscriptions { connection, changes }, now);
    }
}

// === impl TickerHandle ===

impl TickerHandle {
    /// Wants exactly `desired` from now on. Only the newest wish counts; nothing queues.
    pub fn set_desired(&self, desired: SubscriptionSet) {
        self.desired.send_replace(Arc::new(desired));
    }

    /// Replaces the socket of connection `index`, without a hole if the account may open one more, or tries at once
    /// if it is waiting. Answers whether there is
    /// such a connection. A refused token is tried once more by this.
    pub fn reconnect(&self, index: u8) -> bool {
        let sender = self.reconnects.get(usize::from(index));
        sender.inspect(|sender| sender.send_modify(|count| *count += 1)).is_some()
    }

    /// What has been learned about the usual rates: to be kept, and given to the next ticker of this account. Changes
    /// every quarter of an hour while an exchange trades, and when the ticker ends.
    pub fn rate_profile(&self) -> RateProfile {
        self.shared.profile()
    }

    /// How everything stands now.
    pub fn status(&self) -> TickerStatus {
        self.shared.board.read(self.account.clone(), self.shared.gate.is_shut())
    }
}
