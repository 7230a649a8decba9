//! The ticker protocol: handshakes, modes, snapshots, limits, and values as sent.

use std::collections::HashMap;

use futures_util::SinkExt;
use kite_wire::{TextMessage, TickerRequest};
use market_model::{InstrumentToken, Mode, Tick, TickBody};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{BANKNIFTY, INFY, Link, NIFTY, SBIN, Sim, relaxed};

#[tokio::test]
async fn a_handshake_needs_a_live_token_and_a_free_place() {
    let mut sim = Sim::relaxed().await;
    assert_eq!(sim.try_connect("simkey", "wrong").await.err(), Some(403));
    assert_eq!(sim.try_connect("nobody", "simtoken").await.err(), Some(403));
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(sim.connect().await);
    }
    assert_eq!(sim.try_connect("simkey", "simtoken").await.err(), Some(429));
    // The others are not disturbed, and a place that was left is free again.
    assert!(matches!(links[2].text().await, TextMessage::InstrumentsMeta { .. }));
    links.pop().unwrap().0.close(None).await.unwrap();
    sim.status_when(|status| status["connections"].as_array().unwrap().len() == 2).await;
    links.push(sim.connect().await);
}

#[tokio::test]
async fn a_plain_get_of_the_root_is_no_handshake() {
    let mut sim = Sim::relaxed().await;
    let reply = sim.get("/").await;
    assert_eq!(reply.status, 200);
    assert!(String::from_utf8_lossy(&reply.body).contains("simulated"));
    assert_eq!(sim.get("/ws").await.status, 400);
}

#[tokio::test]
async fn two_greetings_come_first() {
    let mut sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    let instruments = sim.status().await["instruments"].as_u64().unwrap();
    match link.text().await {
        TextMessage::InstrumentsMeta { count, etag } => {
            assert_eq!(count, instruments);
            assert!(etag.starts_with("W/\""), "{etag}");
        }
        other => panic!("{other:?}"),
    }
    match link.text().await {
        TextMessage::AppCode { timestamp } => assert!(timestamp.ends_with("+05:30"), "{timestamp}"),
        other => panic!("{other:?}"),
    }
}

/// Reads until each token has a tick in its mode.
async fn until(link: &mut Link, wanted: &[(InstrumentToken, Mode)]) -> Vec<Tick> {
    let mut seen = Vec::new();
    while !wanted
        .iter()
        .all(|(token, mode)| seen.iter().any(|tick: &Tick| tick.token == *token && tick.mode() == *mode))
    {
        seen.extend(link.ticks().await);
    }
    seen
}

#[tokio::test]
async fn a_subscription_starts_with_a_snapshot_in_quote_mode() {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    let unknown = InstrumentToken(4_242);
    link.ask(TickerRequest::Subscribe(vec![INFY, unknown, NIFTY])).await;
    let first = link.ticks().await;
    assert_eq!(first.iter().map(|tick| tick.token).collect::<Vec<_>>(), [INFY, NIFTY]);
    assert!(matches!(first[0].body, TickBody::Quote(_)));
    assert!(matches!(first[1].body, TickBody::IndexQuote { .. }));
    // The ticks that follow are of the same kind.
    until(&mut link, &[(INFY, Mode::Quote), (NIFTY, Mode::Quote)]).await;
}

#[tokio::test]
async fn a_mode_subscribes_and_changes_until_unsubscribed() {
    let mut sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &[INFY, NIFTY]).await;
    let full = until(&mut link, &[(INFY, Mode::Full), (NIFTY, Mode::Full)]).await;
    let depth = full.iter().find_map(Tick::depth).unwrap();
    assert!(!depth.is_crossed() && depth.best_bid().is_some());
    assert!(full.iter().all(|tick| tick.exchange_timestamp().is_some()));
    link.mode(Mode::Ltp, &[INFY]).await;
    until(&mut link, &[(INFY, Mode::Ltp)]).await;
    // Subscribing again is harmless and keeps the mode.
    link.ask(TickerRequest::Subscribe(vec![INFY, SBIN])).await;
    until(&mut link, &[(SBIN, Mode::Quote), (INFY, Mode::Ltp)]).await;
    link.ask(TickerRequest::Unsubscribe(vec![INFY, SBIN])).await;
    let status = sim.status_when(|status| status["connections"][0]["tokens"] == 1).await;
    assert_eq!(status["connections"][0]["modes"], serde_json::json!({ "ltp": 0, "quote": 0, "full": 1 }));
    // What was on its way when the command arrived may still come; two index ticks later nothing may.
    for _ in 0..2 {
        until(&mut link, &[(NIFTY, Mode::Full)]).await;
    }
    let later = until(&mut link, &[(NIFTY, Mode::Full)]).await;
    assert!(later.iter().all(|tick| tick.token == NIFTY), "{later:?}");
}

#[tokio::test]
async fn tokens_beyond_the_limit_are_refused_and_the_connection_stays() {
    let mut config = relaxed();
    config.limits.tokens_per_connection = 3;
    let mut sim = Sim::start(config).await;
    let mut link = sim.connect().await;
    link.ask(TickerRequest::Subscribe(vec![INFY, NIFTY, BANKNIFTY, SBIN])).await;
    let refusal = loop {
        if let TextMessage::Error(text) = link.text().await {
            break text;
        }
    };
    assert_eq!(refusal, "Can't subscribe to more than 3 instruments.");
    assert_eq!(sim.status().await["connections"][0]["tokens"], 3);
    // Changing the mode of a token that is there is no new one.
    link.mode(Mode::Full, &[INFY]).await;
    until(&mut link, &[(INFY, Mode::Full)]).await;
}

#[tokio::test]
async fn connections_know_nothing_of_each_other() {
    let sim = Sim::relaxed().await;
    let (mut one, mut two) = (sim.connect().await, sim.connect().await);
    one.mode(Mode::Full, &[INFY]).await;
    two.mode(Mode::Ltp, &[INFY]).await;
    assert!(until(&mut one, &[(INFY, Mode::Full)]).await.iter().all(|tick| tick.mode() == Mode::Full));
    assert!(until(&mut two, &[(INFY, Mode::Ltp)]).await.iter().all(|tick| tick.mode() == Mode::Ltp));
}

#[tokio::test]
async fn what_is_received_is_what_was_sent() {
    let mut sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    let tokens = [INFY, NIFTY, SBIN];
    link.mode(Mode::Full, &tokens).await;
    let mut received: HashMap<InstrumentToken, Vec<Tick>> = HashMap::new();
    while received.len() < 3 || received.values().any(|ticks| ticks.len() < 3) {
        for tick in link.ticks().await {
            received.entry(tick.token).or_default().push(tick);
        }
    }
    for (token, ticks) in received {
        let sent = sim.get(&format!("/sim/sent?token={token}")).await.json();
        let sent = sent["packets"].as_array().unwrap();
        for (tick, packet) in ticks.iter().zip(sent) {
            assert_eq!(packet["last_price"], tick.last_price.to_f64());
            assert_eq!(packet["mode"], "full");
            assert_eq!(packet["ohlc"]["close"], tick.ohlc().unwrap().close.to_f64());
            if let Some(depth) = tick.depth() {
                assert_eq!(packet["depth"]["buy"][4]["quantity"], depth.buy[4].quantity);
            }
        }
    }
}

#[tokio::test]
async fn silence_is_filled_with_heartbeats_and_pings_are_answered() {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    link.0.send(Message::Ping("are you there".into())).await.unwrap();
    let (mut pong, mut heartbeats) = (false, 0);
    while !pong || heartbeats < 2 {
        match link.next().await.expect("the connection ended") {
            Message::Pong(payload) => pong = payload == "are you there",
            Message::Binary(bytes) => {
                assert_eq!(bytes[..], [0]);
                heartbeats += 1;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn nonsense_is_ignored() {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    for text in
        ["", "{", r#"{"a":"dance","v":[1]}"#, r#"{"a":"mode","v":["loud",[408065]]}"#, r#"{"a":"subscribe"}"#]
    {
        link.0.send(Message::text(text)).await.unwrap();
    }
    link.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    link.mode(Mode::Ltp, &[NIFTY]).await;
    until(&mut link, &[(NIFTY, Mode::Ltp)]).await;
}
