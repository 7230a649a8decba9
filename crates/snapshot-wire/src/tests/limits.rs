//! The longest and the unusual: sizes, other catalogs, picked ticks.

use super::*;

#[test]
fn names_are_those_of_the_batch_at_hand() {
    for format in [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional] {
        let mut encoder = BatchEncoder::new(format);
        let first = encoder.encode(&batch_of(samples()));
        // The second time from memory.
        assert_eq!(encoder.encode(&batch_of(samples())).payload(), first.payload());
        let same = batch_of(samples());
        assert_eq!(encoder.encode(&same).payload(), first.payload());
        assert_eq!(encoder.encode(&same).payload(), first.payload());

        // Another day: another instrument stands in the slot.
        let mut renamed = batch_of(vec![snapshot(EQUITY, TickBody::Ltp, GreeksState::NotAnOption)]);
        let mut row = catalog().get(OPTION).clone();
        row.token = renamed.snapshots[0].token();
        renamed.catalog = Arc::new(InstrumentCatalog::new(vec![row], |_| None).unwrap());
        let shown = String::from_utf8_lossy(encoder.encode(&renamed).tick(0)).into_owned();
        assert!(shown.contains("NIFTY26NOV25000CE") && !shown.contains("M&M"), "{shown}");

        // A token that is not the slot's is told as it is, and not remembered.
        renamed.snapshots[0].tick.token = InstrumentToken(77);
        let stranger = encoder.encode(&renamed);
        assert_eq!(stranger.tick(0), BatchEncoder::new(format).encode(&renamed).tick(0));
    }
}

#[test]
fn the_longest_tick_fits_its_page() {
    let price = Price::from_raw(i64::MIN + 1);
    let level = DepthLevel { price, quantity: u32::MAX, orders: u16::MAX };
    let at = Some(UnixNanos(i64::MIN));
    let quote = QuoteTick {
        last_traded_quantity: u32::MAX,
        average_traded_price: price,
        volume_traded: u32::MAX,
        total_buy_quantity: u32::MAX,
        total_sell_quantity: u32::MAX,
        ohlc: Ohlc { open: price, high: price, low: price, close: Price::from_raw(1) },
    };
    let full = FullTick {
        quote,
        last_trade_time: at,
        oi: u32::MAX,
        oi_day_high: u32::MAX,
        oi_day_low: u32::MAX,
        exchange_timestamp: at,
        depth: Depth { buy: [level; 5], sell: [level; 5] },
    };
    let longest = -2.225_073_858_507_201_4e-308;
    let greeks = OptionGreeks {
        iv: longest,
        delta: longest,
        gamma: longest,
        vega: longest,
        theta: longest,
        rho: longest,
        forward: longest,
        forward_source: ForwardSource::SpotCarry,
        rate: longest,
        t_years: longest,
        quality: Quality::InTheMoneySide,
    };
    let mut tick = snapshot(OPTION, TickBody::Full(full), GreeksState::Known(greeks));
    tick.tick.last_price = Price::from_raw(-1);
    tick.ts_recv = UnixNanos(i64::MIN);
    tick.ts_event = at;
    tick.stale = Some(StaleCause::Feed(GapCause::Undecodable));
    tick.cause = SnapshotCause::Staleness;
    for format in [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional] {
        let encoded = BatchEncoder::new(format).encode(&batch_of(vec![tick.clone()]));
        // Half of the page: no field that is added tomorrow comes near its end unseen.
        assert!(encoded.tick(0).len() < crate::target::PAGE / 2, "{}", encoded.tick(0).len());
        let read: TickMessage = match format {
            WireFormat::Json => serde_json::from_slice(encoded.tick(0)).unwrap(),
            WireFormat::MessagePack => rmp_serde::from_slice(encoded.tick(0)).unwrap(),
            WireFormat::Positional => positional::decoded(encoded.payload()).ticks.remove(0),
        };
        assert_eq!(read.greeks.unwrap().forward, longest);
        assert_eq!(read.depth.unwrap().sell[4].quantity, u32::MAX);
    }
}

#[test]
fn long_arrays_and_texts_fit_message_pack() {
    let mut batch = batch_of(vec![samples().remove(0); 70_000]);
    batch.source = "a".repeat(300).into();
    let mut encoder = BatchEncoder::new(WireFormat::MessagePack);
    for (ticks, source) in [(70_000, 300), (40_000, 70_000), (16, 256), (15, 255), (0, 32), (1, 31)] {
        batch.snapshots.truncate(ticks);
        batch.snapshots.resize(ticks, samples().remove(0));
        batch.source = "a".repeat(source).into();
        let read: TicksMessage = rmp_serde::from_slice(encoder.encode(&batch).payload()).unwrap();
        assert_eq!((read.ticks.len(), read.source.map(|text| text.len())), (ticks, Some(source)));
    }
}

#[test]
fn picked_ticks_make_a_message_without_encoding_again() {
    for format in [WireFormat::Json, WireFormat::MessagePack] {
        let encoded = BatchEncoder::new(format).encode(&batch_of(samples()));
        let ts_publish = UnixNanos(4);
        let head = TicksHead { topic: None, source: None, seq: 3, tick_count: None, ts_publish, sim: false };
        let mut out = Vec::new();
        write_ticks(format, &head, [5, 0].iter().map(|&index| encoded.tick(index)), &mut out);
        let read: TicksMessage = match format {
            WireFormat::Json => serde_json::from_slice(&out).unwrap(),
            _ => rmp_serde::from_slice(&out).unwrap(),
        };
        let tokens: Vec<_> = read.ticks.iter().map(|tick| tick.instrument_token).collect();
        assert_eq!((read.seq, read.topic, tokens), (3, None, vec![514, 408_065]));
    }
}
