//! One established socket, from handshake to close: the loop that reads, writes, pings and listens to orders.

use std::time::Duration;

use futures_util::FutureExt;
use kite_wire::TickerRequest;
use market_model::DisconnectReason;
use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::TickerCredentials;
use crate::ticker::connection::{Connection, End, Opened};
use crate::ticker::liveness::{Liveness, LivenessTimes, Verdict};
use crate::ticker::overlap::Side;
use crate::ticker::relief::Relief;
use crate::ticker::socket::{Socket, Turn, describe};

/// State changes, damage and status are told at most this often; often enough for a person, rare enough for a feed.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Ends of single instruments' holes gather this long, because after a reconnect they come by the thousand.
const GAPS_EVERY: Duration = Duration::from_secs(1);

/// How many messages that wait already are taken in a row. Whoever takes their ticks then finds them still in the
/// processor's cache, and the allocator gets their memory back before it asks the kernel for more: 4 of 18 KB cost
/// 12 us each where 128 in a row cost 27 us.
const MOST_IN_A_ROW: usize = 4;

/// How many messages that wait already are looked through before a socket is called dead.
const MOST_WAITING: usize = 32;

/// What belongs to one socket.
pub(crate) struct Session {
    pub(crate) socket: Socket,
    pub(crate) liveness: Liveness,
    /// The command that is being written.
    pub(crate) told: Option<TickerRequest>,
    pub(crate) generation: u64,
    /// The newest login that was thought about while it stood; its own, or one that was refused.
    pub(crate) newest_login: u64,
    pub(crate) since: Instant,
    pub(crate) rotate_at: Option<Instant>,
    _up: Share,
    /// One of the sockets that the account may have.
    _slot: OwnedSemaphorePermit,
}

/// A share in a gauge that is given back when the holder goes, panics included.
struct Share {
    gauge: Gauge,
    value: f64,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn session(&self, opened: Opened) -> Session {
        let config = &self.shared.config;
        let times = LivenessTimes {
            silence_after: config.silence_after,
            ping_every: config.ping_every,
            pong_timeout: config.pong_timeout,
        };
        let now = Instant::now();
        Session {
            socket: opened.socket,
            liveness: Liveness::new(times, self.answers_pings, now),
            told: None,
            generation: opened.generation,
            newest_login: opened.generation,
            rotate_at: self.next_rotation(now),
            since: now,
            _up: Share::new(&self.shared.metrics.connections, 1.0),
            _slot: opened.slot,
        }
    }

    /// Serves one socket, and those that take its place, to the end of the last. Answers since when that one stood.
    pub(crate) async fn serve(&mut self, opened: Opened) -> (Instant, End) {
        let mut carried = Share::new(&self.shared.metrics.subscribed_tokens, 0.0);
        let mut session = self.session(opened);
        let mut relief = Relief::default();
        self.orders.reconnects.mark_unchanged();
        self.take_wishes();
        let mut next_report = Instant::now() + REPORT_EVERY;
        let mut next_gaps = Instant::now() + GAPS_EVERY;
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            // One command at a time: what is wanted may change while it is written.
            if session.socket.is_idle() {
                session.told = self.ledger.next_command();
                if let Some(command) = &session.told {
                    session.socket.push(Message::text(command.to_json()));
                }
                carried.set(self.ledger.served() as f64);
            }
            self.command(&mut relief);
            let end = tokio::select! {
                () = self.orders.shutdown.cancelled() => {
                    self.close(&mut session.socket).await;
                    Some(End::Stop)
                }
                Ok(()) = self.orders.reconnects.changed() => {
                    self.relieve(&mut relief, &mut session, DisconnectReason::Requested).await
                }
                Ok(()) = self.orders.desired.changed() => {
                    self.take_wishes();
                    if self.is_idle() {
                        self.close(&mut session.socket).await;
                        Some(End::Idle)
                    } else {
                        None
                    }
                }
                Ok(()) = self.orders.sessions.changed() => {
                    self.take_wishes();
                    None
                }
                renewed = renewed(&mut self.orders.credentials, session.newest_login) => {
                    tracing::info!(former = session.generation, renewed, "token renewed");
                    session.newest_login = renewed;
                    self.leave(&mut relief);
                    self.relieve(&mut relief, &mut session, DisconnectReason::TokenRenewed).await
                }
                () = self.outlet.room(), if self.outlet.has_backlog() => None,
                () = self.texts.room(), if self.texts.has_waiting() => None,
                () = &mut timer => {
                    let now = Instant::now();
                    let mut end = None;
                    if now >= next_report {
                        next_report = now + REPORT_EVERY;
                        self.report(now);
                        if now >= next_gaps {
                            next_gaps = now + GAPS_EVERY;
                            self.report_token_gaps();
                        }
                        if let Some(reason) = self.wants_relief(&session, &relief, now) {
                            end = self.relieve(&mut relief, &mut session, reason).await;
                        }
                        self.change_places(&mut relief, &mut session);
                    }
                    if end.is_none() {
                        let (again_at, judged) = self.judge(&mut session, now).await;
                        timer.as_mut().reset(again_at.min(next_report));
                        end = judged;
                    }
                    end
                }
                event = relief.next(), if relief.is_some() => {
                    self.relieved(&mut relief, &mut session, event).await
                }
                turn = session.socket.turn() => match self.turned(&mut session, turn).await {
                    None => self.take_ready(&mut session, MOST_IN_A_ROW - 1).await,
                    end => end,
                },
            };
            let Some(mut end) = end else { continue };
            if let Some(newcomer) = self.steps_in(&mut relief, session.since, &mut end).await {
                session = newcomer;
                continue;
            }
            self.leave(&mut relief);
            self.end_merge();
            return (session.since, end);
        }
    }

    /// Does what a turn of the socket asks for. Answers whether it was the last.
    async fn turned(&mut self, session: &mut Session, turn: Turn) -> Option<End> {
        match turn {
            Turn::Flushed => {
                if session.told.take().is_some() {
                    self.ledger.written(Instant::now());
                    self.report_subscriptions();
                }
                None
            }
            Turn::Message(message) => {
                session.heard(&message);
                self.answers_pings = session.liveness.answers_pings();
                let code = self.take(message, Side::Current)?;
                self.drain(&mut session.socket).await;
                Some(End::Later(DisconnectReason::ClosedByServer(code)))
            }
            Turn::Ended => Some(End::Later(DisconnectReason::ClosedByServer(None))),
            Turn::Failed(error) => Some(End::Later(reason_of(&error))),
        }
    }

    /// Takes up to `most` messages that are there already and waits for none. When there were that many, others get
    /// their turn.
    async fn take_ready(&mut self, session: &mut Session, most: usize) -> Option<End> {
        for _ in 0..most {
            let turn = session.socket.turn().now_or_never()?;
            let end = self.turned(session, turn).await;
            if end.is_some() {
                return end;
            }
        }
        tokio::task::yield_now().await;
        None
    }

    /// Looks whether the socket still lives. Answers when to look again, and whether it was the end.
    async fn judge(&mut self, session: &mut Session, now: Instant) -> (Instant, Option<End>) {
        let mut verdict = session.liveness.check(now);
        if let Verdict::Mute(_) | Verdict::PongMissing(_) = verdict {
            // A process that was stopped for a while must not blame the server: what arrived meanwhile counts. The
            // timer may be seen before the sockets; a yield makes the runtime look at those.
            tokio::task::yield_now().await;
            let end = self.take_ready(session, MOST_WAITING).await;
            if end.is_some() {
                return (now, end);
            }
            verdict = session.liveness.check(now);
        }
        match verdict {
            Verdict::WaitUntil(at) => (at, None),
            Verdict::SendPing => {
                session.socket.ping();
                (now, None)
            }
            Verdict::Mute(quiet) => {
                self.tell_silent();
                (now, Some(End::Later(DisconnectReason::NoHeartbeat(quiet))))
            }
            Verdict::PongMissing(waited) => (now, Some(End::Later(DisconnectReason::NoPong(waited)))),
        }
    }

    /// Takes one message. Answers with the code when it is the server's close.
    pub(crate) fn take(&mut self, message: Message, side: Side) -> Option<Option<u16>> {
        match message {
            Message::Binary(bytes) => self.take_frame(&bytes, side),
            Message::Text(text) => self.take_text(&text),
            Message::Close(frame) => return Some(frame.map(|frame| frame.code.into())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        None
    }

    fn report(&mut self, now: Instant) {
        self.ledger.sweep(now);
        self.watch_merge(now);
        let wall = self.now();
        self.ledger.sweep_stopped(wall, &self.orders.sessions.borrow());
        self.report_subscriptions();
        self.report_damage();
        self.watch_rate(now);
        self.outlet.settle(wall);
        self.publish(wall);
    }

    /// Closes politely: close frame 1000, then whatever the server still says, for a bounded time.
    pub(crate) async fn close(&mut self, socket: &mut Socket) {
        socket.push(close_frame());
        self.drain(socket).await;
    }

    /// Takes what still comes until the server's close frame, the end of the stream or the end of patience.
    async fn drain(&mut self, socket: &mut Socket) {
        let until = Instant::now() + self.shared.config.close_timeout;
        while let Ok(turn) = timeout_at(until, socket.turn()).await {
            match turn {
                Turn::Message(message) => {
                    if self.take(message, Side::Current).is_some() {
                        return;
                    }
                }
                Turn::Flushed => {}
                Turn::Ended | Turn::Failed(_) => return,
            }
        }
    }
}

/// A polite end.
pub(crate) fn close_frame() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

/// Waits for a login of another generation.
async fn renewed(credentials: &mut watch::Receiver<Option<TickerCredentials>>, generation: u64) -> u64 {
    loop {
        let newest = credentials.borrow_and_update().as_ref().map(|credentials| credentials.generation);
        match newest {
            Some(newest) if newest != generation => return newest,
            // No sender, no other login ever.
            _ => {
                if credentials.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn reason_of(error: &WsError) -> DisconnectReason {
    match error {
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            DisconnectReason::ClosedByServer(None)
        }
        other => DisconnectReason::Io(describe(other).into()),
    }
}

// === impl Session ===

impl Session {
    /// A message arrived.
    pub(crate) fn heard(&mut self, message: &Message) {
        self.liveness.frame(Instant::now());
        if message.is_pong() {
            self.liveness.pong();
        }
    }
}

// === impl Share ===

impl Share {
    fn new(gauge: &Gauge, value: f64) -> Self {
        gauge.increment(value);
        Self { gauge: gauge.clone(), value }
    }

    fn set(&mut self, value: f64) {
        self.gauge.increment(value - self.value);
        self.value = value;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.decrement(self.value);
    }
}
