//! A simulator in the background and the two clients that talk to it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kite_sim::{Faults, SimConfig, Simulator};
use kite_wire::{Frame, TextMessage, TickerRequest, decode_frame};
use market_model::{InstrumentToken, Mode, Tick};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const NIFTY: InstrumentToken = InstrumentToken(256_265);
pub(crate) const BANKNIFTY: InstrumentToken = InstrumentToken(260_105);
pub(crate) const INFY: InstrumentToken = InstrumentToken(408_065);
pub(crate) const SBIN: InstrumentToken = InstrumentToken(779_521);

/// A running simulator.
pub(crate) struct Sim {
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) faults: Faults,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

/// A ticker connection, and the moment after which waiting for it makes no sense.
pub(crate) struct Link(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>, Instant);

// === impl Sim ===

impl Sim {
    pub(crate) async fn start(config: SimConfig) -> Self {
        Self::run(Simulator::bind(config, "127.0.0.1:0".parse().unwrap()).await.unwrap())
    }

    pub(crate) fn run(simulator: Simulator) -> Self {
        let (addr, shutdown) = (simulator.addr(), CancellationToken::new());
        let faults = simulator.faults();
        let mut tasks = JoinSet::new();
        tasks.spawn(simulator.run(shutdown.clone()));
        Self { addr, shutdown, tasks, faults }
    }

    /// Without rate limits, remembering what it sent.
    pub(crate) async fn relaxed() -> Self {
        Self::start(relaxed()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, Some("token simkey:simtoken"), "").await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, auth: Option<&str>, form: &str) -> Reply {
        let mut request = http::Request::builder().method(method).uri(path).header("host", "sim");
        if let Some(auth) = auth {
            request = request.header("authorization", auth);
        }
        if !form.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        self.exchange(request.body(Full::from(form.to_owned())).unwrap()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Reply {
        let request = http::Request::builder().method("POST").uri(path).header("host", "sim");
        self.exchange(request.body(Full::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> Reply {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn(async move {
            let _ = connection.await;
        });
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// A request token by pressing the login page's button.
    pub(crate) async fn press_login(&mut self) -> String {
        let reply = self.send("POST", "/connect/login", None, "api_key=simkey").await;
        assert_eq!(reply.status, 302);
        let location = reply.headers["location"].to_str().unwrap();
        assert!(location.contains("status=success"), "{location}");
        location.rsplit_once("request_token=").unwrap().1.to_owned()
    }

    pub(crate) async fn exchange_token(&mut self, request_token: &str, secret: &str) -> Reply {
        let sum = Sha256::digest(format!("simkey{request_token}{secret}"));
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let form = format!("api_key=simkey&request_token={request_token}&checksum={sum}");
        self.send("POST", "/session/token", None, &form).await
    }

    /// A new access token.
    pub(crate) async fn log_in(&mut self) -> String {
        let request_token = self.press_login().await;
        let reply = self.exchange_token(&request_token, "simsecret").await;
        reply.data()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&mut self) -> Value {
        self.get("/sim/status").await.json()
    }

    /// Asks for the status until `done` says so.
    pub(crate) async fn status_when(&mut self, done: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let status = self.status().await;
                if done(&status) {
                    return status;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the status never came")
    }

    pub(crate) async fn connect(&self) -> Link {
        self.try_connect("simkey", "simtoken").await.expect("the handshake")
    }

    /// The HTTP status when the handshake is refused.
    pub(crate) async fn try_connect(&self, api_key: &str, access_token: &str) -> Result<Link, u16> {
        let url = format!("ws://{}/?api_key={api_key}&access_token={access_token}", self.addr);
        match connect_async(url).await {
            Ok((socket, _)) => Ok(Link(socket, Instant::now() + PATIENCE)),
            Err(Error::Http(reply)) => Err(reply.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn relaxed() -> SimConfig {
    let mut config = SimConfig { sent_history: 1_000, ..SimConfig::default() };
    config.limits.rate_limits = false;
    config
}

// === impl Reply ===

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The data of a success.
    pub(crate) fn data(&self) -> Value {
        let mut body = self.json();
        assert_eq!((self.status, &body["status"]), (200, &"success".into()), "{body}");
        body["data"].take()
    }

    /// Asserts an error in Kite's envelope.
    pub(crate) fn is_error(&self, status: u16, error_type: &str, message: &str) {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["status"], "error");
        assert_eq!(body["error_type"], error_type);
        assert_eq!(body["message"], message);
    }
}

// === impl Link ===

impl Link {
    pub(crate) async fn ask(&mut self, request: TickerRequest) {
        self.0.send(Message::text(request.to_json())).await.unwrap();
    }

    pub(crate) async fn mode(&mut self, mode: Mode, tokens: &[InstrumentToken]) {
        self.ask(TickerRequest::Mode(mode, tokens.to_vec())).await;
    }

    /// The next message; `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let message = tokio::time::timeout_at(self.1, self.0.next()).await;
        message.expect("what the test waits for never came").and_then(Result::ok)
    }

    /// The next text frame, skipping binary ones.
    pub(crate) async fn text(&mut self) -> TextMessage {
        loop {
            match self.next().await.expect("the connection ended") {
                Message::Text(text) => return TextMessage::parse(&text).unwrap(),
                Message::Binary(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The ticks of the next frame that has any.
    pub(crate) async fn ticks(&mut self) -> Vec<Tick> {
        loop {
            if let Message::Binary(bytes) = self.next().await.expect("the connection ended")
                && let Frame::Ticks(packets) = decode_frame(&bytes)
            {
                return packets.map(|packet| packet.unwrap().to_tick()).collect();
            }
        }
    }
}
