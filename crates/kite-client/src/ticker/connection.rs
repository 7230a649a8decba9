//! One connection for as long as the ticker runs: dialling, waiting, giving way to a new token.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::StatusCode;
use market_model::{Clock, ConnectionId, DisconnectReason, GapCause, Sessions, SubscriptionSet, UnixNanos};
use resilience::Backoff;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::secret::scrub;
use crate::ticker::carriers::Carriers;
use crate::ticker::connect::Connect;
use crate::ticker::endpoint::TickerUrl;
use crate::ticker::gate::TokenGate;
use crate::ticker::intake::Damage;
use crate::ticker::ledger::SubscriptionLedger;
use crate::ticker::merge::Merge;
use crate::ticker::outlet::Outlet;
use crate::ticker::overlap::Overlap;
use crate::ticker::pace::Pace;
use crate::ticker::rate::{Load, RateProfile, RateWatch};
use crate::ticker::recycler::TickRecycler;
use crate::ticker::socket::{HandshakeError, Socket, handshake};
use crate::ticker::status::{Board, ConnectionState};
use crate::ticker::text::TextOutlet;
use crate::{FrameTap, KiteError, TickerConfig, TickerCredentials, TickerMetrics};

/// What all connections of a ticker share.
pub(crate) struct Shared {
    pub(crate) config: TickerConfig,
    pub(crate) url: TickerUrl,
    pub(crate) connector: Arc<dyn Connect>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: TokenGate,
    pub(crate) board: Board,
    /// One for each socket that the account may have open.
    pub(crate) slots: Arc<Semaphore>,
    /// By connection.
    pub(crate) paces: Box<[Mutex<Pace>]>,
    pub(crate) profile: Mutex<RateProfile>,
    pub(crate) recycler: TickRecycler,
    pub(crate) started: Instant,
    /// Until when somebody else streamed this account, if anybody did.
    pub(crate) resumes_after: OnceLock<UnixNanos>,
    /// Shared with other tickers, if with any.
    pub(crate) carriers: OnceLock<Arc<Carriers>>,
    /// Where in the time between two rotations this account's come, from 0 to 1.
    pub(crate) rotation_phase: f64,
    pub(crate) metrics: TickerMetrics,
}

/// What a connection listens to.
pub(crate) struct Orders {
    pub(crate) credentials: watch::Receiver<Option<TickerCredentials>>,
    pub(crate) desired: watch::Receiver<Arc<SubscriptionSet>>,
    /// Counts up by one for each reconnect that an operator asks for.
    pub(crate) reconnects: watch::Receiver<u64>,
    pub(crate) sessions: watch::Receiver<Sessions>,
    pub(crate) shutdown: CancellationToken,
}

/// One connection. Its task is [`Connection::run`].
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Orders,
    pub(crate) tap: Option<Arc<dyn FrameTap>>,
    pub(crate) outlet: Outlet,
    pub(crate) texts: TextOutlet,
    pub(crate) ledger: SubscriptionLedger,
    backoff: Backoff,
    /// Handshakes since the connection last stood.
    pub(crate) tries: u32,
    /// It stood before, and whoever listens has been told.
    pub(crate) stood: bool,
    /// A `Disconnected` without hope of return was the last thing said about the socket.
    pub(crate) told_down: bool,
    /// The last moment ticks were known to be complete; set while a hole is open.
    pub(crate) hole_from: Option<UnixNanos>,
    pub(crate) last_frame: Option<UnixNanos>,
    /// `Silent` was said and not yet taken back.
    pub(crate) told_silent: bool,
    /// The server has answered a ping before.
    pub(crate) answers_pings: bool,
    /// What could not be decoded and has not been told yet.
    pub(crate) damage: Option<Damage>,
    pub(crate) rate: RateWatch,
    /// Ticks that came, on all sockets.
    pub(crate) ticked: u64,
    /// When the last frame with ticks came.
    pub(crate) last_ticks: Option<UnixNanos>,
    /// `Silent` was said because only heartbeats come; the last ticks before.
    pub(crate) dataless_from: Option<UnixNanos>,
    /// When the rate last made us reconnect.
    pub(crate) forced_at: Option<Instant>,
    /// While two sockets stand.
    pub(crate) overlap: Option<Overlap>,
    /// While two sockets stand, and until the one that remains has caught up with the other.
    pub(crate) merge: Option<Merge>,
}

/// A socket with the permission to have it.
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) generation: u64,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// How a socket, or the try to get one, ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The ticker stops.
    Stop,
    /// There is nothing to carry any more.
    Idle,
    /// Dial again at once.
    Again(DisconnectReason),
    /// Dial again after the next delay.
    Later(DisconnectReason),
    /// The token was refused.
    Refused { generation: u64, detail: String },
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        shared: Arc<Shared>,
        orders: Orders,
        tap: Option<Arc<dyn FrameTap>>,
        outlet: Outlet,
        texts: TextOutlet,
        seed: u64,
    ) -> Self {
        let config = &shared.config;
        // Not empty when the task before this one panicked: then there is a hole to tell.
        let before = shared.board.connection(id.index);
        Self {
            backoff: Backoff::new(config.backoff, seed),
            ledger: SubscriptionLedger::new(config.tokens_per_command, config.silent_token_after)
                .with_carriers(shared.carriers.get().cloned()),
            tries: 0,
            stood: before.connects > 0,
            told_down: false,
            hole_from: before.last_frame,
            last_frame: before.last_frame,
            told_silent: false,
            answers_pings: false,
            damage: None,
            rate: RateWatch::new(&shared.profile(), id.index, config.data_silence_after),
            ticked: 0,
            last_ticks: None,
            dataless_from: None,
            forced_at: None,
            overlap: None,
            merge: None,
            id,
            shared,
            orders,
            tap,
            outlet,
            texts,
        }
    }

    /// Keeps the connection up while it is needed, until the ticker stops.
    pub(crate) async fn run(mut self) {
        while let Some(credentials) = self.needed().await {
            if let Err(wait) = self.begin_handshake(Instant::now()) {
                self.wait(wait).await;
                continue;
            }
            let end = match self.dial(credentials).await {
                Ok(opened) => {
                    self.accepted();
                    self.stands(opened.generation);
                    let (since, end) = self.serve(opened).await;
                    self.fell(since);
                    end
                }
                Err(end) => end,
            };
            self.after(end).await;
        }
        self.tell_down(DisconnectReason::Requested);
        self.state(ConnectionState::Stopped);
        self.report_token_gaps();
        self.rate.settle();
        self.keep_profile();
        let now = self.now();
        self.outlet.finish(now, self.shared.config.close_timeout).await;
    }

    /// Waits until there is something to carry and a token to try. `None` when the ticker stops.
    async fn needed(&mut self) -> Option<TickerCredentials> {
        let mut gate = self.shared.gate.subscribe();
        // An operator may have a refused token tried once more; a handshake now and then is no storm.
        let mut asked = false;
        self.orders.reconnects.mark_unchanged();
        loop {
            if self.orders.shutdown.is_cancelled() {
                return None;
            }
            gate.mark_unchanged();
            let usable = (self.orders.credentials.borrow_and_update().clone())
                .filter(|credentials| asked || self.shared.gate.admits(credentials));
            match usable {
                Some(credentials) if !self.is_idle() => return Some(credentials),
                Some(_) => self.rest(),
                None => {
                    self.state(ConnectionState::WaitingForToken);
                    if self.shared.gate.is_shut() {
                        self.tell_down(DisconnectReason::TokenRefused);
                    }
                }
            }
            // The status counts wishes also while nothing can be done about them.
            self.take_wishes();
            tokio::select! {
                () = self.orders.shutdown.cancelled() => return None,
                Ok(()) = self.orders.credentials.changed() => {}
                Ok(()) = self.orders.desired.changed() => {}
                Ok(()) = self.orders.reconnects.changed() => asked = true,
                Ok(()) = gate.changed() => {}
                () = self.outlet.room(), if self.outlet.has_backlog() => {}
                () = self.texts.room(), if self.texts.has_waiting() => {}
            }
        }
    }

    /// The first connection is always needed: order updates come without any subscription (protocol section 17.8).
    pub(crate) fn is_idle(&self) -> bool {
        self.id.index > 0 && self.orders.desired.borrow().is_empty()
    }

    /// Books a handshake, unless there were too many in the last minute: then answers how long to wait.
    pub(crate) fn begin_handshake(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(pace) = self.shared.paces.get(usize::from(self.id.index)) {
            pace.lock().unwrap_or_else(PoisonError::into_inner).begin(now)?;
        }
        self.shared.board.update(self.id.index, |status| status.handshakes += 1);
        self.shared.metrics.handshakes.increment(1);
        Ok(())
    }

    async fn dial(&mut self, credentials: TickerCredentials) -> Result<Opened, End> {
        self.tries += 1;
        self.state(ConnectionState::Connecting);
        let shared = self.shared.clone();
        let opens = async move {
            // Only while another connection changes sockets is there none free.
            let slot = shared.slots.clone().acquire_owned().await;
            let slot = slot.map_err(|closed| HandshakeError::Io(closed.to_string()))?;
            open(shared, credentials, slot).await
        };
        let dialled = timeout(self.shared.config.connect_timeout, opens);
        let outcome = tokio::select! {
            biased;
            () = self.orders.shutdown.cancelled() => return Err(End::Stop),
            outcome = dialled => outcome,
        };
        match outcome {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(failed)) => Err(self.failed_handshake(failed)),
            Err(_elapsed) => Err(End::Later(DisconnectReason::ConnectTimeout)),
        }
    }

    /// What a failed handshake means.
    pub(crate) fn failed_handshake(&self, failed: HandshakeError) -> End {
        match failed {
            HandshakeError::Refused { generation, said } => End::Refused { generation, detail: said },
            HandshakeError::Status(status, said) => {
                tracing::warn!(status = status.as_u16(), said, "ticker handshake refused");
                End::Later(DisconnectReason::HandshakeStatus(status.as_u16()))
            }
            HandshakeError::Io(error) => End::Later(DisconnectReason::Io(error.into())),
        }
    }

    /// The socket is gone.
    pub(crate) fn fell(&mut self, since: Instant) {
        if since.elapsed() >= self.shared.config.stable_after {
            self.backoff.reset();
        }
        if self.hole_from.is_none() {
            self.hole_from = self.last_frame;
        }
        self.report_damage();
        self.lose(GapCause::Disconnected);
        self.ledger.disconnected();
        self.rate.interrupted();
        let now = self.now();
        self.publish(now);
    }

    /// Does what an end asks for.
    async fn after(&mut self, end: End) {
        match end {
            // The next look at what is needed finds out.
            End::Stop | End::Idle => {}
            End::Again(reason) => self.tell_reconnecting(reason, Duration::ZERO),
            End::Later(reason) => {
                let delay = self.backoff.next();
                self.tell_reconnecting(reason, delay);
                self.report_subscriptions();
                self.wait(delay).await;
            }
            End::Refused { generation, detail } => self.tell_refused(generation, detail),
        }
    }

    /// Lets `delay` pass, or less when the ticker stops, an operator asks, another login arrives or nothing is left
    /// to carry.
    async fn wait(&mut self, delay: Duration) {
        self.state(ConnectionState::Waiting);
        let generation = self.generation();
        let until = Instant::now() + delay;
        self.orders.reconnects.mark_unchanged();
        loop {
            tokio::select! {
                () = self.orders.shutdown.cancelled() => return,
                () = sleep_until(until) => return,
                Ok(()) = self.orders.reconnects.changed() => return,
                Ok(()) = self.orders.credentials.changed() => {
                    if self.generation() != generation {
                        return;
                    }
                }
                Ok(()) = self.orders.desired.changed() => {
                    self.take_wishes();
                    if self.is_idle() {
                        return;
                    }
                }
                () = self.outlet.room(), if self.outlet.has_backlog() => {}
                () = self.texts.room(), if self.texts.has_waiting() => {}
            }
        }
    }

    /// There is nothing to carry, so nothing is missed and the next start is a first one.
    fn rest(&mut self) {
        self.state(ConnectionState::Idle);
        self.tell_down(DisconnectReason::Requested);
        self.hole_from = None;
        self.stood = false;
        self.tries = 0;
        self.backoff.reset();
    }

    /// Reads what is wanted now, and what trades.
    pub(crate) fn take_wishes(&mut self) {
        let desired = self.orders.desired.borrow_and_update().clone();
        self.ledger.set_desired(&desired);
        if let Some(overlap) = &mut self.overlap {
            overlap.set_desired(&desired);
        }
        self.rate.carries(Load::of(&desired, &self.orders.sessions.borrow_and_update()));
        self.report_subscriptions();
    }

    /// Shows what this connection has learned about its rate.
    pub(crate) fn keep_profile(&self) {
        let mut profile = self.shared.profile.lock().unwrap_or_else(PoisonError::into_inner);
        profile.slots.retain(|slot| slot.connection != self.id.index);
        profile.slots.extend(self.rate.slots(self.id.index));
        profile.slots.sort_by_key(|slot| (slot.connection, slot.slot));
    }

    /// When the socket that stands since `now` is to be replaced. Each connection has its own time between two
    /// rotations, so that no two of an account come together.
    pub(crate) fn next_rotation(&self, now: Instant) -> Option<Instant> {
        let every = self.shared.config.rotate_after?.as_secs_f64();
        let connections = f64::from(self.shared.config.limits.connections);
        let offset = every * (f64::from(self.id.index) + self.shared.rotation_phase) / connections;
        let stood = now.saturating_duration_since(self.shared.started).as_secs_f64();
        // A young socket waits for the round after.
        let rounds = ((stood + every / 2.0 - offset) / every).ceil().max(0.0);
        Some(self.shared.started + Duration::from_secs_f64(offset + rounds * every))
    }

    pub(crate) fn generation(&mut self) -> Option<u64> {
        (self.orders.credentials.borrow_and_update().as_ref()).map(|credentials| credentials.generation)
    }

    pub(crate) fn now(&self) -> UnixNanos {
        self.shared.clock.now()
    }

    pub(crate) fn state(&mut self, state: ConnectionState) {
        self.shared.board.update(self.id.index, |status| status.state = state);
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn profile(&self) -> RateProfile {
        self.profile.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens a socket; gives up `slot` when that fails. What the server says is told without the secrets in it.
pub(crate) async fn open(
    shared: Arc<Shared>,
    credentials: TickerCredentials,
    slot: OwnedSemaphorePermit,
) -> Result<Opened, HandshakeError> {
    let Shared { config, url, connector, .. } = &*shared;
    let generation = credentials.generation;
    let opened = async {
        let request =
            url.request(&credentials).map_err(|error: KiteError| HandshakeError::Io(error.to_string()))?;
        let stream = (connector.connect(&url.endpoint).await)
            .map_err(|error| HandshakeError::Io(error.to_string()))?;
        handshake(request, stream, config.max_message_bytes, config.sockets.read_buffer).await
    };
    let secrets = [credentials.access_token.expose(), credentials.api_key.expose()];
    match opened.await {
        Ok(socket) => Ok(Opened { socket, generation, slot }),
        Err(HandshakeError::Status(status @ StatusCode::FORBIDDEN, said)) => {
            let said = if said.is_empty() { status.to_string() } else { scrub(&said, &secrets) };
            Err(HandshakeError::Refused { generation, said })
        }
        Err(HandshakeError::Status(status, said)) => {
            Err(HandshakeError::Status(status, scrub(&said, &secrets)))
        }
        Err(HandshakeError::Io(error)) => Err(HandshakeError::Io(scrub(&error, &secrets))),
        Err(refused) => Err(refused),
    }
}
