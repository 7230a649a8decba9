//! A real Redis that is absent, appears, dies and comes back, while the feed goes on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{Gateway, PATIENCE, Program, tool, until};

/// A redis-server of the test's own.
pub(crate) struct Redis {
    pub(crate) port: u16,
    server: Program,
    _folder: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start(server: &Path, port: u16) -> Self {
        Self::start_with(server, port, &[])
    }

    pub(crate) fn start_with(server: &Path, port: u16, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::start(
            Command::new(server)
                .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
                .arg(folder.path())
                .args(options)
                .stderr(Stdio::null()),
        );
        program.line_with("Ready to accept connections");
        Self { port, server: program, _folder: folder }
    }

    /// A sentinel with the settings `conf`.
    pub(crate) fn sentinel(server: &Path, port: u16, conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, conf).unwrap();
        let mut program = Program::start(
            Command::new(server)
                .arg(&file)
                .args(["--port", &port.to_string(), "--sentinel"])
                .stderr(Stdio::null()),
        );
        program.line_with("Sentinel ID is");
        Self { port, server: program, _folder: folder }
    }

    pub(crate) fn kill(&self) {
        self.signal("KILL");
    }

    pub(crate) fn signal(&self, name: &str) {
        self.server.signal(name);
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A subscriber of every tick channel.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn connect(redis: &Redis) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(b"PSUBSCRIBE kg:v1:tick:*\r\n").unwrap();
        Self(BufReader::new(socket))
    }

    /// The next batch of NIFTY options.
    fn next_chain_batch(&mut self) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "redis closed the connection");
            if line.starts_with("{\"v\":1") {
                let batch: serde_json::Value = serde_json::from_str(&line).unwrap();
                if batch["topic"]["underlying"] == "NIFTY" && batch["topic"]["kind"] == "options" {
                    return batch;
                }
            }
        }
    }
}

fn rss_mib(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    let pages: u64 = stat.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / (1 << 20)
}

#[test]
fn redis_may_be_absent_die_and_return_without_the_feed_noticing() {
    let Some(server) = tool("KITE_TEST_REDIS_SERVER") else { return };
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let gateway = Gateway::start(&[("REDIS_URL", &url)]);

    // Absent at start: said, and everything else works.
    until("the chain is live without redis", || {
        let chain = crate::http::get(gateway.addr, "/v1/chain/NIFTY?around=1");
        chain.is_ok_and(|chain| chain.body.contains("\"forward_source\":\"parity\""))
    });
    let not_ready = crate::http::get(gateway.addr, "/readyz").unwrap();
    assert_eq!(not_ready.status, 503);
    assert!(not_ready.body.contains("redis"), "{}", not_ready.body);

    // It appears.
    let redis = Redis::start(&server, port);
    until("redis is found", || {
        crate::http::get(gateway.addr, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    let before = Subscriber::connect(&redis).next_chain_batch();
    assert_eq!(before["sim"], true);
    assert!(before["ticks"][0]["greeks"].is_object() || before["ticks"][0]["greeks_reason"].is_string());

    // It dies: the breaker opens, drops are counted, memory stays flat, the feed goes on.
    drop(redis);
    until("the breaker opens", || gateway.json("/health")["redis"]["breaker"] == "open");
    let (drops, rss) = (gateway.metric("redis_circuit_open_drops"), rss_mib(gateway.program.id()));
    let ticks = gateway.metric("ticker_ticks_total");
    until("many batches were dropped", || gateway.metric("redis_circuit_open_drops") > drops + 200.0);
    assert!(gateway.metric("ticker_ticks_total") > ticks, "the feed stopped");
    let grown = rss_mib(gateway.program.id()).saturating_sub(rss);
    assert!(grown < 32, "memory grew by {grown} MiB while redis was away");

    // It returns: publishing resumes by itself and the hole is visible.
    let redis = Redis::start(&server, port);
    let after = Subscriber::connect(&redis).next_chain_batch();
    let seq = |batch: &serde_json::Value| batch["seq"].as_u64().unwrap();
    assert_eq!(before["source"], after["source"], "the feed was restarted");
    assert!(seq(&after) > seq(&before) + 20, "no hole: {} then {}", seq(&before), seq(&after));
    until("redis is ready again", || {
        crate::http::get(gateway.addr, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_wrong_password_is_named_and_never_shown() {
    let Some(server) = tool("KITE_TEST_REDIS_SERVER") else { return };
    let redis = Redis::start_with(&server, free_port(), &["--requirepass", "the-password"]);
    let url = format!("redis://:not-the-password@127.0.0.1:{}", redis.port);
    let gateway = Gateway::start(&[("REDIS_URL", &url)]);
    until("the refusal is reported", || {
        let health = gateway.json("/health");
        health["redis"]["last_error"].as_str().is_some_and(|error| error.to_lowercase().contains("password"))
    });
    assert!(!gateway.json("/health").to_string().contains("not-the-password"));
    gateway.program.signal("TERM");
    let (_, lines) = gateway.program.end();
    assert!(!lines.iter().any(|line| line.contains("not-the-password")), "the password is in the log");
}
