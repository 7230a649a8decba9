//! What gives way, in which order things come out, and that nothing goes uncounted.

use std::collections::BTreeMap;
use std::time::Duration;

use market_model::{InstrumentSlot, UnixNanos};
use proptest::prelude::*;

use super::*;
use crate::snapshot::{GreeksState, Snapshot, SnapshotCause, Topic, TopicKind};
use crate::testing::{INDEX, catalog, ltp};
use crate::{RecordingSink, run_sink};

const TOPICS: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);

/// Batches over a few topics, as a batcher would number them.
struct Source {
    topics: [Arc<Topic>; TOPICS],
    name: Arc<str>,
    seqs: [u64; TOPICS],
    totals: [u64; TOPICS],
    catalog: Arc<market_model::InstrumentCatalog>,
}

impl Source {
    fn new() -> Self {
        let topic = |name: &str| {
            let kind = TopicKind::Options;
            Arc::new(Topic { exchange: "NFO".into(), underlying: name.into(), kind })
        };
        let topics = ["NIFTY", "BANKNIFTY", "SENSEX"].map(topic);
        let (seqs, totals) = ([0; TOPICS], [0; TOPICS]);
        Self { topics, name: "acct".into(), seqs, totals, catalog: catalog() }
    }

    /// A batch in which slot `n` has the price `value`, for each pair; a value of 0 stands for no tick.
    fn batch(&mut self, topic: usize, content: &[(u32, u32)]) -> Arc<SnapshotBatch> {
        let snapshot = |&(slot, value): &(u32, u32)| Snapshot {
            slot: InstrumentSlot(slot),
            tick: ltp(INDEX, f64::from(value.max(1))),
            ts_recv: UnixNanos(0),
            ts_event: None,
            greeks: GreeksState::NotAnOption,
            stale: None,
            cause: if value == 0 { SnapshotCause::Forward } else { SnapshotCause::Tick },
            tick_count: value.min(1),
        };
        let snapshots: Vec<_> = content.iter().map(snapshot).collect();
        let tick_count = snapshots.iter().map(|one| u64::from(one.tick_count)).sum();
        self.seqs[topic] += 1;
        self.totals[topic] += tick_count;
        Arc::new(SnapshotBatch {
            topic: self.topics[topic].clone(),
            source: self.name.clone(),
            seq: self.seqs[topic],
            tick_count,
            tick_total: self.totals[topic],
            ts_publish: UnixNanos(0),
            sim: true,
            catalog: self.catalog.clone(),
            snapshots,
        })
    }

    fn topic_of(&self, batch: &SnapshotBatch) -> usize {
        self.topics.iter().position(|topic| *topic == batch.topic).unwrap()
    }
}

fn queue(config: QueueConfig) -> (Fanout, SinkQueue) {
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("test", config);
    (fanout, queue)
}

fn config(max_batches: usize, overflow: OverflowPolicy) -> QueueConfig {
    QueueConfig { max_batches, overflow, patience: HOUR, ..QueueConfig::default() }
}

/// The next batch, taken and delivered.
fn take(queue: &SinkQueue) -> Option<Arc<SnapshotBatch>> {
    let (work, in_flight) = queue.0.0.take()??;
    in_flight.delivered();
    match work {
        Work::Batch { batch, .. } => Some(batch),
        Work::Health(_) => None,
    }
}

fn content(batch: &SnapshotBatch) -> Vec<(u32, u32)> {
    let one = |snapshot: &Snapshot| (snapshot.slot.0, snapshot.tick.last_price.to_f64() as u32);
    batch.snapshots.iter().map(one).collect()
}

type Content<'c> = &'c [(u32, u32)];

/// Pushes `batches` as (topic, content) and lists what comes out as (topic, seq, content), then compares the counts
/// of snapshots as (pushed, delivered, dropped, conflated).
#[track_caller]
fn check(
    config: QueueConfig,
    batches: &[(usize, Content<'_>)],
    expect: &[(usize, u64, Content<'_>)],
    counts: [u64; 4],
) {
    let mut source = Source::new();
    let (fanout, queue) = queue(config);
    for (topic, content) in batches {
        fanout.publish(&source.batch(*topic, content));
        assert!(queue.counts().depth <= config.max_batches.max(1));
    }
    let out = std::iter::from_fn(|| take(&queue));
    let got: Vec<_> = out.map(|batch| (source.topic_of(&batch), batch.seq, content(&batch))).collect();
    let expect: Vec<_> =
        expect.iter().map(|(topic, seq, content)| (*topic, *seq, content.to_vec())).collect();
    assert_eq!(got, expect);
    let got = queue.counts();
    assert_eq!([got.pushed, got.delivered, got.dropped, got.conflated], counts);
    assert!(got.is_balanced(), "{got:?}");
}

#[test]
fn drop_oldest_leaves_a_hole_in_seq() {
    check(
        config(2, OverflowPolicy::DropOldest),
        &[(0, &[(1, 1), (2, 1)]), (0, &[(1, 2)]), (0, &[(1, 3)])],
        &[(0, 2, &[(1, 2)]), (0, 3, &[(1, 3)])],
        [4, 2, 2, 0],
    );
}

#[test]
fn conflate_keeps_the_newest_of_each_instrument() {
    check(
        config(3, OverflowPolicy::Conflate),
        &[(1, &[(9, 1)]), (0, &[(1, 1), (2, 1)]), (0, &[(2, 2), (3, 2)]), (0, &[(1, 3)]), (0, &[(3, 4)])],
        &[(1, 1, &[(9, 1)]), (0, 4, &[(1, 3), (2, 2), (3, 4)])],
        [7, 4, 0, 3],
    );
}

#[test]
fn conflate_drops_the_oldest_when_no_two_batches_go_together() {
    check(
        config(1, OverflowPolicy::Conflate),
        &[(0, &[(1, 1)]), (1, &[(9, 1)])],
        &[(1, 1, &[(9, 1)])],
        [2, 1, 1, 0],
    );
}

#[test]
fn disconnect_gives_everything_up() {
    check(
        config(2, OverflowPolicy::Disconnect),
        &[(0, &[(1, 1)]), (0, &[(1, 2)]), (0, &[(1, 3)]), (0, &[(1, 4)])],
        &[],
        [4, 0, 4, 0],
    );
}

#[test]
fn topics_are_served_in_turn_while_one_floods_the_queue() {
    check(
        config(100, OverflowPolicy::DropOldest),
        &[(0, &[(1, 1)]), (0, &[(1, 2)]), (0, &[(1, 3)]), (1, &[(9, 1)]), (2, &[(8, 1)]), (1, &[(9, 2)])],
        &[
            (0, 1, &[(1, 1)]),
            (1, 1, &[(9, 1)]),
            (2, 1, &[(8, 1)]),
            (0, 2, &[(1, 2)]),
            (1, 2, &[(9, 2)]),
            (0, 3, &[(1, 3)]),
        ],
        [6, 6, 0, 0],
    );
}

#[test]
fn a_flooding_topic_pays_for_its_flood_alone() {
    for overflow in [OverflowPolicy::Conflate, OverflowPolicy::DropOldest] {
        let mut source = Source::new();
        let max_bytes = 200 * size_of::<Snapshot>();
        let (fanout, queue) = queue(QueueConfig { max_bytes, ..config(1000, overflow) });
        for round in 1..=40 {
            // Ever other instruments, so that folding does not help.
            let flood: Vec<_> = (0..20).map(|slot| (round * 100 + slot, round)).collect();
            fanout.publish(&source.batch(0, &flood));
            if round % 10 == 0 {
                fanout.publish(&source.batch(1, &[(1, round), (2, round)]));
                fanout.publish(&source.batch(2, &[(3, round)]));
            }
            assert!(queue.counts().waiting_bytes <= max_bytes, "{overflow:?}: {:?}", queue.counts());
        }
        let mut ticks = [0; TOPICS];
        while let Some(batch) = take(&queue) {
            ticks[source.topic_of(&batch)] += batch.tick_count;
        }
        assert_eq!(ticks[1..], source.totals[1..], "{overflow:?}: the others lost nothing");
        let counts = queue.counts();
        assert_eq!(counts.ticks.overflowed, source.totals[0] - ticks[0]);
        assert!(counts.ticks.overflowed > 0 && ticks[0] > 50 && counts.is_balanced(), "{counts:?}");
    }
}

#[test]
fn a_batch_heavier_than_the_whole_budget_is_delivered_when_it_is_alone() {
    let mut source = Source::new();
    let (fanout, queue) = queue(QueueConfig { max_bytes: 1, ..config(8, OverflowPolicy::Conflate) });
    fanout.publish(&source.batch(0, &[(1, 1), (2, 1)]));
    assert_eq!(take(&queue).map(|batch| batch.snapshots.len()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn after_a_stall_the_first_that_comes_out_is_the_newest() {
    let mut source = Source::new();
    let patience = Duration::from_millis(50);
    let (fanout, queue) = queue(QueueConfig { patience, ..config(1000, OverflowPolicy::Conflate) });
    assert_eq!(queue.oldest_waiting_age(), None);
    for value in 1..=1000 {
        fanout.publish(&source.batch(0, &[(value % 10, value), (10, value)]));
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(queue.oldest_waiting_age(), Some(Duration::from_secs(10)), "an instrument keeps its place");
    assert_eq!(queue.counts().waiting, 11);
    let first = take(&queue).unwrap();
    assert!(content(&first).iter().all(|(_, value)| *value > 990), "{:?}", content(&first));
    assert!(first.snapshots.len() == 11 && first.seq == 1000 && take(&queue).is_none());
    let counts = queue.counts();
    assert_eq!((counts.ticks.offered, counts.ticks.delivered), (2000, 11));
    assert!(counts.is_balanced() && counts.ticks.conflated == 1989);
    // Caught up: batches come as they are again.
    fanout.publish(&source.batch(0, &[(1, 1)]));
    fanout.publish(&source.batch(0, &[(1, 2)]));
    assert_eq!((take(&queue).unwrap().seq, take(&queue).unwrap().seq), (1001, 1002));
}

#[test]
fn a_folded_topic_comes_out_in_pieces_whose_numbers_rise() {
    let mut source = Source::new();
    let (fanout, queue) =
        queue(QueueConfig { patience: Duration::ZERO, ..config(8, OverflowPolicy::Conflate) });
    let mut push = |slots: std::ops::Range<u32>, value| {
        fanout.publish(&source.batch(0, &slots.map(|slot| (slot, value)).collect::<Vec<_>>()));
    };
    for first in 0..6 {
        push(first * 100..first * 100 + 100, 1);
    }
    let mut consumer = Consumer::default();
    let mut piece = |expect: (u64, usize, u64)| {
        let batch = take(&queue).unwrap();
        consumer.take(0, &batch);
        assert_eq!((batch.seq, batch.snapshots.len(), batch.tick_total), expect);
    };
    piece((4, 256, 256));
    // Half of these wait, the others have left.
    push(206..306, 2);
    piece((6, 256, 256 + 256 + 50));
    push(0..300, 3);
    // In the order in which they began to wait, each with the ticks that it replaced.
    piece((7, 300, 256 + 256 + 50 + 300 + 50));
    piece((8, 88, 1000));
    assert_eq!((consumer.missed, consumer.received, take(&queue).is_none()), (0, 1000, true));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_another_catalog_is_folded_apart() {
    let mut source = Source::new();
    let (fanout, queue) =
        queue(QueueConfig { patience: Duration::ZERO, ..config(8, OverflowPolicy::Conflate) });
    for value in 1..=6 {
        if value == 4 {
            source.catalog = catalog();
        }
        fanout.publish(&source.batch(0, &[(1, value)]));
    }
    let (old, new) = (take(&queue).unwrap(), take(&queue).unwrap());
    assert_eq!((old.seq, content(&old)), (3, vec![(1, 3)]));
    assert_eq!((new.seq, content(&new), new.tick_count, new.tick_total), (6, vec![(1, 6)], 3, 6));
    assert!(Arc::ptr_eq(&new.catalog, &source.catalog) && !Arc::ptr_eq(&old.catalog, &source.catalog));
}

#[test]
fn a_tick_that_was_not_seen_stays_the_reason_when_its_greeks_move() {
    let mut source = Source::new();
    let (fanout, queue) =
        queue(QueueConfig { patience: Duration::ZERO, ..config(8, OverflowPolicy::Conflate) });
    fanout.publish(&source.batch(0, &[(1, 7), (2, 0)]));
    fanout.publish(&source.batch(0, &[(1, 0), (2, 0)]));
    let batch = take(&queue).unwrap();
    let of = |at: usize| (batch.snapshots[at].cause, batch.snapshots[at].tick_count);
    assert_eq!((of(0), of(1)), ((SnapshotCause::Tick, 1), (SnapshotCause::Forward, 0)));
    let counts = queue.counts();
    assert_eq!((counts.ticks.delivered, counts.ticks.conflated, counts.conflated), (1, 0, 2));
}

#[test]
fn health_is_served_before_ticks_and_loses_the_oldest_when_nobody_takes_it() {
    let mut source = Source::new();
    let (fanout, queue) = queue(QueueConfig::default());
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
    let work = || queue.0.0.take().flatten().map(|(work, _)| work);
    assert!(matches!(work(), Some(Work::Health(record)) if record.seq == 3));
    let (health, ticks): (Vec<_>, Vec<_>) =
        std::iter::from_fn(work).partition(|work| matches!(work, Work::Health(_)));
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
        async fn health(&mut self, _: &HealthRecord) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let mut source = Source::new();
    let (fanout, queue) = queue(QueueConfig::default());
    fanout.publish(&source.batch(0, &[(1, 1)]));
    fanout.publish(&source.batch(0, &[(1, 2), (2, 2)]));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run_sink(Panics, queue.clone(), SinkMetrics::noop()));
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
    drop(fanout);
    let summary = run_sink(RecordingSink::new(), queue, SinkMetrics::noop()).await;
    assert_eq!((summary.counts.failed, summary.counts.delivered), (1, 2));
    assert!(summary.counts.is_balanced(), "{:?}", summary.counts);
}

#[test]
fn a_sink_nobody_serves_any_more_is_counted_not_kept() {
    let mut source = Source::new();
    let (fanout, queue) = queue(QueueConfig::default());
    fanout.publish(&source.batch(0, &[(1, 1)]));
    drop(queue);
    fanout.publish(&source.batch(0, &[(1, 1)]));
    let (_, counts) = fanout.counts()[0];
    assert_eq!((counts.pushed, counts.dropped, counts.depth, counts.ticks.closed), (2, 2, 0, 2));
    assert!(counts.is_balanced());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_loses_nothing() {
    let mut source = Source::new();
    let (fanout, queue) = queue(QueueConfig::default());
    for _ in 0..3 {
        let waiting = tokio::time::timeout(Duration::from_millis(1), queue.next()).await;
        assert!(waiting.is_err());
    }
    fanout.publish(&source.batch(0, &[(1, 1)]));
    let work = tokio::time::timeout(Duration::from_millis(1), queue.next()).await;
    assert!(matches!(work, Ok(Some((Work::Batch { .. }, _)))));
}

/// What one consumer knows from what it received.
#[derive(Default)]
struct Consumer {
    last: [Option<(u64, u64)>; TOPICS],
    seen: BTreeMap<(usize, u32), u32>,
    missed: u64,
    received: u64,
}

impl Consumer {
    fn take(&mut self, topic: usize, batch: &SnapshotBatch) {
        let (seq, total) = self.last[topic].unwrap_or_default();
        assert!(batch.seq > seq, "seq {} after {seq}", batch.seq);
        let sum: u64 = batch.snapshots.iter().map(|one| u64::from(one.tick_count)).sum();
        assert_eq!(batch.tick_count, sum);
        self.missed += batch.tick_total - batch.tick_count - total;
        self.received += batch.tick_count;
        self.last[topic] = Some((batch.seq, batch.tick_total));
        for (slot, value) in content(batch) {
            let before = self.seen.insert((topic, slot), value).unwrap_or(0);
            assert!(before <= value, "an older value came after a newer one");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize, Vec<u32>),
    Deliver,
    Fail,
    Wait,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..TOPICS, prop::collection::vec(0u32..12, 1..9)).prop_map(|(topic, slots)| Step::Push(topic, slots)),
        2 => Just(Step::Deliver),
        1 => Just(Step::Fail),
        1 => Just(Step::Wait),
        1 => Just(Step::Reload),
    ]
}

proptest! {
    /// Whatever is pushed, however slowly it is taken and whatever fails: every tick is in exactly one place at any
    /// moment, the bounds hold, per topic `seq` only grows, no older value follows a newer one, the consumer's own sums
    /// tell its loss exactly, and without a loss it knows the newest value of every instrument.
    #[test]
    fn nothing_goes_uncounted(
        overflow in prop_oneof![
            4 => Just(OverflowPolicy::Conflate), 2 => Just(OverflowPolicy::DropOldest), 1 => Just(OverflowPolicy::Disconnect)
        ],
        (max_batches, snapshots, patience) in (1usize..8, 4usize..60, prop_oneof![Just(Duration::ZERO), Just(HOUR)]),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let mut source = Source::new();
        let max_bytes = snapshots * size_of::<Snapshot>();
        let (fanout, queue) = queue(QueueConfig { max_bytes, max_batches, patience, overflow, ..QueueConfig::default() });
        let (mut value, mut newest, mut consumer) = (0, BTreeMap::new(), Consumer::default());
        for step in steps {
            match step {
                Step::Push(topic, slots) => {
                    value += 1;
                    let content: Vec<_> = slots.iter().map(|slot| (*slot, value)).collect();
                    newest.extend(content.iter().map(|(slot, value)| ((topic, *slot), *value)));
                    fanout.publish(&source.batch(topic, &content));
                }
                Step::Deliver => {
                    if let Some(batch) = take(&queue) {
                        consumer.take(source.topic_of(&batch), &batch);
                    }
                }
                Step::Fail => drop(queue.0.0.take()),
                Step::Wait => runtime.block_on(tokio::time::advance(Duration::from_millis(60))),
                Step::Reload => source.catalog = catalog(),
            }
            let counts = queue.counts();
            prop_assert!(counts.depth <= max_batches);
            prop_assert!(counts.waiting_bytes <= max_bytes || counts.depth <= 1);
            prop_assert!(counts.is_balanced(), "{:?}", counts);
            let known = counts.delivered + counts.failed + counts.dropped + counts.conflated + counts.waiting;
            prop_assert_eq!(counts.pushed, known);
        }
        drop(fanout);
        while let Some(batch) = take(&queue) {
            consumer.take(source.topic_of(&batch), &batch);
        }
        let counts = queue.counts();
        prop_assert!(counts.is_balanced() && counts.waiting_bytes == 0 && counts.ticks.waiting == 0, "{:?}", counts);
        prop_assert_eq!(consumer.received, counts.ticks.delivered + counts.ticks.conflated);
        let at_the_end: u64 =
            source.totals.iter().zip(consumer.last).map(|(total, last)| total - last.map_or(0, |(_, seen)| seen)).sum();
        prop_assert_eq!(consumer.missed + at_the_end, counts.ticks.lost());
        if overflow == OverflowPolicy::Conflate && counts.ticks.lost() == 0 {
            prop_assert_eq!(consumer.seen, newest);
        }
    }
}
