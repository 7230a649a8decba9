//! Programs under test, stopped when dropped, with every line they print.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy two-core machine; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        for pipe in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
            let send = send.clone();
            std::thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that holds `part`; fails with everything printed when none comes.
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with `{part}` ({error}); printed:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Kills it; whether it was still running.
    pub(crate) fn kill(&mut self) -> bool {
        let running = self.child.try_wait().unwrap().is_none();
        let _ = self.child.kill();
        let status = self.child.wait().unwrap();
        running && status.code().is_none()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; the status and everything printed.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running; printed:\n{}", self.seen.join("\n")),
            }
        }
        let status = self.child.wait().unwrap();
        (status, std::mem::take(&mut self.seen))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway on a free port with a data folder of its own.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) addr: SocketAddr,
    _data: tempfile::TempDir,
}

impl Gateway {
    /// Starts it with `settings` on top of a simulated market, and waits until it listens.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = command();
        command.env("GATEWAY_DATA_DIR", data.path()).envs(settings.iter().copied());
        let mut program = Program::start(&mut command);
        let line = program.line_with("page=\"http://");
        let start = line.find("http://").unwrap() + "http://".len();
        let addr = line[start..].split('/').next().unwrap().parse().unwrap();
        Self { program, addr, _data: data }
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) fn ready(self) -> Self {
        until("the gateway is ready", || {
            crate::http::get(self.addr, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        self
    }

    /// The JSON that `path` answers.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let answer = crate::http::get(self.addr, path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The value of a metric whose line begins with `name`; the sum over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = crate::http::get(self.addr, "/metrics").unwrap().body;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// The gateway program with nothing of the caller's settings.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kite-gateway"));
    for setting in gateway::SETTINGS {
        command.env_remove(setting.env);
    }
    command.env("GATEWAY_LISTEN", "127.0.0.1:0");
    command
}

/// Waits for a condition; fails with `what` when it does not come.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A program that `cargo xtask test` names in `variable`; `None` (said on the output) when run without it.
pub(crate) fn tool(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("KITE_TEST_REQUIRE_SERVICES").is_none(), "{variable} is not set");
        eprintln!("skipped: {variable} is not set; `cargo xtask test` sets it");
    }
    found
}
