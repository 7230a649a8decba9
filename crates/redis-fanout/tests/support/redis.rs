//! A private redis-server, and batches to publish.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "figures of a drill")]

pub mod drill;
pub mod proxy;
pub mod publisher;
pub mod subscriber;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::Config;
use fred::types::{Builder, CustomCommand, FromValue, Message};
use market_model::{
    Exchange, FeedEvent, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, InstrumentToken,
    Price, Segment, Tick, TickBody, TokenLoss, UnixNanos,
};
use redis_fanout::{RedisConfig, RedisStatus, RedisStatusHandle};
use tick_pipeline::{GreeksState, HealthRecord, Snapshot, SnapshotBatch, SnapshotCause, Topic, TopicKind};
use tokio::sync::broadcast;

/// A server on a private port and folder; killed when dropped.
pub struct RedisServer {
    process: Child,
    folder: PathBuf,
    pub port: u16,
    options: Vec<String>,
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("KITE_TEST_REDIS_SERVER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file())
    });
    if found.is_none() {
        eprintln!("skipped: redis-server not found on PATH or in KITE_TEST_REDIS_SERVER");
    }
    found
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    /// `None`, with a printed line, when there is no redis-server.
    pub fn start(options: &[&str]) -> Option<Self> {
        Self::start_on(free_port(), options)
    }

    pub fn start_on(port: u16, options: &[&str]) -> Option<Self> {
        let program = program()?;
        let folder = std::env::temp_dir().join(format!("redis-fanout-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        if !options.iter().any(|option| option == "--sentinel") {
            options.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
        }
        let process = spawn(&program, port, &folder, &options);
        Some(Self { process, folder, port, options })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.process = spawn(&program().unwrap(), self.port, &self.folder, &self.options);
    }

    /// `STOP` freezes it, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").arg("-c").arg(command).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &PathBuf, port: u16, folder: &PathBuf, options: &[String]) -> Child {
    let mut process = Command::new(program)
        .args(options.iter().filter(|option| option.ends_with(".conf")))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(folder)
        .args(options.iter().filter(|option| !option.ends_with(".conf")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| {
        // A sentinel has no such line, but an identity.
        line.contains("Ready to accept connections") || line.contains("Sentinel ID is")
    });
    assert!(ready, "redis-server did not start on port {port}");
    std::thread::spawn(move || lines.for_each(drop));
    process
}

/// A client that listens.
pub struct Listener {
    pub client: Client,
    messages: broadcast::Receiver<Message>,
}

impl Listener {
    pub async fn on(url: &str, pattern: &str) -> Self {
        let client = client_holding(url, 100_000).await;
        let messages = client.message_rx();
        client.psubscribe(pattern).await.unwrap();
        Self { client, messages }
    }

    /// The next message: its channel and payload.
    pub async fn next(&mut self) -> (String, Vec<u8>) {
        let message = within(self.messages.recv()).await.unwrap();
        (message.channel.to_string(), message.value.into_owned_bytes().unwrap().to_vec())
    }
}

pub async fn client(url: &str) -> Client {
    client_holding(url, 16).await
}

/// A client with room for so many messages, which it allocates at once.
async fn client_holding(url: &str, messages: usize) -> Client {
    let client = Builder::from_config(Config::from_url(url).unwrap())
        .with_performance_config(|config| config.broadcast_channel_capacity = messages)
        .build()
        .unwrap();
    within(client.init()).await.unwrap();
    client
}

/// Runs a command the client library has no method for.
pub async fn command<T: FromValue>(client: &Client, words: &[&str]) -> Result<T, fred::error::Error> {
    let name = CustomCommand::new(words[0].to_owned(), None::<u16>, false);
    within(client.custom(name, words[1..].to_vec())).await
}

/// No test waits longer for anything.
pub async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("took longer than 20 s")
}

/// Waits until the status is as wanted.
pub async fn status_when(status: &RedisStatusHandle, wanted: impl Fn(&RedisStatus) -> bool) -> RedisStatus {
    let mut poll = tokio::time::interval(Duration::from_millis(2));
    let reached = async {
        loop {
            poll.tick().await;
            let now = status.now();
            if wanted(&now) {
                return now;
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), reached).await {
        Ok(now) => now,
        Err(_) => panic!("status is still {:?}", status.now()),
    }
}

pub fn config(url: &str) -> RedisConfig {
    RedisConfig::new(url.parse().unwrap())
}

/// `tokens` equities.
pub fn catalog(tokens: u32) -> Arc<InstrumentCatalog> {
    let rows = (0..tokens).map(|n| Instrument {
        token: InstrumentToken(n * 256 + 1),
        exchange: Exchange::Nse,
        segment: Segment::Nse,
        tradingsymbol: format!("SHARE{n}").into(),
        name: "".into(),
        kind: InstrumentKind::Equity,
        lot_size: 1,
        tick_size: Price::from_paise(5),
    });
    Arc::new(InstrumentCatalog::new(rows.collect(), |_| None).unwrap())
}

/// A batch with the last price of every instrument of `catalog`.
pub fn batch(catalog: &Arc<InstrumentCatalog>, seq: u64) -> SnapshotBatch {
    let snapshots = (0u32..).zip(catalog.instruments()).map(|(slot, instrument)| Snapshot {
        slot: InstrumentSlot(slot),
        tick: Tick {
            token: instrument.token,
            last_price: Price::from_paise(10_000 + seq as i64),
            body: TickBody::Ltp,
        },
        ts_recv: UnixNanos(seq as i64),
        ts_event: None,
        greeks: GreeksState::NotAnOption,
        stale: None,
        cause: SnapshotCause::Tick,
        tick_count: 1,
    });
    SnapshotBatch {
        topic: Arc::new(Topic {
            exchange: "NSE".into(),
            underlying: "NIFTY".into(),
            kind: TopicKind::Equity,
        }),
        source: "main/0".into(),
        seq,
        tick_count: catalog.len() as u64,
        tick_total: seq * catalog.len() as u64,
        ts_publish: UnixNanos(1_780_000_000_000_000_000),
        sim: true,
        catalog: catalog.clone(),
        snapshots: snapshots.collect(),
    }
}

pub fn health_record(seq: u64) -> HealthRecord {
    HealthRecord {
        source: "main/0".into(),
        seq,
        ts_publish: UnixNanos(7),
        sim: true,
        event: FeedEvent::TokenLost(TokenLoss { account: "main".into(), detail: "403".into() }),
    }
}

/// Resident memory of this process in MiB.
pub fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096 / (1 << 20)
}
