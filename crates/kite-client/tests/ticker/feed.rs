//! Frames and texts: good, damaged, and more than anybody takes.

use std::time::Duration;

use kite_wire::{FrameBuilder, TextMessage};
use market_model::{FeedEvent, Mode};

use crate::rig::{Rig, config};
use crate::server::tick;

#[tokio::test(start_paused = true)]
async fn a_damaged_frame_costs_its_bad_packets_and_nothing_else() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    peer.ticks(&[(1, Mode::Full)]).await;
    let mut frame = FrameBuilder::new();
    frame.push(&tick(1, Mode::Full)).unwrap();
    frame.push_raw(&[0, 0, 0, 2, 9, 9, 9]).unwrap();
    frame.push(&tick(3, Mode::Ltp)).unwrap();
    let good = frame.finish();
    peer.bytes(good.clone()).await;
    peer.bytes(good[..good.len() - 3].to_vec()).await;
    peer.bytes(vec![0xff; 50]).await;
    peer.bytes(Vec::new()).await;
    peer.ticks(&[(4, Mode::Ltp)]).await;
    rig.expect(&["connected 0", "ticks 0 1:full", "ticks 0 1:full 3:ltp", "ticks 0 1:full", "ticks 0 4:ltp"])
        .await;
    let gap = rig.news().await;
    assert!(gap.starts_with("gap 0 Undecodable 0..250 ms tokens None lost Some("), "{gap}");
    let metrics = rig.metrics();
    for line in [
        "ticker_decode_errors_total{packet_length} 2",
        "ticker_decode_errors_total{truncated_frame} 2",
        "ticker_decode_errors_total{empty_frame} 1",
        "ticker_frames_total 6",
        "ticker_ticks_total 5",
        "ticker_unwanted_ticks_total 5",
    ] {
        assert!(metrics.contains(&line.to_owned()), "{line} in {metrics:#?}");
    }
    let status = &rig.status().connections[0];
    assert_eq!((status.decode_errors, status.ticks, status.delivered_ticks), (5, 5, 5));
    assert_eq!(status.packets, status.ticks + status.undecodable_packets);
    assert!(status.is_balanced(), "{status:#?}");
    assert_eq!(rig.kite.dials(), 1, "the connection was kept");
}

#[tokio::test(start_paused = true)]
async fn a_vector_that_was_given_back_is_filled_anew() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    let mut given = vec![tick(7, Mode::Full); 5];
    let place = given.as_mut_ptr();
    rig.streams.recycler.give(given);
    for _ in 0..2 {
        peer.ticks(&[(1, Mode::Full), (2, Mode::Ltp)]).await;
    }
    for is_same in [true, false] {
        let Some(FeedEvent::Ticks(mut frame)) = rig.streams.feed.recv().await else {
            panic!("ticks");
        };
        assert_eq!(frame.ticks, [tick(1, Mode::Full), tick(2, Mode::Ltp)]);
        assert_eq!(frame.ticks.as_mut_ptr() == place, is_same, "given back once, used once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_of_named_packets_names_them_and_is_told_once() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    for _ in 0..40 {
        let mut frame = FrameBuilder::new();
        frame.push_raw(&[0, 0, 0, 2, 9, 9, 9]).unwrap();
        peer.bytes(frame.finish()).await;
    }
    rig.expect(&["connected 0", "gap 0 Undecodable 0..250 ms tokens Some([2]) lost Some(40)"]).await;
    peer.heartbeat().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(rig.streams.feed.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn ticks_nobody_takes_are_dropped_counted_and_told() {
    let mut settings = config();
    settings.feed_capacity = 4;
    let mut rig = Rig::start(settings);
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    for _ in 0..10 {
        peer.ticks(&[(1, Mode::Ltp), (2, Mode::Ltp)]).await;
    }
    peer.text(r#"{"type":"message","data":"all were read"}"#).await;
    assert!(matches!(rig.text().await, TextMessage::Message(_)), "a full feed does not stop the reading");
    for _ in 0..4 {
        rig.expect(&["ticks 0 1:ltp 2:ltp"]).await;
    }
    peer.ticks(&[(3, Mode::Ltp)]).await;
    rig.expect(&["gap 0 Overrun 0..0 ms tokens None lost Some(12)", "ticks 0 3:ltp"]).await;
    let metrics = rig.metrics();
    assert!(metrics.contains(&"ticker_dropped_ticks_total 12".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"ticker_packets_total 21".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"ticker_delivered_ticks_total 9".to_owned()), "{metrics:?}");
    let status = &rig.status().connections[0];
    assert_eq!((status.packets, status.delivered_ticks, status.dropped_ticks), (21, 9, 12));
    assert!(status.is_balanced());
    assert!(metrics.contains(&"ticker_dropped_frames_total 6".to_owned()), "{metrics:?}");
}

#[tokio::test(start_paused = true)]
async fn health_is_never_lost_in_a_full_feed() {
    let mut settings = config();
    settings.feed_capacity = 2;
    let mut rig = Rig::start(settings);
    let mut peer = rig.kite.accept().await;
    for _ in 0..10 {
        peer.ticks(&[(1, Mode::Ltp)]).await;
    }
    peer.close(1011).await;
    let mut peer = rig.kite.accept().await;
    peer.ticks(&[(2, Mode::Ltp)]).await;
    tokio::task::yield_now().await;
    rig.expect(&[
        "connected 0",
        "ticks 0 1:ltp",
        "gap 0 Overrun 0..0 ms tokens None lost Some(9)",
        "reconnecting 0 try 1 in 1s: ClosedByServer(Some(1011))",
        "reconnected 0 after 1",
        "gap 0 Disconnected 0..1000 ms tokens None lost None",
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn texts_are_split_off_and_bad_ones_are_counted() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    peer.text(r#"{"type":"instruments_meta","data":{"count":86481,"etag":"W/\"x\""}}"#).await;
    peer.text("not json").await;
    peer.text(r#"{"type":"order","id":"","data":{"order_id":"1","status":"COMPLETE"}}"#).await;
    peer.text(r#"{"type":"order","id":"","data":"none"}"#).await;
    peer.text(r#"{"type":"unheard","data":1}"#).await;
    assert!(matches!(rig.text().await, TextMessage::InstrumentsMeta { count: 86_481, .. }));
    let TextMessage::Order(order) = rig.text().await else {
        panic!("the order is next");
    };
    assert!(order.get().contains("COMPLETE"));
    assert!(matches!(rig.text().await, TextMessage::Other { .. }));
    let metrics = rig.metrics();
    assert!(metrics.contains(&"ticker_text_errors_total 2".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"ticker_texts_total 5".to_owned()), "{metrics:?}");
}

#[tokio::test(start_paused = true)]
async fn order_updates_wait_for_a_slow_reader() {
    let mut settings = config();
    settings.text_capacity = 1;
    let mut rig = Rig::start(settings);
    let mut peer = rig.kite.accept().await;
    for number in 0..50 {
        peer.text(&format!(r#"{{"type":"message","data":"{number}"}}"#)).await;
    }
    peer.ticks(&[(1, Mode::Ltp)]).await;
    rig.expect(&["connected 0", "ticks 0 1:ltp"]).await;
    for number in 0..50 {
        assert!(matches!(rig.text().await, TextMessage::Message(text) if text == number.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limit_ends_the_connection_not_the_memory() {
    let mut settings = config();
    settings.max_message_bytes = 4096;
    let mut rig = Rig::start(settings);
    let mut peer = rig.kite.accept().await;
    peer.bytes(vec![0; 5000]).await;
    rig.expect(&["connected 0"]).await;
    let told = rig.news().await;
    assert!(told.contains("Space limit exceeded"), "{told}");
}
