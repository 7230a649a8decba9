//! Faults of what is written: damaged, strange, missing and late; and that what was written is known for each.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::SinkExt;
use kite_sim::{Fault, FaultPlan};
use kite_wire::{DecodeError, Frame, TextMessage, TickerRequest, decode_frame};
use market_model::{InstrumentToken, Mode, Tick};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{BANKNIFTY, INFY, Link, NIFTY, SBIN, Sim};

const ALL: [InstrumentToken; 4] = [INFY, NIFTY, SBIN, BANKNIFTY];

/// Good ticks and errors of the next frame with ticks, and its length.
async fn frame(link: &mut Link) -> (Vec<Tick>, Vec<DecodeError>, usize) {
    loop {
        if let Message::Binary(bytes) = link.next().await.expect("the connection ended")
            && let Frame::Ticks(packets) = decode_frame(&bytes)
        {
            let (mut ticks, mut errors) = (Vec::new(), Vec::new());
            packets.decode_into(&mut ticks, |error| errors.push(error));
            return (ticks, errors, bytes.len());
        }
    }
}

/// A connection that bears `fault` and has asked for all four tokens after it began.
async fn bearing(sim: &Sim, fault: Fault) -> Link {
    sim.faults.add(FaultPlan::new(fault)).unwrap();
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &ALL).await;
    link
}

#[tokio::test]
async fn truncated_frame_ends_inside_a_packet() {
    let sim = Sim::relaxed().await;
    let mut link = bearing(&sim, Fault::TruncatedFrame { percent: 100.0 }).await;
    for _ in 0..5 {
        let (_, errors, _) = frame(&mut link).await;
        assert!(matches!(errors[..], [DecodeError::TruncatedFrame { .. }]), "{errors:?}");
    }
}

#[tokio::test]
async fn unknown_packet_is_one_error_and_everything_else_is_there() {
    let sim = Sim::relaxed().await;
    let mut link = bearing(&sim, Fault::UnknownPacket { percent: 100.0, length: Some(77) }).await;
    let (ticks, errors, _) = frame(&mut link).await;
    assert!(matches!(errors[..], [DecodeError::PacketLength { len: 77, token: Some(_) }]), "{errors:?}");
    assert_eq!(ticks.iter().map(|tick| tick.token).collect::<Vec<_>>(), ALL);
}

#[tokio::test]
async fn wrong_length_spoils_what_follows() {
    let sim = Sim::relaxed().await;
    let mut link = bearing(&sim, Fault::WrongLength { percent: 100.0 }).await;
    for _ in 0..5 {
        let (_, errors, _) = frame(&mut link).await;
        assert!(!errors.is_empty());
    }
}

#[tokio::test]
async fn a_big_frame_is_legal_and_an_overlong_message_is_not_a_frame() {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &ALL).await;
    frame(&mut link).await;
    sim.faults.add(FaultPlan::new(Fault::BigFrame { packets: 3_000 }).times(1)).unwrap();
    loop {
        let (ticks, errors, len) = frame(&mut link).await;
        assert!(errors.is_empty());
        if ticks.len() == 3_000 {
            assert!(len > 64 * 1024, "{len}");
            break;
        }
    }
    // 65,535 full packets are 12,189,512 bytes.
    sim.faults.add(FaultPlan::new(Fault::Overlong { bytes: 12_200_000 }).times(1)).unwrap();
    loop {
        let (ticks, errors, len) = frame(&mut link).await;
        if len == 12_200_000 {
            assert!(ticks.is_empty() && !errors.is_empty());
            break;
        }
    }
    // And the next frame is as ever.
    assert!(frame(&mut link).await.1.is_empty());
    // Beyond what the client's library takes it ends the connection.
    sim.faults.add(FaultPlan::new(Fault::Overlong { bytes: 16 * 1024 * 1024 + 1 }).times(1)).unwrap();
    while link.next().await.is_some() {}
}

#[tokio::test]
async fn rate_collapse_leaves_a_share() {
    let sim = Sim::relaxed().await;
    let id = sim.faults.add(FaultPlan::new(Fault::RateCollapse { percent: 0.0 })).unwrap();
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &ALL).await;
    // Only heartbeats, which hold the line.
    let mut heartbeats = 0;
    while heartbeats < 2 {
        match link.next().await.unwrap() {
            Message::Binary(bytes) => {
                assert_eq!(bytes.len(), 1);
                heartbeats += 1;
            }
            _ => continue,
        }
    }
    sim.faults.remove(id);
    frame(&mut link).await;
    let id = sim.faults.add(FaultPlan::new(Fault::RateCollapse { percent: 25.0 })).unwrap();
    let began = Instant::now();
    let mut kept = 0;
    while began.elapsed() < Duration::from_secs(4) {
        kept += frame(&mut link).await.0.len() as u64;
    }
    let lost = sim.faults.get(id).unwrap().did.packets;
    let share = kept as f64 / (kept + lost) as f64;
    assert!((0.05..0.6).contains(&share), "{kept} of {}", kept + lost);
}

#[tokio::test]
async fn a_subscription_can_be_acknowledged_and_never_live() {
    let mut sim = Sim::relaxed().await;
    let mut link = bearing(&sim, Fault::NeverLive { tokens: vec![INFY] }).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert!(frame(&mut link).await.0.iter().all(|tick| tick.token != INFY));
    }
    assert_eq!(sim.status().await["connections"][0]["tokens"], 4);
    // The end of the fault alone repairs nothing; subscribing again does.
    sim.faults.clear();
    link.ask(TickerRequest::Unsubscribe(vec![INFY])).await;
    link.mode(Mode::Full, &[INFY]).await;
    while frame(&mut link).await.0.iter().all(|tick| tick.token != INFY) {}
}

#[tokio::test]
async fn a_late_subscription_comes_late() {
    let sim = Sim::relaxed().await;
    let by = Duration::from_secs(2);
    let began = Instant::now();
    let mut link = bearing(&sim, Fault::LateSubscription { tokens: vec![INFY], by }).await;
    while frame(&mut link).await.0.iter().all(|tick| tick.token != INFY) {}
    assert!(began.elapsed() >= by, "{:?}", began.elapsed());
}

#[tokio::test]
async fn text_frames_come_twice_in_the_wrong_order_and_as_given() {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    for _ in 0..2 {
        link.text().await;
    }
    let order = |number: u32| format!(r#"{{"type":"order","id":"","data":{{"order_id":"{number}"}}}}"#);
    let texts =
        |numbers: &[u32]| Fault::Text { texts: numbers.iter().map(|number| order(*number)).collect() };
    let mut next = async || match link.next().await.unwrap() {
        Message::Text(text) => {
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            Some(parsed["data"]["order_id"].as_str().unwrap().to_owned())
        }
        _ => None,
    };
    let mut read = async |count: usize| {
        let mut read = Vec::new();
        while read.len() < count {
            read.extend(next().await);
        }
        read
    };
    let reorder = sim.faults.add(FaultPlan::new(Fault::ReorderText)).unwrap();
    sim.faults.add(FaultPlan::new(texts(&[1, 2, 3, 4]))).unwrap();
    assert_eq!(read(4).await, ["2", "1", "4", "3"]);
    // One that stays alone is not lost.
    sim.faults.add(FaultPlan::new(texts(&[5]))).unwrap();
    assert_eq!(read(1).await, ["5"]);
    sim.faults.remove(reorder);
    sim.faults.add(FaultPlan::new(Fault::DuplicateText)).unwrap();
    sim.faults.add(FaultPlan::new(texts(&[6, 7]))).unwrap();
    assert_eq!(read(4).await, ["6", "6", "7", "7"]);
    // The greetings of a new connection come twice as well.
    let mut link = sim.connect().await;
    for _ in 0..2 {
        assert!(matches!(link.text().await, TextMessage::InstrumentsMeta { .. }));
    }
}

#[tokio::test]
async fn what_was_written_is_what_was_received_under_faults() {
    let mut sim = Sim::relaxed().await;
    for fault in [
        Fault::RateCollapse { percent: 70.0 },
        Fault::UnknownPacket { percent: 30.0, length: None },
        Fault::TruncatedFrame { percent: 30.0 },
        Fault::SilentTokens { tokens: vec![SBIN] },
        Fault::NeverLive { tokens: vec![BANKNIFTY] },
        Fault::DuplicateText,
    ] {
        sim.faults.add(FaultPlan::new(fault)).unwrap();
    }
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &ALL).await;
    let number = sim.faults.connections()[0].0;
    let (mut frames, mut texts, mut heartbeats, mut bytes) = (0, 0, 0, 0);
    let mut packets: HashMap<String, u64> = HashMap::new();
    let began = Instant::now();
    let mut closing = false;
    while let Some(message) = link.next().await {
        match message {
            Message::Binary(frame) if frame.len() == 1 => {
                heartbeats += 1;
                bytes += 1;
            }
            Message::Binary(frame) => {
                frames += 1;
                bytes += frame.len() as u64;
                let Frame::Ticks(good) = decode_frame(&frame) else { continue };
                for packet in good.filter_map(Result::ok) {
                    *packets.entry(packet.token().to_string()).or_default() += 1;
                }
            }
            Message::Text(text) => {
                texts += 1;
                bytes += text.len() as u64;
            }
            _ => {}
        }
        if began.elapsed() > Duration::from_secs(4) && !closing {
            closing = true;
            link.0.send(Message::Close(None)).await.unwrap();
        }
    }
    sim.status_when(|status| status["connections"] == serde_json::json!([])).await;
    let sent = sim.get(&format!("/sim/sent?connection={number}")).await.json();
    assert_eq!(sent["ended"], "client");
    assert_eq!(sent["frames"], frames);
    assert_eq!(sent["texts"], texts);
    assert_eq!(sent["heartbeats"], heartbeats);
    assert_eq!(sent["bytes"], bytes);
    assert_eq!(sent["tokens"], serde_json::json!(packets));
    assert_eq!(sent["packets"], packets.values().sum::<u64>());
    assert!(sent["damaged_frames"].as_u64() > Some(0), "{sent}");
    assert!(!packets.contains_key(&SBIN.to_string()) && !packets.contains_key(&BANKNIFTY.to_string()));
}
