use super::*;

use market_model::{Mode, Price};

fn frame(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Token and last price of good packets, errors in their place.
fn check(hex: &str, expect: &[Result<(u32, &str), DecodeError>]) {
    let bytes = frame(hex);
    let Frame::Ticks(packets) = decode_frame(&bytes) else {
        panic!("{hex} is a heartbeat");
    };
    let got: Vec<_> = packets
        .map(|packet| packet.map(|packet| (packet.token().0, packet.last_price().to_string())))
        .collect();
    let expect: Vec<_> =
        expect.iter().map(|item| item.map(|(token, price)| (token, price.to_owned()))).collect();
    assert_eq!(got, expect, "{hex}");
}

const LTP: &str = "0008 000d8001 0000997f";
const GOOD: Result<(u32, &str), DecodeError> = Ok((884_737, "392.95"));

#[test]
fn one_byte_is_a_heartbeat() {
    for byte in 0..=255 {
        assert!(matches!(decode_frame(&[byte]), Frame::Heartbeat));
    }
}

#[test]
fn an_empty_frame_is_named_once() {
    check("", &[Err(DecodeError::EmptyFrame)]);
}

#[test]
fn a_frame_may_have_no_packets() {
    check("0000", &[]);
}

#[test]
fn packets_of_mixed_length_are_split_by_their_lengths() {
    check(&format!("0003 {LTP} {LTP} {LTP}"), &[GOOD, GOOD, GOOD]);
    let index = "001c 0003e909 00256273 00258e94 00253752 0025782c 002547d8 00001b7b";
    check(&format!("0003 {LTP} {index} {LTP}"), &[GOOD, Ok((256_265, "24500.35")), GOOD]);
}

#[test]
fn a_packet_of_unknown_length_costs_only_itself() {
    let bad =
        |token: Option<u32>, len| Err(DecodeError::PacketLength { token: token.map(InstrumentToken), len });
    check(&format!("0003 {LTP} 0007 000d8001 000099 {LTP}"), &[GOOD, bad(Some(884_737), 7), GOOD]);
    check(&format!("0004 {LTP} 0000 0003 000d80 {LTP}"), &[GOOD, bad(None, 0), bad(None, 3), GOOD]);
    check(&format!("0002 0009 000d8001 0000997f00 {LTP}"), &[bad(Some(884_737), 9), GOOD]);
}

#[test]
fn a_cut_frame_keeps_what_came_before() {
    let cut = |packet, declared, token: Option<u32>, expected, available| {
        Err(DecodeError::TruncatedFrame {
            packet,
            declared,
            token: token.map(InstrumentToken),
            expected,
            available,
        })
    };
    check(&format!("0003 {LTP} 0008 000d8001 000099"), &[GOOD, cut(1, 3, Some(884_737), 8, 7)]);
    check(&format!("0002 {LTP} 0008 000d80"), &[GOOD, cut(1, 2, None, 8, 3)]);
    check(&format!("0002 {LTP} 00"), &[GOOD, cut(1, 2, None, 2, 1)]);
    check("0001 ffff", &[cut(0, 1, None, 65_535, 0)]);
    check("0001 00", &[cut(0, 1, None, 2, 1)]);
}

#[test]
fn a_wrong_count_is_named() {
    let mismatch = |declared, found| Err(DecodeError::CountMismatch { declared, found });
    check(&format!("0003 {LTP}"), &[GOOD, mismatch(3, 1)]);
    check("ffff", &[mismatch(65_535, 0)]);
    check(&format!("0001 {LTP} {LTP}"), &[GOOD, Err(DecodeError::TrailingBytes { declared: 1, len: 10 })]);
    check("0000 01", &[Err(DecodeError::TrailingBytes { declared: 0, len: 1 })]);
}

#[test]
fn prices_are_signed_and_quantities_are_not() {
    let quote = "002c 00063a01 ffffff6a ffffffff ffffff6a ffffffff fffffffe 80000000 00000000 00000000 ffffff6a 00000064";
    let bytes = frame(&format!("0001 {quote}"));
    let Frame::Ticks(mut packets) = decode_frame(&bytes) else { unreachable!() };
    let tick = packets.next().unwrap().unwrap().to_tick();
    assert_eq!(tick.last_price.to_string(), "-1.50");
    let quote = tick.quote().unwrap();
    assert_eq!(quote.average_traded_price.to_string(), "-1.50");
    assert_eq!(quote.ohlc.low.to_string(), "-1.50");
    assert_eq!(quote.ohlc.close.to_string(), "1.00");
    assert_eq!(quote.last_traded_quantity, u32::MAX);
    assert_eq!(quote.volume_traded, u32::MAX);
    assert_eq!(quote.total_buy_quantity, u32::MAX - 1);
    assert_eq!(quote.total_sell_quantity, 1 << 31);
}

#[test]
fn the_segment_sets_the_divisor() {
    let packet = |segment: &str, price: &str| format!("0001 0008 00063a{segment} {price}");
    check(&packet("03", "3265e9b8"), &[Ok((0x0006_3a03, "84.5539768"))]);
    check(&packet("06", "000ce6d5"), &[Ok((0x0006_3a06, "84.5525"))]);
    check(&packet("0c", "064c1750"), &[Ok((0x0006_3a0c, "10565.00"))]);
    check(&packet("07", "064c1750"), &[Ok((0x0006_3a07, "1056500.00"))]);
}

#[test]
fn divisors_can_be_replaced() {
    let bytes = frame("0001 0008 00063a06 3265e9b8");
    let divisors = Divisors::KITE.with(6, 10_000_000).unwrap();
    let Frame::Ticks(mut packets) = decode_frame_with(&bytes, &divisors) else { unreachable!() };
    let packet = packets.next().unwrap().unwrap();
    assert_eq!(packet.last_price(), "84.5539768".parse().unwrap());
    assert_eq!((packet.mode(), packet.bytes()), (Mode::Ltp, &bytes[4..]));
}

#[test]
fn every_start_of_a_frame_has_an_answer() {
    let whole = frame(&format!("0003 {LTP} 0007 000d8001 000099 {LTP}"));
    for len in 2..=whole.len() {
        let Frame::Ticks(packets) = decode_frame(&whole[..len]) else { unreachable!() };
        let (mut ticks, mut lost) = (Vec::new(), 0);
        packets.decode_into(&mut ticks, |error| lost += error.lost_packets());
        assert_eq!(ticks.len() + usize::from(lost), 3, "{len} bytes");
        assert!(ticks.iter().all(|tick| tick.last_price == Price::from_paise(39_295)));
    }
}

#[test]
fn errors_say_whom_and_where() {
    let bytes = frame(&format!("0003 {LTP} 0008 000d8001 000099"));
    let Frame::Ticks(packets) = decode_frame(&bytes) else { unreachable!() };
    let error = packets.last().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "frame ends inside packet 1 of 3 of token 884737: 8 bytes expected, 7 left"
    );
    assert_eq!(error.kind().as_str(), "truncated_frame");
    let labels: std::collections::BTreeSet<_> = DecodeErrorKind::ALL.map(DecodeErrorKind::as_str).into();
    assert_eq!(labels.len(), DecodeErrorKind::ALL.len());
}
