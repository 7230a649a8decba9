//! What must hold for any input whatever; run by the fuzz targets and by the replay of their seeds.

#![allow(dead_code, reason = "a fuzz target uses one of these")]
#![allow(clippy::unwrap_used, reason = "a check fails by panicking")]

use std::fmt::Debug;

use kite_wire::rest::*;
use kite_wire::{
    Frame, FrameBuilder, InstrumentRow, TextMessage, TickerRequest, decode_frame as decode, encode_packet,
    is_genuine_postback, parse_instruments, write_instruments,
};
use market_model::Tick;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every packet is good, named or lost by name; every good one is encoded to the bytes it came from, but for the
/// padding of the depth.
pub(crate) fn decode_frame(data: &[u8]) {
    let Frame::Ticks(packets) = decode(data) else {
        assert_eq!(data.len(), 1);
        return;
    };
    let declared = usize::from(packets.declared());
    let (mut ticks, mut lost) = (Vec::new(), 0);
    let mut again = FrameBuilder::new();
    for packet in packets.clone() {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                lost += usize::from(error.lost_packets());
                continue;
            }
        };
        let tick = packet.to_tick();
        assert_eq!(
            (tick.token, tick.mode(), tick.last_price),
            (packet.token(), packet.mode(), packet.last_price())
        );
        let mut encoded = Vec::new();
        encode_packet(&tick, &mut encoded).unwrap();
        assert_eq!(encoded, without_padding(packet.bytes()));
        again.push(&tick).unwrap();
        ticks.push(tick);
    }
    assert_eq!(ticks.len() + lost, declared);
    check_reused(data, &ticks);
    assert_eq!(usize::from(again.packets()), ticks.len());
    let frame = again.finish();
    let Frame::Ticks(packets) = decode(&frame) else {
        panic!("a built frame is never a heartbeat");
    };
    assert!(packets.map(|packet| packet.unwrap().to_tick()).eq(ticks));
}

/// A vector that already held ticks, of other shapes too, ends up with the same.
fn check_reused(data: &[u8], expect: &[Tick]) {
    let mut reused: Vec<_> = expect.iter().rev().copied().collect();
    if let Frame::Ticks(packets) = decode(data) {
        packets.decode_into(&mut reused, |_| {});
    }
    assert_eq!(reused, expect);
}

fn without_padding(packet: &[u8]) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    if let Some(depth) = bytes.get_mut(64..) {
        for level in depth.chunks_exact_mut(12) {
            level[10..].fill(0);
        }
    }
    bytes
}

/// A message that is understood is written so that it is understood again.
pub(crate) fn text_message(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let message = match TextMessage::parse(text) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(TextMessage::parse(&message.to_json()).unwrap(), message);
    if let TextMessage::Order(order) = message {
        readable(serde_json::from_str::<OrderUpdate>(order.get()).ok());
    }
}

/// A command that is understood is written so that it is understood again.
pub(crate) fn ticker_request(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(request) = TickerRequest::parse(text) {
        assert_eq!(TickerRequest::parse(&request.to_json()).unwrap(), request);
    }
}

/// The good rows of a dump are written so that they are read again.
pub(crate) fn instruments(data: &[u8]) {
    let Ok(rows) = parse_instruments(data) else { return };
    let mut last_line = 1;
    let good: Vec<InstrumentRow> = rows
        .filter_map(|row| match row {
            Ok(row) => Some(row),
            Err(error) => {
                assert!(error.line > last_line, "{error} after line {last_line}");
                last_line = error.line;
                None
            }
        })
        .collect();
    let mut written = Vec::new();
    write_instruments(&good, &mut written).unwrap();
    let again: Vec<_> = parse_instruments(&written[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, good);
    for row in good {
        let expiry = row.expiry;
        let instrument = row.into_instrument(None);
        assert!(instrument.expiry().is_none_or(|end| Some(end.date) == expiry));
    }
}

/// A body that is understood is written so that it says the same again.
pub(crate) fn rest_body(data: &[u8]) {
    both_ways(parse_body::<Session>(data).ok());
    both_ways(parse_body::<RenewedSession>(data).ok());
    both_ways(parse_body::<Profile>(data).ok());
    both_ways(parse_body::<FullProfile>(data).ok());
    both_ways(parse_body::<Margins>(data).ok());
    both_ways(parse_body::<SegmentMargins>(data).ok());
    both_ways(parse_body::<QuoteMap<Quote>>(data).ok());
    both_ways(parse_body::<QuoteMap<OhlcQuote>>(data).ok());
    both_ways(parse_body::<QuoteMap<LtpQuote>>(data).ok());
    both_ways(parse_body::<QuoteMap<TriggerRange>>(data).ok());
    both_ways(parse_body::<Candles>(data).ok());
    both_ways(parse_body::<Vec<OrderUpdate>>(data).ok());
    both_ways(parse_body::<Vec<Trade>>(data).ok());
    both_ways(parse_body::<Placed>(data).ok());
    both_ways(parse_body::<OrderId>(data).ok());
    both_ways(parse_body::<Vec<GttTrigger>>(data).ok());
    both_ways(parse_body::<TriggerId>(data).ok());
    both_ways(parse_body::<Vec<Alert>>(data).ok());
    both_ways(parse_body::<Vec<AlertFiring>>(data).ok());
    both_ways(parse_body::<Vec<Holding>>(data).ok());
    both_ways(parse_body::<HoldingsSummary>(data).ok());
    both_ways(parse_body::<Vec<CompactHolding>>(data).ok());
    both_ways(parse_body::<Vec<AuctionHolding>>(data).ok());
    both_ways(parse_body::<AuthorisationId>(data).ok());
    both_ways(parse_body::<Positions>(data).ok());
    both_ways(parse_body::<Vec<OrderMargin>>(data).ok());
    both_ways(parse_body::<BasketMargin>(data).ok());
    both_ways(parse_body::<Vec<ContractNote>>(data).ok());
    both_ways(parse_body::<Vec<MfOrder>>(data).ok());
    both_ways(parse_body::<Vec<Sip>>(data).ok());
    both_ways(parse_body::<Vec<MfHolding>>(data).ok());
    readable(serde_json::from_slice::<ErrorBody>(data).ok());
    assert!(!is_genuine_postback(data, "a secret nobody signed with"));
}

fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: Option<T>) {
    let Some((value, text, again)) = readable(value) else { return };
    // A double carries fifteen digits; longer numbers may come back changed in the last.
    let in_number = |letter: char| letter.is_ascii_digit() || ".e+-".contains(letter);
    if text.split(|letter| !in_number(letter)).all(|number| number.len() <= 15) {
        assert_eq!(again, value, "{text}");
    }
}

/// What is written can be read. Free JSON within may come back with another last digit in a number.
fn readable<T: Serialize + DeserializeOwned>(value: Option<T>) -> Option<(T, String, T)> {
    let value = value?;
    let text = serde_json::to_string(&value).unwrap();
    let again = serde_json::from_str(&text).unwrap();
    Some((value, text, again))
}
