//! A gateway and a simulated broker in the test's own process, with everything that is logged.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{Config, Gateway};
use kite_sim::{SimClock, SimConfig, Simulator};
use market_model::UnixNanos;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;

/// What was logged, line by line.
#[derive(Clone, Default)]
pub(crate) struct Story(Arc<Mutex<Vec<u8>>>);

/// Where the test lives: a data folder, a broker, a log.
pub(crate) struct House {
    pub(crate) broker: SocketAddr,
    pub(crate) clock: SimClock,
    pub(crate) story: Story,
    data: tempfile::TempDir,
    _simulator: JoinSet<()>,
    _logging: DefaultGuard,
}

/// A gateway that runs, as its operator sees it.
pub(crate) struct Running<'a> {
    pub(crate) house: &'a House,
    pub(crate) address: SocketAddr,
}

impl Story {
    pub(crate) fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }
}

impl Write for Story {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// === impl House ===

impl House {
    pub(crate) async fn new(config: SimConfig) -> Self {
        let story = Story::default();
        let writer = story.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let logging = tracing::subscriber::set_default(log);
        let simulator = Simulator::bind(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (broker, clock) = (simulator.addr(), simulator.clock());
        let mut running = JoinSet::new();
        running.spawn(simulator.run(CancellationToken::new()));
        let data = tempfile::tempdir().unwrap();
        Self { broker, clock, story, data, _simulator: running, _logging: logging }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// A file beside the data folder's own.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.data().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// One account of the broker in an accounts file, with `more` lines.
    pub(crate) fn accounts_file(&self, more: &str) -> (&'static str, String) {
        let account = format!(
            "[[account]]\nname = \"main\"\napi_key = \"simkey\"\nsimulated = true\nrest_url = \"http://{0}\"\n\
             ticker_url = \"ws://{0}\"\n{more}\n",
            self.broker
        );
        ("KITE_ACCOUNTS_FILE", self.write("accounts.toml", &account))
    }

    /// What a gateway is told that uses no account yet, and `more`.
    pub(crate) fn env(&self, more: &[(&str, String)]) -> BTreeMap<String, String> {
        let usual = [
            ("GATEWAY_LISTEN", "127.0.0.1:0".to_owned()),
            ("GATEWAY_DATA_DIR", self.data().display().to_string()),
            ("GATEWAY_SUBSCRIBE", "NSE:INFY:full,NSE:SBIN:full".to_owned()),
            ("GATEWAY_CLOCK_LOOK_MS", "50".to_owned()),
            ("KITE_REST_URL", format!("http://{}", self.broker)),
            ("KITE_TICKER_URL", format!("ws://{}", self.broker)),
        ];
        let settings = usual.into_iter().chain(more.iter().cloned());
        settings.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Runs a gateway with these settings for as long as `test` takes.
    pub(crate) async fn run(&self, more: &[(&str, String)], test: impl AsyncFnOnce(&Running<'_>)) {
        let config = Config::read(&self.env(more), None).unwrap();
        let gateway = Gateway::build(config, Arc::new(self.clock.clone()), None).await.unwrap();
        let running = Running { house: self, address: gateway.address() };
        let stop = CancellationToken::new();
        let test = async {
            test(&running).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(gateway.run(stop.clone()), test);
        assert!(report.is_clean(), "{report:?}");
    }

    /// What the simulator says of itself.
    pub(crate) async fn broker_json(&self, path: &str) -> Value {
        serde_json::from_str(&ask(self.broker, "GET", path, "").await.1).unwrap()
    }
}

// === impl Running ===

impl Running<'_> {
    /// The status and the JSON of an answer.
    pub(crate) async fn send(&self, method: &str, path: &str, json: &str) -> (u16, Value) {
        let (status, body) = ask(self.address, method, path, json).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, "").await.1
    }

    /// The first account in `/health`.
    pub(crate) async fn account(&self) -> Value {
        self.get("/health").await["accounts"][0].clone()
    }

    pub(crate) async fn ticks(&self) -> u64 {
        self.account().await["ticks"].as_u64().unwrap_or(0)
    }

    /// Waits until more ticks come than there were.
    pub(crate) async fn ticking(&self) {
        let before = self.ticks().await;
        self.until("ticks come", async || self.ticks().await > before + 4).await;
    }

    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let search = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !condition().await {
                pace.tick().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), search).await.is_err() {
            let (report, log) = (self.get("/health").await, self.house.story.lines().join("\n"));
            panic!("waited in vain until {what}\n{report:#}\n{log}");
        }
    }
}

/// Status and body.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, json: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = json.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// An instant in India, such as `2026-11-20 09:15:00`.
pub(crate) fn instant(ist: &str) -> UnixNanos {
    let civil: jiff::civil::DateTime = ist.parse().unwrap();
    let at = exchange_calendar::ist().to_timestamp(civil).unwrap();
    UnixNanos::from_secs(at.as_second())
}
