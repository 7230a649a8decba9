//! The consumer of the documentation reads what is published and notices what is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis_fanout::{RedisMetrics, RedisSink};
use support::{RedisServer, batch, catalog, client, command, config, within};
use tick_pipeline::SnapshotSink;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_documented_consumer_reads_ticks_and_sees_a_hole() {
    let python = std::env::var("KITE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_client = Command::new(&python).args(["-c", "import redis"]).stderr(Stdio::null()).status();
    if !has_client.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {python} with the package redis not found (KITE_TEST_PYTHON names another)");
        return;
    }
    let Some(server) = RedisServer::start(&[]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/consume.py");
    let mut consumer = Killed(
        Command::new(python).arg("-u").arg(script).arg(server.url()).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let admin = client(&server.url()).await;
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    while command::<u64>(&admin, &["PUBSUB", "NUMPAT"]).await.unwrap() == 0 {
        poll.tick().await;
    }
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
    assert!(lines[2].starts_with("lost 2 batches of"), "{lines:?}");
    assert_eq!(lines[3], "SHARE0 100.11 None None None");
}
