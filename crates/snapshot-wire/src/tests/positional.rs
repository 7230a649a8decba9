//! Messages by position say the same as those with names.

use super::*;
use crate::decode::PositionalTicks;
use crate::{POSITIONAL_VERSION, POSITIONS};

pub(super) fn decoded(payload: &[u8]) -> TicksMessage {
    rmp_serde::from_slice::<PositionalTicks>(payload).unwrap().0
}

/// What is left out because it follows from the rest.
fn without_changes(mut message: TicksMessage) -> TicksMessage {
    for tick in &mut message.ticks {
        (tick.change, tick.net_change) = (None, None);
    }
    message
}

#[test]
fn they_say_the_same_as_messages_with_names() {
    let mut samples = samples();
    for (at, reason) in
        [NoGreeks::UnknownExpiry, NoGreeks::NoForward, NoGreeks::Unsolvable].into_iter().enumerate()
    {
        let mut sample = snapshot(OPTION, TickBody::Ltp, GreeksState::Absent(reason));
        sample.stale =
            [StaleCause::Forward, StaleCause::TokenLost, StaleCause::Unsubscribed].get(at).copied();
        sample.cause = SnapshotCause::Forward;
        sample.tick.last_price = price(["0.05", "-12.0025", "922337203685.4775807"][at]);
        samples.push(sample);
    }
    let batch = batch_of(samples);
    let by_name = BatchEncoder::new(WireFormat::MessagePack).encode(&batch);
    let by_position = BatchEncoder::new(WireFormat::Positional).encode(&batch);
    let names: TicksMessage = rmp_serde::from_slice(by_name.payload()).unwrap();
    let read = decoded(by_position.payload());
    assert_eq!(read, without_changes(names));
    assert!(read.ticks.iter().any(|tick| tick.greeks.is_some() && tick.depth.is_some()));
    assert!(by_position.payload().len() * 5 < by_name.payload().len() * 2, "{}", by_position.payload().len());
}

#[test]
fn picked_ticks_make_a_message_of_their_own() {
    let encoded = BatchEncoder::new(WireFormat::Positional).encode(&batch_of(samples()));
    let head = TicksHead {
        topic: None,
        source: None,
        seq: 9,
        tick_count: None,
        ts_publish: UnixNanos(7),
        sim: true,
    };
    let mut message = Vec::new();
    write_ticks(WireFormat::Positional, &head, [encoded.tick(5), encoded.tick(0)].into_iter(), &mut message);
    let (read, whole) = (decoded(&message), decoded(encoded.payload()));
    assert_eq!((read.topic, read.source, read.tick_count, read.seq), (None, None, None, 9));
    assert_eq!(read.ticks, [whole.ticks[5].clone(), whole.ticks[0].clone()]);
}

#[test]
fn every_place_is_a_field_of_the_table_and_numbers_are_places_in_its_lists() {
    let table = Table::named("tick").unwrap();
    let field = |name: &str| table.fields.iter().find(|field| field.name == name).unwrap();
    assert!(POSITIONS.iter().all(|name| field(name).name == *name));
    let listed = |name: &str| match field(name).kind {
        FieldKind::Word(words) => words,
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(listed("greeks_reason"), crate::positional::NO_GREEKS);
    assert_eq!(listed("stale_cause"), crate::positional::STALE);
    assert_eq!(listed("mode"), ["ltp", "quote", "full"]);
    assert_eq!(listed("option_type"), ["CE", "PE"]);
    assert_eq!(listed("cause"), ["tick", "forward", "staleness"]);
    let left_out: Vec<&str> =
        table.fields.iter().map(|field| field.name).filter(|name| !POSITIONS.contains(name)).collect();
    assert_eq!(left_out, ["change", "net_change", "ts_event", "stale"]);
}

#[test]
fn another_version_is_refused_and_more_places_are_passed_over() {
    let encoded = BatchEncoder::new(WireFormat::Positional).encode(&batch_of(vec![samples().remove(5)]));
    let payload = encoded.payload().to_vec();
    assert_eq!(u64::from(payload[1]), POSITIONAL_VERSION);
    let mut newer = payload.clone();
    newer[1] += 1;
    let error = rmp_serde::from_slice::<PositionalTicks>(&newer).unwrap_err().to_string();
    assert!(error.contains("version 2 of messages by position is not known"), "{error}");

    // One place more at the end of the only tick, and one at the end of the message.
    let tick = encoded.range(0).unwrap();
    let mut longer = payload;
    assert_eq!(longer[tick.start..tick.start + 3], [0xdc, 0, POSITIONS.len() as u8]);
    longer[tick.start + 2] += 1;
    longer[0] += 1;
    longer.extend_from_slice(&[0x2a, 0xc0]);
    assert_eq!(decoded(&longer), decoded(encoded.payload()));
}
