//! The loops over paused time.

use std::sync::Arc;
use std::time::Duration;

use market_model::ManualClock;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{INDEX, SHARE, START, catalog, connection, frame, ltp, near_chain};
use crate::{OverflowPolicy, PipelineConfig, PipelineMetrics, QueueConfig, RecordingSink};

fn pipeline() -> Pipeline {
    let clock = Arc::new(ManualClock::new(START));
    Pipeline::new(PipelineConfig::default(), "acct".into(), true, catalog(), clock, PipelineMetrics::noop())
}

fn queue_of(max_batches: usize, overflow: OverflowPolicy) -> QueueConfig {
    QueueConfig { max_batches, overflow, ..QueueConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn everything_ends_in_the_order_of_the_flow_and_nothing_is_lost() {
    let mut fanout = Fanout::new();
    let sink = RecordingSink::new();
    let served =
        run_sink(sink.clone(), fanout.add_sink("recorder", QueueConfig::default()), SinkMetrics::noop());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        tx.send(FeedEvent::Connected { connection: connection(0), at: START }).await.unwrap();
        for last in [25_000.0, 25_001.0] {
            tx.send(frame(0, START, vec![ltp(INDEX, last), ltp(SHARE, 1500.0)])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tx.send(frame(0, START, vec![ltp(INDEX, 25_002.0)])).await.unwrap();
    };
    let (counts, summary, ()) = tokio::join!(run(pipeline(), rx, fanout), served, feed);
    assert_eq!((counts.ticks, counts.snapshots, counts.health), (5, 5, 1));
    assert_eq!((summary.end, summary.counts.delivered), (SinkEnd::InputClosed, 5));
    assert_eq!(sink.health_records().len(), 1);
    let index: Vec<_> =
        sink.batches().into_iter().filter(|b| b.topic.underlying.as_ref() == "NIFTY").collect();
    assert_eq!(index.iter().map(|batch| batch.seq).collect::<Vec<_>>(), [1, 2, 3]);
    let last: Vec<_> = index.iter().map(|batch| batch.snapshots[0].tick.last_price.to_f64()).collect();
    assert_eq!(last, [25_000.0, 25_001.0, 25_002.0]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_tick_leaves_at_once_and_the_next_one_a_batch_age_later() {
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("recorder", QueueConfig::default());
    let (tx, rx) = mpsc::channel(8);
    tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0)])).await.unwrap();
    let started = tokio::time::Instant::now();
    let sink = async {
        assert!(matches!(queue.next().await, Some((Work::Batch { .. }, _))));
        let first = started.elapsed();
        tx.send(frame(0, START, vec![ltp(INDEX, 25_001.0)])).await.unwrap();
        assert!(matches!(queue.next().await, Some((Work::Batch { .. }, _))));
        drop(tx);
        (first, started.elapsed())
    };
    let (_, (first, second)) = tokio::join!(run(pipeline(), rx, fanout), sink);
    assert!(first <= Duration::from_millis(1), "{first:?}");
    assert!(second >= Duration::from_millis(5) && second <= Duration::from_millis(7), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_loses_only_what_it_refused() {
    let mut fanout = Fanout::new();
    let sink = RecordingSink::new().failing_every(2);
    let served =
        run_sink(sink.clone(), fanout.add_sink("flaky", QueueConfig::default()), SinkMetrics::noop());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        for step in 0..6 {
            tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0 + f64::from(step))])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (_, summary, ()) = tokio::join!(run(pipeline(), rx, fanout), served, feed);
    assert_eq!((summary.counts.pushed, summary.counts.delivered, summary.counts.failed), (6, 3, 3));
    let seqs: Vec<u64> = sink.batches().iter().map(|batch| batch.seq).collect();
    assert_eq!(seqs, [1, 3, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_market_that_comes_later_is_taken_before_the_next_tick() {
    let empty = Arc::new(market_model::InstrumentCatalog::default());
    let markets = tokio::sync::watch::Sender::new(crate::Market::new(empty.clone()));
    let clock = Arc::new(ManualClock::new(START));
    let config = PipelineConfig::default();
    let metrics = PipelineMetrics::noop();
    let pipeline =
        Pipeline::new(config, "acct".into(), true, empty, clock, metrics).follow(markets.subscribe());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0)])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        markets.send_replace(catalog().into());
        tx.send(frame(0, START, vec![ltp(INDEX, 25_001.0)])).await.unwrap();
    };
    let (counts, ()) = tokio::join!(run(pipeline, rx, Fanout::new()), feed);
    assert_eq!((counts.ticks, counts.rejected_total(), counts.snapshots), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_happens_reaches_the_recorder() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let clock = Arc::new(ManualClock::new(START));
    let metrics = PipelineMetrics::register(&recorder, "acct");
    let pipeline = Pipeline::new(PipelineConfig::default(), "acct".into(), true, catalog(), clock, metrics);
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("flaky", queue_of(1, OverflowPolicy::DropOldest));
    let sink = RecordingSink::new().failing_every(2);
    let (tx, rx) = mpsc::channel(8);
    let unknown = ltp(market_model::InstrumentToken(7), 1.0);
    tx.send(frame(0, START, vec![ltp(SHARE, 100.0), ltp(SHARE, 101.0), ltp(INDEX, 1.0), unknown]))
        .await
        .unwrap();
    drop(tx);
    // The sink starts late: by then one of the two batches is gone.
    run(pipeline, rx, fanout).await;
    run_sink(sink, queue, SinkMetrics::register(&recorder, "flaky")).await;
    let seen = snapshotter.snapshot().into_vec();
    let check = |name: &str, expect: u64| {
        let total: u64 = seen
            .iter()
            .filter(|(key, ..)| key.key().name() == name)
            .map(|(.., value)| match value {
                DebugValue::Counter(count) => *count,
                DebugValue::Histogram(values) => values.len() as u64,
                DebugValue::Gauge(value) => value.into_inner() as u64,
            })
            .sum();
        assert_eq!(total, expect, "{name}");
    };
    check("pipeline_ticks_received_total", 4);
    check("pipeline_ticks_rejected_total", 1);
    check("pipeline_ticks_conflated_total", 1);
    check("pipeline_snapshots_published_total", 2);
    check("pipeline_batches_published_total", 2);
    check("tick_processing_latency_seconds", 2);
    check("sink_snapshots_dropped_total", 1);
    check("sink_snapshots_delivered_total", 1);
    check("sink_delivery_latency_seconds", 1);
    check("task_queue_depth", 0);
    check("sink_queue_bytes", 0);
    // Three were offered, and each of them went somewhere.
    check("conservation_sink_ticks_total", 3 + 3);
    check("conservation_sink_ticks_waiting", 0);
}

/// Takes 30 ms for each batch.
struct Slow(RecordingSink);

impl SnapshotSink for Slow {
    type Error = crate::RecordingFailed;

    async fn deliver(&mut self, batch: &crate::SnapshotBatch) -> Result<(), Self::Error> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.0.deliver(batch).await
    }

    async fn health(&mut self, record: &crate::HealthRecord) -> Result<(), Self::Error> {
        self.0.health(record).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_conflates_for_itself_and_ends_on_the_newest() {
    let mut fanout = Fanout::new();
    let (slow, quick) = (RecordingSink::new(), RecordingSink::new());
    let queue = queue_of(2, OverflowPolicy::Conflate);
    let slow_served = run_sink(Slow(slow.clone()), fanout.add_sink("slow", queue), SinkMetrics::noop());
    let quick_served =
        run_sink(quick.clone(), fanout.add_sink("quick", QueueConfig::default()), SinkMetrics::noop());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        for step in 0..100 {
            tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0 + f64::from(step))])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
    };
    let (counts, slow_end, quick_end, ()) =
        tokio::join!(run(pipeline(), rx, fanout), slow_served, quick_served, feed);
    assert_eq!((counts.snapshots, quick_end.counts.delivered), (100, 100), "the quick sink never noticed");
    let SinkCounts { pushed, delivered, conflated, dropped, failed, .. } = slow_end.counts;
    assert_eq!((pushed, delivered + conflated, dropped, failed), (100, 100, 0, 0));
    assert!((18..=25).contains(&delivered), "{delivered} of 600 ms / 30 ms");
    assert_eq!(slow.snapshots().last().map(|one| one.tick), Some(ltp(INDEX, 25_099.0)));
    let seqs: Vec<u64> = slow.batches().iter().map(|batch| batch.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b) && seqs.last() == Some(&100), "holes, but in order: {seqs:?}");
}

/// Never comes back from the first delivery.
struct Hangs(RecordingSink, usize);

impl SnapshotSink for Hangs {
    type Error = crate::RecordingFailed;

    async fn deliver(&mut self, batch: &crate::SnapshotBatch) -> Result<(), Self::Error> {
        self.1 += 1;
        if self.1 == 1 {
            std::future::pending::<()>().await;
        }
        self.0.deliver(batch).await
    }

    async fn health(&mut self, record: &crate::HealthRecord) -> Result<(), Self::Error> {
        self.0.health(record).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_hangs_is_given_up_and_what_follows_is_the_newest() {
    let mut fanout = Fanout::new();
    let sink = RecordingSink::new();
    let config = QueueConfig { deliver_timeout: Duration::from_secs(1), ..QueueConfig::default() };
    let queue = fanout.add_sink("hangs", config);
    let served = run_sink(Hangs(sink.clone(), 0), queue.clone(), SinkMetrics::noop());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        for step in 0..150 {
            tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0 + f64::from(step))])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
        assert!(queue.oldest_waiting_age().unwrap() > Duration::from_millis(800));
    };
    let (_, summary, ()) = tokio::join!(run(pipeline(), rx, fanout), served, feed);
    let ticks = summary.counts.ticks;
    assert!((ticks.failed, ticks.offered, ticks.lost()) == (1, 150, 1), "{ticks:?}");
    assert!(summary.counts.is_balanced());
    // Folded after 50 ms of waiting, everything behind the first is one value.
    let values: Vec<_> = sink.snapshots().iter().map(|one| one.tick.last_price.to_f64()).collect();
    assert_eq!(values, [25_149.0]);
    assert_eq!((sink.batches()[0].tick_count, sink.batches()[0].tick_total), (149, 150));
}

/// Wall time that follows the runtime's paused time.
struct RuntimeClock(tokio::time::Instant);

impl market_model::Clock for RuntimeClock {
    fn now(&self) -> market_model::UnixNanos {
        START + self.0.elapsed()
    }
}

/// Takes 50 ms for each batch, and measures how old the values are by then.
struct Overwhelmed {
    clock: Arc<RuntimeClock>,
    oldest: Arc<std::sync::Mutex<Duration>>,
    kept: RecordingSink,
}

impl SnapshotSink for Overwhelmed {
    type Error = crate::RecordingFailed;

    async fn deliver(&mut self, batch: &crate::SnapshotBatch) -> Result<(), Self::Error> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = market_model::Clock::now(&*self.clock);
        let ages = batch.snapshots.iter().map(|one| now.saturating_since(one.ts_recv));
        let age = ages.max().filter(|_| now <= START + Duration::from_secs(60));
        {
            let mut oldest = self.oldest.lock().unwrap();
            *oldest = (*oldest).max(age.unwrap_or_default());
        }
        self.kept.deliver(batch).await
    }

    async fn health(&mut self, record: &crate::HealthRecord) -> Result<(), Self::Error> {
        self.kept.health(record).await
    }
}

#[tokio::test(start_paused = true)]
async fn ten_times_too_much_for_a_minute_costs_neither_memory_nor_freshness_nor_the_count() {
    let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
    let metrics = PipelineMetrics::noop();
    let config = PipelineConfig::default();
    let pipeline = Pipeline::new(config, "acct".into(), true, catalog(), clock.clone(), metrics);
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("slow", QueueConfig::default());
    let (oldest, kept) = (Arc::default(), RecordingSink::new());
    let sink = Overwhelmed { clock: clock.clone(), oldest: Arc::clone(&oldest), kept: kept.clone() };
    let served = run_sink(sink, queue.clone(), SinkMetrics::noop());
    let (tx, rx) = mpsc::channel(8);
    let feed = async move {
        let chain = near_chain(25_000.0, START);
        for step in 0..6000 {
            let now = market_model::Clock::now(&*clock);
            // 44 instruments tick each 10 ms, and the sink takes as many in 150 ms.
            let own = chain.iter().map(|tick| ltp(tick.token, 100.0 + f64::from(step)));
            let others = [INDEX, SHARE].map(|token| ltp(token, 25_000.0 + f64::from(step)));
            tx.send(frame(0, now, own.chain(others).collect())).await.unwrap();
            let counts = queue.counts();
            assert!(counts.is_balanced(), "{counts:?}");
            assert!(counts.waiting_bytes < 128 * 1024, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (counts, summary, ()) = tokio::join!(run(pipeline, rx, fanout), served, feed);
    assert!(counts.is_balanced() && summary.counts.is_balanced());
    let ticks = summary.counts.ticks;
    assert_eq!((ticks.offered, ticks.lost()), (counts.ticks, 0));
    assert!(ticks.conflated > 10 * ticks.delivered, "{ticks:?}");
    // However long it waited for its turn, a value is the newest when its delivery begins.
    let oldest = *oldest.lock().unwrap();
    assert!(oldest <= Duration::from_millis(50 + 50 + 15), "{oldest:?}");
    let last = kept.batches().into_iter().map(|batch| (batch.topic, batch.tick_total));
    let last: std::collections::BTreeMap<_, _> = last.collect();
    assert_eq!(last.values().sum::<u64>(), ticks.offered, "and every consumer can tell");
}

#[tokio::test(start_paused = true)]
async fn work_that_is_always_due_does_not_keep_the_feed_waiting() {
    let mut config = PipelineConfig::default();
    config.enrichment.refresh_interval = Duration::ZERO;
    let clock = Arc::new(ManualClock::new(START));
    let pipeline = Pipeline::new(config, "acct".into(), true, catalog(), clock, PipelineMetrics::noop());
    let (tx, rx) = mpsc::channel(512);
    for _ in 0..300 {
        tx.send(frame(0, START, near_chain(25_000.0, START))).await.unwrap();
    }
    drop(tx);
    let counts = run(pipeline, rx, Fanout::new()).await;
    assert_eq!(counts.ticks, 300 * 42);
}
