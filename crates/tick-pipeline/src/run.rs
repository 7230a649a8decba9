//! The two loops that wait: one feeds the pipeline, one serves a sink.

use std::time::Instant;

use market_model::FeedEvent;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use crate::metrics::SinkMetrics;
use crate::pipeline::{Output, Pipeline};
use crate::queue::{Fanout, SinkCounts, SinkQueue, Work};
use crate::sink::SnapshotSink;
use crate::status::PipelineCounts;

/// Why a sink's loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkEnd {
    /// Every [`Fanout`] is gone and the queue is empty.
    InputClosed,
    /// The queue overflowed under [`OverflowPolicy::Disconnect`](crate::OverflowPolicy::Disconnect).
    Disconnected,
}

/// How a sink's loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkSummary {
    /// The sink's name.
    pub name: &'static str,
    /// Why it ended.
    pub end: SinkEnd,
    /// What became of everything.
    pub counts: SinkCounts,
}

/// At most this many waiting events are taken before due work is looked at: few enough that a batch is never
/// late by more than the time it takes to store their ticks.
const EVENTS_AT_ONCE: usize = 64;

/// Runs `pipeline` on `feed` until the feed closes, then flushes, drops the fanout and says what was counted.
///
/// # Cancel safety
/// Dropping the future drops the pipeline with everything that is not published yet. To stop without loss, close
/// the feed.
pub async fn run(
    mut pipeline: Pipeline,
    mut feed: mpsc::Receiver<FeedEvent>,
    fanout: Fanout,
) -> PipelineCounts {
    let timer = sleep_until(tokio::time::Instant::now());
    tokio::pin!(timer);
    loop {
        if let Some(due) = pipeline.next_poll() {
            let due = due.into();
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
        }
        let has_due = pipeline.next_poll().is_some();
        tokio::select! {
            biased;
            // Before any further tick, because without it the tick may be of an unknown instrument.
            () = pipeline.market_changed() => pipeline.poll(now()),
            () = &mut timer, if has_due => {}
            event = feed.recv() => match event {
                Some(event) => pipeline.push(event, now()),
                None => break,
            },
        }
        // Whatever woke the loop: when there is always something due, the feed must not wait for it.
        let is_open = take_waiting(&mut pipeline, &mut feed);
        if pipeline.is_due(now()) {
            pipeline.poll(now());
        }
        dispatch(&mut pipeline, &fanout);
        if !is_open {
            break;
        }
    }
    pipeline.flush(now());
    dispatch(&mut pipeline, &fanout);
    let counts = pipeline.counts();
    tracing::info!(ticks = counts.ticks, batches = counts.batches, "pipeline flushed, feed closed");
    counts
}

/// Serves `sink` from `queue` until the fanout is gone and the queue is empty. A delivery that fails, or takes longer
/// than [`QueueConfig::deliver_timeout`](crate::QueueConfig::deliver_timeout), is counted and the next one is tried.
///
/// # Cancel safety
/// Dropping the future counts the delivery on its way as failed; what waits stays in the queue for another call.
pub async fn run_sink<S: SnapshotSink>(mut sink: S, queue: SinkQueue, metrics: SinkMetrics) -> SinkSummary {
    queue.attach(&metrics);
    let (name, limit) = (queue.name(), queue.config().deliver_timeout);
    let mut failing = false;
    while let Some((work, in_flight)) = queue.next().await {
        // A sink that never waits must not keep the others of its thread waiting.
        tokio::task::coop::consume_budget().await;
        let delivery = async {
            match &work {
                Work::Health(record) => sink.health(record).await,
                Work::Batch { batch, .. } => sink.deliver(batch).await,
            }
        };
        let failure: Option<Box<dyn std::error::Error + Send + Sync>> = match timeout(limit, delivery).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Box::new(error)),
            Err(elapsed) => Some(Box::new(elapsed)),
        };
        let Some(error) = failure else {
            in_flight.delivered();
            if let Work::Batch { since, .. } = work {
                metrics.latency.record(now().saturating_duration_since(since).as_secs_f64());
            }
            if std::mem::replace(&mut failing, false) {
                tracing::info!(sink = name, "sink takes records again");
            }
            continue;
        };
        drop(in_flight);
        // Once per series of failures; how many there are is in the counters.
        if !std::mem::replace(&mut failing, true) {
            tracing::warn!(sink = name, %error, "sink refused a record");
        }
    }
    let end = if queue.is_disconnected() { SinkEnd::Disconnected } else { SinkEnd::InputClosed };
    SinkSummary { name, end, counts: queue.counts() }
}

/// Takes what waits, but not for ever; `false` when the feed is closed and empty.
fn take_waiting(pipeline: &mut Pipeline, feed: &mut mpsc::Receiver<FeedEvent>) -> bool {
    for _ in 1..EVENTS_AT_ONCE {
        match feed.try_recv() {
            Ok(event) => pipeline.push(event, now()),
            Err(mpsc::error::TryRecvError::Empty) => return true,
            Err(mpsc::error::TryRecvError::Disconnected) => return false,
        }
    }
    true
}

fn dispatch(pipeline: &mut Pipeline, fanout: &Fanout) {
    while let Some(output) = pipeline.next_output() {
        match output {
            Output::Batch(batch) => fanout.publish(&batch),
            Output::Health(record) => fanout.publish_health(&record),
        }
    }
}

/// The runtime's monotonic time, so that a paused test clock is honoured.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
