//! A redis-server of our own, and one subscriber that counts.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Ends with its owner.
pub struct RedisServer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

/// Messages and bytes that have arrived, and when the newest did.
#[derive(Default)]
pub struct Arrivals {
    messages: AtomicU64,
    bytes: AtomicU64,
    cpu_nanos: AtomicU64,
}

/// Reads everything that is published on `PATTERN`, in a thread.
pub struct Subscriber {
    arrivals: Arc<Arrivals>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

/// Everything.
const PATTERN: &str = "*";

// === impl RedisServer ===

impl RedisServer {
    /// Starts `redis-server` (or what `KITE_TEST_REDIS_SERVER` names) without persistence on a free port.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let program = std::env::var_os("KITE_TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--client-output-buffer-limit", "pubsub 0 0 0", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server does not start: {error}"))?;
        let server = Self { child, port, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("redis-server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Subscriber ===

impl Subscriber {
    /// Listens from now on.
    pub fn start(server: &RedisServer) -> Result<Self, Box<dyn Error>> {
        let mut socket = TcpStream::connect(server.address())?;
        socket.write_all(format!("PSUBSCRIBE {PATTERN}\r\n").as_bytes())?;
        let mut reader = BufReader::with_capacity(1 << 18, socket.try_clone()?);
        // The confirmation: an array of three.
        let mut line = String::new();
        for _ in 0..6 {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let arrivals = Arc::new(Arrivals::default());
        let counted = arrivals.clone();
        let thread = std::thread::spawn(move || {
            let _ = count(&mut reader, &counted);
        });
        Ok(Self { arrivals, socket, thread: Some(thread) })
    }

    /// Messages so far.
    pub fn messages(&self) -> u64 {
        self.arrivals.messages.load(Ordering::Acquire)
    }

    /// Bytes of payload so far.
    pub fn bytes(&self) -> u64 {
        self.arrivals.bytes.load(Ordering::Acquire)
    }

    /// What reading has cost so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.arrivals.cpu_nanos.load(Ordering::Acquire) as f64 / 1e9
    }

    /// Waits until `messages` have arrived.
    pub fn wait_for(&self, messages: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.messages() < messages && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `*4`, `$8`, `pmessage`, `$n`, pattern, `$n`, channel, `$n`, payload.
fn count(reader: &mut impl BufRead, arrivals: &Arrivals) -> std::io::Result<()> {
    let (mut line, mut payload) = (String::new(), Vec::new());
    loop {
        let mut len = 0;
        for at in 0..8 {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if at == 7 {
                len = line.trim_start_matches('$').trim_end().parse().unwrap_or(0);
            }
        }
        payload.resize(len + 2, 0);
        reader.read_exact(&mut payload)?;
        arrivals.bytes.fetch_add(len as u64, Ordering::Release);
        let messages = arrivals.messages.fetch_add(1, Ordering::Release);
        if messages.is_multiple_of(64) {
            let nanos = (crate::rounds::thread_seconds() * 1e9) as u64;
            arrivals.cpu_nanos.store(nanos, Ordering::Release);
        }
    }
}
