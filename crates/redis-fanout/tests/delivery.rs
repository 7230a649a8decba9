//! What arrives in a real Redis.

#[path = "support/redis.rs"]
mod support;

use std::collections::HashMap;

use bytes::Bytes;
use fred::interfaces::{HashesInterface, KeysInterface, StreamsInterface};
use redis_fanout::{RedisMetrics, RedisSink};
use snapshot_wire::decode::TicksMessage;
use snapshot_wire::{BatchEncoder, WireFormat};
use support::{Listener, RedisServer, batch, catalog, client, config, health_record, status_when, within};
use tick_pipeline::SnapshotSink;

#[tokio::test]
async fn a_batch_reaches_its_channels_the_last_values_and_nothing_is_encoded_twice() {
    let Some(server) = RedisServer::start(&[]) else { return };
    for format in [WireFormat::Json, WireFormat::MessagePack] {
        let mut listener = Listener::on(&server.url(), "*tick*").await;
        let mut config = config(&server.url());
        config.format = format;
        config.legacy_channels = true;
        config.namespace = format!("{format:?}");
        let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
        let status = sink.status();
        let batch = batch(&catalog(3), 9);
        let (delivered, ()) = tokio::join!(
            async {
                let delivered = sink.deliver(&batch).await;
                drop(sink);
                delivered
            },
            writer.run()
        );
        delivered.unwrap();

        let encoded = BatchEncoder::new(format).encode(&batch);
        let mut channels = Vec::new();
        for _ in 0..2 {
            let (channel, payload) = listener.next().await;
            assert_eq!(payload, encoded.payload()[..]);
            channels.push(channel);
        }
        channels.sort();
        assert_eq!(
            channels,
            [format!("{format:?}:v1:tick:NSE:NIFTY:equity"), "ticker:NIFTY:underlying".into()]
        );

        let redis = client(&server.url()).await;
        for (index, snapshot) in batch.snapshots.iter().enumerate() {
            let key = format!("{format:?}:v1:last:{}", snapshot.token());
            let last: HashMap<String, Bytes> = redis.hgetall(&key).await.unwrap();
            assert_eq!(last["tick"], encoded.tick(index));
            assert_eq!(
                (&last["seq"][..], &last["sim"][..], &last["v"][..]),
                (&b"9"[..], &b"true"[..], &b"1"[..])
            );
            assert_eq!(last["source"], "main/0");
            assert_eq!(last["ts_publish"], "1780000000000000000");
            let millis: i64 = redis.pttl(&key).await.unwrap();
            assert!((86_000_000..=86_400_000).contains(&millis), "{millis}");
        }
        let now = status.now();
        assert_eq!((now.batches, now.last_values, now.publish_failures), (1, 3, 0));
        assert_eq!((now.connected, now.last_error), (0, None));
    }
}

#[tokio::test]
async fn everything_handed_over_is_flushed_in_order_when_the_sink_is_dropped() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut listener = Listener::on(&server.url(), "kg:v1:tick:*").await;
    let (mut sink, writer) = RedisSink::new(config(&server.url()), RedisMetrics::noop());
    let catalog = catalog(100);
    let send = async {
        for seq in 1..=500 {
            sink.deliver(&batch(&catalog, seq)).await.unwrap();
        }
        drop(sink);
    };
    within(async { tokio::join!(send, writer.run()) }).await;
    for seq in 1..=500 {
        let (_, payload) = listener.next().await;
        assert_eq!(serde_json::from_slice::<TicksMessage>(&payload).unwrap().seq, seq);
    }
}

#[tokio::test]
async fn last_values_are_conflated_and_health_records_are_not() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (mut sink, writer) = RedisSink::new(config(&server.url()), RedisMetrics::noop());
    let status = sink.status();
    let catalog = catalog(2);
    let send = async {
        status_when(&status, |now| now.connected == 2).await;
        for seq in 1..=200 {
            sink.deliver(&batch(&catalog, seq)).await.unwrap();
            sink.health(&health_record(seq)).await.unwrap();
        }
        drop(sink);
    };
    within(async { tokio::join!(send, writer.run()) }).await;

    let redis = client(&server.url()).await;
    let last: HashMap<String, String> = redis.hgetall("kg:v1:last:257").await.unwrap();
    assert_eq!(last["seq"], "200");
    assert!(last["tick"].contains("\"last_price\":102.0,"), "{}", last["tick"]);
    let now = status.now();
    assert_eq!((now.batches, now.health_records), (200, 200));
    assert!(now.last_values < 100, "{} writes of 2 instruments", now.last_values);

    let records: Vec<(String, HashMap<String, String>)> =
        redis.xrange_values("kg:v1:health", "-", "+", None).await.unwrap();
    let seqs: Vec<u64> = records
        .iter()
        .map(|(_, fields)| {
            assert_eq!((&*fields["type"], &*fields["source"]), ("token_lost", "main/0"));
            serde_json::from_str::<serde_json::Value>(&fields["data"]).unwrap()["seq"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
}

#[tokio::test]
async fn the_health_stream_is_capped() {
    let Some(server) = RedisServer::start(&["--stream-node-max-entries", "10"]) else { return };
    let mut config = config(&server.url());
    config.health_records = 50;
    let (mut sink, writer) = RedisSink::new(config, RedisMetrics::noop());
    for seq in 1..=500 {
        sink.health(&health_record(seq)).await.unwrap();
    }
    drop(sink);
    within(writer.run()).await;
    let kept: u64 = client(&server.url()).await.xlen("kg:v1:health").await.unwrap();
    assert!((50..=60).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_key_of_another_type_costs_only_itself() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let redis = client(&server.url()).await;
    let _: () = redis.set("kg:v1:last:257", "not a hash", None, None, false).await.unwrap();
    let (mut sink, writer) = RedisSink::new(config(&server.url()), RedisMetrics::noop());
    let status = sink.status();
    sink.deliver(&batch(&catalog(3), 5)).await.unwrap();
    drop(sink);
    within(writer.run()).await;
    for (token, kept) in [(1, Some("5")), (257, None), (513, Some("5"))] {
        let seq: Result<String, _> = redis.hget(format!("kg:v1:last:{token}"), "seq").await;
        assert_eq!(seq.ok().as_deref(), kept, "{token}");
    }
    let now = status.now();
    assert_eq!((now.batches, now.publish_failures, now.connections_lost), (1, 0, 0));
    assert_eq!((now.last_values, now.last_values_failures), (2, 1));
    assert!(now.last_error.unwrap().contains("WRONGTYPE"));
}
