//! The program as a user runs it: what it prints, what it writes, how it ends.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use feed_recorder::sample::{START, catalog, connection, frame};
use feed_recorder::{FrameKind, RecordedAccount, Recorder, RecorderConfig, RecorderMetrics};
use market_model::{FeedEvent, ManualClock};

const ROUNDS: u32 = 60;
const TICKS: u32 = ROUNDS * 45;

/// A recording of six seconds.
fn recording(folder: &Path) {
    let config = RecorderConfig {
        accounts: vec![RecordedAccount { name: "alpha".into(), simulated: true }],
        block_bytes: 64 << 10,
        ..RecorderConfig::new(folder)
    };
    let clock = Arc::new(ManualClock::new(START));
    let (handle, task) = Recorder::new(config, clock.clone(), RecorderMetrics::noop()).unwrap();
    handle.instruments(&Arc::new(catalog()));
    handle.event(&FeedEvent::Connected { connection: connection(0), at: START });
    for round in 0..ROUNDS {
        let at = START + Duration::from_millis(100) * round;
        clock.set(at);
        handle.frame(&connection((round % 2) as u8), at, FrameKind::Binary, &frame(round));
    }
    handle.frame(&connection(0), START + Duration::from_millis(5950), FrameKind::Binary, &[0]);
    drop(handle);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(task.run()).unwrap().counts.frames_lost, 0);
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kite-recording")).args(arguments).output().unwrap()
}

/// Standard output of a run that must succeed, and must say nothing on the other one: no terminal, no bars.
fn prints(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code, and what a run that must fail says.
fn fails(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn inspect_says_what_a_recording_holds_and_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let said = prints(&["inspect", text(folder.path())]);
    for wanted in [
        "time         2026-11-20 09:30:00.000 IST to 2026-11-20 09:30:05.950 IST, 6.0 s",
        "frames       61 with 2700 ticks",
        "instruments  45 from 2026-11-20 09:30:00.000 IST",
        "  alpha/0: 31 frames (1 heartbeats, 0 texts), 1350 ticks",
        "  connected: 1",
        "holes: 0 (0 frames with 0 ticks not recorded)",
        "accounts: alpha (simulated)",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in\n{said}");
    }
    assert!(!said.contains("not closed") && !said.contains("damaged"), "{said}");

    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let third = bytes.len() / 3;
    bytes[third] ^= 1;
    bytes.truncate(bytes.len() - 100);
    fs::write(&file, bytes).unwrap();
    let said = prints(&["inspect", text(folder.path())]);
    assert!(
        said.contains("not closed") && said.contains("torn tail") && said.contains("is damaged"),
        "{said}"
    );
}

#[test]
fn two_replays_are_byte_identical_at_any_speed() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let replay = |speed: &str, out: &str| {
        let out = folder.path().join(out);
        let said = prints(&["replay", text(folder.path()), "--speed", speed, "--out", text(&out)]);
        assert!(said.contains("61 frames, 2700 ticks, 1 events"), "{said}");
        fs::read(out).unwrap()
    };
    let first = replay("max", "first.jsonl");
    assert_eq!(first, replay("max", "second.jsonl"));
    assert_eq!(first, replay("20x", "paced.jsonl"));
    let lines: Vec<&[u8]> = first.split(|byte| *byte == b'\n').collect();
    assert!(lines.len() > 100 && lines[0].starts_with(br#"{"v":1,"type":"connected""#), "{}", lines.len());
    let has = |text: &[u8]| first.windows(text.len()).any(|window| window == text);
    assert!(has(br#""sim":true"#) && has(br#""forward_source":"parity""#));
}

#[test]
fn a_part_is_replayed_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let output = run(&["replay", text(folder.path()), "--from", "+1", "--to", "09:30:02", "--out", "-"]);
    assert!(output.status.success());
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.contains("11 frames, 495 ticks, 0 events"), "{report}");
    assert!(output.stdout.starts_with(br#"{"v":1,"type":"ticks""#));
}

#[test]
fn what_cannot_be_done_says_the_next_step_and_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = text(folder.path());
    let (code, said) = fails(&["inspect", path]);
    assert_eq!(code, 1);
    assert!(said.contains("give a recording file or the folder that holds them"), "{said}");
    let (code, said) = fails(&["inspect", "/nowhere/at.all"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot open /nowhere/at.all"), "{said}");
    recording(folder.path());
    for arguments in [
        &["replay", path, "--from", "noon"][..],
        &["replay", path, "--from", "+5", "--to", "+4"],
        &["replay", path, "--speed", "0"],
        &["export", path],
        &["burn", path],
    ] {
        let (code, said) = fails(arguments);
        assert_eq!(code, 64, "{arguments:?}: {said}");
    }
    let (code, said) = fails(&["replay", path, "--out", "/nowhere/out.jsonl"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot make /nowhere/out.jsonl"), "{said}");
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

/// The interpreter with pandas and polars, when the test run has one.
fn python() -> Option<PathBuf> {
    let found = std::env::var_os("KITE_TEST_PYTHON").map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("KITE_TEST_REQUIRE_SERVICES").is_none(), "KITE_TEST_PYTHON is not set");
        eprintln!("skipped: KITE_TEST_PYTHON is not set; `cargo xtask test` sets it");
    }
    found
}

#[test]
fn exports_open_in_pandas_and_polars() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let out = folder.path().join("export");
    let said = prints(&["export", text(folder.path()), "--parquet", text(&out)]);
    assert!(said.contains(&format!("ticks.parquet: {TICKS} rows")), "{said}");
    assert!(said.contains("snapshots.parquet: ") && said.contains("instruments.csv: 45 rows"), "{said}");
    let Some(python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/read_parquet.py");
    let output = Command::new(python).args([script, text(&out), &TICKS.to_string()]).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("pandas and polars agree"), "{said}{errors}");
}

/// A process that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A websocket message of the server.
fn message(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        127 => panic!("no frame of this recording is so large"),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0] & 15, payload)
}

#[test]
fn a_recording_is_served_as_a_kite_that_ticks() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_kite-recording"))
        .args(["serve", text(folder.path()), "--listen", "127.0.0.1:0", "--speed", "10"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let _serving = Serving(child);
    let address =
        said.lines().find_map(|line| line.unwrap().strip_prefix("ticker  ws://").map(str::to_owned));
    let address = address.unwrap();

    let mut rest = TcpStream::connect(&address).unwrap();
    write!(rest, "GET /instruments HTTP/1.1\r\nhost: kite\r\nauthorization: token simkey:simtoken\r\nconnection: close\r\n\r\n").unwrap();
    let mut dump = Vec::new();
    rest.read_to_end(&mut dump).unwrap();
    let symbol = b"NIFTY26NOVFUT";
    assert!(dump.windows(symbol.len()).any(|window| window == symbol), "{}", String::from_utf8_lossy(&dump));

    let mut ticker = TcpStream::connect(&address).unwrap();
    write!(
        ticker,
        "GET /?api_key=simkey&access_token=simtoken HTTP/1.1\r\nhost: kite\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut stream = BufReader::new(ticker.try_clone().unwrap());
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.contains("101"), "{line}");
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    for request in [r#"{"a":"subscribe","v":[256265]}"#, r#"{"a":"mode","v":["full",[256265]]}"#] {
        // A client's message is masked; a mask of zeros leaves it as it is.
        ticker.write_all(&[0x81, 0x80 | request.len() as u8, 0, 0, 0, 0]).unwrap();
        ticker.write_all(request.as_bytes()).unwrap();
    }
    ticker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut prices = Vec::new();
    while prices.len() < 5 {
        let (kind, payload) = message(&mut stream);
        if kind == 2 && payload.len() > 12 {
            assert_eq!(payload[..8], [0, 1, 0, 32, 0, 3, 233, 9], "one index packet in full mode");
            prices.push(payload[8..12].to_vec());
        }
    }
    // The very prices that were recorded: those of one frame after the other.
    let recorded: Vec<_> = (0..ROUNDS).map(|round| frame(round)[8..12].to_vec()).collect();
    assert!(recorded.windows(5).any(|window| window == prices), "{prices:?}");
}
