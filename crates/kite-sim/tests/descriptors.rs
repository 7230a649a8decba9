//! Thousands of connections that end in every way leave nothing behind. Alone in its process, which it counts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kite_sim::{Fault, FaultPlan, Limits, SimConfig, Simulator};
use kite_wire::TickerRequest;
use market_model::{InstrumentToken, Mode};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 60;
const AT_ONCE: usize = 50;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn reconnects_leave_no_descriptors_and_no_memory() {
    let limits = Limits { connections: 2 * AT_ONCE, rate_limits: false, ..Limits::default() };
    let config = SimConfig { limits, ..SimConfig::default() };
    let simulator = Simulator::bind(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (addr, faults) = (simulator.addr(), simulator.faults());
    let shutdown = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(simulator.run(shutdown.clone()));
    let mut after_warm_up = (0, 0);
    for round in 0..ROUNDS {
        let (mut leaving, mut staying) = (JoinSet::new(), JoinSet::new());
        for number in 0..AT_ONCE {
            let client = async move {
                let url = format!("ws://{addr}/?api_key=simkey&access_token=simtoken");
                let (mut socket, _) = connect_async(url).await.unwrap();
                let mode = TickerRequest::Mode(Mode::Full, vec![InstrumentToken(256_265)]);
                socket.send(Message::text(mode.to_json())).await.unwrap();
                match number % 3 {
                    // Left without a word, closed in order, and ended by the server.
                    0 => {}
                    1 => drop(socket.close(None).await),
                    _ => while let Some(Ok(_)) = socket.next().await {},
                }
            };
            if number % 3 == 2 {
                staying.spawn(client)
            } else {
                leaving.spawn(client)
            };
        }
        while let Some(ended) = leaving.join_next().await {
            ended.unwrap();
        }
        let close = Fault::Close { code: 1011, reason: String::new() };
        let fault = [Fault::Reset, Fault::Drop, close][round % 3].clone();
        // Those that are not there yet when it comes get the next one.
        while !staying.is_empty() {
            faults.add(FaultPlan::new(fault.clone())).unwrap();
            while let Ok(Some(ended)) = timeout(Duration::from_millis(50), staying.join_next()).await {
                ended.unwrap();
            }
        }
        if round == ROUNDS / 6 {
            after_warm_up = (open_descriptors(), resident_kilobytes());
        }
    }
    let gone = async {
        while open_descriptors() > after_warm_up.0 || !faults.connections().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(20), gone).await.is_ok(), "{} descriptors", open_descriptors());
    let grown = resident_kilobytes().saturating_sub(after_warm_up.1);
    assert!(grown < 8 * 1024, "{grown} kB more after {} connections", ROUNDS * AT_ONCE);
    shutdown.cancel();
    while server.join_next().await.is_some() {}
}
