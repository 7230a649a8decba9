//! Last values read back from a real Redis: whole, in every format, and never slower than promised.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use std::time::{Duration, Instant};

use market_model::{InstrumentToken, Price};
use redis_fanout::{LastValueReader, RedisError};
use snapshot_wire::WireFormat;
use support::publisher::Publisher;
use support::{RedisServer, catalog, client, command, config};

const TOKENS: u32 = 700;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_in_every_format() {
    let Some(server) = RedisServer::start(&[]) else { return };
    for format in [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional] {
        let mut config = config(&server.url());
        config.format = format;
        config.namespace = format!("{format:?}");
        let reader = LastValueReader::new(&config);
        let mut publisher = Publisher::start_with(config, TOKENS);
        publisher.publish_until(|now| now.last_values >= u64::from(TOKENS)).await;
        publisher.finish().await;
        let catalog = catalog(TOKENS);
        let mut tokens: Vec<InstrumentToken> = catalog.instruments().iter().map(|row| row.token).collect();
        // One that nobody ever wrote.
        tokens.insert(3, InstrumentToken(4_000_000_000));
        let values = reader.read(&tokens).await.unwrap();
        assert_eq!(values.len(), TOKENS as usize);
        tokens.remove(3);
        for (token, value) in tokens.iter().zip(&values) {
            let snapshot = value.tick.to_snapshot(&catalog).unwrap();
            assert_eq!(snapshot.token(), *token);
            assert!(snapshot.tick.last_price > Price::from_paise(10_000), "{snapshot:?}");
            assert_eq!((&*value.source, value.sim), ("main/0", true));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_named_in_time_and_found_again() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let reader = LastValueReader::new(&config(&server.url()));
    let token = [InstrumentToken(1)];
    let ask = async || {
        let begun = Instant::now();
        let read = reader.read(&token).await;
        // Twice the command's time limit, and room for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        read
    };
    assert_eq!(ask().await, Ok(Vec::new()));

    // The connection that stood idle is gone; nobody notices.
    server.kill();
    server.start_again();
    assert_eq!(ask().await, Ok(Vec::new()));

    server.signal("STOP");
    assert_eq!(ask().await, Err(RedisError::Timeout(Duration::from_secs(1))));
    server.signal("CONT");
    assert_eq!(ask().await, Ok(Vec::new()));

    server.kill();
    let refused = ask().await.unwrap_err();
    assert!(matches!(refused, RedisError::Connect(_)), "{refused:?}");
    server.start_again();
    assert_eq!(ask().await, Ok(Vec::new()));

    // Something that no gateway wrote is named, not taken for a value.
    let admin = client(&server.url()).await;
    command::<()>(&admin, &["HSET", "kg:v1:last:1", "tick", "{}", "ts_publish", "1"]).await.unwrap();
    assert_eq!(ask().await, Err(RedisError::Unreadable(token[0])));
    command::<()>(&admin, &["SET", "kg:v1:last:1", "tick"]).await.unwrap();
    assert!(matches!(ask().await, Err(RedisError::Reply(_))), "a key of another type");
}
