//! Faults at the doors: refused and slow requests, handshakes and connections.

use std::time::Duration;

use kite_sim::{Door, Fault, FaultPlan};
use tokio::time::{Instant, timeout};

use crate::client::Sim;

fn refuse(door: Door, status: u16) -> FaultPlan {
    FaultPlan::new(Fault::Refuse { door, status, html: false, path: None })
}

#[tokio::test]
async fn rest_answers_as_kite_would_with_each_status() {
    let mut sim = Sim::relaxed().await;
    for (status, error_type, message) in [
        (403, "TokenException", "Incorrect `api_key` or `access_token`."),
        (429, "NetworkException", "Too many requests"),
        (500, "GeneralException", "Something went wrong. Please try again."),
        (502, "DataException", "Request failed (kitetrade-oms)"),
        (503, "NetworkException", "Request failed (kitetrade-oms)"),
    ] {
        sim.faults.add(refuse(Door::Rest, status).times(1)).unwrap();
        sim.get("/user/profile").await.is_error(status, error_type, message);
        assert_eq!(sim.get("/user/profile").await.status, 200);
    }
    // Handshakes are another door.
    sim.faults.add(refuse(Door::Rest, 503)).unwrap();
    sim.connect().await;
    // The simulator's own pages always answer.
    assert_eq!(sim.get("/sim/status").await.status, 200);
}

#[tokio::test]
async fn rest_answers_html_for_one_path_and_one_app() {
    let mut sim = Sim::relaxed().await;
    let page =
        |path: &str| Fault::Refuse { door: Door::Rest, status: 502, html: true, path: Some(path.to_owned()) };
    sim.faults.add(FaultPlan::new(page("/instruments")).api_key("simkey")).unwrap();
    let reply = sim.get("/instruments/NSE").await;
    assert_eq!(
        (reply.status, &reply.headers["content-type"]),
        (502, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(String::from_utf8_lossy(&reply.body).contains("<h1>502 Bad Gateway</h1>"));
    assert_eq!(sim.get("/user/profile").await.status, 200);
    assert_eq!(sim.send("GET", "/instruments/NSE", None, "").await.status, 200);
}

#[tokio::test]
async fn handshakes_are_refused_with_a_status() {
    let mut sim = Sim::relaxed().await;
    for status in [403, 429, 500, 502, 503] {
        sim.faults.add(refuse(Door::Handshake, status).times(1)).unwrap();
        assert_eq!(sim.try_connect("simkey", "simtoken").await.err(), Some(status));
    }
    sim.connect().await;
    sim.faults.add(refuse(Door::Handshake, 503).api_key("other")).unwrap();
    sim.connect().await;
    assert_eq!(sim.get("/user/profile").await.status, 200);
}

#[tokio::test]
async fn each_door_can_be_slow() {
    let mut sim = Sim::relaxed().await;
    let by = Duration::from_millis(400);
    for door in [Door::Rest, Door::Handshake, Door::Accept] {
        let id = sim.faults.add(FaultPlan::new(Fault::Delay { door, by }).times(1)).unwrap();
        let began = Instant::now();
        match door {
            Door::Handshake => drop(sim.connect().await),
            _ => assert_eq!(sim.get("/user/profile").await.status, 200),
        }
        assert!(began.elapsed() >= by, "{door:?}: {:?}", began.elapsed());
        assert_eq!(sim.faults.get(id).unwrap().did.requests, 1);
    }
    // A client need not wait: an accepted socket says nothing until the delay is over.
    let slow = Fault::Delay { door: Door::Accept, by: Duration::from_secs(600) };
    let id = sim.faults.add(FaultPlan::new(slow)).unwrap();
    assert!(timeout(Duration::from_millis(300), sim.get("/user/profile")).await.is_err());
    sim.faults.remove(id);
    assert_eq!(sim.get("/user/profile").await.status, 200);
}
