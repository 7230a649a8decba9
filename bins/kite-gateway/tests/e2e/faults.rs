//! Bad input from the broker's side: what it costs and what stays up.

use market_model::{InstrumentToken, Price, Tick, TickBody};

use crate::fake_kite::FakeKite;
use crate::process::{Gateway, until};

const INFY: u32 = 408_065;
const RELIANCE: u32 = 738_561;
const UNKNOWN: u32 = 99_841;

fn gateway_at(kite: &FakeKite) -> Gateway {
    let settings = kite.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Gateway::start(&settings)
}

fn packet(token: u32, paise: i64) -> Vec<u8> {
    let tick =
        Tick { token: InstrumentToken(token), last_price: Price::from_paise(paise), body: TickBody::Ltp };
    let mut packet = Vec::new();
    kite_wire::encode_packet(&tick, &mut packet).unwrap();
    packet
}

fn frame(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = u16::try_from(packets.len()).unwrap().to_be_bytes().to_vec();
    for packet in packets {
        frame.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
        frame.extend(packet);
    }
    frame
}

fn last_price(gateway: &Gateway, token: u32) -> Option<f64> {
    let answer = crate::http::get(gateway.addr, &format!("/v1/ticks/{token}")).ok()?;
    let tick: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    find(&tick, "last_price")?.as_f64()
}

/// The first value named `name`, at any depth.
fn find<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(fields) => {
            fields.get(name).or_else(|| fields.values().find_map(|inner| find(inner, name)))
        }
        serde_json::Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

#[test]
fn a_bad_packet_costs_that_packet_and_the_connection_stays() {
    let kite = FakeKite::start(false);
    let gateway = gateway_at(&kite);
    until("the gateway subscribes", || kite.was_told(&INFY.to_string()));
    kite.send(frame(&[packet(INFY, 157_315), vec![1, 2, 3, 4, 5, 6, 7], packet(RELIANCE, 290_000)]));
    until("both good packets arrive", || {
        last_price(&gateway, INFY) == Some(1573.15) && last_price(&gateway, RELIANCE) == Some(2900.0)
    });
    let mut truncated = frame(&[packet(INFY, 160_000), packet(RELIANCE, 291_000)]);
    truncated.truncate(truncated.len() - 3);
    kite.send(truncated);
    kite.send(b"garbage that is no frame".to_vec());
    until("the good packet of the truncated frame arrives", || last_price(&gateway, INFY) == Some(1600.0));
    until("each kind is counted", || gateway.metric("ticker_decode_errors_total") >= 3.0);
    assert_eq!(last_price(&gateway, RELIANCE), Some(2900.0));
    assert_eq!(kite.handshakes(), 1, "the connection was not kept");
}

#[test]
fn an_unknown_token_is_counted_and_listed() {
    let kite = FakeKite::start(false);
    let gateway = gateway_at(&kite);
    until("the gateway subscribes", || kite.was_told(&INFY.to_string()));
    kite.send(frame(&[packet(UNKNOWN, 100), packet(INFY, 157_315)]));
    until("the known token arrives", || last_price(&gateway, INFY) == Some(1573.15));
    until("the unknown token is listed", || {
        gateway.json("/health")["unknown_tokens"][0]["instrument_token"] == UNKNOWN
    });
    assert_eq!(gateway.json("/health")["unknown_tokens"][0]["ticks"], 1);
}

#[test]
fn a_refused_token_is_not_tried_again_and_again() {
    let kite = FakeKite::start(true);
    let gateway = gateway_at(&kite);
    until("the refusal is in the health report", || {
        gateway.json("/health")["accounts"][0]["token"] == "refused"
    });
    let answer = crate::http::get(gateway.addr, "/readyz").unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    // Two seconds of a retrying client with the shortest delay would be two more handshakes at least.
    let before = kite.handshakes();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < patience {
        assert_eq!(kite.handshakes(), before, "it went on knocking");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    assert!(before <= 3, "{before} handshakes for at most 3 connections");
}
