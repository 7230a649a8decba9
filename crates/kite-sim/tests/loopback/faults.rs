//! Faults of sockets: what a client sees of each, and that it is over when the fault is.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use kite_sim::{Fault, FaultPlan, FaultState};
use market_model::Mode;
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{INFY, Link, NIFTY, PATIENCE, Sim, relaxed};

/// A connection that ticks.
async fn ticking(sim: &Sim) -> Link {
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &[INFY, NIFTY]).await;
    link.ticks().await;
    link
}

/// How a connection ended.
async fn end(link: &mut Link) -> Result<Message, Error> {
    loop {
        match timeout(PATIENCE, link.0.next()).await.expect("it never ended") {
            Some(Ok(Message::Close(frame))) => return Ok(Message::Close(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => panic!("ended without an error"),
        }
    }
}

#[tokio::test]
async fn mute_nothing_comes_and_the_socket_stays() {
    let sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let id = sim.faults.add(FaultPlan::new(Fault::Mute)).unwrap();
    // What was written before may still be on its way.
    while let Some(Some(Ok(_))) = link.0.next().now_or_never() {}
    link.0.send(Message::Ping("there".into())).await.unwrap();
    let quiet = Duration::from_millis(2_500);
    // The frame of the moment the fault began may come; after it nothing, not even a heartbeat or a pong.
    let _ = timeout(Duration::from_millis(300), link.0.next()).await;
    assert!(timeout(quiet, link.0.next()).await.is_err(), "a mute socket spoke");
    let did = sim.faults.get(id).unwrap().did;
    assert!(did.connections == 1 && did.packets > 0, "{did:?}");
    assert!(sim.faults.remove(id));
    link.ticks().await;
    // A connection that comes later is spared when the fault is for those present.
    sim.faults.add(FaultPlan::new(Fault::Mute).present()).unwrap();
    ticking(&sim).await;
}

#[tokio::test]
async fn no_pong_ticks_come_and_pings_go_unanswered() {
    let sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let id = sim.faults.add(FaultPlan::new(Fault::NoPong)).unwrap();
    link.0.send(Message::Ping("one".into())).await.unwrap();
    for _ in 0..3 {
        match link.next().await.unwrap() {
            Message::Pong(_) => panic!("a pong came"),
            _ => continue,
        }
    }
    sim.faults.remove(id);
    link.0.send(Message::Ping("two".into())).await.unwrap();
    loop {
        if let Message::Pong(payload) = link.next().await.unwrap() {
            assert_eq!(payload, "two");
            break;
        }
    }
}

#[tokio::test]
async fn half_open_nothing_is_read_or_written_and_the_end_is_a_reset() {
    let mut sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let id = sim.faults.add(FaultPlan::new(Fault::HalfOpen)).unwrap();
    while timeout(Duration::from_millis(300), link.0.next()).await.is_ok() {}
    // The kernel still takes what is written: nothing tells the client.
    link.mode(Mode::Ltp, &[INFY]).await;
    assert!(timeout(Duration::from_millis(1_500), link.0.next()).await.is_err(), "it spoke");
    assert_eq!(sim.status().await["connections"][0]["modes"]["ltp"], 0);
    sim.faults.remove(id);
    let error = end(&mut link).await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error}");
    // A client that gives up is noticed, so nothing is left behind.
    let left = ticking(&sim).await;
    sim.faults.add(FaultPlan::new(Fault::HalfOpen)).unwrap();
    drop(left);
    sim.status_when(|status| status["connections"] == json!([])).await;
}

#[tokio::test]
async fn reset_is_a_reset() {
    let sim = Sim::relaxed().await;
    let (mut one, mut two) = (ticking(&sim).await, ticking(&sim).await);
    let first = sim.faults.connections()[0].0;
    sim.faults.add(FaultPlan::new(Fault::Reset).connection(first)).unwrap();
    let error = end(&mut one).await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error}");
    two.ticks().await;
}

#[tokio::test]
async fn drop_is_an_end_without_a_closing_frame() {
    let sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    sim.faults.add(FaultPlan::new(Fault::Drop)).unwrap();
    let error = end(&mut link).await.unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)), "{error}");
}

#[tokio::test]
async fn close_is_a_closing_frame_with_its_code() {
    let sim = Sim::relaxed().await;
    for code in [1000, 1001, 1011, 4000] {
        let mut link = ticking(&sim).await;
        let reason = "as asked".to_owned();
        sim.faults.add(FaultPlan::new(Fault::Close { code, reason })).unwrap();
        let Message::Close(Some(frame)) = end(&mut link).await.unwrap() else { panic!("no frame") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, "as asked"));
    }
}

#[tokio::test]
async fn expired_token_drops_its_sockets_refuses_and_a_new_login_works() {
    let mut sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let id = sim.faults.add(FaultPlan::new(Fault::ExpireToken).api_key("simkey")).unwrap();
    let began = Instant::now();
    while link.next().await.is_some() {}
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert_eq!(sim.try_connect("simkey", "simtoken").await.err(), Some(403));
    let reply = sim.get("/user/profile").await;
    reply.is_error(403, "TokenException", "Incorrect `api_key` or `access_token`.");
    let access_token = sim.log_in().await;
    assert!(sim.try_connect("simkey", &access_token).await.is_ok());
    sim.faults.remove(id);
    ticking(&sim).await;
}

#[tokio::test]
async fn restart_drops_everything_refuses_connects_and_comes_back() {
    let mut sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let down = Duration::from_millis(800);
    let began = Instant::now();
    let id = sim.faults.add(FaultPlan::new(Fault::Restart { down })).unwrap();
    while link.next().await.is_some() {}
    let mut refused = 0;
    while let Err(error) = tokio::net::TcpStream::connect(sim.addr).await {
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        refused += 1;
        tokio::task::yield_now().await;
    }
    assert!(refused > 0 && began.elapsed() >= down, "{refused} in {:?}", began.elapsed());
    ticking(&sim).await;
    let report = sim.faults.get(id).unwrap();
    assert_eq!((report.state, report.did.connections), (FaultState::Over, 1));
    assert_eq!(sim.get("/user/profile").await.status, 200);
}

#[tokio::test]
async fn a_script_runs_on_the_simulators_clock() {
    let script = "[[fault]]\nat = \"30s\"\nfault = \"close\"\ncode = 1011\n";
    let faults = kite_sim::fault_script(script).unwrap();
    // Half a minute passes in one and a half seconds.
    let sim = Sim::start(kite_sim::SimConfig { faults, speed: 20.0, ..relaxed() }).await;
    let began = Instant::now();
    let mut link = ticking(&sim).await;
    let Message::Close(Some(frame)) = end(&mut link).await.unwrap() else { panic!("no frame") };
    assert_eq!(u16::from(frame.code), 1011);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_admin_endpoint_adds_lists_and_takes_back() {
    let mut sim = Sim::relaxed().await;
    let mut link = ticking(&sim).await;
    let reply = sim.post("/sim/faults", r#"{"fault":"silent-tokens","tokens":[408065],"for":"1h"}"#).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json(), json!({ "ids": [1] }));
    // Only the other one ticks.
    let mut seen = 0;
    link.ticks().await;
    while seen < 4 {
        assert!(link.ticks().await.iter().all(|tick| tick.token == NIFTY));
        seen += 1;
    }
    let fault = sim.get("/sim/faults").await.json()["faults"][0].take();
    assert_eq!(fault["state"], "active");
    assert_eq!(fault["plan"], json!({ "fault": "silent-tokens", "tokens": [408065], "for": "3600s" }));
    assert!(fault["did"]["packets"].as_u64() > Some(0), "{fault}");
    assert_eq!(sim.send("DELETE", "/sim/faults/1", None, "").await.status, 200);
    assert_eq!(sim.send("DELETE", "/sim/faults/1", None, "").await.status, 404);
    assert_eq!(sim.get("/sim/faults/1").await.json()["state"], "over");
    assert_eq!(sim.send("DELETE", "/sim/faults", None, "").await.status, 200);
    let reply = sim.post("/sim/faults", r#"{"fault":"mut"}"#).await;
    assert_eq!(reply.status, 400);
    let message = reply.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("line 1 column 14: unknown variant `mut`"), "{message}");
}
