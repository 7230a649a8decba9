//! A ticker server that does what the test says, over streams that exist only in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, StatusCode, Uri};
use kite_client::{ByteStream, Connect, Endpoint};
use kite_wire::{FrameBuilder, TickerRequest};
use market_model::{FullTick, InstrumentToken, Mode, Price, QuoteTick, Tick, TickBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Both ends of every connection that a ticker dials.
pub(crate) struct FakeKite {
    dialled: mpsc::Receiver<DuplexStream>,
    pub(crate) dials: Arc<AtomicUsize>,
    pub(crate) panic_next: Arc<AtomicBool>,
}

/// The dialling side, given to the ticker.
pub(crate) struct MemoryConnect {
    accept: mpsc::Sender<DuplexStream>,
    dials: Arc<AtomicUsize>,
    panic_next: Arc<AtomicBool>,
}

/// The server's end of an accepted websocket, with the view a Kite server would have of it.
pub(crate) struct Peer<S = DuplexStream> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) carried: BTreeMap<u32, Mode>,
    pub(crate) commands: Vec<String>,
}

/// A server and the connector that reaches it.
pub(crate) fn fake_kite() -> (FakeKite, MemoryConnect) {
    let (accept, dialled) = mpsc::channel(16);
    let dials = Arc::<AtomicUsize>::default();
    let panic_next = Arc::<AtomicBool>::default();
    let connector = MemoryConnect { accept, dials: dials.clone(), panic_next: panic_next.clone() };
    (FakeKite { dialled, dials, panic_next }, connector)
}

/// Answers a handshake with `status`, if the client still wants to know.
pub(crate) async fn answer(stream: &mut DuplexStream, status: StatusCode) {
    try_answer(stream, status, "").await;
}

async fn try_answer(stream: &mut DuplexStream, status: StatusCode, body: &str) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return false,
        }
    }
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.is_ok()
}

/// A tick that mode and token tell apart, as good as any.
pub(crate) fn tick(token: u32, mode: Mode) -> Tick {
    Tick {
        token: InstrumentToken(token),
        last_price: Price::from_paise(i64::from(token) * 100),
        body: match mode {
            Mode::Ltp => TickBody::Ltp,
            Mode::Quote => TickBody::Quote(QuoteTick::default()),
            Mode::Full => TickBody::Full(FullTick::default()),
        },
    }
}

// === impl MemoryConnect ===

impl Connect for MemoryConnect {
    fn connect(&self, _endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        assert!(!self.panic_next.swap(false, Ordering::SeqCst), "the test wants a panic");
        self.dials.fetch_add(1, Ordering::SeqCst);
        let (ours, theirs) = duplex(64 * 1024);
        let accept = self.accept.clone();
        Box::pin(async move {
            let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            accept.send(theirs).await.map_err(refused)?;
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

// === impl FakeKite ===

impl FakeKite {
    /// The next dialled stream, before any handshake.
    pub(crate) async fn stream(&mut self) -> DuplexStream {
        self.dialled.recv().await.expect("the ticker dials")
    }

    /// Upgrades the next dialled stream.
    pub(crate) async fn accept(&mut self) -> Peer {
        Peer::upgrade(self.stream().await).await
    }

    /// Answers the next dialled stream with `status` instead of an upgrade.
    pub(crate) async fn refuse(&mut self, status: StatusCode, body: &str) {
        let mut stream = self.stream().await;
        assert!(try_answer(&mut stream, status, body).await, "a client that listens");
    }

    pub(crate) fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }
}

// === impl Peer ===

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn upgrade(stream: S) -> Self {
        Self::try_upgrade(stream).await.expect("a websocket handshake")
    }

    /// `None` when the client went away.
    pub(crate) async fn try_upgrade(stream: S) -> Option<Self> {
        let (mut uri, mut headers) = (Uri::default(), HeaderMap::new());
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let look = |request: &Request, response: Response| {
            uri = request.uri().clone();
            headers = request.headers().clone();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, look).await.ok()?;
        Some(Self { socket, uri, headers, carried: BTreeMap::new(), commands: Vec::new() })
    }

    /// Reads commands until the server carries exactly `expected`.
    pub(crate) async fn carries(&mut self, expected: &[(u32, Mode)]) {
        let expected: BTreeMap<u32, Mode> = expected.iter().copied().collect();
        while self.carried != expected {
            let Some(Ok(message)) = self.socket.next().await else {
                panic!("closed while it carries {:?}", self.carried);
            };
            self.note(&message);
        }
    }

    /// Reads until the client's close frame; answers its code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = self.socket.next().await {
            self.note(&message);
            if let Message::Close(frame) = message {
                // The library answers the close while it is read on.
                while self.socket.next().await.is_some() {}
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }

    /// Reads until the stream ends, answering pings; answers how many came.
    pub(crate) async fn pings_until_end(&mut self) -> usize {
        let mut pings = 0;
        while let Some(Ok(message)) = self.socket.next().await {
            pings += usize::from(message.is_ping());
        }
        pings
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.bytes(vec![0]).await;
    }

    pub(crate) async fn ticks(&mut self, ticks: &[(u32, Mode)]) {
        let mut frame = FrameBuilder::new();
        for &(token, mode) in ticks {
            frame.push(&tick(token, mode)).expect("a tick that can be sent");
        }
        self.bytes(frame.finish()).await;
    }

    /// One tick at a price in paise, of the trade that brought the day's volume to `volume`.
    pub(crate) async fn trade(&mut self, token: u32, mode: Mode, paise: i64, volume: u32) {
        let mut tick = tick(token, mode);
        tick.last_price = Price::from_paise(paise);
        match &mut tick.body {
            TickBody::Quote(quote) => quote.volume_traded = volume,
            TickBody::Full(full) => full.quote.volume_traded = volume,
            _ => {}
        }
        let mut frame = FrameBuilder::new();
        frame.push(&tick).expect("a tick that can be sent");
        self.bytes(frame.finish()).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.expect("a client that listens");
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("a client that listens");
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.expect("a client that listens");
        while self.socket.next().await.is_some() {}
    }

    /// A heartbeat each second for this long, reading and answering pings meanwhile.
    pub(crate) async fn beats(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.heartbeat().await;
            let reads = async { while self.step().await {} };
            let second = std::time::Duration::from_secs(1);
            tokio::time::timeout(second, reads).await.expect_err("a client that stays");
        }
    }

    /// Reads one message; answers whether the stream goes on.
    pub(crate) async fn step(&mut self) -> bool {
        match self.socket.next().await {
            Some(Ok(message)) => {
                self.note(&message);
                true
            }
            _ => false,
        }
    }

    /// [`Self::ticks`] to a client that may be gone.
    pub(crate) async fn try_ticks(&mut self, ticks: &[(u32, Mode)]) {
        let mut frame = FrameBuilder::new();
        for &(token, mode) in ticks {
            frame.push(&tick(token, mode)).expect("a tick that can be sent");
        }
        self.try_bytes(frame.finish()).await;
    }

    /// [`Self::bytes`] to a client that may be gone.
    pub(crate) async fn try_bytes(&mut self, bytes: Vec<u8>) {
        drop(self.socket.send(Message::binary(bytes)).await);
    }

    /// [`Self::text`] to a client that may be gone.
    pub(crate) async fn try_text(&mut self, text: &str) {
        drop(self.socket.send(Message::text(text)).await);
    }

    /// Sends a close frame and waits for nothing.
    pub(crate) async fn start_close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        drop(self.socket.close(Some(frame)).await);
    }

    fn note(&mut self, message: &Message) {
        let Message::Text(text) = message else { return };
        self.commands.push(text.to_string());
        match TickerRequest::parse(text).expect("a command Kite knows") {
            TickerRequest::Subscribe(tokens) => {
                for token in tokens {
                    self.carried.entry(token.0).or_insert(Mode::Quote);
                }
            }
            TickerRequest::Unsubscribe(tokens) => {
                for token in tokens {
                    self.carried.remove(&token.0);
                }
            }
            TickerRequest::Mode(mode, tokens) => {
                // Kite subscribes by a mode as well, but its own clients do not rely on that.
                for token in tokens {
                    let held = self.carried.insert(token.0, mode);
                    assert!(held.is_some(), "mode of {token}, which is not subscribed");
                }
            }
        }
    }
}
