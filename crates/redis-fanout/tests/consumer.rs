//! The consumer of the documentation reads what is published and notices what is lost.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_fanout::{RedisMetrics, RedisSink};
use resilience::BreakerState;
use snapshot_wire::WireFormat;
use support::publisher::Publisher;
use support::{RedisServer, batch, catalog, client, command, config, within};
use tick_pipeline::SnapshotSink;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Python that has the packages, or nothing with a printed line.
fn python(packages: &str) -> Option<String> {
    let python = std::env::var("KITE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = format!("import {packages}");
    let has_client = Command::new(&python).args(["-c", &import]).stderr(Stdio::null()).status();
    if has_client.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} with the packages {packages} not found (KITE_TEST_PYTHON names another)");
    None
}

fn consumer(python: &str, script: &str, url: &str) -> Killed {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    Killed(Command::new(python).arg("-u").arg(script).arg(url).stdout(Stdio::piped()).spawn().unwrap())
}

async fn until_subscribed(url: &str) {
    let admin = client(url).await;
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    while command::<u64>(&admin, &["PUBSUB", "NUMPAT"]).await.unwrap() == 0 {
        poll.tick().await;
    }
}

/// Redis is killed while ticks are published. What the consumer says it missed is what the gateway says it did not
/// deliver, to the tick.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_consumer_knows_its_loss_across_a_kill() {
    const TOKENS: u32 = 7;
    let Some(python) = python("redis") else { return };
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let mut script = consumer(&python, "tests/support/survive.py", &server.url());
    let lines = BufReader::new(script.0.stdout.take().unwrap()).lines();
    let seen = Arc::new(Mutex::new([0u64; 3]));
    let newest = seen.clone();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            *newest.lock().unwrap() = [numbers[0], numbers[1], numbers[2]];
        }
    });
    until_subscribed(&server.url()).await;
    let mut publisher = Publisher::start(&server.url(), TOKENS);
    publisher.publish_until(|now| now.batches >= 50).await;
    // What is under way when Redis dies, or is sent before the consumer is back, may be published and yet not received.
    let settled = async |publisher: &Publisher| {
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        let offered = publisher.seq * u64::from(TOKENS);
        loop {
            let now = publisher.status.now();
            let accounted = now.ticks_published + now.ticks_failed + now.ticks_dropped;
            if accounted == offered {
                return;
            }
            poll.tick().await;
        }
    };
    within(settled(&publisher)).await;
    within(async {
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        while seen.lock().unwrap()[2] < publisher.status.now().ticks_published {
            poll.tick().await;
        }
    })
    .await;
    server.kill();
    publisher.publish_until(|now| now.connected == 0 && now.circuit_open_drops > 100).await;
    within(settled(&publisher)).await;
    server.start_again();
    until_subscribed(&server.url()).await;
    let before = publisher.status.now().batches;
    publisher.publish_until(|now| now.batches > before + 50 && now.breaker == BreakerState::Closed).await;
    let status = publisher.status.clone();
    let offered = publisher.seq * u64::from(TOKENS);
    let (end, _) = publisher.finish().await;
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    within(async {
        while seen.lock().unwrap()[2] < offered {
            poll.tick().await;
        }
    })
    .await;
    let [received, missed, _] = *seen.lock().unwrap();
    println!("python across a kill: {received} received + {missed} missed of {offered}; {:?}", status.now());
    assert_eq!(end.ticks_published + end.ticks_failed + end.ticks_dropped, offered);
    assert_eq!((received, missed), (end.ticks_published, end.ticks_failed + end.ticks_dropped));
}

#[tokio::test]
async fn the_documented_consumer_reads_ticks_and_sees_a_hole() {
    let Some(python) = python("redis") else { return };
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut consumer = consumer(&python, "../../examples/python/consume.py", &server.url());
    until_subscribed(&server.url()).await;
    let (mut sink, writer) = RedisSink::new(config(&server.url()), RedisMetrics::noop());
    let catalog = catalog(1);
    let send = async {
        for seq in [7, 8, 11] {
            sink.deliver(&batch(&catalog, seq)).await.unwrap();
        }
        drop(sink);
    };
    within(async { tokio::join!(send, writer.run()) }).await;
    let lines = BufReader::new(consumer.0.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(4).map(Result::unwrap).collect();
    assert_eq!(lines[0], "SHARE0 100.07 None None None");
    assert!(lines[2].starts_with("missed 2 ticks of"), "{lines:?}");
    assert_eq!(lines[3], "SHARE0 100.11 None None None");
}

#[tokio::test]
async fn the_documented_consumer_reads_ticks_by_position() {
    let Some(python) = python("redis, msgpack") else { return };
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut consumer = consumer(&python, "../../examples/python/positional.py", &server.url());
    until_subscribed(&server.url()).await;
    let mut config = config(&server.url());
    config.format = WireFormat::Positional;
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    let catalog = catalog(1);
    let send = async {
        sink.deliver(&batch(&catalog, 7)).await.unwrap();
        drop(sink);
    };
    within(async { tokio::join!(send, writer.run()) }).await;
    let mut lines = BufReader::new(consumer.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "SHARE0 100.07 None None None");
}
