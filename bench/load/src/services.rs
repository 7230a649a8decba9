//! The programs of the measurement, stopped when dropped.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::scrape::{Page, get, post};
use crate::subscriber::Subscriber;

/// A load, and over what it comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) instruments: u32,
    pub(crate) ticks_per_second: u32,
    /// Broker accounts; each carries 9,000 instruments on three connections.
    pub(crate) accounts: u32,
    pub(crate) tls: bool,
    /// Whether the last value of every instrument is stored each second.
    pub(crate) last_values: bool,
    /// How batches are written to Redis, as `REDIS_PAYLOAD` says it.
    pub(crate) payload: &'static str,
}

/// Simulator, Redis with a subscriber, gateway.
pub(crate) struct Services {
    gateway: Child,
    gateway_addr: String,
    sim_addr: String,
    redis: Child,
    subscriber: Subscriber,
    others: Vec<Child>,
    folder: PathBuf,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the gateway and the simulator as a release archive has them.
pub(crate) fn build() -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args([
        "build",
        "--profile",
        "dist",
        "--quiet",
        "-p",
        "kite-gateway",
        "-p",
        "kite-sim-server",
    ]);
    if cargo.status()?.success() { Ok(()) } else { Err("the programs do not build".into()) }
}

impl Services {
    pub(crate) fn start(load: Load) -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("kite-bench-load-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let program = |name: &str| Command::new(target.join("dist").join(name));

        let redis_port = free_port()?.to_string();
        let redis = Command::new("redis-server")
            .args(["--port", &redis_port, "--save", "", "--appendonly", "no", "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start redis-server: {error}; install it"))?;
        let mut others = Vec::new();
        let certificate = folder.join("sim.pem");
        let Load { instruments, ticks_per_second, accounts, tls, last_values, payload } = load;
        let mut sim = program("kite-sim");
        sim.args(["--listen", "127.0.0.1:0", "--no-rate-limits", "--load"])
            .arg(format!("{instruments},{ticks_per_second},{accounts}"))
            .stderr(Stdio::null());
        if tls {
            sim.arg("--tls").arg("--tls-certificate").arg(&certificate);
        }
        let sim_addr = start_until_address(&mut sim, &mut others)?;
        let subscriber = Subscriber::start(&redis_port)?;
        let mut started = Vec::new();
        let (http, ws) = if tls { ("https", "wss") } else { ("http", "ws") };
        let accounts_file = folder.join("accounts.toml");
        let account = |number: u32| {
            format!(
                "[[account]]\nname = \"load{number:02}\"\napi_key = \"load{number:02}\"\naccess_token = \"token{number:02}\"\nsimulated = true\n"
            )
        };
        std::fs::write(&accounts_file, (1..=accounts).map(account).collect::<String>())?;
        let mut gateway = program("kite-gateway");
        gateway
            .env("GATEWAY_LISTEN", "127.0.0.1:0")
            .env("GATEWAY_DATA_DIR", &folder)
            .env("GATEWAY_SUBSCRIBE", "NFO:*:full,NSE:*:full")
            .env("KITE_ACCOUNTS_FILE", &accounts_file)
            .env("KITE_REST_URL", format!("{http}://{sim_addr}"))
            .env("KITE_TICKER_URL", format!("{ws}://{sim_addr}"))
            .env("REDIS_PAYLOAD", payload)
            .env("REDIS_URL", format!("redis://127.0.0.1:{redis_port}"));
        if !last_values {
            gateway.env("REDIS_LAST_VALUES_MS", "0");
        }
        if tls {
            gateway.env("KITE_CA_FILE", &certificate);
        }
        let gateway_addr = start_until_address(&mut gateway, &mut started)?;
        let gateway = started.remove(0);
        Ok(Self { gateway, gateway_addr, sim_addr, redis, subscriber, others, folder })
    }

    pub(crate) fn gateway(&self) -> u32 {
        self.gateway.id()
    }

    pub(crate) fn redis(&self) -> u32 {
        self.redis.id()
    }

    pub(crate) fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    pub(crate) fn health(&self) -> std::io::Result<String> {
        get(&self.gateway_addr, "/health")
    }

    /// Hands the simulator a fault.
    pub(crate) fn fault(&self, json: &str) -> std::io::Result<()> {
        post(&self.sim_addr, "/sim/faults", json).map(drop)
    }

    /// Sends redis-server a signal, such as `STOP`.
    pub(crate) fn signal_redis(&self, signal: &str) -> std::io::Result<()> {
        Command::new("kill").args([&format!("-{signal}"), &self.redis.id().to_string()]).status().map(drop)
    }

    pub(crate) fn metrics(&self) -> std::io::Result<Page> {
        Page::scrape(&self.gateway_addr)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in [&mut self.gateway, &mut self.redis].into_iter().chain(&mut self.others) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Starts a program and reads its output until it names the address it listens on; then lets it talk to nobody.
fn start_until_address(command: &mut Command, into: &mut Vec<Child>) -> Result<String, Box<dyn Error>> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    into.push(child);
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        if let Some(at) = line.find("://127.0.0.1:") {
            let address: String =
                line[at + 3..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(address.trim_end_matches([':', '.']).to_owned());
        }
    }
    Err(format!("{} ended without naming its address", command.get_program().display()).into())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
