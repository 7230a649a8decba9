//! One socket takes the place of another, without a hole where the account may open one more.

use std::time::Duration;

use http::StatusCode;
use kite_client::{ConnectionLimits, TickerConfig};
use market_model::{FeedEvent, Mode};
use tokio::time::sleep;

use crate::rig::{Rig, config, login};
use crate::server::Peer;

const WANTED: [(u32, Mode); 3] = [(1, Mode::Full), (2, Mode::Quote), (3, Mode::Ltp)];

/// Two sockets allowed, one needed.
fn roomy() -> TickerConfig {
    TickerConfig {
        limits: ConnectionLimits { connections: 2, tokens_per_connection: 3000 },
        tokens_per_command: 2,
        ..config()
    }
}

/// A connection that carries [`WANTED`] and ticks.
async fn standing(settings: TickerConfig) -> (Rig, Peer) {
    let mut rig = Rig::start(settings);
    rig.want(&WANTED);
    let mut peer = rig.kite.accept().await;
    peer.carries(&WANTED).await;
    peer.ticks(&WANTED).await;
    rig.expect(&["connected 0", "ticks 0 1:full 2:quote 3:ltp"]).await;
    (rig, peer)
}

#[tokio::test(start_paused = true)]
async fn an_asked_reconnect_leaves_no_hole_where_there_is_room() {
    let (mut rig, mut old) = standing(roomy()).await;
    assert!(rig.handle.reconnect(0));
    let mut new = rig.kite.accept().await;
    old.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["ticks 0 1:full"]).await;
    new.carries(&WANTED).await;
    new.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["ticks 0 1:full"]).await;
    // Of what the new one has said, the old one has no more to say; of the rest it has.
    old.ticks(&[(1, Mode::Full), (3, Mode::Ltp)]).await;
    rig.expect(&["ticks 0 3:ltp"]).await;
    assert_eq!(old.closed().await, Some(1000));
    rig.expect(&["rotated 0 after 250ms: Requested"]).await;
    new.ticks(&WANTED).await;
    rig.expect(&["ticks 0 1:full 2:quote 3:ltp"]).await;
    let status = &rig.status().connections[0];
    assert_eq!((status.connects, status.rotations, status.superseded_ticks), (2, 1, 1));
    assert_eq!((status.packets, status.delivered_ticks), (10, 9));
    assert!(status.is_balanced(), "{status:#?}");
    assert_eq!(status.subscriptions.live, 3);
    let metrics = rig.metrics();
    assert!(metrics.contains(&"websocket_pool_connections 1".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"ticker_rotations_total 1".to_owned()), "{metrics:?}");
    assert!(!metrics.iter().any(|line| line.starts_with("ticker_reconnects_total")), "{metrics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_login_takes_over_without_a_hole() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.credentials.send_replace(Some(login(2)));
    let mut new = rig.kite.accept().await;
    assert_eq!(new.uri.query(), Some("api_key=key&access_token=token2"));
    new.carries(&WANTED).await;
    new.ticks(&WANTED).await;
    assert_eq!(old.closed().await, Some(1000));
    rig.expect(&["ticks 0 1:full 2:quote 3:ltp", "rotated 0 after 250ms: TokenRenewed"]).await;
    assert_eq!(rig.status().connections[0].generation, Some(2));
    assert!(rig.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_new_login_does_not_end_what_still_delivers() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.credentials.send_replace(Some(login(2)));
    rig.kite.refuse(StatusCode::FORBIDDEN, "no").await;
    rig.expect(&["token lost acc: no"]).await;
    old.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["ticks 0 1:full"]).await;
    for _ in 0..60 {
        old.heartbeat().await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rig.kite.dials(), 2, "a refused login is not tried again");
    // And when it ends, the refused login is not tried either.
    drop(old);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.kite.dials(), 2);
    rig.credentials.send_replace(Some(login(3)));
    rig.kite.accept().await.carries(&WANTED).await;
}

#[tokio::test(start_paused = true)]
async fn wishes_that_change_while_two_sockets_stand_reach_both() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    let more = [(1, Mode::Ltp), (2, Mode::Quote), (4, Mode::Full)];
    rig.want(&more);
    tokio::join!(old.carries(&more), new.carries(&more));
    new.ticks(&more).await;
    assert_eq!(old.closed().await, Some(1000));
    rig.expect(&["ticks 0 1:ltp 2:quote 4:full", "rotated 0 after 250ms: Requested"]).await;
    assert_eq!(rig.status().connections[0].subscriptions.live, 3);
}

#[tokio::test(start_paused = true)]
async fn of_two_sockets_the_one_that_is_ahead_is_heard() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    old.trade(1, Mode::Full, 10_005, 50).await;
    rig.expect(&["ticks 0 1:full"]).await;
    // The new one lags behind, and catches up; then the old one knows more again.
    new.trade(1, Mode::Full, 10_000, 40).await;
    new.trade(2, Mode::Quote, 10_000, 40).await;
    new.trade(1, Mode::Full, 10_005, 50).await;
    rig.expect(&["ticks 0 2:quote", "ticks 0 1:full"]).await;
    old.trade(2, Mode::Quote, 10_005, 41).await;
    rig.expect(&["ticks 0 2:quote"]).await;
    assert_eq!(old.closed().await, Some(1000));
    rig.expect(&["rotated 0 after 250ms: Requested"]).await;
    // Alone, it still has to reach what the former one said.
    new.trade(2, Mode::Quote, 10_000, 40).await;
    new.trade(2, Mode::Quote, 10_005, 41).await;
    rig.expect(&["ticks 0 2:quote"]).await;
    new.beats(12).await;
    assert!(rig.streams.feed.try_recv().is_err(), "no hole");
    let status = &rig.status().connections[0];
    assert_eq!(status.superseded_ticks, 2);
    assert!(status.is_balanced(), "{status:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_only_the_old_socket_said_and_was_withheld_is_told_as_a_hole() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    new.trade(3, Mode::Ltp, 300, 0).await;
    rig.expect(&["ticks 0 3:ltp"]).await;
    // In ltp mode nothing tells whether that was earlier or later.
    old.trade(3, Mode::Ltp, 305, 0).await;
    assert_eq!(old.closed().await, Some(1000));
    rig.expect(&["rotated 0 after 250ms: Requested"]).await;
    new.beats(12).await;
    let told = rig.news().await;
    assert_eq!(told, "gap 0 Disconnected 0..0 ms tokens Some([3]) lost None");
}

#[tokio::test(start_paused = true)]
async fn a_former_socket_that_does_not_answer_the_close_may_have_had_more_to_say() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    new.ticks(&WANTED).await;
    rig.expect(&["ticks 0 1:full 2:quote 3:ltp"]).await;
    sleep(Duration::from_millis(300)).await;
    // It was written long ago: that it arrives now says nothing about what else is on its way.
    old.ticks(&[(1, Mode::Full)]).await;
    new.beats(4).await;
    rig.expect(&["gap 0 Disconnected 0..250 ms tokens None lost None"]).await;
    assert!(rig.news().await.starts_with("rotated 0"));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_steps_in_when_the_old_socket_ends_first() {
    let (mut rig, old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    sleep(Duration::from_millis(10)).await;
    drop(old);
    rig.expect(&["reconnecting 0 try 1 in 0ns: ClosedByServer(None)", "reconnected 0 after 1"]).await;
    new.ticks(&WANTED).await;
    rig.expect(&[
        "gap 0 Disconnected 0..10 ms tokens None lost None",
        "ticks 0 1:full 2:quote 3:ltp",
        "token gaps 0 Disconnected 1:0..10 2:0..10 3:0..10 ms",
    ])
    .await;
    assert_eq!(rig.kite.dials(), 2, "no third handshake");
    assert_eq!(rig.status().connections[0].subscriptions.live, 3);
}

#[tokio::test(start_paused = true)]
async fn a_dial_under_way_is_used_when_the_old_socket_ends_first() {
    let (mut rig, old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let stream = rig.kite.stream().await;
    drop(old);
    rig.expect(&["reconnecting 0 try 1 in 0ns: ClosedByServer(None)"]).await;
    let mut new = Peer::upgrade(stream).await;
    new.carries(&WANTED).await;
    rig.expect(&["reconnected 0 after 1"]).await;
    assert_eq!(rig.kite.dials(), 2, "no third handshake");
    rig.handle.reconnect(0);
    let stream = rig.kite.stream().await;
    drop(new);
    rig.expect(&["reconnecting 0 try 1 in 0ns: ClosedByServer(None)"]).await;
    drop(stream);
    let told = rig.news().await;
    assert!(told.starts_with("reconnecting 0 try 2 in 1s"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_trades_heartbeats_are_proof_enough() {
    let (mut rig, mut old) = standing(roomy()).await;
    rig.handle.reconnect(0);
    let mut new = rig.kite.accept().await;
    new.carries(&WANTED).await;
    for _ in 0..4 {
        old.heartbeat().await;
        new.heartbeat().await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(old.closed().await, Some(1000));
    // After three seconds it changed places; the old one read our close a second later.
    rig.expect(&["rotated 0 after 4s: Requested"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_planned_rotation_that_fails_keeps_what_delivers() {
    let mut settings = roomy();
    settings.rotate_after = Some(Duration::from_secs(3600));
    let (mut rig, mut old) = standing(settings).await;
    let beat = async {
        loop {
            old.heartbeat().await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let refuse = async {
        rig.kite.refuse(StatusCode::SERVICE_UNAVAILABLE, "").await;
        sleep(Duration::from_secs(600)).await;
    };
    tokio::select! {
        () = beat => {}
        () = refuse => {}
    }
    while let Ok(event) = rig.streams.feed.try_recv() {
        assert!(matches!(event, FeedEvent::Subscriptions { .. }), "nothing to tell: {event:?}");
    }
    let status = &rig.status().connections[0];
    assert_eq!((status.handshakes, status.connects, status.rotations), (2, 1, 0));
}

/// Ticks once a second on every socket it is given, until they end.
async fn serve(mut peer: Peer, tokens: [(u32, Mode); 1]) {
    loop {
        tokio::select! {
            goes_on = peer.step() => if !goes_on { return },
            () = sleep(Duration::from_secs(1)) => peer.try_ticks(&tokens).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_rotate_each_in_its_own_time() {
    let mut settings = roomy();
    settings.limits = ConnectionLimits { connections: 3, tokens_per_connection: 1 };
    settings.rotate_after = Some(Duration::from_secs(3600));
    let mut rig = Rig::start(settings);
    rig.want(&[(1, Mode::Ltp), (2, Mode::Ltp)]);
    let mut peers = tokio::task::JoinSet::new();
    let mut told = Vec::new();
    while rig.elapsed() < Duration::from_secs(4 * 3600) {
        tokio::select! {
            mut peer = rig.kite.accept() => {
                peers.spawn(async move {
                    while peer.carried.is_empty() {
                        assert!(peer.step().await);
                    }
                    let token = *peer.carried.keys().next().unwrap();
                    serve(peer, [(token, Mode::Ltp)]).await;
                });
            }
            event = rig.streams.feed.recv() => {
                let said = crate::rig::describe(event.unwrap());
                if said.starts_with("rotated") || said.starts_with("gap") {
                    told.push((rig.elapsed(), said));
                }
            }
        }
    }
    assert!((6..=8).contains(&told.len()), "twice in each hour: {told:#?}");
    assert!(told.iter().all(|(_, said)| said.starts_with("rotated") && said.ends_with("Rotation")));
    let apart = told.windows(2).map(|two| two[1].0 - two[0].0).min().unwrap();
    assert!(apart >= Duration::from_secs(1100), "a third of an hour apart: {told:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_planned_rotation_without_room_tells_its_hole() {
    let mut settings = config();
    settings.rotate_after = Some(Duration::from_secs(3600));
    let mut rig = Rig::start(settings);
    let mut peer = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    let told = loop {
        tokio::select! {
            told = rig.news() => break told,
            () = sleep(Duration::from_secs(1)) => peer.heartbeat().await,
        }
    };
    assert_eq!(told, "reconnecting 0 try 1 in 0ns: Rotation");
    rig.kite.accept().await.heartbeat().await;
    assert_eq!(rig.news().await, "reconnected 0 after 1");
    assert!(rig.news().await.starts_with("gap 0 Disconnected"));
}
