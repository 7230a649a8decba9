//! The page of metrics: names, kinds and labels from what the parts register, meanings from here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;

use account_pool::{AccountMetrics, PaceClass, PaceMetrics};
use feed_control::FeedControlMetrics;
use feed_recorder::RecorderMetrics;
use gateway_api::ApiMetrics;
use instrument_registry::RegistryMetrics;
use kite_client::{RestMetrics, TickerMetrics};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use redis_fanout::RedisMetrics;
use resilience::SupervisorMetrics;
use sql_store::StoreMetrics;
use tick_pipeline::{PipelineMetrics, SinkMetrics};

const MEANINGS: &[(&str, &str)] = &[
    ("websocket_pool_connections", "Ticker connections that stand."),
    ("websocket_pool_subscribed_tokens", "Instruments that the broker was asked to stream."),
    ("ticker_frames_total", "Binary frames received, heartbeats included."),
    ("ticker_bytes_total", "Bytes in them."),
    ("ticker_ticks_total", "Good packets in them."),
    (
        "ticker_decode_errors_total",
        "Frames and packets that could not be decoded, by kind. The good packets beside them were delivered.",
    ),
    ("ticker_packets_total", "Packets that arrived: delivered, dropped and undecodable ones together."),
    ("ticker_delivered_ticks_total", "Ticks that the pipeline took."),
    ("ticker_undecodable_packets_total", "Packets that could not be decoded."),
    ("ticker_unwanted_ticks_total", "Ticks of instruments nobody wants (any more)."),
    (
        "ticker_dropped_ticks_total",
        "Ticks dropped because the pipeline did not take them in time. Each series of drops is a gap record too.",
    ),
    (
        "ticker_superseded_ticks_total",
        "Ticks that two sockets of one connection said while one took the place of the other; the older socket's.",
    ),
    ("ticker_rotations_total", "Sockets replaced by a new one without a hole."),
    ("ticker_rate_collapses_total", "Connections whose tick rate fell far below the usual one."),
    ("ticker_dropped_frames_total", "The frames they came in."),
    ("ticker_texts_total", "Text frames received."),
    ("ticker_text_errors_total", "Text frames that are not what Kite sends."),
    ("ticker_dropped_texts_total", "Text frames dropped because nobody took them."),
    (
        "ticker_handshakes_total",
        "Connections tried. Rises while a broker refuses or is down; stands still after a refused token.",
    ),
    ("ticker_reconnects_total", "Connections that came back."),
    ("ticker_silences_total", "Connections that fell mute and were closed for it."),
    ("ticker_token_refusals_total", "Access tokens that were refused."),
    ("ticker_connection_panics_total", "Connection tasks that panicked and were started again."),
    ("pipeline_ticks_received_total", "Ticks that reached the pipeline."),
    ("pipeline_ticks_rejected_total", "Ticks refused by validation, by reason."),
    (
        "pipeline_ticks_conflated_total",
        "Ticks replaced by a newer one of the same instrument before their batch was sealed.",
    ),
    (
        "pipeline_ticks_shown_total",
        "Ticks that a published snapshot shows: received less rejected, conflated and waiting.",
    ),
    ("pipeline_ticks_waiting", "Ticks in the pipeline now."),
    ("pipeline_snapshots_published_total", "Snapshots handed to the sinks' queues."),
    ("pipeline_batches_published_total", "Batches they were in."),
    ("pipeline_health_records_total", "Feed-health records handed to the sinks' queues."),
    ("greeks_strikes_solved_total", "Strikes whose volatility was solved or refused."),
    ("greeks_chain_refreshes_total", "Whole chains recomputed because their forward moved."),
    (
        "tick_event_latency_seconds",
        "Exchange stamp to socket. The stamp has whole seconds, so this is uncertain by one.",
    ),
    ("tick_processing_latency_seconds", "Socket to sealed batch; includes the batch window."),
    ("greeks_calculation_latency_seconds", "Forwards and Greeks of one poll."),
    (
        "conservation_sink_ticks_total",
        "Ticks offered to the sink, and what became of them, by outcome. Offered is the sum of the others and of what waits.",
    ),
    ("conservation_sink_ticks_waiting", "Ticks waiting for the sink or being delivered."),
    ("sink_queue_bytes", "Memory of what waits for the sink."),
    ("sink_snapshots_delivered_total", "Snapshots the sink took."),
    ("sink_snapshots_failed_total", "Snapshots whose delivery failed."),
    ("sink_snapshots_dropped_total", "Snapshots that gave way in a full queue."),
    ("sink_snapshots_conflated_total", "Snapshots replaced by a newer one in a full queue."),
    ("sink_health_dropped_total", "Health records that gave way in a full queue."),
    ("task_queue_depth", "Batches waiting for a sink."),
    ("sink_delivery_latency_seconds", "Into the sink's queue to the end of its delivery."),
    ("redis_publish_failures", "Batches that Redis did not take."),
    ("redis_circuit_open_drops", "Batches not tried because the breaker was open."),
    ("redis_batches_published_total", "Batches that Redis took."),
    ("redis_published_bytes_total", "Payload bytes of them."),
    ("redis_publish_duration_seconds", "Hand-over to Redis' answer."),
    ("redis_last_values_written_total", "Latest-value hashes written."),
    (
        "redis_last_values_failures_total",
        "Writes of them that failed; tried again later unless Redis refused the key itself.",
    ),
    ("redis_health_records_written_total", "Records added to the health stream."),
    ("redis_health_records_dropped_total", "Health records that did not reach Redis."),
    ("redis_connections", "Connections to Redis that stand."),
    ("redis_connections_lost_total", "Connections to Redis that were lost."),
    ("circuit_breaker_state", "0 closed, 1 half-open, 2 open."),
    ("circuit_breaker_opened_total", "Times a breaker opened."),
    ("circuit_breaker_refused_total", "Calls a breaker refused."),
    ("http_requests_total", "Requests answered, by route and class of status."),
    ("http_request_duration_seconds", "From the whole request to the whole answer."),
    ("http_connections_refused_total", "Connections refused because too many were open."),
    ("stream_clients", "Connections to `/v1/stream` and `/v1/events`."),
    ("stream_ticks_queued_total", "Ticks put into the queues of stream clients."),
    ("stream_ticks_conflated_total", "Ticks replaced in such a queue by a newer one."),
    ("stream_ticks_dropped_total", "Ticks dropped from such a queue; the client was told."),
    ("stream_slow_disconnects_total", "Stream clients ended because they did not read."),
    ("task_restarts_total", "Tasks started again after a failure."),
    ("task_panics_total", "Panics caught by the supervisor."),
    (
        "redis_ticks_offered_total",
        "Ticks that batches for Redis stand for: the sum of the next three and of what is on its way.",
    ),
    ("redis_ticks_published_total", "Ticks in batches that Redis took."),
    ("redis_ticks_failed_total", "Ticks in batches that Redis did not take, or not in time."),
    ("redis_ticks_dropped_total", "Ticks in batches that were not tried because Redis was known to be away."),
    ("recorder_frames_recorded_total", "Websocket frames recorded."),
    (
        "recorder_frames_lost_total",
        "Frames that found no room in memory, by cause; each series of them is a hole in the recording.",
    ),
    ("recorder_events_recorded_total", "Connection events recorded."),
    ("recorder_bytes_recorded_total", "Bytes of the recorded frames."),
    ("recorder_bytes_written_total", "Bytes written into recordings, compressed."),
    ("recorder_write_failures_total", "Writes that failed; each is tried again."),
    ("recorder_files_deleted_total", "Recordings deleted to keep the budget."),
    ("recorder_paused", "1 while the disk refuses recordings."),
    ("recorder_queue_bytes", "Bytes that wait to be recorded."),
    ("recorder_disk_bytes", "Bytes of all recordings in the folder."),
    ("recorder_write_duration_seconds", "Compressing and writing one block."),
    ("account_token_usable", "1 while the account's access token works."),
    ("account_token_seconds_left", "Until the access token dies."),
    ("account_token_refusals_total", "Access tokens the broker refused."),
    ("account_logins_total", "Access tokens taken, by login or hand-over."),
    ("account_reads_moved_total", "Reads that went on to this account because another one failed."),
    ("account_calls_granted_total", "Calls to the broker that were let go, by class of limit."),
    (
        "account_calls_refused_total",
        "Calls that were not let go: their deadline came first, or too many waited.",
    ),
    ("account_calls_throttled_total", "Calls that the broker found too many although they were let go."),
    ("account_calls_in_flight", "Calls under way."),
    ("account_calls_waiting", "Calls that wait for their turn."),
    ("account_pace_wait_seconds", "How long calls waited for their turn."),
    ("active_subscriptions_total", "Instruments that the accounts of this instance were told to stream."),
    ("subscriptions_wanted", "Instruments that wishes want."),
    ("subscriptions_refused", "Of them, those on no account."),
    (
        "subscriptions_leaving",
        "Subscriptions that stand only until their successors on another account tick.",
    ),
    ("wishes_unmet", "Wishes, or parts of them, that name nothing."),
    ("feed_plans_total", "Plans made, by cause."),
    ("feed_reload_requests_total", "Reasons to plan anew; many share one plan."),
    ("feed_plan_duration_seconds", "Resolving and planning."),
    ("feed_tokens_moved_total", "Instruments that went from one account to another."),
    ("feed_ladder_moves_total", "Moves of a strike ladder's centre."),
    ("wish_store_failures_total", "Reads and writes of wishes and plans that failed."),
    ("instruments_listed", "Instruments in use."),
    ("instruments_age_seconds", "Age of their dump."),
    ("instrument_refreshes_total", "Tries to get a new dump, by outcome."),
    ("instrument_skipped_rows_total", "Rows of dumps that could not be read or repeat a token."),
    ("instrument_store_failures_total", "Days that could not be stored."),
    ("kite_rest_requests_total", "Calls to the broker's REST side as their callers saw them, by outcome."),
    (
        "kite_rest_request_duration_seconds",
        "From the call to the answer, retries and waiting for a turn included.",
    ),
    ("kite_rest_retries_total", "Tries of reads beyond the first."),
    ("kite_rest_connections_opened_total", "Connections opened for them."),
    ("database_up", "1 while the database answers."),
    ("database_statements_total", "Statements sent; one for many rows counts once."),
    (
        "database_transactions_total",
        "Transactions committed on the embedded file (a group counts once) or answered by Postgres.",
    ),
    ("database_errors_total", "Calls that failed, whatever the reason."),
    ("database_timeouts_total", "Calls that took too long."),
    ("database_pool_exhausted_total", "Calls that got no connection in time."),
    (
        "database_connections_discarded_total",
        "Connections thrown away because a call on them did not end well.",
    ),
    ("database_call_duration_seconds", "From the call to the answer, waiting for a connection included."),
    ("log_lines_dropped_total", "Log lines dropped because the disk was too slow or full."),
];

/// Notes what is registered: name to kind and labels.
#[derive(Default)]
struct NameRecorder(Mutex<BTreeMap<String, (&'static str, BTreeSet<String>)>>);

impl NameRecorder {
    fn note(&self, key: &Key, kind: &'static str) {
        let mut names = self.0.lock().unwrap();
        let (_, labels) = names.entry(key.name().to_owned()).or_insert((kind, BTreeSet::new()));
        labels.extend(key.labels().map(|label| label.key().to_owned()));
    }
}

impl Recorder for NameRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key, "counter");
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key, "gauge");
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key, "histogram");
        Histogram::noop()
    }
}

#[test]
fn metrics_page() {
    let recorder = NameRecorder::default();
    TickerMetrics::register(&recorder);
    PipelineMetrics::register(&recorder, "account");
    SinkMetrics::register(&recorder, "sink");
    RedisMetrics::register(&recorder);
    ApiMetrics::register(&recorder);
    SupervisorMetrics::register(&recorder);
    RecorderMetrics::register(&recorder);
    AccountMetrics::register(&recorder, "account");
    PaceMetrics::register(&recorder, "account", PaceClass::Quote);
    FeedControlMetrics::register(&recorder);
    RegistryMetrics::register(&recorder);
    StoreMetrics::register(&recorder);
    RestMetrics::register(&recorder);
    recorder.note(&Key::from_static_name("log_lines_dropped_total"), "counter");
    let mut registered = recorder.0.into_inner().unwrap();

    let mut page = String::from(
        "# Metrics\n\n\
        <!-- Written by `cargo xtask docs` from crates/gateway/tests/docs/metrics.rs; edit there. -->\n\n\
        At `/metrics` in Prometheus' text format. Names that the former service's dashboards use are kept. Labels are small sets: an account, a sink, a \
        reason; never an instrument.\n\n\
        | name | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for (name, meaning) in MEANINGS {
        let (kind, labels) = registered.remove(*name).unwrap_or_else(|| panic!("nobody registers {name}"));
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {kind} | {} | {meaning} |", labels.join(" ")).unwrap();
    }
    assert!(registered.is_empty(), "metrics without a meaning: {:?}", registered.keys());
    crate::check_page("metrics.md", &page);
}
