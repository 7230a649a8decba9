//! Wishes reach the server, and what became of them is told.

use std::time::Duration;

use kite_client::{ConnectionLimits, ConnectionState, TickerEnd};
use kite_wire::TextMessage;
use market_model::{InstrumentToken, Mode};

use crate::rig::{Rig, config};

#[tokio::test(start_paused = true)]
async fn wishes_are_subscribed_in_their_modes_and_ticks_prove_them() {
    let mut rig = Rig::start(config());
    rig.want(&[(408_065, Mode::Full), (738_561, Mode::Ltp)]);
    let mut peer = rig.kite.accept().await;
    assert_eq!(peer.uri.query(), Some("api_key=key&access_token=token1"));
    assert_eq!(peer.headers["x-kite-version"], "3");
    peer.carries(&[(408_065, Mode::Full), (738_561, Mode::Ltp)]).await;
    assert_eq!(
        peer.commands,
        [
            r#"{"a":"subscribe","v":[408065,738561]}"#,
            r#"{"a":"mode","v":["full",[408065]]}"#,
            r#"{"a":"mode","v":["ltp",[738561]]}"#,
        ]
    );
    peer.ticks(&[(408_065, Mode::Full), (738_561, Mode::Quote)]).await;
    rig.expect(&["connected 0", "ticks 0 408065:full 738561:quote"]).await;
    assert_eq!(rig.event().await, "subscriptions 0 408065:full=live");
    let status = &rig.status().connections[0];
    assert_eq!((status.subscriptions.live, status.subscriptions.sent), (1, 1));
    assert_eq!((status.state, status.generation, status.ticks), (ConnectionState::Up, Some(1), 2));
}

#[tokio::test(start_paused = true)]
async fn states_are_told_in_order() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full)]).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    let mut told = Vec::new();
    while told.len() < 3 {
        let event = rig.event().await;
        if event.starts_with("subscriptions") {
            told.push(event);
        }
    }
    assert_eq!(
        told,
        ["subscriptions 0 1:full=requested", "subscriptions 0 1:full=sent", "subscriptions 0 1:full=live"]
    );
    rig.want(&[]);
    peer.carries(&[]).await;
    assert_eq!(rig.event().await, "subscriptions 0 1:full=removed");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_wishes_sends_the_difference() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full), (2, Mode::Full)]).await;
    peer.commands.clear();
    rig.want(&[(2, Mode::Ltp), (3, Mode::Quote)]);
    peer.carries(&[(2, Mode::Ltp), (3, Mode::Quote)]).await;
    assert_eq!(peer.commands[0], r#"{"a":"unsubscribe","v":[1]}"#);
    assert_eq!(peer.commands[1], r#"{"a":"subscribe","v":[3]}"#);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_never_ticks_is_named() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full), (2, Mode::Full)]).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    let told = loop {
        tokio::select! {
            event = rig.event() => if event.contains("silent") { break event },
            () = tokio::time::sleep(Duration::from_secs(1)) => peer.heartbeat().await,
        }
    };
    assert_eq!(told, "subscriptions 0 2:full=silent");
    assert!((30..32).contains(&rig.elapsed().as_secs()), "{:?}", rig.elapsed());
    let status = &rig.status().connections[0];
    assert_eq!((status.subscriptions.silent, &status.silent_tokens[..]), (1, &[InstrumentToken(2)][..]));
    // In case a command was lost, they are sent once more; after that silence is the answer.
    peer.carried.remove(&2);
    peer.commands.clear();
    peer.carries(&[(1, Mode::Full), (2, Mode::Full)]).await;
    assert_eq!(peer.commands, [r#"{"a":"subscribe","v":[2]}"#, r#"{"a":"mode","v":["full",[2]]}"#]);
    peer.beats(90).await;
    rig.shutdown.cancel();
    peer.closed().await;
    assert_eq!(peer.commands.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn wishes_beyond_the_limits_are_refused_by_name() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 2, tokens_per_connection: 2 };
    let mut rig = Rig::start(settings);
    let all: Vec<_> = (1..=5).map(|token| (token, Mode::Ltp)).collect();
    rig.want(&all);
    let (mut first, mut second) = (rig.kite.accept().await, rig.kite.accept().await);
    if first.uri != second.uri {
        unreachable!("both log in alike");
    }
    let carried = [(1, Mode::Ltp), (2, Mode::Ltp)];
    let rest = [(3, Mode::Ltp), (4, Mode::Ltp)];
    first.carries(&carried).await;
    second.carries(&rest).await;
    while rig.event().await != "subscriptions 1 5:ltp=rejected" {}
    assert_eq!((rig.status().surplus, rig.status().surplus_tokens), (1, vec![InstrumentToken(5)]));
    rig.want(&all[1..]);
    first.carries(&[(2, Mode::Ltp), (5, Mode::Ltp)]).await;
    assert_eq!(rig.status().surplus, 0);
    assert!(!second.commands.iter().any(|command| command.contains("unsubscribe")), "nothing else moved");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_wishes_is_closed_and_opened_again() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 2, tokens_per_connection: 1 };
    let mut rig = Rig::start(settings);
    let mut first = rig.kite.accept().await;
    rig.want(&[(1, Mode::Ltp), (2, Mode::Ltp)]);
    let mut second = rig.kite.accept().await;
    second.carries(&[(2, Mode::Ltp)]).await;
    rig.want(&[(1, Mode::Ltp)]);
    assert_eq!(second.closed().await, Some(1000));
    rig.expect(&["connected 0", "connected 1", "disconnected 1: Requested"]).await;
    rig.want(&[(1, Mode::Ltp), (9, Mode::Full)]);
    rig.kite.accept().await.carries(&[(9, Mode::Full)]).await;
    rig.expect(&["connected 1"]).await;
    first.carries(&[(1, Mode::Ltp)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_error_of_the_server_marks_what_it_refused() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full)]).await;
    peer.text(r#"{"type":"error","data":"Can't subscribe to more than 3000 instruments."}"#).await;
    while rig.event().await != "subscriptions 0 1:full=rejected" {}
    assert!(matches!(rig.text().await, TextMessage::Error(_)));
    peer.ticks(&[(1, Mode::Full)]).await;
    while rig.event().await != "subscriptions 0 1:full=live" {}
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_politely_and_ends_both_streams() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.carries(&[(1, Mode::Full)]).await;
    rig.shutdown.cancel();
    assert_eq!(peer.closed().await, Some(1000));
    assert_eq!(rig.ended().await, TickerEnd::Shutdown);
    rig.expect(&["connected 0", "disconnected 0: Requested"]).await;
    while rig.streams.feed.recv().await.is_some() {}
    assert!(rig.streams.text.recv().await.is_none());
    assert_eq!(rig.status().connections[0].state, ConnectionState::Stopped);
    assert!(!rig.metrics().iter().any(|line| line.starts_with("websocket_pool")), "gauges are back at zero");
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_server_that_does_not_answer() {
    let mut rig = Rig::start(config());
    let _mute = rig.kite.accept().await;
    rig.expect(&["connected 0"]).await;
    let before = rig.elapsed();
    assert_eq!(rig.stop().await, TickerEnd::Shutdown);
    assert!(rig.elapsed() - before <= Duration::from_millis(2100), "{:?}", rig.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_nobody_reads_any_more_ends_the_ticker() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    rig.streams.feed.close();
    assert_eq!(peer.closed().await, Some(1000));
    assert_eq!(rig.ended().await, TickerEnd::FeedClosed);
}
