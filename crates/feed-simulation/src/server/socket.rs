//! One socket of the server: handshake, commands, and a writer that may be told to keep quiet.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use kite_wire::TickerRequest;
use market_model::{InstrumentToken, Mode};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use turmoil::net::TcpStream;

use super::{Behaviour, Carried, Ending, Handshake, Outgoing, Peer, Server, State};

/// Messages that wait for a client that does not read; what finds no room is never written.
const OUTBOX: usize = 64;
/// A client that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// A client that says nothing for so long is gone: it pings every second.
const READ_PATIENCE: Duration = Duration::from_secs(15);

type Writer = SplitSink<WebSocketStream<TcpStream>, Message>;
type Reader = SplitStream<WebSocketStream<TcpStream>>;

// === impl Server ===

impl Server {
    /// Serves one client from its handshake to its end.
    pub(super) async fn socket(self, stream: TcpStream, port: u16) {
        let delay = self.state().handshake_delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        #[expect(clippy::result_large_err, reason = "the shape that the websocket library asks for")]
        let answer = |request: &Request, response: Response| self.answer(request, response);
        let Ok(Ok(websocket)) = timeout(READ_PATIENCE, accept_hdr_async(stream, answer)).await else {
            return;
        };
        let (writer, reader) = websocket.split();
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let (behaviour, behaves) = watch::channel(Behaviour::default());
        let (ending, ends) = watch::channel(None);
        let peer = Peer { carried: Default::default(), behaviour, ending, outbox };
        self.state().sockets.insert(port, peer);
        tokio::select! {
            biased;
            () = self.write(writer, outgoing, behaves.clone(), ends) => {}
            () = self.read(port, reader, behaves) => {}
        }
        self.state().left(port);
    }

    #[expect(clippy::result_large_err, reason = "the shape that the websocket library asks for")]
    fn answer(&self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let mut state = self.state();
        let query = request.uri().query().unwrap_or_default();
        let generation = query.split('&').find_map(|pair| pair.strip_prefix("access_token=login"));
        let generation = generation.and_then(|number| number.parse().ok()).unwrap_or(0);
        let status = match state.refusals.pop_front() {
            Some(status) => status,
            None if state.accepts == Some(generation) => 101,
            None => 403,
        };
        let at = state.now();
        state.handshakes.push(Handshake { at, generation, status });
        state.trace.note(format_args!("server answers login {generation} with {status}"));
        if status == 101 {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(Some(r#"{"status":"error","message":"no"}"#.to_owned()));
        if let Ok(status) = status.try_into() {
            *refusal.status_mut() = status;
        }
        Err(refusal)
    }

    async fn write(
        &self,
        mut writer: Writer,
        mut outgoing: mpsc::Receiver<Outgoing>,
        behaves: watch::Receiver<Behaviour>,
        mut ends: watch::Receiver<Option<Ending>>,
    ) {
        let heartbeat_every = self.state().config.heartbeat_every;
        let mut heartbeats = interval(heartbeat_every);
        loop {
            let outgoing = tokio::select! {
                biased;
                Ok(()) = ends.changed() => {
                    let ending = *ends.borrow_and_update();
                    if let Some(Ending::Close(code)) = ending {
                        let frame = CloseFrame { code: code.into(), reason: "".into() };
                        let _ = timeout(WRITE_PATIENCE, writer.send(Message::Close(Some(frame)))).await;
                        // The client's answer is read by the other half; it ends with it.
                        sleep(Duration::from_millis(500)).await;
                    }
                    return;
                }
                Some(outgoing) = outgoing.recv() => outgoing,
                _ = heartbeats.tick() => Outgoing::Binary { bytes: vec![0], ticks: Vec::new() },
            };
            if behaves.borrow().mute {
                continue;
            }
            let (message, ticks) = match outgoing {
                Outgoing::Binary { bytes, ticks } => (Message::binary(bytes), ticks),
                Outgoing::Text(text) => (Message::text(text), Vec::new()),
            };
            match timeout(WRITE_PATIENCE, writer.send(message)).await {
                Ok(Ok(())) => self.state().wrote(&ticks),
                _ => return,
            }
        }
    }

    async fn read(&self, port: u16, mut reader: Reader, mut behaves: watch::Receiver<Behaviour>) {
        loop {
            if behaves.wait_for(|behaviour| !behaviour.deaf).await.is_err() {
                return;
            }
            let deaf = behaves.wait_for(|behaviour| behaviour.deaf);
            let message = tokio::select! {
                biased;
                _ = deaf => continue,
                message = timeout(READ_PATIENCE, reader.next()) => message,
            };
            match message {
                Ok(Some(Ok(Message::Text(text)))) => {
                    if let Ok(request) = TickerRequest::parse(&text) {
                        self.state().obey(port, &request);
                    }
                }
                Ok(Some(Ok(_))) => {}
                Ok(None | Some(Err(_))) | Err(_) => return,
            }
        }
    }
}

// === impl State ===

impl State {
    fn obey(&mut self, port: u16, request: &TickerRequest) {
        let now = self.now();
        // A lost removal is nothing a client could find out.
        if self.lost_commands > 0 && !matches!(request, TickerRequest::Unsubscribe(_)) {
            self.lost_commands -= 1;
            self.trace.note(format_args!("server ignores {}", request.to_json()));
            return;
        }
        self.trace.note(format_args!("server obeys {port} {}", request.to_json()));
        self.changes_sources(request.tokens());
        let live_from = now + self.lateness;
        let Some(peer) = self.sockets.get_mut(&port) else { return };
        let mut told = Vec::new();
        for token in request.tokens() {
            match request {
                TickerRequest::Unsubscribe(_) => {
                    peer.carried.remove(token);
                }
                TickerRequest::Subscribe(_) => {
                    peer.carried.entry(*token).or_insert(Carried { mode: Mode::Quote, live_from });
                }
                TickerRequest::Mode(mode, _) => {
                    let carried = peer.carried.entry(*token).or_insert(Carried { mode: *mode, live_from });
                    carried.mode = *mode;
                    told.push(*token);
                }
            }
        }
        // The newest value comes at once, as Kite is seen to do.
        self.tell(port, &told);
    }

    fn left(&mut self, port: u16) {
        if let Some(peer) = self.sockets.remove(&port) {
            let carried: Vec<InstrumentToken> = peer.carried.into_keys().collect();
            self.changes_sources(&carried);
        }
    }

    fn wrote(&mut self, ticks: &[(InstrumentToken, u32)]) {
        self.written.extend(ticks);
    }
}
