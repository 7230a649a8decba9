use super::*;

use market_model::{DepthLevel, FullTick, QuoteTick};
use proptest::prelude::*;

use crate::{DecodeError, Frame, decode_frame};

fn decoded(frame: &[u8]) -> Vec<Result<Tick, DecodeError>> {
    match decode_frame(frame) {
        Frame::Heartbeat => Vec::new(),
        Frame::Ticks(packets) => packets.map(|packet| packet.map(|packet| packet.to_tick())).collect(),
    }
}

fn token() -> impl Strategy<Value = InstrumentToken> {
    let segment = prop_oneof![1u32..=13, 0u32..=255];
    (any::<u32>(), segment).prop_map(|(number, segment)| InstrumentToken(number << 8 | segment))
}

fn time() -> impl Strategy<Value = Option<UnixNanos>> {
    proptest::option::of((1u32..).prop_map(|secs| UnixNanos::from_secs(secs.into())))
}

fn depth(unit: i64) -> impl Strategy<Value = Depth> {
    let level = (any::<i32>(), any::<u32>(), any::<u16>()).prop_map(move |(price, quantity, orders)| {
        DepthLevel { price: Price::from_raw(i64::from(price) * unit), quantity, orders }
    });
    proptest::array::uniform(level).prop_map(|levels: [DepthLevel; 10]| {
        let mut depth = Depth::default();
        depth.buy.copy_from_slice(&levels[..5]);
        depth.sell.copy_from_slice(&levels[5..]);
        depth
    })
}

fn quote(unit: i64) -> impl Strategy<Value = QuoteTick> {
    (any::<[u32; 4]>(), any::<[i32; 5]>()).prop_map(move |(words, prices)| {
        let [average_traded_price, open, high, low, close] =
            prices.map(|wire| Price::from_raw(i64::from(wire) * unit));
        QuoteTick {
            last_traded_quantity: words[0],
            average_traded_price,
            volume_traded: words[1],
            total_buy_quantity: words[2],
            total_sell_quantity: words[3],
            ohlc: Ohlc { open, high, low, close },
        }
    })
}

fn body(unit: i64) -> impl Strategy<Value = TickBody> {
    let full = (quote(unit), time(), any::<[u32; 3]>(), time(), depth(unit)).prop_map(
        |(quote, last_trade_time, [oi, oi_day_high, oi_day_low], exchange_timestamp, depth)| {
            TickBody::Full(FullTick {
                quote,
                last_trade_time,
                oi,
                oi_day_high,
                oi_day_low,
                exchange_timestamp,
                depth,
            })
        },
    );
    let index = (quote(unit), proptest::option::of(time())).prop_map(|(quote, full)| {
        let (ohlc, change) = (quote.ohlc, quote.average_traded_price);
        match full {
            None => TickBody::IndexQuote { ohlc, change },
            Some(exchange_timestamp) => TickBody::IndexFull { ohlc, change, exchange_timestamp },
        }
    });
    prop_oneof![Just(TickBody::Ltp), index, quote(unit).prop_map(TickBody::Quote), full]
}

fn tick() -> impl Strategy<Value = Tick> {
    (token(), any::<i32>()).prop_flat_map(|(token, price)| {
        let unit = Divisors::KITE.unit(token);
        body(unit).prop_map(move |body| Tick {
            token,
            last_price: Price::from_raw(i64::from(price) * unit),
            body,
        })
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(ticks in proptest::collection::vec(tick(), 0..8)) {
        let mut builder = FrameBuilder::new();
        for tick in &ticks {
            builder.push(tick).unwrap();
        }
        prop_assert_eq!(usize::from(builder.packets()), ticks.len());
        let len = builder.len();
        let frame = builder.finish();
        prop_assert_eq!(frame.len(), len);
        let got: Result<Vec<_>, _> = decoded(&frame).into_iter().collect();
        prop_assert_eq!(got.unwrap(), ticks);
    }

    #[test]
    fn ticks_of_an_earlier_frame_leave_no_trace(
        frames in proptest::collection::vec(proptest::collection::vec(tick(), 0..8), 2..4),
    ) {
        let mut reused = Vec::new();
        for ticks in frames {
            let mut builder = FrameBuilder::new();
            ticks.iter().try_for_each(|tick| builder.push(tick)).unwrap();
            let frame = builder.finish();
            if let Frame::Ticks(packets) = decode_frame(&frame) {
                packets.decode_into(&mut reused, |error| panic!("{error}"));
            }
            prop_assert_eq!(&reused, &ticks);
        }
    }

    #[test]
    fn no_price_wraps(token in token(), raw in any::<i64>()) {
        let tick = Tick { token, last_price: Price::from_raw(raw), body: TickBody::Ltp };
        let mut packet = Vec::new();
        match encode_packet(&tick, &mut packet) {
            Ok(()) => {
                let mut builder = FrameBuilder::new();
                builder.push_raw(&packet).unwrap();
                prop_assert_eq!(decoded(&builder.finish()), vec![Ok(tick)]);
            }
            Err(_) => prop_assert!(packet.is_empty()),
        }
    }
}

const INFY: InstrumentToken = InstrumentToken(408_065);

fn ltp(token: InstrumentToken, price: &str) -> Tick {
    Tick { token, last_price: price.parse().unwrap(), body: TickBody::Ltp }
}

fn check_refused(tick: &Tick, expect: &str) {
    let mut out = vec![7];
    assert_eq!(encode_packet(tick, &mut out).unwrap_err().to_string(), expect);
    assert_eq!(out, [7], "a refused tick leaves nothing behind");
}

#[test]
fn limits_of_a_price() {
    let mut out = Vec::new();
    encode_packet(&ltp(INFY, "21474836.47"), &mut out).unwrap();
    assert_eq!(out, [0x00, 0x06, 0x3a, 0x01, 0x7f, 0xff, 0xff, 0xff]);
    check_refused(
        &ltp(INFY, "21474836.48"),
        "price 21474836.48 of token 408065 does not fit into 32 bits at divisor 100",
    );
    check_refused(
        &ltp(INFY, "1573.151"),
        "price 1573.151 of token 408065 is not a whole number of 1/100 rupee",
    );
    check_refused(
        &ltp(InstrumentToken(412_675), "214.7483648"),
        "price 214.7483648 of token 412675 does not fit into 32 bits at divisor 10000000",
    );
}

#[test]
fn limits_of_a_time() {
    let full = |time| Tick {
        body: TickBody::Full(FullTick { exchange_timestamp: Some(time), ..FullTick::default() }),
        ..ltp(INFY, "1.00")
    };
    check_refused(
        &full(UnixNanos(999_999_999)),
        "time 1970-01-01T00:00:00.999999999Z of token 408065 does not fit into 32 bits of seconds",
    );
    check_refused(
        &full(UnixNanos::from_secs(1 << 32)),
        "time 2106-02-07T06:28:16Z of token 408065 does not fit into 32 bits of seconds",
    );
    let mut builder = FrameBuilder::new();
    builder.push(&full(UnixNanos::from_millis(1_999))).unwrap();
    let got = decoded(&builder.finish()).remove(0).unwrap();
    assert_eq!(got.exchange_timestamp(), Some(UnixNanos::from_secs(1)));
}

#[test]
fn a_refused_tick_leaves_the_frame_as_it_was() {
    let mut builder = FrameBuilder::new();
    builder.push(&ltp(INFY, "1.00")).unwrap();
    builder.push(&ltp(INFY, "1.001")).unwrap_err();
    builder.push(&ltp(INFY, "2.00")).unwrap();
    let frame = builder.finish();
    assert_eq!(decoded(&frame), [Ok(ltp(INFY, "1.00")), Ok(ltp(INFY, "2.00"))]);
    assert_eq!((builder.packets(), builder.finish()), (0, vec![0, 0]));
}

#[test]
fn a_frame_has_room_for_65535_packets() {
    let mut builder = FrameBuilder::new();
    for _ in 0..u16::MAX {
        builder.push(&ltp(INFY, "1.00")).unwrap();
    }
    assert_eq!(builder.push(&ltp(INFY, "1.00")), Err(EncodeError::FrameFull));
    assert_eq!(builder.push_raw(&[]), Err(EncodeError::FrameFull));
    assert_eq!(decoded(&builder.finish()).len(), 65_535);
}

#[test]
fn raw_bytes_are_bounded_too() {
    let mut builder = FrameBuilder::new();
    let error = EncodeError::PacketTooLong { len: 65_536 };
    assert_eq!(builder.push_raw(&[0; 65_536]), Err(error));
    assert!(builder.is_empty());
    assert_eq!(builder.push_raw(&[0; 65_535]), Ok(()));
    assert_eq!(
        decoded(&builder.finish()),
        [Err(DecodeError::PacketLength { token: Some(InstrumentToken(0)), len: 65_535 })]
    );
}

#[test]
fn divisors_of_your_own_go_both_ways() {
    let token = InstrumentToken(0x0006_3a06);
    let divisors = Divisors::KITE.with(6, 10_000_000).unwrap();
    let tick = ltp(token, "84.5539768");
    let mut builder = FrameBuilder::with_divisors(divisors);
    builder.push(&tick).unwrap();
    let frame = builder.finish();
    let Frame::Ticks(mut packets) = crate::decode_frame_with(&frame, &divisors) else { unreachable!() };
    assert_eq!(packets.next().unwrap().unwrap().to_tick(), tick);
}
