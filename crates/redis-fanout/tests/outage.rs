//! Redis absent, killed, or of another opinion about the password.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use redis_fanout::RedisError;
use resilience::BreakerState;
use snapshot_wire::decode::TicksMessage;
use support::publisher::{PATIENCE, Publisher};
use support::{
    Listener, RedisServer, client, command, free_port, health_record, resident_mib, status_when, within,
};
use tick_pipeline::SnapshotSink;

fn seq_of(payload: &[u8]) -> u64 {
    serde_json::from_slice::<TicksMessage>(payload).unwrap().seq
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_redis_costs_batches_and_nothing_else() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let mut publisher = Publisher::start(&server.url(), 500);
    let mut listener = Listener::on(&server.url(), "kg:v1:tick:*").await;
    publisher.publish_until(|now| now.batches >= 20).await;
    for seq in 1..=20 {
        assert_eq!(seq_of(&listener.next().await.1), seq);
    }

    server.kill();
    publisher.publish_until(|now| now.circuit_open_drops > 0).await;
    let down = publisher.status.now();
    assert_eq!((down.connected, down.breaker), (0, BreakerState::Open));
    assert!(down.publish_failures >= 5 && down.connections_lost >= 1, "{down:?}");
    assert!(down.last_error.is_some());
    publisher.sink.health(&health_record(1)).await.unwrap();
    let before = resident_mib();
    for _ in 0..5000 {
        // 60 kB each.
        let _ = publisher.publish().await;
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 32, "300 MB were published to a dead redis and memory grew by {grown} MiB");
    assert!(publisher.longest < PATIENCE, "{:?}", publisher.longest);

    server.start_again();
    let last_before = publisher.seq;
    let mut listener = Listener::on(&server.url(), "kg:v1:tick:*").await;
    let published = publisher.status.now().batches;
    publisher
        .publish_until(|now| {
            now.batches >= published + 5
                && now.health_records == 1
                && now.connected == 2
                && now.faults.is_empty()
        })
        .await;
    let (_, payload) = listener.next().await;
    let first = seq_of(&payload);
    assert!(first >= last_before, "nothing old is replayed: {first} after {last_before}");
    assert!(seq_of(&listener.next().await.1) > first);
    let up = publisher.status.now();
    assert_eq!((up.connected, up.breaker, up.last_error), (2, BreakerState::Closed, None));
    let (end, published) = publisher.finish().await;
    let counted = end.batches + end.publish_failures + end.circuit_open_drops;
    assert_eq!(counted, published, "every batch is counted once: {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_come_later() {
    let port = free_port();
    let mut publisher = Publisher::start(&format!("redis://127.0.0.1:{port}"), 1);
    publisher.publish_until(|now| now.breaker == BreakerState::Open).await;
    let down = publisher.status.now();
    assert!(down.last_error.unwrap().starts_with("cannot connect to redis"));
    assert!(matches!(publisher.publish().await, Err(RedisError::CircuitOpen(_))));
    let Some(_server) = RedisServer::start_on(port, &[]) else { return };
    publisher.publish_until(|now| now.batches >= 3 && now.breaker == BreakerState::Closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_values_are_right_after_an_outage_without_new_ticks() {
    let port = free_port();
    let mut publisher = Publisher::start(&format!("redis://127.0.0.1:{port}"), 2);
    publisher.publish_until(|now| now.circuit_open_drops >= 10).await;
    let Some(server) = RedisServer::start_on(port, &[]) else { return };
    status_when(&publisher.status, |now| now.last_values == 2).await;
    let redis = client(&server.url()).await;
    let seq: u64 = fred::interfaces::HashesInterface::hget(&redis, "kg:v1:last:257", "seq").await.unwrap();
    assert_eq!(seq, publisher.seq);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_its_correction_is_noticed() {
    let Some(server) = RedisServer::start(&["--requirepass", "right"]) else { return };
    for url in [server.url(), server.url().replace("redis://", "redis://:wr0ng@")] {
        let mut publisher = Publisher::start(&url, 1);
        publisher.publish_until(|now| now.breaker == BreakerState::Open).await;
        let error = publisher.status.now().last_error.unwrap();
        assert!(error.contains("refused the credentials"), "{error}");
        assert!(!format!("{:?} {error}", publisher.status.now()).contains("wr0ng"));
    }
    let admin = client(&server.url().replace("redis://", "redis://:right@")).await;
    let mut publisher = Publisher::start(&server.url().replace("redis://", "redis://:wr0ng@"), 1);
    publisher.publish_until(|now| now.last_error.is_some()).await;
    command::<()>(&admin, &["CONFIG", "SET", "requirepass", "wr0ng"]).await.unwrap();
    within(publisher.publish_until(|now| now.batches > 0)).await;
}

#[tokio::test]
async fn health_records_that_never_arrive_are_counted() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let mut publisher = Publisher::start(&url, 1);
    for seq in 1..=3 {
        publisher.sink.health(&health_record(seq)).await.unwrap();
    }
    let (end, _) = publisher.finish().await;
    assert_eq!((end.health_records, end.health_dropped), (0, 3));
}
