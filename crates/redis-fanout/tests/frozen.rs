//! A Redis that stands but does not move. In a file of its own, because it measures the memory of its process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use std::time::{Duration, Instant};

use support::publisher::{PATIENCE, Publisher};
use support::{RedisServer, resident_mib, status_when};

#[tokio::test(flavor = "multi_thread")]
async fn frozen_redis_is_noticed_and_left() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut publisher = Publisher::start(&server.url(), 500);
    publisher.publish_until(|now| now.batches >= 20).await;

    server.signal("STOP");
    let begun = Instant::now();
    publisher.publish_until(|now| now.connected < 2).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "noticed after {:?}", begun.elapsed());
    publisher.publish_until(|now| now.connected == 0 && now.circuit_open_drops > 10).await;
    let before = resident_mib();
    for _ in 0..3000 {
        let _ = publisher.publish().await;
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 32, "memory grew by {grown} MiB");
    assert!(publisher.longest < PATIENCE, "{:?}", publisher.longest);

    server.signal("CONT");
    let published = publisher.status.now().batches;
    publisher.publish_until(|now| now.connected == 2 && now.batches >= published + 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_is_noticed_without_any_traffic() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let publisher = Publisher::start(&server.url(), 1);
    status_when(&publisher.status, |now| now.connected == 2).await;
    server.signal("STOP");
    let begun = Instant::now();
    let seen = status_when(&publisher.status, |now| now.connected == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "noticed after {:?}", begun.elapsed());
    assert!(seen.last_error.unwrap().contains("answered nothing"));
    server.signal("CONT");
    status_when(&publisher.status, |now| now.connected == 2).await;
}
