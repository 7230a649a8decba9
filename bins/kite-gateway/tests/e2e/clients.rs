//! The official Kite clients against the simulator, and redis-py against the gateway, all unmodified.

use std::path::{Path, PathBuf};
use std::process::Command;

use kite_sim::SimConfig;

use crate::process::{Gateway, Program, tool};
use crate::redis::{Redis, free_port};
use crate::sim::Sim;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check_succeeds(command: &mut Command, says: &str) {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains(says), "{text}");
    eprintln!("{text}");
}

#[test]
fn the_official_python_client_receives_exactly_what_was_sent() {
    let Some(python) = tool("KITE_TEST_PYTHON") else { return };
    let sim = Sim::start(SimConfig { sent_history: 400, ..SimConfig::default() });
    let script = repository().join("tests/clients/python_client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(sim.addr.to_string()).args(["simkey", "simsecret"]);
    check_succeeds(&mut command, "0 mismatches");
}

#[test]
fn the_official_python_client_reads_everything_there_is_to_read() {
    let Some(python) = tool("KITE_TEST_PYTHON") else { return };
    let mut config = SimConfig::default();
    config.limits.order_addresses = Some(Vec::new());
    let sim = Sim::start(config);
    let script = repository().join("tests/clients/python_reads.py");
    let mut command = Command::new(python);
    command.arg(script).arg(sim.addr.to_string()).args(["simkey", "simtoken"]);
    check_succeeds(&mut command, "0 mismatches");
}

#[test]
fn the_official_javascript_client_receives_exactly_what_was_sent() {
    let (Some(node), Some(modules)) = (tool("KITE_TEST_NODE"), tool("KITE_TEST_NODE_MODULES")) else {
        return;
    };
    let sim = Sim::start(SimConfig { sent_history: 400, ..SimConfig::default() });
    let script = repository().join("tests/clients/js_client.mjs");
    let mut command = Command::new(node);
    command.arg(script).arg(sim.addr.to_string()).args(["simkey", "simsecret"]).env("NODE_PATH", modules);
    check_succeeds(&mut command, "0 mismatches");
}

#[test]
fn a_redis_py_consumer_reads_chains_that_agree_with_the_simulators_truth() {
    let (Some(server), Some(python)) = (tool("KITE_TEST_REDIS_SERVER"), tool("KITE_TEST_PYTHON")) else {
        return;
    };
    let sim = Sim::start(SimConfig::default());
    let redis = Redis::start(&server, free_port());
    let (url, rest, ticker) = (
        format!("redis://127.0.0.1:{}", redis.port),
        format!("http://{}", sim.addr),
        format!("ws://{}", sim.addr),
    );
    let _gateway = Gateway::start(&[
        ("REDIS_URL", &url),
        ("KITE_API_KEY", "simkey"),
        ("KITE_ACCESS_TOKEN", "simtoken"),
        ("KITE_SIMULATED", "true"),
        ("KITE_REST_URL", &rest),
        ("KITE_TICKER_URL", &ticker),
        ("GATEWAY_SUBSCRIBE", "NIFTY:2:25:full"),
    ])
    .ready();
    let mut command = Command::new(&python);
    command.arg(repository().join("tests/clients/check_chain.py")).args([
        &url,
        &sim.addr.to_string(),
        "NIFTY",
    ]);
    check_succeeds(&mut command, "0 mismatches");

    // The ten lines of the documentation.
    let mut consumer = Program::start(
        Command::new(&python).arg("-u").arg(repository().join("examples/python/consume.py")).arg(&url),
    );
    let iv = std::iter::repeat_with(|| consumer.line_with("CE "))
        .find_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok())
        .unwrap();
    assert!((0.01..2.0).contains(&iv), "{iv}");
}
