//! The door over loopback, with real HTTP and WebSocket clients.

mod control;
mod elsewhere;
mod http;
mod operations;
mod stream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use market_model::{InstrumentCatalog, ManualClock};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Market, NOW};
use crate::{
    ApiConfig, ApiError, ApiKey, ApiMetrics, ApiSink, ApiState, ControlError, Elsewhere, FeedControl,
    HealthSource, LatestValues, NobodyElse, Operation, OperationError, OperationFuture, Operations, Renewing,
    StreamHub, serve,
};

/// Far longer than anything takes; reached only by a broken test.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `/health` and `/readyz` are told.
#[derive(Default)]
struct FakeHealth {
    missing: Mutex<Vec<String>>,
}

impl HealthSource for FakeHealth {
    fn report(&self) -> Value {
        json!({ "connections": [{ "name": "demo/0", "state": "connected" }] })
    }

    fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap().clone()
    }
}

/// Knows the account `main` with one connection, and writes down what it is told.
#[derive(Default)]
struct FakeControl {
    told: Mutex<Vec<String>>,
}

impl FakeControl {
    fn take(&self, account: &str, command: String) -> Result<(), ControlError> {
        if account != "main" {
            return Err(ControlError::UnknownAccount(account.to_owned()));
        }
        self.told.lock().unwrap().push(command);
        Ok(())
    }
}

impl FeedControl for FakeControl {
    fn renew_token<'a>(&'a self, account: &'a str, access_token: &'a str) -> Renewing<'a> {
        let taken = match access_token.is_empty() {
            true => Err(ControlError::BadToken),
            false => self.take(account, format!("token {access_token}")),
        };
        Box::pin(async { taken })
    }

    fn reconnect(&self, account: &str, connection: Option<u8>) -> Result<(), ControlError> {
        if let Some(connection) = connection.filter(|connection| *connection > 0) {
            return Err(ControlError::UnknownConnection { account: account.to_owned(), connection });
        }
        self.take(account, format!("reconnect {connection:?}"))
    }
}

/// A door on a free port. Dropping it closes everything.
/// Answers with what it was asked, or as it is told to.
#[derive(Default)]
struct FakeOperations {
    asked: Mutex<Vec<Operation>>,
    refusal: Mutex<Option<OperationError>>,
}

impl Operations for FakeOperations {
    fn carry_out(&self, operation: Operation) -> OperationFuture {
        let answer = json!({ "account": "main", "url": "https://kite.example/login?v=3" });
        self.asked.lock().unwrap().push(operation);
        let refusal = self.refusal.lock().unwrap().clone();
        Box::pin(async move { refusal.map_or(Ok(answer), Err) })
    }
}

struct Served {
    address: SocketAddr,
    market: Market,
    sink: ApiSink,
    hub: Arc<StreamHub>,
    health: Arc<FakeHealth>,
    control: Arc<FakeControl>,
    operations: Arc<FakeOperations>,
    catalog: watch::Sender<Arc<InstrumentCatalog>>,
    shutdown: CancellationToken,
    server: JoinSet<Result<(), ApiError>>,
}

/// Settings a test may change.
struct Setup {
    config: ApiConfig,
    api_key: Option<ApiKey>,
    metrics: ApiMetrics,
    elsewhere: Arc<dyn Elsewhere>,
}

impl Default for Setup {
    fn default() -> Self {
        let elsewhere = Arc::new(NobodyElse);
        Self { config: ApiConfig::default(), api_key: None, metrics: ApiMetrics::noop(), elsewhere }
    }
}

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

// === impl Served ===

impl Served {
    async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    async fn with(setup: Setup) -> Self {
        let market = Market::new();
        let latest = Arc::new(LatestValues::new());
        let hub = StreamHub::new(latest.clone(), setup.metrics.stream.clone());
        let health = Arc::new(FakeHealth::default());
        let control = Arc::new(FakeControl::default());
        let operations = Arc::new(FakeOperations::default());
        let (catalog, catalog_seen) = watch::channel(market.catalog.clone());
        let state = ApiState {
            latest,
            elsewhere: setup.elsewhere,
            hub: hub.clone(),
            health: health.clone(),
            control: control.clone(),
            operations: operations.clone(),
            metrics_text: Arc::new(|| "ticks_total 7\n".to_owned()),
            sim: true,
            catalog: catalog_seen,
            clock: Arc::new(ManualClock::new(NOW)),
            api_key: setup.api_key,
            metrics: setup.metrics,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, state, setup.config, shutdown.clone()));
        Self {
            address,
            sink: hub.sink(),
            market,
            hub,
            health,
            control,
            operations,
            catalog,
            shutdown,
            server,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, headers, "").await
    }

    async fn send_body(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let exchange = async {
            let response = sender.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        tokio::select! {
            answer = exchange => answer,
            closed = connection => panic!("connection closed early: {closed:?}"),
        }
    }

    async fn stream(&self, query: &str) -> Client {
        let (socket, _) = connect_async(format!("ws://{}/v1/stream{query}", self.address)).await.unwrap();
        let mut client = Client { socket };
        assert_eq!(client.next().await["type"], "status");
        client
    }
}

/// Waits, not for long, until there are `wanted` clients on the hub.
async fn until_clients(hub: &StreamHub, wanted: usize) {
    let reached = async {
        while hub.stats().clients != wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("not {wanted} clients but {:?}", hub.stats()));
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// A WebSocket client that checks the numbers of what it is sent.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame that is not a ping; `None` when the server has closed.
    async fn frame(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the server says nothing") {
                None | Some(Err(_)) => return None,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
            }
        }
    }

    /// The next message.
    async fn next(&mut self) -> Value {
        match self.frame().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected text, not {other:?}"),
        }
    }

    /// The next message of this type; heartbeats are skipped, anything else is a failure.
    async fn expect(&mut self, kind: &str) -> Value {
        let found = async {
            loop {
                let message = self.next().await;
                if message["type"] == kind {
                    return message;
                }
                assert_eq!(message["type"], "heartbeat", "expected {kind}: {message}");
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {kind} came"))
    }

    async fn subscribe(&mut self, symbols: Value) -> Value {
        self.say(json!({ "action": "subscribe", "symbols": symbols })).await;
        self.expect("subscribed").await
    }

    /// The code of the last error and of the close frame.
    async fn farewell(&mut self) -> (String, u16) {
        timeout(PATIENCE, self.last_words()).await.expect("the server does not close")
    }

    async fn last_words(&mut self) -> (String, u16) {
        let mut code = String::new();
        loop {
            match self.frame().await {
                Some(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] == "error" {
                        message["code"].as_str().unwrap().clone_into(&mut code);
                    }
                }
                Some(Message::Close(Some(frame))) => return (code, frame.code.into()),
                Some(Message::Binary(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }
}
