//! What is counted and measured, as handles on a recorder we are given.

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, NoopRecorder, Recorder, Unit,
};

use crate::queue::{SinkCounts, SinkTicks};
use crate::validate::TickRejected;

/// Counters of one pipeline worker.
#[derive(Debug, Clone)]
pub struct PipelineMetrics {
    /// Ticks that arrived.
    pub ticks: Counter,
    /// Ticks refused, in the order of [`TickRejected::ALL`].
    pub rejected: [Counter; TickRejected::ALL.len()],
    /// Ticks replaced by a newer one of the same instrument before they were published.
    pub conflated: Counter,
    /// Ticks shown by published snapshots.
    pub shown: Counter,
    /// Ticks that wait to be shown.
    pub waiting: Gauge,
    /// Snapshots published.
    pub snapshots: Counter,
    /// Batches published.
    pub batches: Counter,
    /// Feed-health records published.
    pub health: Counter,
    /// Strikes solved or refused.
    pub strikes: Counter,
    /// Whole chains recomputed because their forward or the time moved.
    pub chain_refreshes: Counter,
    /// From the exchange's stamp (whole seconds) to the socket, one observation per frame.
    pub event_to_recv: Histogram,
    /// From the socket to the sealed batch, the oldest tick of each batch.
    pub recv_to_publish: Histogram,
    /// Time spent computing forwards and Greeks, one observation per refresh that did any.
    pub greeks: Histogram,
}

/// Counters of one sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// Snapshots the sink took.
    pub delivered: Counter,
    /// Snapshots it failed to take.
    pub failed: Counter,
    /// Snapshots thrown away because its queue was full.
    pub dropped: Counter,
    /// Snapshots replaced by newer ones of the same instrument in its queue.
    pub conflated: Counter,
    /// Health records thrown away because its health queue was full.
    pub health_dropped: Counter,
    /// What became of every tick, in the order of `offered`, `delivered`, `conflated`, `overflowed`, `failed`, `closed`.
    pub ticks: [Counter; TICK_OUTCOMES.len()],
    /// Ticks waiting or on their way.
    pub ticks_waiting: Gauge,
    /// Batches waiting.
    pub depth: Gauge,
    /// Memory that waits.
    pub bytes: Gauge,
    /// From the queue to the end of the delivery.
    pub latency: Histogram,
}

/// Labels of what becomes of a tick on its way through a sink's queue.
const TICK_OUTCOMES: [&str; 6] = ["offered", "delivered", "conflated", "overflowed", "failed", "closed"];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

// === impl PipelineMetrics ===

impl PipelineMetrics {
    /// Makes the handles on `recorder`; `source` is the worker's name and becomes a label.
    pub fn register(recorder: &dyn Recorder, source: &str) -> Self {
        let of = Maker { recorder, label: Label::new("source", source.to_owned()) };
        let rejected = |reason: TickRejected| {
            let reason = Label::new("reason", reason.as_str());
            of.counter("pipeline_ticks_rejected_total", "Ticks refused by validation", Some(reason))
        };
        Self {
            ticks: of.counter("pipeline_ticks_received_total", "Ticks that arrived", None),
            rejected: TickRejected::ALL.map(rejected),
            conflated: of.counter("pipeline_ticks_conflated_total", "Ticks replaced before publishing", None),
            shown: of.counter("pipeline_ticks_shown_total", "Ticks shown by published snapshots", None),
            waiting: of.gauge("pipeline_ticks_waiting", "Ticks that wait to be shown"),
            snapshots: of.counter("pipeline_snapshots_published_total", "Snapshots published", None),
            batches: of.counter("pipeline_batches_published_total", "Batches published", None),
            health: of.counter("pipeline_health_records_total", "Feed-health records published", None),
            strikes: of.counter("greeks_strikes_solved_total", "Strikes solved or refused", None),
            chain_refreshes: of.counter("greeks_chain_refreshes_total", "Whole chains recomputed", None),
            event_to_recv: of
                .seconds("tick_event_latency_seconds", "Exchange stamp (whole seconds) to socket"),
            recv_to_publish: of.seconds("tick_processing_latency_seconds", "Socket to sealed batch"),
            greeks: of.seconds("greeks_calculation_latency_seconds", "Computing forwards and Greeks"),
        }
    }

    /// Handles that count nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder, "none")
    }
}

// === impl SinkMetrics ===

impl SinkMetrics {
    /// Makes the handles on `recorder`; `sink` is its name and becomes a label.
    pub fn register(recorder: &dyn Recorder, sink: &'static str) -> Self {
        let of = Maker { recorder, label: Label::new("sink", sink) };
        Self {
            delivered: of.counter("sink_snapshots_delivered_total", "Snapshots the sink took", None),
            failed: of.counter("sink_snapshots_failed_total", "Snapshots the sink failed to take", None),
            dropped: of.counter("sink_snapshots_dropped_total", "Snapshots dropped, queue full", None),
            conflated: of.counter("sink_snapshots_conflated_total", "Snapshots replaced in the queue", None),
            health_dropped: of.counter(
                "sink_health_dropped_total",
                "Health records dropped, queue full",
                None,
            ),
            ticks: TICK_OUTCOMES.map(|outcome| {
                let help = "Ticks offered to the sink, and what became of them";
                of.counter("conservation_sink_ticks_total", help, Some(Label::new("outcome", outcome)))
            }),
            ticks_waiting: of.gauge("conservation_sink_ticks_waiting", "Ticks waiting or being delivered"),
            depth: of.gauge("task_queue_depth", "Batches waiting for the sink"),
            bytes: of.gauge("sink_queue_bytes", "Memory of what waits for the sink"),
            latency: of.seconds("sink_delivery_latency_seconds", "Queue to end of delivery"),
        }
    }

    /// Handles that count nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder, "none")
    }

    /// Adds what happened between two readings of a queue's counts.
    pub(crate) fn record(&self, before: &SinkCounts, after: &SinkCounts) {
        for (counter, before, after) in [
            (&self.delivered, before.delivered, after.delivered),
            (&self.failed, before.failed, after.failed),
            (&self.dropped, before.dropped, after.dropped),
            (&self.conflated, before.conflated, after.conflated),
            (&self.health_dropped, before.health_dropped, after.health_dropped),
        ] {
            if after > before {
                counter.increment(after - before);
            }
        }
        let outcomes = |ticks: &SinkTicks| {
            [ticks.offered, ticks.delivered, ticks.conflated, ticks.overflowed, ticks.failed, ticks.closed]
        };
        if after.ticks != before.ticks {
            let (before, after) = (outcomes(&before.ticks), outcomes(&after.ticks));
            for (counter, (before, after)) in self.ticks.iter().zip(before.into_iter().zip(after)) {
                if after > before {
                    counter.increment(after - before);
                }
            }
        }
        let gauges = |counts: &SinkCounts| {
            let ticks = counts.ticks.waiting + counts.ticks.in_flight;
            [counts.depth as f64, counts.waiting_bytes as f64, ticks as f64]
        };
        let (before, after) = (gauges(before), gauges(after));
        for (gauge, (before, after)) in
            [&self.depth, &self.bytes, &self.ticks_waiting].into_iter().zip(before.into_iter().zip(after))
        {
            if after != before {
                gauge.set(after);
            }
        }
    }
}

// === impl Maker ===

struct Maker<'r> {
    recorder: &'r dyn Recorder,
    label: Label,
}

impl Maker<'_> {
    fn key(&self, name: &'static str, more: Option<Label>) -> Key {
        let labels: Vec<Label> = std::iter::once(self.label.clone()).chain(more).collect();
        Key::from_parts(name, labels)
    }

    fn counter(&self, name: &'static str, help: &'static str, more: Option<Label>) -> Counter {
        self.recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
        self.recorder.register_counter(&self.key(name, more), &METADATA)
    }

    fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.recorder.describe_gauge(KeyName::from(name), Some(Unit::Count), help.into());
        self.recorder.register_gauge(&self.key(name, None), &METADATA)
    }

    fn seconds(&self, name: &'static str, help: &'static str) -> Histogram {
        self.recorder.describe_histogram(KeyName::from(name), Some(Unit::Seconds), help.into());
        self.recorder.register_histogram(&self.key(name, None), &METADATA)
    }
}
