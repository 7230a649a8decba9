//! One WebSocket client from its first message to its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use market_model::InstrumentToken;
use snapshot_wire::{BatchEncoder, WireFormat};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};
use tracing::debug;

use super::outgoing::{Numberer, Outgoing, OutgoingBody};
use super::protocol::{Command, Control, RequestId, Symbol, SymbolResult};
use crate::hub::{ClientOptions, Connected, Denied, Granted, Outbox};
use crate::router::Door;
use crate::symbols::{Wish, date_in_india};

/// Larger messages would delay the answer to a command; smaller ones cost a system call each.
pub(crate) const MAX_TICKS: usize = 500;
pub(crate) const MAX_BYTES: usize = 128 * 1024;

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    ClosedByClient,
    SocketFailed,
    Shutdown,
    Slow,
    Silent,
    TooLarge,
    NotText,
    Unauthenticated,
}

type Writer<S> = SplitSink<WebSocketStream<S>, Message>;
type Reader<S> = SplitStream<WebSocketStream<S>>;

/// What both halves of a session see.
struct Session {
    door: Arc<Door>,
    connected: Connected,
    options: ClientOptions,
    authenticated: AtomicBool,
}

/// Serves one client to the end.
pub(crate) async fn run<S>(
    socket: WebSocketStream<S>,
    door: Arc<Door>,
    options: ClientOptions,
    authenticated: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = Session {
        connected: door.state.hub.connect(options),
        door,
        options,
        authenticated: AtomicBool::new(authenticated),
    };
    let (mut writer, mut reader) = socket.split();
    session.send_status("connected", None);
    // Fair: a client that never stops talking must not keep what it asked for from being sent.
    let end = tokio::select! {
        () = session.door.shutdown.cancelled() => End::Shutdown,
        end = session.read(&mut reader) => end,
        end = session.write(&mut writer) => end,
    };
    debug!(connection = session.connected.client().id, ?end, "stream ended");
    if end == End::Slow {
        session.connected.count_slow_disconnect();
    }
    // Off the hub before the goodbye, which may take its time.
    let (patience, connected) = (session.door.config.stream.write_timeout.min(FAREWELL), session.connected);
    drop(connected);
    let _ = timeout(patience, say_goodbye(end, &mut writer, &mut reader)).await;
}

/// How long a goodbye may take.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// Tells the client why, closes, and waits for its answer, so that what was said is not lost with the socket.
async fn say_goodbye<S>(end: End, writer: &mut Writer<S>, reader: &mut Reader<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some((code, message, close)) = end.farewell() {
        let error = Control::Error { code, message, request_id: None }.to_json();
        let frame = CloseFrame { code: close, reason: code.into() };
        if writer.send(Message::text(error)).await.is_err()
            || writer.send(Message::Close(Some(frame))).await.is_err()
        {
            return;
        }
    } else if writer.flush().await.is_err() {
        return;
    }
    while let Some(Ok(_)) = reader.next().await {}
}

// === impl Session: reading ===

impl Session {
    async fn read<S>(&self, reader: &mut Reader<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = &self.door.config.stream;
        let mut encoder = BatchEncoder::new(self.options.format);
        let authenticate_by = Instant::now() + config.authenticate_timeout;
        loop {
            let idle_at = Instant::now() + config.idle_timeout;
            let (until, late) = match self.is_authenticated() {
                true => (idle_at, End::Silent),
                false => (authenticate_by.min(idle_at), End::Unauthenticated),
            };
            let message = match timeout_at(until, reader.next()).await {
                Err(_) => return late,
                Ok(None | Some(Err(SocketError::ConnectionClosed))) => return End::ClosedByClient,
                Ok(Some(Err(SocketError::Capacity(_)))) => return End::TooLarge,
                Ok(Some(Err(SocketError::Utf8(_)))) => return End::NotText,
                Ok(Some(Err(_))) => return End::SocketFailed,
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => {
                    if let Err(end) = self.obey(&text, &mut encoder).await {
                        return end;
                    }
                }
                Message::Binary(_) => {
                    self.send_error("bad_message", "commands are JSON text, not binary", None);
                }
                Message::Close(_) => return End::ClosedByClient,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn obey(&self, text: &str, encoder: &mut BatchEncoder) -> Result<(), End> {
        let command = match Command::parse(text) {
            Ok(command) => command,
            Err(bad) => {
                self.send_error(bad.code, &bad.message, bad.request_id);
                return Ok(());
            }
        };
        if let Command::Authenticate { api_key, request_id } = command {
            if !self.door.is_key(&api_key) {
                return Err(End::Unauthenticated);
            }
            self.authenticated.store(true, Ordering::Relaxed);
            self.send_status("authenticated", request_id);
            return Ok(());
        }
        if !self.is_authenticated() {
            return Err(End::Unauthenticated);
        }
        match command {
            Command::Authenticate { .. } => {}
            Command::Subscribe { mode: Some(mode), request_id, .. } if mode != "full" => {
                self.send_error("unsupported_mode", "the only mode is full", request_id);
            }
            Command::Subscribe { symbols, request_id, snapshot, .. } => {
                self.subscribe(&symbols, request_id, snapshot.then_some(encoder)).await;
            }
            Command::Unsubscribe { symbols, request_id } => {
                let undo = |symbol| {
                    let wish = symbol_wish(symbol).map_err(Denied::Unknown)?;
                    self.connected.unsubscribe(&wish)
                };
                let result = |symbol| match undo(symbol) {
                    Ok(()) => SymbolResult::ok(symbol),
                    Err(denied) => SymbolResult::denied(symbol, &denied),
                };
                let results = symbols.iter().map(result).collect();
                self.connected.answer(Control::Unsubscribed { request_id, results }.to_json());
            }
            Command::Ping { request_id } => {
                let ts = self.door.state.clock.now().0;
                self.connected.answer(Control::Pong { request_id, ts }.to_json());
            }
            Command::Status { request_id } => self.send_status("streaming", request_id),
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        symbols: &[Symbol],
        request_id: RequestId,
        mut encoder: Option<&mut BatchEncoder>,
    ) {
        let (catalog, now) = (self.door.catalog(), self.door.state.clock.now());
        let mut results = Vec::with_capacity(symbols.len());
        self.connected.hold_ticks(true);
        for symbol in symbols {
            let granted = symbol_wish(symbol)
                .map_err(Denied::Unknown)
                .and_then(|wish| self.connected.subscribe(wish, encoder.as_deref_mut(), &catalog, now));
            results.push(match granted {
                Ok(granted) => SymbolResult::granted(symbol, &granted),
                Err(denied) => SymbolResult::denied(symbol, &denied),
            });
            // A message full of patterns is long work; whoever shares this thread goes on meanwhile.
            tokio::task::yield_now().await;
        }
        self.connected.answer(Control::Subscribed { request_id, results }.to_json());
        self.connected.hold_ticks(false);
    }

    fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    fn send_error(&self, code: &str, message: &str, request_id: RequestId) {
        self.connected.answer(Control::Error { code, message, request_id }.to_json());
    }

    fn send_status(&self, state: &'static str, request_id: RequestId) {
        let config = &self.door.config.stream;
        let status = Control::Status {
            state,
            connection: self.connected.client().id,
            authenticated: self.is_authenticated(),
            policy: self.options.policy.as_str(),
            format: match self.options.format {
                WireFormat::Json => "json",
                WireFormat::MessagePack => "msgpack",
                WireFormat::Positional => "msgpack_positional",
            },
            sim: self.door.state.sim,
            heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
            max_subscriptions: self.options.max_subscriptions,
            subscriptions: self.connected.subscriptions(),
            conflated: self.connected.conflated(),
            request_id,
        };
        self.connected.answer(status.to_json());
    }
}

// === impl Session: writing ===

impl Session {
    async fn write<S>(&self, writer: &mut Writer<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = &self.door.config.stream;
        let mut numberer = Numberer::new(self.options.format, self.door.state.sim);
        let mut catalog = self.door.state.catalog.clone();
        let (mut outbox, mut messages) = (Outbox::default(), Vec::new());
        let mut next_ping = Instant::now() + config.ping;
        loop {
            if !self.connected.take(&mut outbox, MAX_TICKS, MAX_BYTES) {
                return End::Slow;
            }
            if outbox.is_empty() {
                let beat_at = Instant::now() + config.heartbeat;
                tokio::select! {
                    () = self.connected.woken() => continue,
                    () = moved(&mut catalog) => {
                        let listed = catalog.borrow_and_update().clone();
                        self.connected.move_to(&listed, date_in_india(self.door.state.clock.now()));
                        continue;
                    }
                    () = sleep_until(beat_at) => messages.push(self.heartbeat(numberer.seq())),
                    () = sleep_until(next_ping) => {}
                }
            }
            numberer.number(&mut outbox, self.door.state.clock.now(), &mut messages);
            let ping = Instant::now() >= next_ping;
            if ping {
                next_ping = Instant::now() + config.ping;
            }
            let sent = timeout(config.write_timeout, send(writer, &mut messages, ping)).await;
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::SocketFailed,
                Err(_) => return End::Slow,
            }
        }
    }

    fn heartbeat(&self, seq: u64) -> Outgoing {
        let ts = self.door.state.clock.now().0;
        let beat = Control::Heartbeat { seq, ts, conflated: self.connected.conflated() };
        Outgoing { kind: "heartbeat", seq: None, body: OutgoingBody::Text(beat.to_json()) }
    }
}

/// Writes everything and flushes once.
async fn send<S>(writer: &mut Writer<S>, messages: &mut Vec<Outgoing>, ping: bool) -> Result<(), SocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for message in messages.drain(..) {
        let message = match message.body {
            OutgoingBody::Text(text) => Message::text(text),
            OutgoingBody::Binary(bytes) => Message::Binary(bytes),
        };
        writer.feed(message).await?;
    }
    if ping {
        writer.feed(Message::Ping(Bytes::new())).await?;
    }
    writer.flush().await
}

/// Returns when there is a new catalog; never when there cannot be one any more.
pub(crate) async fn moved<T>(catalog: &mut watch::Receiver<T>) {
    if catalog.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn symbol_wish(symbol: &Symbol) -> Result<Wish, crate::symbols::UnknownSymbol> {
    match symbol {
        Symbol::Token(token) => Ok(Wish::Token(InstrumentToken(*token))),
        Symbol::Text(text) => Wish::parse(text),
    }
}

// === impl End ===

impl End {
    /// Code, message and close code of the last words; `None` when nobody would hear them.
    const fn farewell(self) -> Option<(&'static str, &'static str, CloseCode)> {
        match self {
            Self::ClosedByClient | Self::SocketFailed => None,
            Self::Shutdown => {
                Some(("shutting_down", "the gateway stops, connect again later", CloseCode::Away))
            }
            Self::Slow => Some((
                "slow_consumer",
                "you read more slowly than the market moves, subscribe less or connect with policy=conflate",
                CloseCode::Policy,
            )),
            Self::Silent => Some(("silent", "neither a message nor a pong came from you", CloseCode::Policy)),
            Self::TooLarge => Some(("message_too_large", "send shorter messages", CloseCode::Size)),
            Self::NotText => Some(("bad_message", "commands are UTF-8 text", CloseCode::Invalid)),
            Self::Unauthenticated => Some((
                "unauthenticated",
                "send {\"action\":\"authenticate\",\"api_key\":...} first, with the right key",
                CloseCode::Policy,
            )),
        }
    }
}

// === impl SymbolResult ===

impl SymbolResult {
    fn ok(symbol: &Symbol) -> Self {
        Self {
            symbol: symbol.to_string(),
            status: "ok",
            instrument_token: None,
            instruments: None,
            live: None,
            code: None,
            message: None,
        }
    }

    fn granted(symbol: &Symbol, granted: &Granted) -> Self {
        let only = match granted.tokens[..] {
            [token] => Some(token.0),
            _ => None,
        };
        Self {
            instrument_token: only,
            instruments: Some(granted.tokens.len()),
            live: Some(granted.live),
            ..Self::ok(symbol)
        }
    }

    fn denied(symbol: &Symbol, denied: &Denied) -> Self {
        Self {
            status: "error",
            code: Some(denied.code()),
            message: Some(denied.to_string()),
            ..Self::ok(symbol)
        }
    }
}
