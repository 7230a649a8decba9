//! What gives way, and that nothing goes uncounted.

use std::time::Duration;

use market_model::{InstrumentSlot, UnixNanos};
use proptest::prelude::*;

use super::*;
use crate::snapshot::{GreeksState, Snapshot, SnapshotCause, Topic};
use crate::testing::{INDEX, catalog, ltp};
use crate::{EquityTopics, RecordingSink, run_sink};

/// Batches over two topics, as a batcher would number them.
struct Source {
    topics: [Arc<Topic>; 2],
    seqs: [u64; 2],
    totals: [u64; 2],
    catalog: Arc<market_model::InstrumentCatalog>,
}

impl Source {
    fn new() -> Self {
        let catalog = catalog();
        let topics =
            [0, 1].map(|slot| Arc::new(Topic::of(&catalog, InstrumentSlot(slot), EquityTopics::PerSymbol)));
        Self { topics, seqs: [0, 0], totals: [0, 0], catalog }
    }

    /// A batch in which slot `n` has the price `value`, for each pair.
    fn batch(&mut self, topic: usize, content: &[(u32, u32)]) -> Arc<SnapshotBatch> {
        self.seqs[topic] += 1;
        self.totals[topic] += content.len() as u64;
        let snapshot = |&(slot, value): &(u32, u32)| Snapshot {
            slot: InstrumentSlot(slot),
            tick: ltp(INDEX, f64::from(value)),
            ts_recv: UnixNanos(0),
            ts_event: None,
            greeks: GreeksState::NotAnOption,
            stale: None,
            cause: SnapshotCause::Tick,
            tick_count: 1,
        };
        Arc::new(SnapshotBatch {
            topic: self.topics[topic].clone(),
            source: "acct".into(),
            seq: self.seqs[topic],
            tick_count: content.len() as u64,
            tick_total: self.totals[topic],
            ts_publish: UnixNanos(0),
            sim: true,
            catalog: self.catalog.clone(),
            snapshots: content.iter().map(snapshot).collect(),
        })
    }
}

type Content<'c> = &'c [(u32, u32)];

/// Pushes `batches` as (topic, content) and lists what comes out as (topic, seq, content).
#[track_caller]
fn check(
    config: QueueConfig,
    batches: &[(usize, Content<'_>)],
    expect: &[(usize, u64, Content<'_>)],
    counts: SinkCounts,
) {
    let mut source = Source::new();
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("test", config);
    for (topic, content) in batches {
        fanout.publish(&source.batch(*topic, content));
    }
    assert_eq!(queue.counts(), counts);
    drop(fanout);
    let mut got = Vec::new();
    while let Some(Some(Work::Batch { batch, .. })) = queue.0.0.take() {
        let topic = source.topics.iter().position(|topic| *topic == batch.topic).unwrap();
        let content = batch
            .snapshots
            .iter()
            .map(|snapshot| (snapshot.slot.0, snapshot.tick.last_price.to_f64() as u32))
            .collect::<Vec<_>>();
        got.push((topic, batch.seq, content));
    }
    let expect: Vec<_> =
        expect.iter().map(|(topic, seq, content)| (*topic, *seq, content.to_vec())).collect();
    assert_eq!(got, expect);
}

fn config(capacity: usize, overflow: OverflowPolicy) -> QueueConfig {
    QueueConfig { capacity, overflow }
}

#[test]
fn drop_oldest_leaves_a_hole_in_seq() {
    check(
        config(2, OverflowPolicy::DropOldest),
        &[(0, &[(1, 1), (2, 1)]), (0, &[(1, 2)]), (0, &[(1, 3)])],
        &[(0, 2, &[(1, 2)]), (0, 3, &[(1, 3)])],
        SinkCounts { pushed: 4, dropped: 2, depth: 2, ..SinkCounts::default() },
    );
}

#[test]
fn conflate_folds_the_newest_into_the_last_of_its_topic() {
    check(
        config(3, OverflowPolicy::Conflate),
        &[(1, &[(9, 1)]), (0, &[(1, 1), (2, 1)]), (0, &[(2, 2), (3, 2)]), (0, &[(1, 3)]), (0, &[(3, 4)])],
        &[(1, 1, &[(9, 1)]), (0, 1, &[(1, 1), (2, 1)]), (0, 4, &[(2, 2), (3, 4), (1, 3)])],
        SinkCounts { pushed: 7, conflated: 1, depth: 3, ..SinkCounts::default() },
    );
}

#[test]
fn conflate_folds_the_oldest_forward_when_the_newest_is_alone() {
    check(
        config(2, OverflowPolicy::Conflate),
        &[(0, &[(1, 1), (2, 1)]), (0, &[(2, 2)]), (1, &[(9, 1)])],
        &[(0, 2, &[(1, 1), (2, 2)]), (1, 1, &[(9, 1)])],
        SinkCounts { pushed: 4, conflated: 1, depth: 2, ..SinkCounts::default() },
    );
}

#[test]
fn conflate_drops_the_oldest_when_no_two_batches_go_together() {
    check(
        config(1, OverflowPolicy::Conflate),
        &[(0, &[(1, 1)]), (1, &[(9, 1)])],
        &[(1, 1, &[(9, 1)])],
        SinkCounts { pushed: 2, dropped: 1, depth: 1, ..SinkCounts::default() },
    );
}

#[test]
fn few_batches_of_many_snapshots_are_bounded_too() {
    for overflow in [OverflowPolicy::Conflate, OverflowPolicy::DropOldest] {
        let mut source = Source::new();
        let mut fanout = Fanout::new();
        let queue = fanout.add_sink("test", config(1000, overflow));
        let half: Vec<(u32, u32)> = (0..SNAPSHOT_CAPACITY as u32 / 2).map(|slot| (slot, 1)).collect();
        for topic in [0, 1, 0, 1, 0] {
            fanout.publish(&source.batch(topic, &half));
        }
        let counts = queue.counts();
        let waiting = counts.pushed - counts.dropped - counts.conflated;
        assert_eq!(waiting, SNAPSHOT_CAPACITY as u64, "{overflow:?}: {counts:?}");
    }
}

#[test]
fn disconnect_gives_everything_up() {
    check(
        config(2, OverflowPolicy::Disconnect),
        &[(0, &[(1, 1)]), (0, &[(1, 2)]), (0, &[(1, 3)]), (0, &[(1, 4)])],
        &[],
        SinkCounts { pushed: 4, dropped: 4, ..SinkCounts::default() },
    );
}

#[test]
fn batches_of_another_catalog_or_source_are_never_merged() {
    let mut source = Source::new();
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("test", config(1, OverflowPolicy::Conflate));
    fanout.publish(&source.batch(0, &[(1, 1)]));
    source.catalog = catalog();
    fanout.publish(&source.batch(0, &[(1, 2)]));
    let counts = SinkCounts { pushed: 2, dropped: 1, depth: 1, ..SinkCounts::default() };
    assert_eq!(queue.counts(), counts);
}

#[test]
fn health_is_served_before_ticks_and_loses_the_oldest_when_nobody_takes_it() {
    let mut source = Source::new();
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("test", QueueConfig::default());
    fanout.publish(&source.batch(0, &[(1, 1)]));
    for seq in 1..=HEALTH_CAPACITY as u64 + 2 {
        fanout.publish_health(&Arc::new(HealthRecord {
            source: "acct".into(),
            seq,
            ts_publish: UnixNanos(0),
            sim: true,
            event: market_model::FeedEvent::TokenRestored { account: "acct".into() },
        }));
    }
    let counts = queue.counts();
    assert_eq!(
        (counts.health_pushed, counts.health_dropped, counts.dropped),
        (HEALTH_CAPACITY as u64 + 2, 2, 0)
    );
    let first = queue.0.0.take();
    assert!(matches!(first, Some(Some(Work::Health(record))) if record.seq == 3));
    let rest = std::iter::from_fn(|| queue.0.0.take().flatten());
    let (health, ticks): (Vec<_>, Vec<_>) =
        rest.take(HEALTH_CAPACITY).partition(|work| matches!(work, Work::Health(_)));
    assert_eq!((health.len(), ticks.len()), (HEALTH_CAPACITY - 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_loses_one_batch_and_can_be_started_again() {
    struct Panics;
    impl crate::SnapshotSink for Panics {
        type Error = std::convert::Infallible;
        async fn deliver(&mut self, _: &SnapshotBatch) -> Result<(), Self::Error> {
            panic!("told to")
        }
        async fn health(&mut self, _: &crate::HealthRecord) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let mut source = Source::new();
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("test", QueueConfig::default());
    fanout.publish(&source.batch(0, &[(1, 1)]));
    fanout.publish(&source.batch(0, &[(1, 2), (2, 2)]));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run_sink(Panics, queue.clone(), SinkMetrics::noop()));
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
    drop(fanout);
    let summary = run_sink(RecordingSink::new(), queue, SinkMetrics::noop()).await;
    assert_eq!((summary.counts.failed, summary.counts.delivered), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_sink_nobody_serves_any_more_is_counted_not_kept() {
    let mut source = Source::new();
    let mut fanout = Fanout::new();
    drop(fanout.add_sink("gone", QueueConfig::default()));
    fanout.publish(&source.batch(0, &[(1, 1)]));
    let (_, counts) = fanout.counts()[0];
    assert_eq!((counts.pushed, counts.dropped, counts.depth), (1, 1, 0));
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut source = Source::new();
        let mut fanout = Fanout::new();
        let queue = fanout.add_sink("test", QueueConfig::default());
        for _ in 0..3 {
            let waiting = tokio::time::timeout(Duration::from_millis(1), queue.next()).await;
            assert!(waiting.is_err());
        }
        fanout.publish(&source.batch(0, &[(1, 1)]));
        let work = tokio::time::timeout(Duration::from_millis(1), queue.next()).await;
        assert!(matches!(work, Ok(Some(Work::Batch { .. }))));
    });
}

fn policies() -> impl Strategy<Value = OverflowPolicy> {
    prop_oneof![
        Just(OverflowPolicy::Conflate),
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::Disconnect)
    ]
}

proptest! {
    /// Whatever is pushed and however slowly it is taken: every snapshot is delivered, failed, dropped, conflated or
    /// still waiting, per topic `seq` only grows, and under conflation the newest value of an instrument survives.
    #[test]
    fn nothing_goes_uncounted(
        overflow in policies(),
        capacity in 1usize..6,
        steps in prop::collection::vec((any::<bool>(), 0usize..2, prop::collection::vec(0u32..4, 1..5)), 1..60),
    ) {
        let mut source = Source::new();
        let mut fanout = Fanout::new();
        let queue = fanout.add_sink("test", config(capacity, overflow));
        let (mut value, mut last_seq) = (0, [0, 0]);
        let mut newest = std::collections::BTreeMap::new();
        let mut seen = std::collections::BTreeMap::new();
        let mut waiting = 0;
        for (take, topic, slots) in steps {
            if take {
                if let Some(Some(work)) = queue.0.0.take() {
                    let flight = queue.in_flight(&work);
                    let Work::Batch { batch, .. } = work else { unreachable!() };
                    let topic = usize::from(batch.topic == source.topics[1]);
                    prop_assert!(batch.seq > last_seq[topic]);
                    last_seq[topic] = batch.seq;
                    for snapshot in &batch.snapshots {
                        seen.insert((topic, snapshot.slot.0), snapshot.tick.last_price);
                    }
                    if batch.seq.is_multiple_of(3) { drop(flight) } else { flight.delivered() }
                }
            } else {
                value += 1;
                let content: Vec<_> = slots.iter().map(|slot| (*slot, value)).collect();
                for (slot, value) in &content {
                    newest.insert((topic, *slot), crate::testing::price(f64::from(*value)));
                }
                fanout.publish(&source.batch(topic, &content));
            }
            let counts = queue.counts();
            prop_assert!(counts.depth <= capacity);
            let state = queue.0.0.lock();
            waiting = state.batches.iter().map(|queued| queued.body.batch().snapshots.len() as u64).sum();
            let known = counts.delivered + counts.failed + counts.dropped + counts.conflated;
            prop_assert_eq!(counts.pushed, known + waiting);
        }
        drop(fanout);
        while let Some(Some(Work::Batch { batch, .. })) = queue.0.0.take() {
            let topic = usize::from(batch.topic == source.topics[1]);
            for snapshot in &batch.snapshots {
                seen.insert((topic, snapshot.slot.0), snapshot.tick.last_price);
            }
            waiting -= batch.snapshots.len() as u64;
        }
        prop_assert_eq!(waiting, 0);
        let counts = queue.counts();
        if overflow == OverflowPolicy::Conflate && counts.dropped == 0 {
            prop_assert_eq!(seen, newest);
        }
    }
}
