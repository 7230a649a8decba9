//! The page in a real browser.

use std::process::Command;

use crate::process::{Gateway, tool};

#[test]
fn the_page_shows_a_live_chain_in_chromium() {
    let Some(chromium) = tool("KITE_TEST_CHROMIUM") else { return };
    let gateway = Gateway::start(&[]).ready();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{}/", gateway.addr))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let shown = |part: &str| assert!(dom.contains(part), "the page does not show `{part}`:\n{dom:.4000}");
    for part in ["SIMULATED", "NIFTY", "parity", "sim/0"] {
        shown(part);
    }
    let rows = dom.matches("<tr").count();
    assert!(rows >= 30, "only {rows} table rows:\n{dom:.4000}");
}
