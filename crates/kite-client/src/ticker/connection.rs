//! One connection for as long as the ticker runs: dialling, waiting, giving way to a new token.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use market_model::{Clock, ConnectionId, DisconnectReason, GapCause, SubscriptionSet, UnixNanos};
use resilience::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::secret::scrub;
use crate::ticker::connect::Connect;
use crate::ticker::endpoint::TickerUrl;
use crate::ticker::gate::TokenGate;
use crate::ticker::intake::Damage;
use crate::ticker::ledger::SubscriptionLedger;
use crate::ticker::outlet::Outlet;
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
    pub(crate) metrics: TickerMetrics,
}

/// What a connection listens to.
pub(crate) struct Orders {
    pub(crate) credentials: watch::Receiver<Option<TickerCredentials>>,
    pub(crate) desired: watch::Receiver<Arc<SubscriptionSet>>,
    /// Counts up by one for each reconnect that an operator asks for.
    pub(crate) reconnects: watch::Receiver<u64>,
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
            ledger: SubscriptionLedger::new(config.tokens_per_command, config.silent_token_after),
            tries: 0,
            stood: before.connects > 0,
            told_down: false,
            hole_from: before.last_frame,
            last_frame: before.last_frame,
            told_silent: false,
            answers_pings: false,
            damage: None,
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
            let end = match self.dial(&credentials).await {
                Ok(socket) => {
                    self.stands(credentials.generation);
                    let since = Instant::now();
                    let end = self.serve(socket, credentials.generation).await;
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

    async fn dial(&mut self, credentials: &TickerCredentials) -> Result<Socket, End> {
        self.tries += 1;
        self.state(ConnectionState::Connecting);
        let index = self.id.index;
        self.shared.board.update(index, |status| status.handshakes += 1);
        self.shared.metrics.handshakes.increment(1);
        let dialled = timeout(self.shared.config.connect_timeout, self.open(credentials));
        let outcome = tokio::select! {
            biased;
            () = self.orders.shutdown.cancelled() => return Err(End::Stop),
            outcome = dialled => outcome,
        };
        let failed = match outcome {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(failed)) => failed,
            Err(_elapsed) => return Err(End::Later(DisconnectReason::ConnectTimeout)),
        };
        let secrets = [credentials.access_token.expose(), credentials.api_key.expose()];
        Err(match failed {
            HandshakeError::Status(status @ StatusCode::FORBIDDEN, said) => {
                let said = if said.is_empty() { status.to_string() } else { scrub(&said, &secrets) };
                End::Refused { generation: credentials.generation, detail: said }
            }
            HandshakeError::Status(status, said) => {
                let said = scrub(&said, &secrets);
                tracing::warn!(status = status.as_u16(), said, "ticker handshake refused");
                End::Later(DisconnectReason::HandshakeStatus(status.as_u16()))
            }
            HandshakeError::Io(error) => End::Later(DisconnectReason::Io(scrub(&error, &secrets).into())),
        })
    }

    async fn open(&self, credentials: &TickerCredentials) -> Result<Socket, HandshakeError> {
        let Shared { config, url, connector, .. } = &*self.shared;
        let request =
            url.request(credentials).map_err(|error: KiteError| HandshakeError::Io(error.to_string()))?;
        let stream = (connector.connect(&url.endpoint).await)
            .map_err(|error| HandshakeError::Io(error.to_string()))?;
        handshake(request, stream, config.max_message_bytes).await
    }

    /// The socket is gone.
    fn fell(&mut self, since: Instant) {
        if since.elapsed() >= self.shared.config.stable_after {
            self.backoff.reset();
        }
        if self.hole_from.is_none() {
            self.hole_from = self.last_frame;
        }
        self.report_damage();
        self.lose(GapCause::Disconnected);
        self.ledger.disconnected();
        self.publish();
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

    /// Reads what is wanted now.
    pub(crate) fn take_wishes(&mut self) {
        let desired = self.orders.desired.borrow_and_update().clone();
        self.ledger.set_desired(&desired);
        self.report_subscriptions();
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
