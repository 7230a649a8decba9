//! Ends: slow clients, dead tokens, shutdown, bad configurations; and load.

use kite_sim::{LoadConfig, SimConfig, SimError, Simulator};
use kite_wire::parse_instruments;
use market_model::{InstrumentToken, Mode, UnixNanos};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{INFY, Sim, relaxed};

async fn synthetic_tokens(sim: &mut Sim) -> Vec<InstrumentToken> {
    let dump = sim.get("/instruments/NSE").await.body;
    let rows = parse_instruments(&dump[..]).unwrap().map(Result::unwrap);
    rows.filter(|row| row.tradingsymbol.starts_with("SIM")).map(|row| row.token).collect()
}

fn load(instruments: u32, ticks_per_second: f64) -> SimConfig {
    SimConfig { load: Some(LoadConfig { instruments, ticks_per_second }), ..relaxed() }
}

#[tokio::test]
async fn load_instruments_tick_at_their_rate() {
    let mut sim = Sim::start(load(400, 4.0)).await;
    let tokens = synthetic_tokens(&mut sim).await;
    assert_eq!(tokens.len(), 400);
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &tokens).await;
    let mut counts = std::collections::HashMap::new();
    let mut ticks = 0;
    // The snapshot and two turns of the wheel.
    while ticks < 400 * 3 {
        for tick in link.ticks().await {
            *counts.entry(tick.token).or_insert(0) += 1;
            ticks += 1;
        }
    }
    assert_eq!(counts.len(), 400);
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least <= 1, "{least} to {most}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_counted() {
    let config = SimConfig { write_queue_frames: 32, sent_history: 0, ..load(3_000, 20.0) };
    let mut sim = Sim::start(config).await;
    let tokens = synthetic_tokens(&mut sim).await;
    let mut stuck = sim.connect().await;
    stuck.mode(Mode::Full, &tokens).await;
    let dropped = |status: &serde_json::Value| status["connections_dropped_as_too_slow_total"] == 1;
    let status =
        sim.status_when(|status| dropped(status) && status["connections"] == serde_json::json!([])).await;
    // What the sockets hold was sent, and nothing else.
    assert!(status["packets_sent_total"].as_u64() > Some(0), "{status}");
    assert_eq!(sim.get("/sim/sent").await.json()["connections"][0]["ended"], "too-slow");
    // Its place is free and the others are served.
    let mut link = sim.connect().await;
    link.mode(Mode::Ltp, &[INFY]).await;
    assert_eq!(link.ticks().await[0].token, INFY);
}

#[tokio::test]
async fn a_token_dies_at_six_and_takes_its_sockets_along() {
    // 05:59:00 in India; a minute passes in five seconds.
    let config =
        SimConfig { start: Some(UnixNanos::from_secs(1_795_221_000 - 60)), speed: 12.0, ..relaxed() };
    let mut sim = Sim::start(config).await;
    let access_token = sim.log_in().await;
    let auth = format!("token simkey:{access_token}");
    assert_eq!(sim.send("GET", "/user/profile", Some(&auth), "").await.status, 200);
    let mut link = sim.try_connect("simkey", &access_token).await.ok().unwrap();
    while link.next().await.is_some() {}
    assert_eq!(sim.try_connect("simkey", &access_token).await.err(), Some(403));
    let reply = sim.send("GET", "/user/profile", Some(&auth), "").await;
    reply.is_error(403, "TokenException", "Incorrect `api_key` or `access_token`.");
    // The configured token lives on.
    sim.connect().await;
}

#[tokio::test]
async fn a_new_login_drops_the_sockets_of_the_old_one() {
    let mut sim = Sim::relaxed().await;
    let first = sim.log_in().await;
    let mut link = sim.try_connect("simkey", &first).await.ok().unwrap();
    let second = sim.log_in().await;
    while link.next().await.is_some() {}
    assert_eq!(sim.try_connect("simkey", &first).await.err(), Some(403));
    assert!(sim.try_connect("simkey", &second).await.is_ok());
}

#[tokio::test]
async fn shutdown_says_goodbye_and_leaves_nothing_running() {
    let mut sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &[INFY]).await;
    link.ticks().await;
    sim.shutdown.cancel();
    let code = loop {
        match link.next().await.expect("no goodbye") {
            Message::Close(frame) => break u16::from(frame.unwrap().code),
            _ => continue,
        }
    };
    assert_eq!(code, 1001);
    while sim.tasks.join_next().await.is_some() {}
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    let listen = "127.0.0.1:0".parse().unwrap();
    for config in [
        SimConfig { speed: 0.0, ..SimConfig::default() },
        SimConfig { speed: f64::NAN, ..SimConfig::default() },
        SimConfig { apps: Vec::new(), ..SimConfig::default() },
        SimConfig { ticks_per_second: 1_000.0, ..SimConfig::default() },
        SimConfig { write_queue_frames: 0, ..SimConfig::default() },
    ] {
        let error = Simulator::bind(config, listen).await.unwrap_err();
        assert!(matches!(error, SimError::Config { .. }), "{error}");
    }
    let taken = Sim::relaxed().await;
    let error = Simulator::bind(SimConfig::default(), taken.addr).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}: choose a free address", taken.addr));
}
