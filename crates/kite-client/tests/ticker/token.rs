//! Tokens: refused, renewed, late.

use std::time::Duration;

use http::StatusCode;
use kite_client::{ConnectionLimits, ConnectionState};
use market_model::Mode;

use crate::rig::{Rig, config, login};

const FORBIDDEN: &str = "Incorrect `api_key` key or `access_token` token1.";

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_tried_again_until_another_login() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    rig.kite.refuse(StatusCode::FORBIDDEN, FORBIDDEN).await;
    rig.expect(&[
        "token lost acc: Incorrect `api_[redacted]` [redacted] or `access_token` [redacted].",
        "disconnected 0: TokenRefused",
    ])
    .await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(rig.kite.dials(), 1, "no retry storm over night");
    let status = rig.status();
    assert!(status.token_refused);
    assert_eq!(status.connections[0].state, ConnectionState::WaitingForToken);
    // The same login once more is no news.
    rig.credentials.send_replace(Some(login(1)));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.kite.dials(), 1);
    rig.credentials.send_replace(Some(login(2)));
    let mut peer = rig.kite.accept().await;
    assert_eq!(peer.uri.query(), Some("api_key=key&access_token=token2"));
    peer.carries(&[(1, Mode::Full)]).await;
    rig.expect(&["token restored acc", "connected 0"]).await;
    assert!(!rig.status().token_refused);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_stops_every_connection_of_the_account() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 3, tokens_per_connection: 1 };
    let mut rig = Rig::start(settings);
    rig.want(&[(1, Mode::Full), (2, Mode::Full), (3, Mode::Full)]);
    let peers = [rig.kite.accept().await, rig.kite.accept().await, rig.kite.accept().await];
    rig.expect(&["connected 0", "connected 1", "connected 2"]).await;
    drop(peers);
    // The night's end: each is refused at most once, and then it is quiet.
    for _ in 0..3 {
        rig.kite.refuse(StatusCode::FORBIDDEN, "").await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(rig.kite.dials() <= 6, "{}", rig.kite.dials());
    let mut told = Vec::new();
    while let Ok(event) = rig.streams.feed.try_recv() {
        told.push(crate::rig::describe(event));
    }
    let count = |prefix: &str| told.iter().filter(|event| event.starts_with(prefix)).count();
    assert_eq!((count("token lost"), count("disconnected")), (1, 3), "{told:#?}");
    rig.credentials.send_replace(Some(login(2)));
    for _ in 0..3 {
        rig.kite.accept().await.heartbeat().await;
    }
    assert_eq!(rig.news().await, "token restored acc");
}

#[tokio::test(start_paused = true)]
async fn a_socket_of_a_former_login_is_closed_and_opened_with_the_new_one() {
    let mut rig = Rig::start(config());
    rig.want(&[(1, Mode::Full)]);
    let mut peer = rig.kite.accept().await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&["connected 0", "ticks 0 1:full"]).await;
    rig.credentials.send_replace(Some(login(2)));
    assert_eq!(peer.closed().await, Some(1000));
    let mut peer = rig.kite.accept().await;
    assert_eq!(peer.uri.query(), Some("api_key=key&access_token=token2"));
    peer.carries(&[(1, Mode::Full)]).await;
    peer.ticks(&[(1, Mode::Full)]).await;
    rig.expect(&[
        "reconnecting 0 try 1 in 0ns: TokenRenewed",
        "reconnected 0 after 1",
        "gap 0 Disconnected 0..0 ms tokens None lost None",
        "ticks 0 1:full",
    ])
    .await;
    assert_eq!(rig.status().connections[0].generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_same_login_told_again_disturbs_nothing() {
    let mut rig = Rig::start(config());
    let mut peer = rig.kite.accept().await;
    rig.credentials.send_replace(Some(login(1)));
    for _ in 0..5 {
        peer.heartbeat().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    rig.expect(&["connected 0"]).await;
    assert!(rig.streams.feed.try_recv().is_err());
    assert_eq!(rig.kite.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_login_nothing_is_dialled() {
    let mut rig = Rig::start_with(config(), None);
    rig.want(&[(1, Mode::Full)]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.kite.dials(), 0);
    assert_eq!(rig.status().connections[0].state, ConnectionState::WaitingForToken);
    rig.credentials.send_replace(Some(login(7)));
    rig.kite.accept().await.carries(&[(1, Mode::Full)]).await;
    rig.expect(&["connected 0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_arrives_during_a_wait_is_tried_at_once() {
    let mut rig = Rig::start(config());
    for _ in 0..6 {
        rig.kite.refuse(StatusCode::BAD_GATEWAY, "").await;
    }
    for _ in 0..6 {
        rig.news().await;
    }
    let before = rig.elapsed();
    rig.credentials.send_replace(Some(login(2)));
    let peer = rig.kite.accept().await;
    assert_eq!(peer.uri.query(), Some("api_key=key&access_token=token2"));
    assert_eq!(rig.elapsed(), before);
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_have_a_refused_token_tried_once_more() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 2, tokens_per_connection: 1 };
    let mut rig = Rig::start(settings);
    rig.kite.refuse(StatusCode::FORBIDDEN, "").await;
    rig.expect(&["token lost acc: 403 Forbidden", "disconnected 0: TokenRefused"]).await;
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    rig.handle.reconnect(0);
    rig.kite.refuse(StatusCode::FORBIDDEN, "").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.kite.dials(), 2);
    // What refused was a maintenance page after all; the second connection follows by itself.
    rig.handle.reconnect(0);
    rig.kite.accept().await.carries(&[(1, Mode::Full)]).await;
    rig.kite.accept().await.carries(&[(2, Mode::Full)]).await;
    rig.expect(&["token restored acc", "connected 0"]).await;
    assert!(!rig.status().token_refused);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_steps_in_says_nothing_about_a_token_refused_since() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 3, tokens_per_connection: 1 };
    let mut rig = Rig::start(settings);
    rig.want(&[(1, Mode::Full)]);
    let mut first = rig.kite.accept().await;
    first.carries(&[(1, Mode::Full)]).await;
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    let mut second = rig.kite.accept().await;
    second.carries(&[(2, Mode::Full)]).await;
    rig.expect(&["connected 0", "connected 1"]).await;
    rig.handle.reconnect(0);
    let mut newcomer = rig.kite.accept().await;
    newcomer.carries(&[(1, Mode::Full)]).await;
    drop(second);
    rig.kite.refuse(StatusCode::FORBIDDEN, "no").await;
    assert!(rig.news().await.starts_with("reconnecting 1 try 1"));
    rig.expect(&["token lost acc: no", "disconnected 1: TokenRefused"]).await;
    drop(first);
    rig.expect(&["reconnecting 0 try 1 in 0ns: ClosedByServer(None)", "reconnected 0 after 1"]).await;
    newcomer.beats(60).await;
    assert!(rig.status().token_refused);
    assert_eq!(rig.kite.dials(), 4, "the refused login is not tried again");
}

#[tokio::test(start_paused = true)]
async fn wishes_count_also_when_no_login_can_ever_come() {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 2, tokens_per_connection: 1 };
    let mut rig = Rig::start(settings);
    let mut first = rig.kite.accept().await;
    let (sender, _) = tokio::sync::watch::channel(None);
    drop(std::mem::replace(&mut rig.credentials, sender));
    rig.want(&[(1, Mode::Full), (2, Mode::Full)]);
    first.carries(&[(1, Mode::Full)]).await;
    rig.kite.accept().await.carries(&[(2, Mode::Full)]).await;
}
