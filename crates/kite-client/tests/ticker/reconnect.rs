//! What happens when a connection ends, goes mute or never comes about.

use std::time::Duration;

use http::StatusCode;
use kite_client::ConnectionState;
use market_model::{Mode, UnixNanos};

use crate::rig::{Rig, config, login};

#[tokio::test(start_paused = true)]
async fn a_reconnect_restores_modes_and_tells_the_hole() {
    let mut rig = Rig::start(config());
    let wanted = [(1, Mode::Full), (2, Mode::Quote), (3, Mode::Ltp)];
    rig.want(&wanted);
    let mut peer = rig.kite.accept().await;
    peer.carries(&wanted).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["connected 0", "ticks 0 1:full"]).await;
    peer.close(1001).await;
    rig.expect(&["reconnecting 0 try 1 in 1s: ClosedByServer(Some(1001))"]).await;
    let mut peer = rig.kite.accept().await;
    peer.carries(&wanted).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    peer.ticks(&[(2, Mode::Quote)]).await;
    rig.expect(&[
        "reconnected 0 after 1",
        "gap 0 Disconnected 0..1200 ms tokens None lost None",
        "ticks 0 2:quote",
    ])
    .await;
    // Only 1 ticked before the hole, so only 1 can say how long its own was.
    tokio::time::sleep(Duration::from_millis(300)).await;
    peer.ticks(&[(1, Mode::Full), (3, Mode::Ltp)]).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["ticks 0 1:full 3:ltp", "ticks 0 1:full", "token gaps 0 Disconnected 1:0..1500 ms"]).await;
    assert_eq!(rig.elapsed(), Duration::from_secs(2), "one second after the connection stood");
}

#[tokio::test(start_paused = true)]
async fn what_came_between_two_owners_is_a_hole() {
    let mut rig =
        Rig::start_made(config(), Some(login(1)), |ticker| ticker.resume_after(UnixNanos::from_secs(-3)));
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full)]).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["connected 0", "gap 0 Disconnected -3000..0 ms tokens None lost None", "ticks 0 1:full"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn wishes_that_change_while_the_connection_is_down_are_what_counts() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full), (2, Mode::Full)]).await;
    drop(peer);
    rig.expect(&["connected 0", "reconnecting 0 try 1 in 1s: ClosedByServer(None)"]).await;
    rig.want(&[(2, Mode::Ltp), (3, Mode::Quote)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(2, Mode::Ltp), (3, Mode::Quote)]).await;
    assert!(!peer.commands.iter().any(|command| command.contains("unsubscribe")));
}

#[tokio::test(start_paused = true)]
async fn a_mute_connection_is_found_and_replaced() {
    let mut rig = Rig::start(config());
    let mut mute = rig.kite.accept().await;
    mute.heartbeat().await;
    rig.expect(&["connected 0", "silent 0", "reconnecting 0 try 1 in 1s: NoHeartbeat(5s)"]).await;
    assert_eq!(rig.elapsed(), Duration::from_secs(5));
    let mut peer = rig.kite.accept().await;
    peer.heartbeat().await;
    rig.expect(&[
        "reconnected 0 after 1",
        "gap 0 Disconnected 0..6000 ms tokens None lost None",
        "silence ended 0",
    ])
    .await;
    assert!(rig.metrics().contains(&"ticker_silences_total 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_alone_keep_a_connection_up_and_it_is_pinged() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    for _ in 0..30 {
        peer.heartbeat().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(rig.streams.feed.try_recv().is_err(), "nothing happened in a minute");
    assert_eq!(rig.kite.dials(), 1);
    rig.shutdown.cancel();
    assert!(peer.pings_until_end().await >= 20, "one each 2.5 s");
}

#[tokio::test(start_paused = true)]
async fn frames_without_answers_to_our_pings_are_a_broken_connection() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    // It answers once, so it is known to answer.
    tokio::time::timeout(Duration::from_secs(3), peer.pings_until_end()).await.unwrap_err();
    let told = loop {
        tokio::select! {
            event = rig.event() => break event,
            // Writes only: the library answers pings while it reads.
            () = tokio::time::sleep(Duration::from_secs(1)) => peer.heartbeat().await,
        }
    };
    assert!(told.contains("NoPong(10"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn refused_handshakes_are_tried_again_ever_more_slowly() {
    let mut rig = Rig::start(config());
    for (seconds, attempt) in [(1, 2), (2, 3), (4, 4), (8, 5), (16, 6), (32, 7), (60, 8), (60, 9)] {
        rig.kite.refuse(StatusCode::TOO_MANY_REQUESTS, "").await;
        let expected = format!("reconnecting 0 try {attempt} in {seconds}s: HandshakeStatus(429)");
        assert_eq!(rig.news().await, expected);
    }
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    assert_eq!(rig.kite.dials(), 9);
    // It stood only shortly, so the next delay is still the longest.
    peer.heartbeat().await;
    drop(peer);
    rig.expect(&["reconnecting 0 try 1 in 60s: ClosedByServer(None)"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stood_starts_with_the_shortest_delay_again() {
    let mut rig = Rig::start(config());
    rig.kite.refuse(StatusCode::BAD_GATEWAY, "<html>").await;
    rig.kite.refuse(StatusCode::BAD_GATEWAY, "<html>").await;
    let mut peer = rig.kite.accept().await;
    for _ in 0..11 {
        peer.heartbeat().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(peer);
    rig.expect(&[
        "reconnecting 0 try 2 in 1s: HandshakeStatus(502)",
        "reconnecting 0 try 3 in 2s: HandshakeStatus(502)",
        "connected 0",
        "reconnecting 0 try 1 in 1s: ClosedByServer(None)",
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_costs_one_timeout() {
    let mut rig = Rig::start(config());
    let _half_open = rig.kite.stream().await;
    assert_eq!(rig.news().await, "reconnecting 0 try 2 in 1s: ConnectTimeout");
    assert_eq!(rig.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_ask_for_a_reconnect_and_shorten_a_wait() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    peer.heartbeat().await;
    rig.expect(&["connected 0"]).await;
    assert!(rig.handle.reconnect(0));
    assert!(!rig.handle.reconnect(1), "there is no such connection");
    assert_eq!(peer.closed().await, Some(1000));
    rig.expect(&["reconnecting 0 try 1 in 0ns: Requested"]).await;
    rig.kite.refuse(StatusCode::SERVICE_UNAVAILABLE, "").await;
    rig.expect(&["reconnecting 0 try 2 in 1s: HandshakeStatus(503)"]).await;
    tokio::task::yield_now().await;
    assert_eq!(rig.status().connections[0].state, ConnectionState::Waiting);
    rig.handle.reconnect(0);
    rig.kite.accept().await.heartbeat().await;
    rig.expect(&["reconnected 0 after 2", "gap 0 Disconnected 0..0 ms tokens None lost None"]).await;
    assert_eq!(rig.elapsed(), Duration::ZERO, "nothing was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_panics_is_started_again() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["connected 0", "ticks 0 1:full"]).await;
    rig.kite.panic_next.store(true, std::sync::atomic::Ordering::SeqCst);
    drop(peer);
    rig.expect(&[
        "reconnecting 0 try 1 in 1s: ClosedByServer(None)",
        "reconnecting 0 try 1 in 1s: TaskFailed",
    ])
    .await;
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full)]).await;
    peer.heartbeat().await;
    rig.expect(&["reconnected 0 after 1", "gap 0 Disconnected 0..2000 ms tokens None lost None"]).await;
    let metrics = rig.metrics();
    assert!(metrics.contains(&"ticker_connection_panics_total 1".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"websocket_pool_connections 1".to_owned()), "{metrics:?}");
}
