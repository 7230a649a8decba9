//! Every fault between the gateway and its consumer: what the consumer saw, what was counted, how long it took.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and prints figures")]

#[path = "support/redis.rs"]
mod support;

use std::time::Duration;

use resilience::BreakerState;
use support::drill::Drill;
use support::proxy::{Network, Proxy};
use support::publisher::Publisher;
use support::subscriber::Subscriber;
use support::{RedisServer, client, command, config, health_record, status_when, within};
use tick_pipeline::SnapshotSink;

const TOKENS: u32 = 50;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn say(name: &str, named: Duration, well: Duration) {
    println!("{name}: named after {} ms, ticks again after {} ms", named.as_millis(), well.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_restarted() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let mut drill = Drill::start("kill", &server.url(), server.port, TOKENS).await;
    server.kill();
    let named = drill.until_named(&["redis", "check that redis runs and can be reached"]).await;
    drill.until(|status, _| status.connected == 0 && status.circuit_open_drops > 10).await;
    server.start_again();
    let well = drill.until_well().await;
    say("kill", named, well);
    // The longest delay between two tries is 1.2 s, and the breaker probes four times a second.
    assert!(named < millis(500) && well < millis(2500), "{named:?} {well:?}");
    let books = drill.finish().await;
    assert!(books.ledger.missed > 0 && books.ledger.subscriptions == 2);
    assert!(books.ledger.oldest < millis(1000), "{:?}", books.ledger.oldest);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_and_continued() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut drill = Drill::start("pause", &server.url(), server.port, TOKENS).await;
    server.signal("STOP");
    let named = drill.until_named(&["look at the load of redis"]).await;
    drill.until(|status, _| status.connected == 0 && status.circuit_open_drops > 1000).await;
    let under_way = drill.publisher.status.now();
    server.signal("CONT");
    let well = drill.until_well().await;
    say("pause", named, well);
    assert!(named < millis(1500) && well < millis(3500), "{named:?} {well:?}");
    let books = drill.finish().await;
    // What stood in the server's own socket buffer when it was paused comes before anything newer.
    assert!(books.ledger.received <= books.status.ticks_published + under_way.ticks_failed, "{books:?}");
    assert!(books.ledger.missed >= under_way.ticks_dropped, "{books:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_costs_time_and_no_tick() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(server.port).await;
    let mut drill = Drill::start("slow network", &proxy.url(), server.port, TOKENS).await;
    proxy.set(Network::Slow(millis(100)));
    let begin = drill.consumer.ledger().batches;
    drill.until(|_, ledger| ledger.batches > begin + 500).await;
    assert!(drill.publisher.status.now().faults.is_empty(), "{:?}", drill.publisher.status.now());
    let books = drill.finish().await;
    assert_eq!((books.ledger.missed, books.status.ticks_failed, books.status.ticks_dropped), (0, 0, 0));
    assert!(books.ledger.oldest > millis(90) && books.ledger.oldest < millis(1000), "{books:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_network_is_named_and_delivers_nothing_stale() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(server.port).await;
    // 12 MB/s into 1 MB/s.
    let mut drill = Drill::start("narrow network", &proxy.url(), server.port, 100).await;
    proxy.set(Network::Narrow(1_000_000));
    let named = drill.until_named(&["look at the load of redis", "network"]).await;
    drill.until(|status, _| status.ticks_failed + status.ticks_dropped > 100_000).await;
    proxy.set(Network::Good);
    let well = drill.until_well().await;
    say("narrow network", named, well);
    assert!(well < millis(4000), "{well:?}");
    let books = drill.finish().await;
    assert!(books.ledger.missed > 0);
    // Queue, command timeout, and what stood in socket buffers and the proxy.
    assert!(books.ledger.oldest < millis(8000), "{:?}", books.ledger.oldest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_noticed_and_left() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(server.port).await;
    let mut drill = Drill::start("black hole", &proxy.url(), server.port, TOKENS).await;
    proxy.set(Network::BlackHole);
    let named = drill.until_named(&["look at the load of redis", "network"]).await;
    drill.until(|status, _| status.connected == 0 && status.circuit_open_drops > 1000).await;
    proxy.set(Network::Good);
    let well = drill.until_well().await;
    say("black hole", named, well);
    assert!(named < millis(1500) && well < millis(4500), "{named:?} {well:?}");
    let books = drill.finish().await;
    assert!(books.ledger.missed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_and_killed_clients_are_reconnected() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(server.port).await;
    let mut drill = Drill::start("cut, CLIENT KILL", &proxy.url(), server.port, TOKENS).await;
    proxy.set(Network::Cut);
    let named = drill.until_named(&["check that redis runs and can be reached"]).await;
    proxy.set(Network::Good);
    let well = drill.until_well().await;
    say("cut", named, well);
    assert!(named < millis(500) && well < millis(3500), "{named:?} {well:?}");

    let admin = client(&server.url()).await;
    for _ in 0..5 {
        let lost = drill.publisher.status.now().connections_lost;
        let killed: u64 =
            command(&admin, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.unwrap();
        assert!(killed >= 2, "{killed}");
        drill.until(|status, _| status.connections_lost >= lost + 2).await;
        let well = drill.until_well().await;
        assert!(well < millis(1500), "{well:?}");
    }
    drill.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_named_and_nothing_is_published_there() {
    let Some(master) = RedisServer::start(&[]) else { return };
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).unwrap();
    let subscriber = Subscriber::start(replica.port);
    let mut publisher = Publisher::start(&replica.url(), 1);
    publisher.publish_until(|now| now.breaker == BreakerState::Open).await;
    let status = status_when(&publisher.status, |now| now.faults.len() == 2).await;
    let named = status.last_error.unwrap();
    assert!(named.contains("a replica, not the master") && named.contains("redis-sentinel://"), "{named}");
    assert_eq!((status.connected, status.batches, subscriber.ledger().batches), (0, 0, 0));
}

#[tokio::test]
async fn batches_sent_together_reach_the_subscribers_of_a_replica_too() {
    let Some(master) = RedisServer::start(&[]) else { return };
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).unwrap();
    let subscribers = [Subscriber::start(master.port), Subscriber::start(replica.port)];
    let admin = client(&master.url()).await;
    let mut poll = tokio::time::interval(millis(10));
    let mut publisher = Publisher::start(&master.url(), 3);
    loop {
        poll.tick().await;
        let replication: String = command(&admin, &["INFO", "replication"]).await.unwrap();
        let ready = subscribers.iter().all(|subscriber| subscriber.ledger().subscriptions == 1);
        if ready && replication.contains("state=online") && publisher.status.now().connected == 2 {
            break;
        }
    }
    for _ in 0..50 {
        publisher.publish_unyielding().await.unwrap();
    }
    within(async {
        while subscribers.iter().any(|subscriber| subscriber.ledger().last_seq < 50) {
            poll.tick().await;
        }
    })
    .await;
    let stats: String = command(&admin, &["INFO", "commandstats"]).await.unwrap();
    assert!(stats.contains("cmdstat_publish:calls=50,"), "{stats}");
    for subscriber in &subscribers {
        let ledger = subscriber.ledger();
        assert_eq!((ledger.received, ledger.missed, ledger.old_after_new), (150, 0, 0));
    }
    let (end, _) = publisher.finish().await;
    assert_eq!((end.batches, end.ticks_published), (50, 150));
}

/// Without last values and health records nothing is written, so no answer would tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let other = RedisServer::start(&[]).unwrap();
    let mut config = config(&server.url());
    config.last_values = None;
    let mut drill = Drill::start_with("demoted", config, server.port, TOKENS).await;
    let admin = client(&server.url()).await;
    command::<()>(&admin, &["REPLICAOF", "127.0.0.1", &other.port.to_string()]).await.unwrap();
    let named = drill.until_named(&["a replica, not the master"]).await;
    drill.until(|status, _| status.connected == 0).await;
    command::<()>(&admin, &["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let well = drill.until_well().await;
    say("demoted", named, well);
    assert!(named < millis(1500) && well < millis(3500), "{named:?} {well:?}");
    drill.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_memory_keeps_ticks_flowing_and_stores_later() {
    let Some(server) = RedisServer::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let mut drill = Drill::start("full memory", &server.url(), server.port, TOKENS).await;
    drill.say(1).await;
    drill.until(|status, _| status.health_records == 1 && status.last_values > 0).await;
    let admin = client(&server.url()).await;
    command::<()>(&admin, &["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    for seq in 2..=4 {
        drill.say(seq).await;
    }
    let named = drill.until_named(&["out of memory", "(last_values)", "raise maxmemory"]).await;
    drill.until_named(&["out of memory", "(health)"]).await;
    let during = drill.publisher.status.now();
    let (batches, seq) = (drill.consumer.ledger().batches, drill.publisher.seq);
    drill.until(|_, ledger| ledger.batches >= batches + 300).await;
    let status = drill.publisher.status.now();
    assert_eq!((status.connected, status.breaker), (2, BreakerState::Closed), "ticks are not concerned");
    assert_eq!((status.health_records, status.health_dropped), (1, 0), "records wait");
    assert!(status.last_values_failures > 0, "{status:?}");
    assert_eq!(status.last_values, during.last_values);

    command::<()>(&admin, &["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    drill.until(|status, _| status.faults.is_empty() && status.health_records == 4).await;
    let stored: u64 = command(&admin, &["HGET", "kg:v1:last:1", "seq"]).await.unwrap();
    assert!(stored > seq, "{stored} after {seq}");
    println!("full memory: named after {} ms", named.as_millis());
    assert!(named < millis(3000), "{named:?}");
    let books = drill.finish().await;
    assert_eq!((books.ledger.missed, books.status.ticks_failed, books.status.ticks_dropped), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_cut_off_for_lagging_knows_what_it_missed() {
    let options = ["--client-output-buffer-limit", "pubsub 1mb 1mb 1"];
    let Some(server) = RedisServer::start(&options) else { return };
    // Its way to Redis is narrow, so the server's buffer for it fills.
    let proxy = Proxy::start(server.port).await;
    let mut drill = Drill::start("lagging consumer", &server.url(), proxy.port, 200).await;
    proxy.set(Network::BlackHole);
    let published = drill.publisher.status.now().batches;
    drill.until(|status, _| status.batches >= published + 800).await;
    let admin = client(&server.url()).await;
    let subscribers: u64 = command(&admin, &["PUBSUB", "NUMPAT"]).await.unwrap();
    assert_eq!(subscribers, 0, "redis cut it off");
    proxy.set(Network::Good);
    drill.until(|_, ledger| ledger.subscriptions == 2).await;
    drill.until_well().await;
    let books = drill.finish().await;
    assert_eq!(
        (books.status.ticks_failed, books.status.ticks_dropped),
        (0, 0),
        "the gateway is not concerned"
    );
    assert!(books.ledger.missed > 0, "{:?}", books.ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_has_one_outcome_when_its_writer_is_cancelled() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut publisher = Publisher::start(&server.url(), TOKENS);
    publisher.publish_until(|now| now.batches >= 5).await;
    server.signal("STOP");
    for _ in 0..40 {
        let _ = publisher.publish().await;
    }
    publisher.sink.health(&health_record(1)).await.unwrap();
    assert!(publisher.status.now().ticks_under_way() > 0);
    let seq = publisher.seq;
    let status = within(publisher.cancel()).await;
    assert_eq!(status.ticks_under_way(), 0, "{status:?}");
    assert_eq!(status.batches + status.publish_failures + status.circuit_open_drops, seq);
    assert_eq!(status.ticks_offered, seq * u64::from(TOKENS));
}
