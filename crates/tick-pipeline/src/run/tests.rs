//! The loops over paused time.

use std::sync::Arc;
use std::time::Duration;

use market_model::ManualClock;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{INDEX, SHARE, START, catalog, connection, frame, ltp};
use crate::{OverflowPolicy, PipelineConfig, PipelineMetrics, QueueConfig, RecordingSink};

fn pipeline() -> Pipeline {
    let clock = Arc::new(ManualClock::new(START));
    Pipeline::new(PipelineConfig::default(), "acct".into(), true, catalog(), clock, PipelineMetrics::noop())
}

const QUEUE: QueueConfig = QueueConfig { capacity: 16, overflow: OverflowPolicy::Conflate };

#[tokio::test(start_paused = true)]
async fn everything_ends_in_the_order_of_the_flow_and_nothing_is_lost() {
    let mut fanout = Fanout::new();
    let sink = RecordingSink::new();
    let served = run_sink(sink.clone(), fanout.add_sink("recorder", QUEUE), SinkMetrics::noop());
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
async fn a_lone_tick_leaves_after_the_batch_age_and_not_before() {
    let mut fanout = Fanout::new();
    let queue = fanout.add_sink("recorder", QUEUE);
    let (tx, rx) = mpsc::channel(8);
    tx.send(frame(0, START, vec![ltp(INDEX, 25_000.0)])).await.unwrap();
    let started = tokio::time::Instant::now();
    let sink = async {
        let work = queue.next().await;
        assert!(matches!(work, Some(Work::Batch { .. })));
        drop(tx);
        started.elapsed()
    };
    let (_, waited) = tokio::join!(run(pipeline(), rx, fanout), sink);
    assert!(waited >= Duration::from_millis(5) && waited <= Duration::from_millis(7), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_loses_only_what_it_refused() {
    let mut fanout = Fanout::new();
    let sink = RecordingSink::new().failing_every(2);
    let served = run_sink(sink.clone(), fanout.add_sink("flaky", QUEUE), SinkMetrics::noop());
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
