//! A real trio of sentinels loses its master twice; a real cluster of three moves hot slots and loses a node.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and prints figures")]

#[path = "support/redis.rs"]
mod support;

use std::time::{Duration, Instant};

use fred::clients::Client;
use redis_fanout::LastValuesConfig;
use support::drill::Drill;
use support::publisher::Publisher;
use support::{RedisServer, client, command, config, free_port};

const TOKENS: u32 = 50;

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} takes too long");
        poll.tick().await;
    }
}

/// A field of `SENTINEL MASTER main`.
async fn sentinel_says(sentinel: &Client, field: &str) -> String {
    let state: Vec<String> = command(sentinel, &["SENTINEL", "MASTER", "main"]).await.unwrap();
    let at = state.iter().position(|word| word == field).unwrap() + 1;
    state[at].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sentinels_lead_to_each_new_master() {
    let Some(first) = RedisServer::start(&[]) else { return };
    let mut second = RedisServer::start(&["--replicaof", "127.0.0.1", &first.port.to_string()]).unwrap();
    let mut sentinels = Vec::new();
    for n in 0..3 {
        let conf = first.folder().join(format!("sentinel{n}.conf"));
        let text = format!(
            "sentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 2000\n",
            first.port
        );
        std::fs::write(&conf, text).unwrap();
        sentinels.push(RedisServer::start(&[conf.to_str().unwrap(), "--sentinel"]).unwrap());
    }
    let mut admins = Vec::new();
    for sentinel in &sentinels {
        admins.push(client(&sentinel.url()).await);
    }
    wait_until("the trio's finding each other", async || {
        for admin in &admins {
            let others = sentinel_says(admin, "num-other-sentinels").await;
            if others != "2" || sentinel_says(admin, "num-slaves").await != "1" {
                return false;
            }
        }
        true
    })
    .await;

    let [a, b, c] = [0, 1, 2].map(|n: usize| sentinels[n].port);
    let url = format!(
        "redis-sentinel://127.0.0.1:{a}?sentinelServiceName=main&node=127.0.0.1:{b}&node=127.0.0.1:{c}"
    );
    // The consumer stays with the first server: a replica passes on what its master publishes.
    let mut drill = Drill::start("sentinels", &url, first.port, TOKENS).await;

    let begun = Instant::now();
    command::<()>(&admins[0], &["SENTINEL", "FAILOVER", "main"]).await.unwrap();
    let new_port = second.port.to_string();
    drill.until(|status, _| status.connections_lost >= 2).await;
    drill.until_well().await;
    let planned = begun.elapsed();
    wait_until("the new master's being known", async || {
        for admin in &admins {
            let known = sentinel_says(admin, "port").await == new_port;
            if !known || sentinel_says(admin, "num-slaves").await != "1" {
                return false;
            }
        }
        true
    })
    .await;
    let promoted = client(&second.url()).await;
    let seq: u64 = command(&promoted, &["HGET", "kg:v1:last:1", "seq"]).await.unwrap();
    assert!(seq > 0);

    second.kill();
    let named = drill.until_named(&["redis"]).await;
    drill.consumer.reset_oldest();
    let unplanned = drill.until_well().await;
    println!(
        "sentinels: planned failover {} ms; master killed: named after {} ms, ticks again after {} ms",
        planned.as_millis(),
        named.as_millis(),
        unplanned.as_millis()
    );
    assert!(named < Duration::from_millis(500), "{named:?}");
    assert!(planned < Duration::from_secs(20) && unplanned < Duration::from_secs(25));
    let books = drill.finish().await;
    assert!(books.ledger.missed > 0);
    assert!(books.ledger.oldest < Duration::from_millis(1000), "nothing stale: {:?}", books.ledger.oldest);
}

struct Node {
    server: RedisServer,
    admin: Client,
    id: String,
    slots: [u16; 2],
}

async fn cluster_of_three() -> Option<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut first_bus = 0;
    for slots in [[0, 5460], [5461, 10_922], [10_923, 16_383]] {
        let bus = free_port();
        let server = RedisServer::start(&[
            "--cluster-enabled",
            "yes",
            "--cluster-announce-ip",
            "127.0.0.1",
            "--cluster-node-timeout",
            "3000",
            "--cluster-port",
            &bus.to_string(),
        ])?;
        let admin = client(&server.url()).await;
        let id = command(&admin, &["CLUSTER", "MYID"]).await.unwrap();
        let [from, to] = slots.map(|slot| slot.to_string());
        command::<()>(&admin, &["CLUSTER", "ADDSLOTSRANGE", &from, &to]).await.unwrap();
        match nodes.first() {
            None => first_bus = bus,
            Some(first) => {
                let (port, bus) = (first.server.port.to_string(), first_bus.to_string());
                command::<()>(&admin, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.unwrap();
            }
        }
        nodes.push(Node { server, admin, id, slots });
    }
    wait_until("the cluster", async || {
        for node in &nodes {
            let info: String = command(&node.admin, &["CLUSTER", "INFO"]).await.unwrap();
            if !(info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")) {
                return false;
            }
        }
        true
    })
    .await;
    Some(nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_moves_hot_slots_and_loses_a_node() {
    let Some(mut nodes) = cluster_of_three().await else { return };
    let [a, b, c] = [0, 1, 2].map(|n: usize| nodes[n].server.port);
    let mut config = config(&format!("redis-cluster://127.0.0.1:{a}?node=127.0.0.1:{b}&node=127.0.0.1:{c}"));
    config.last_values =
        Some(LastValuesConfig { interval: Duration::from_millis(50), ..LastValuesConfig::default() });
    // The node that owns the channel's slot: between nodes Redis promises no order when their links break.
    let mut drill = Drill::start_with("cluster", config, a, TOKENS).await;
    let mut health = 0;
    for key in ["kg:v1:last:1", "kg:v1:last:257", "kg:v1:health"] {
        health += 1;
        drill.say(health).await;
        drill.until(|status, _| status.health_records == health && status.last_values > 100).await;
        let slot: u16 = command(&nodes[0].admin, &["CLUSTER", "KEYSLOT", key]).await.unwrap();
        let source = nodes.iter().position(|node| (node.slots[0]..=node.slots[1]).contains(&slot)).unwrap();
        let (source, target) = (&nodes[source], &nodes[(source + 1) % 3]);
        let (slot, target_port) = (slot.to_string(), target.server.port.to_string());
        let setslot = async |at: &Node, state: &str, id: &str| {
            command::<()>(&at.admin, &["CLUSTER", "SETSLOT", &slot, state, id]).await.unwrap();
        };
        setslot(target, "IMPORTING", &source.id).await;
        setslot(source, "MIGRATING", &target.id).await;
        let written = drill.publisher.status.now().last_values;
        drill.until(|status, _| status.last_values > written + 200).await;
        let migrate = ["MIGRATE", "127.0.0.1", &target_port, key, "0", "5000"];
        command::<String>(&source.admin, &migrate).await.unwrap();
        // Half way: the key is asked for where it was, and is where it will be. What concerns it waits.
        health += 1;
        drill.say(health).await;
        let written = drill.publisher.status.now().last_values;
        drill.until(|status, _| status.last_values > written + 200).await;
        drill.until_named(&["the slot of the key is moving"]).await;
        for node in [target, source] {
            setslot(node, "NODE", &target.id).await;
        }
        health += 1;
        drill.say(health).await;
        let seq = drill.publisher.seq;
        drill.until(|status, _| status.health_records == health && status.faults.is_empty()).await;
        if key.contains("last") {
            let written = drill.publisher.status.now().last_values;
            drill.until(|status, _| status.last_values > written + 4 * u64::from(TOKENS)).await;
            let stored: u64 = command(&target.admin, &["HGET", key, "seq"]).await.unwrap();
            assert!(stored > seq, "{stored} after {seq}");
        } else {
            let kept: u64 = command(&target.admin, &["XLEN", key]).await.unwrap();
            assert!(kept >= health, "{kept} of {health} records, all on the new node");
        }
    }
    let moved = drill.publisher.status.now();
    println!(
        "cluster: three slots moved; {} of {} ticks failed, {} of {} last values tried again",
        moved.ticks_failed, moved.ticks_offered, moved.last_values_failures, moved.last_values
    );
    assert_eq!((moved.ticks_failed, moved.ticks_dropped, moved.health_dropped), (0, 0, 0), "{moved:?}");

    nodes[2].server.kill();
    let named = drill.until_named(&["redis"]).await;
    let seq = drill.publisher.seq;
    let without = drill.until(|_, ledger| ledger.last_seq > seq).await;
    nodes[2].server.start_again();
    let well = drill.until_well().await;
    println!("cluster: ticks went on without the node after {} ms", without.as_millis());
    println!(
        "cluster: node killed: named after {} ms, ticks again after {} ms",
        named.as_millis(),
        well.as_millis()
    );
    assert!(named < Duration::from_secs(3) && well < Duration::from_secs(10), "{named:?} {well:?}");
    drill.finish().await;

    // The node that the ticks go through.
    let mut config = support::config(&format!("redis-cluster://127.0.0.1:{b}?node=127.0.0.1:{a}"));
    (config.connections, config.last_values) = (1, None);
    let mut publisher = Publisher::start_with(config, TOKENS);
    publisher.publish_until(|now| now.batches >= 20).await;
    nodes[1].server.kill();
    let begun = Instant::now();
    publisher.publish_until(|now| now.connections_lost >= 1).await;
    let batches = publisher.status.now().batches;
    publisher.publish_until(|now| now.batches > batches + 20).await;
    println!("cluster: ticks moved to another node after {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let (end, _) = publisher.finish().await;
    assert_eq!(end.ticks_offered, end.ticks_published + end.ticks_failed + end.ticks_dropped);
}
