//! What a consumer sees of each fault on the broker's side: the shipped program between a simulator that misbehaves
//! and a client of its event stream.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kite_sim::{Door, Fault, FaultPlan, SimConfig};
use serde_json::Value;

use crate::process::{Gateway, PATIENCE, until};
use crate::sim::Sim;

const INFY: u32 = 408_065;
const RELIANCE: u32 = 738_561;

/// The messages of one `/v1/events` client, with when they came.
struct Consumer {
    messages: Receiver<(Instant, Value)>,
}

impl Consumer {
    fn connect(addr: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(addr).unwrap();
        let symbols = "NSE:INFY,NSE:RELIANCE";
        write!(socket, "GET /v1/events?symbols={symbols} HTTP/1.0\r\nHost: {addr}\r\n\r\n").unwrap();
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(socket).lines().map_while(Result::ok);
            for line in lines {
                let Some(json) = line.strip_prefix("data: ").or_else(|| line.strip_prefix("data:")) else {
                    continue;
                };
                let Ok(message) = serde_json::from_str(json) else { continue };
                if send.send((Instant::now(), message)).is_err() {
                    return;
                }
            }
        });
        Self { messages }
    }

    /// Waits for a message that `wanted` accepts; fails with everything else that came.
    fn next(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> (Instant, Value) {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, message)) if wanted(&message) => return (at, message),
                Ok((_, message)) if message["type"] == "ticks" => {}
                Ok((_, message)) => others.push(message["type"].to_string()),
                Err(error) => panic!("no {what} ({error}); the consumer saw {others:?}"),
            }
        }
    }

    fn health(&self, kind: &str) -> (Instant, Value) {
        self.next(kind, |message| message["type"] == kind)
    }

    fn tick_of(&self, token: u32) -> (Instant, Value) {
        self.tick_with(token, |tick| tick["stale"] == false)
    }

    fn tick_with(&self, token: u32, is_wanted: impl Fn(&Value) -> bool) -> (Instant, Value) {
        self.next("tick", |message| {
            let ticks = message["ticks"].as_array();
            ticks.is_some_and(|ticks| {
                ticks.iter().any(|tick| tick["instrument_token"] == token && is_wanted(tick))
            })
        })
    }

    /// Forgets what has come so far.
    fn skip(&self) {
        while self.messages.try_recv().is_ok() {}
    }
}

/// A gateway that streams every simulated share, and a consumer of two of them.
struct Stage {
    sim: Sim,
    gateway: Gateway,
    consumer: Consumer,
}

impl Stage {
    fn new() -> Self {
        let sim = Sim::start(SimConfig { ticks_per_second: 4.0, ..SimConfig::default() });
        let gateway = Gateway::start(&[
            ("KITE_API_KEY", "simkey"),
            ("KITE_ACCESS_TOKEN", "simtoken"),
            ("KITE_REST_URL", &format!("http://{}", sim.addr)),
            ("KITE_TICKER_URL", &format!("ws://{}", sim.addr)),
            ("KITE_SIMULATED", "true"),
            ("GATEWAY_SUBSCRIBE", "NSE:*:full"),
        ])
        .ready();
        let consumer = Consumer::connect(gateway.addr);
        consumer.tick_of(INFY);
        Self { sim, gateway, consumer }
    }

    /// Lets `plan` happen now.
    fn suffer(&self, plan: FaultPlan) -> Instant {
        self.consumer.skip();
        let begun = Instant::now();
        self.sim.faults.add(plan).unwrap();
        begun
    }

    /// The connection ends, comes back with a hole that says why, and ticks again with every mode.
    fn reconnects(&self, name: &str, plan: FaultPlan, reason: &str) -> Duration {
        let begun = self.suffer(plan);
        let (noticed, down) = self.consumer.health("reconnecting");
        assert_eq!(down["reason"], reason, "{name}: {down}");
        self.consumer.health("reconnected");
        let (_, gap) = self.consumer.health("gap");
        assert_eq!(gap["cause"], "disconnected", "{name}: {gap}");
        assert!(gap["to"].as_i64() > gap["from"].as_i64(), "{name}: {gap}");
        // The broker starts a subscription in quote mode; a tick may come before the command for another.
        let is_full = |tick: &Value| tick["stale"] == false && tick["mode"] == "full";
        let (live, _) = self.consumer.tick_with(INFY, is_full);
        eprintln!("{name}: noticed after {:?}, live after {:?} ({reason})", noticed - begun, live - begun);
        self.is_accounted_for();
        noticed - begun
    }

    /// The connection stays; what could not be read is a hole with its tokens, or with none when nobody can know.
    fn damages(&self, name: &str, plan: FaultPlan) {
        let begun = self.suffer(plan);
        let (noticed, gap) = self.consumer.health("gap");
        assert_eq!(gap["cause"], "undecodable", "{name}: {gap}");
        assert!(gap["lost_ticks"].as_u64() > Some(0), "{name}: {gap}");
        self.consumer.tick_of(INFY);
        eprintln!("{name}: told after {:?}, {} packets lost", noticed - begun, gap["lost_ticks"]);
        self.is_accounted_for();
    }

    fn is_accounted_for(&self) {
        let conservation = &self.gateway.json("/health")["conservation"];
        assert_eq!(conservation["balanced"], true, "{conservation}");
    }
}

#[test]
fn a_connection_that_ends_comes_back_with_a_gap_that_says_why() {
    for (name, fault, reason) in [
        ("reset", Fault::Reset, "io"),
        ("drop", Fault::Drop, "closed_by_server"),
        ("close 1001", Fault::Close { code: 1001, reason: "going away".to_owned() }, "closed_by_server"),
        ("restart", Fault::Restart { down: Duration::from_millis(200) }, "closed_by_server"),
    ] {
        Stage::new().reconnects(name, FaultPlan::new(fault), reason);
    }
}

#[test]
fn a_server_that_refuses_the_first_handshake_is_asked_again() {
    for (name, status, html) in [("503", 503, false), ("429", 429, false), ("502 with HTML", 502, true)] {
        let stage = Stage::new();
        let refuse = Fault::Refuse { door: Door::Handshake, status, html, path: None };
        stage.sim.faults.add(FaultPlan::new(refuse).times(1)).unwrap();
        stage.reconnects(name, FaultPlan::new(Fault::Drop), "closed_by_server");
        assert!(stage.gateway.metric("ticker_handshakes_total") <= 12.0, "{name}: a storm of handshakes");
    }
}

#[test]
fn a_mute_connection_is_noticed_within_five_seconds_and_a_little() {
    let stage = Stage::new();
    // The server's clock and ours differ by a frame and a look at the clock.
    let limit = Duration::from_secs(5) + Duration::from_secs(1);
    for (name, fault) in [("mute", Fault::Mute), ("half-open", Fault::HalfOpen)] {
        let noticed = stage.reconnects(name, FaultPlan::new(fault).present(), "no_heartbeat");
        assert!(noticed < limit, "{name}: {noticed:?}");
    }
}

#[test]
fn damage_costs_what_is_damaged_and_is_told() {
    let stage = Stage::new();
    let handshakes = stage.gateway.metric("ticker_handshakes_total");
    let percent = 100.0;
    stage.damages("truncated frame", FaultPlan::new(Fault::TruncatedFrame { percent }).times(3));
    stage.damages("unknown packet", FaultPlan::new(Fault::UnknownPacket { percent, length: None }).times(3));
    stage.damages("wrong length", FaultPlan::new(Fault::WrongLength { percent }).times(3));
    stage.suffer(FaultPlan::new(Fault::BigFrame { packets: 3000 }).times(1));
    stage.consumer.tick_of(RELIANCE);
    stage.is_accounted_for();
    assert_eq!(
        stage.gateway.metric("ticker_handshakes_total"),
        handshakes,
        "damage is no reason to reconnect"
    );
}

#[test]
fn an_expired_token_is_told_and_a_new_one_is_live_within_two_seconds() {
    let stage = Stage::new();
    let expired = stage.sim.faults.add(FaultPlan::new(Fault::ExpireToken)).unwrap();
    stage.consumer.health("token_lost");
    until("readiness says what to do", || {
        let answer = crate::http::get(stage.gateway.addr, "/readyz").unwrap();
        answer.status == 503 && answer.body.contains("access_token")
    });
    let handshakes = stage.gateway.metric("ticker_handshakes_total");
    // The configured token works again: hand it over as an operator would.
    assert!(stage.sim.faults.remove(expired));
    stage.consumer.skip();
    let begun = Instant::now();
    let path = "/v1/accounts/main/access_token";
    let answer =
        crate::http::send(stage.gateway.addr, "PUT", path, r#"{"access_token":"simtoken"}"#).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    stage.consumer.health("token_restored");
    let (live, _) = stage.consumer.tick_of(INFY);
    eprintln!("token renewed: live after {:?}", live - begun);
    assert!(live - begun < Duration::from_secs(2), "{:?}", live - begun);
    assert!(stage.gateway.metric("ticker_handshakes_total") - handshakes <= 3.0, "it knocked in between");
}

#[test]
fn an_instrument_that_stops_ticking_is_named() {
    let stage = Stage::new();
    // It must have ticked often enough to be missed.
    for _ in 0..24 {
        stage.consumer.tick_of(INFY);
    }
    let begun = stage
        .suffer(FaultPlan::new(Fault::SilentTokens { tokens: vec![market_model::InstrumentToken(INFY)] }));
    let (noticed, _) = stage.consumer.next("silent instrument", |message| {
        let changes = message["changes"].as_array();
        changes.is_some_and(|changes| {
            changes.iter().any(|change| change["instrument_token"] == INFY && change["state"] == "silent")
        })
    });
    stage.consumer.next("stale value", |message| {
        message["type"] == "stale" || {
            let ticks = message["ticks"].as_array();
            ticks.is_some_and(|ticks| {
                ticks.iter().any(|tick| tick["instrument_token"] == INFY && tick["stale"] == true)
            })
        }
    });
    eprintln!("silent instrument: named after {:?}", noticed - begun);
    let silent = &stage.gateway.json("/health")["connections"][0]["silent_tokens"];
    assert!(silent.as_array().unwrap().contains(&INFY.into()), "{silent}");
    stage.consumer.tick_of(RELIANCE);
}
