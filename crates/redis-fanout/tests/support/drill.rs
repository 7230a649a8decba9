//! A publisher and a consumer with a fault between them, and the books of both.

use std::time::{Duration, Instant};

use redis_fanout::{RedisConfig, RedisStatus};
use tick_pipeline::SnapshotSink;

use super::publisher::Publisher;
use super::subscriber::{Ledger, Subscriber};
use super::{config, health_record, resident_mib};

/// More than the memory of all queues together.
const MAY_GROW_MIB: u64 = 64;

/// Publishes a batch each millisecond.
pub struct Drill {
    pub publisher: Publisher,
    pub consumer: Subscriber,
    name: &'static str,
    tokens: u64,
    resident: u64,
}

/// Both books after the end.
#[derive(Debug)]
pub struct Books {
    pub status: RedisStatus,
    pub ledger: Ledger,
}

// === impl Drill ===

impl Drill {
    /// Publishes to `url` and reads from `port` until both work.
    pub async fn start(name: &'static str, url: &str, port: u16, tokens: u32) -> Self {
        Self::start_with(name, config(url), port, tokens).await
    }

    pub async fn start_with(name: &'static str, config: RedisConfig, port: u16, tokens: u32) -> Self {
        let consumer = Subscriber::start(port);
        let mut poll = tokio::time::interval(Duration::from_millis(1));
        let begun = Instant::now();
        while consumer.ledger().subscriptions == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the consumer does not get through");
            poll.tick().await;
        }
        let publisher = Publisher::start_with(config, tokens);
        let mut drill = Self { publisher, consumer, name, tokens: u64::from(tokens), resident: 0 };
        drill.until(|status, ledger| ledger.batches >= 20 && status.connected == status.connections).await;
        drill.resident = resident_mib();
        drill.consumer.reset_oldest();
        drill
    }

    /// Publishes until both are as wanted; answers how long that took.
    pub async fn until(&mut self, wanted: impl Fn(&RedisStatus, &Ledger) -> bool) -> Duration {
        let begun = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (status, ledger) = (self.publisher.status.now(), self.consumer.ledger());
            if wanted(&status, &ledger) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{}: still {status:?} {ledger:?}", self.name);
            pace.tick().await;
            let _ = self.publisher.publish().await;
        }
    }

    /// Publishes until the status names a fault with all these words; answers how long that took.
    pub async fn until_named(&mut self, words: &[&str]) -> Duration {
        let named = |status: &RedisStatus| {
            status.faults.iter().any(|fault| words.iter().all(|word| fault.to_string().contains(word)))
        };
        self.until(|status, _| named(status)).await
    }

    /// Publishes until nothing is wrong any more and the consumer has 20 more batches; answers how long the first new
    /// one took.
    pub async fn until_well(&mut self) -> Duration {
        let seq = self.publisher.seq;
        let took = self.until(|_, ledger| ledger.last_seq > seq).await;
        let batches = self.consumer.ledger().batches;
        self.until(|status, ledger| status.faults.is_empty() && ledger.batches >= batches + 20).await;
        took
    }

    /// A health record for the stream.
    pub async fn say(&mut self, seq: u64) {
        self.publisher.sink.health(&health_record(seq)).await.unwrap();
    }

    /// Ends both and compares their books: each tick has one outcome, and the consumer knows its loss exactly.
    pub async fn finish(self) -> Books {
        let grown = resident_mib().saturating_sub(self.resident);
        let (name, longest) = (self.name, self.publisher.longest);
        let (status, batches) = self.publisher.finish().await;
        let offered = batches * self.tokens;
        assert_eq!(status.ticks_offered, offered);
        assert_eq!(status.ticks_under_way(), 0, "{status:?}");
        assert_eq!(
            status.ticks_published + status.ticks_failed + status.ticks_dropped,
            offered,
            "{status:?}"
        );
        assert_eq!(status.batches + status.publish_failures + status.circuit_open_drops, batches);
        let mut poll = tokio::time::interval(Duration::from_millis(2));
        let begun = Instant::now();
        let ledger = loop {
            let ledger = self.consumer.ledger();
            if ledger.last_total == offered {
                break ledger;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {ledger:?} of {offered}");
            poll.tick().await;
        };
        println!(
            "{name}: offered {offered} = published {} + failed {} + dropped {}; consumer: received {} + missed {}, \
             oldest {} ms, subscribed {} times; longest delivery {} ms, memory +{grown} MiB",
            status.ticks_published,
            status.ticks_failed,
            status.ticks_dropped,
            ledger.received,
            ledger.missed,
            ledger.oldest.as_millis(),
            ledger.subscriptions,
            longest.as_millis(),
        );
        assert_eq!(ledger.received + ledger.missed, offered, "the consumer knows its loss to the tick");
        assert!(
            ledger.subscriptions > 1 || ledger.received >= status.ticks_published,
            "what Redis took arrives as long as the consumer is there"
        );
        assert_eq!(ledger.old_after_new, 0, "nothing old comes after something new");
        assert!(grown < MAY_GROW_MIB, "memory grew by {grown} MiB");
        assert!(longest < super::publisher::PATIENCE, "{longest:?}");
        Books { status, ledger }
    }
}
