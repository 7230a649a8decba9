//! Fans batches out to stream clients. Publishing never waits for one.

mod client;
mod queue;
mod subscriptions;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use metrics::{Counter, Gauge, Key, KeyName, Level, Metadata, Recorder};
use snapshot_wire::{BatchEncoder, EncodedBatch, WireFormat};
use tick_pipeline::{HealthRecord, SnapshotBatch, SnapshotSink};

use self::client::Client;
pub(crate) use self::client::{ClientOptions, Connected, Granted, batch_of};
pub(crate) use self::queue::Outbox;
pub use self::queue::SlowPolicy;
pub(crate) use self::subscriptions::Denied;
use crate::latest::LatestValues;

/// Handles of the stream's metrics.
#[derive(Debug, Clone)]
pub struct StreamMetrics {
    /// `stream_clients`: connections now.
    pub clients: Gauge,
    /// `stream_ticks_queued_total`.
    pub queued: Counter,
    /// `stream_ticks_conflated_total`: replaced by a newer tick of the same instrument before they were sent.
    pub conflated: Counter,
    /// `stream_ticks_dropped_total`: dropped, and the client was told.
    pub dropped: Counter,
    /// `stream_slow_disconnects_total`: clients ended because they did not read.
    pub slow_disconnects: Counter,
}

/// What the stream is doing, for health reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct StreamStats {
    /// Connections now.
    pub clients: usize,
    /// Ticks that wait in all their queues.
    pub waiting: usize,
    /// Instruments subscribed, counted once per client.
    pub subscriptions: usize,
}

/// The clients of `/v1/stream` and `/v1/events`, each with a bounded queue of its own.
#[derive(Debug)]
pub struct StreamHub {
    latest: Arc<LatestValues>,
    clients: Mutex<Vec<Arc<Client>>>,
    next_id: AtomicU64,
    metrics: StreamMetrics,
}

/// The one sink of this door: it keeps the newest values and then serves the streams, so that a client that
/// subscribes is never sent a value older than the one it was sent first.
#[derive(Debug)]
pub struct ApiSink {
    hub: Arc<StreamHub>,
    json: BatchEncoder,
    message_pack: BatchEncoder,
    positional: BatchEncoder,
}

// === impl StreamHub ===

impl StreamHub {
    /// Without clients. `latest` gives new subscribers their first values; the hub's sink fills it.
    pub fn new(latest: Arc<LatestValues>, metrics: StreamMetrics) -> Arc<Self> {
        Arc::new(Self { latest, clients: Mutex::default(), next_id: AtomicU64::new(1), metrics })
    }

    /// The sink that feeds both the hub and its [`LatestValues`]. Make one.
    pub fn sink(self: &Arc<Self>) -> ApiSink {
        ApiSink {
            hub: self.clone(),
            json: BatchEncoder::new(WireFormat::Json),
            message_pack: BatchEncoder::new(WireFormat::MessagePack),
            positional: BatchEncoder::new(WireFormat::Positional),
        }
    }

    /// What it is doing.
    pub fn stats(&self) -> StreamStats {
        let mut stats = StreamStats::default();
        for client in self.clients() {
            client.add_to(&mut stats);
        }
        stats
    }

    pub(crate) fn connect(self: &Arc<Self>, options: ClientOptions) -> Connected {
        let client = Client::new(self.next_id.fetch_add(1, Ordering::Relaxed), options);
        self.lock().push(client.clone());
        self.metrics.clients.increment(1.0);
        Connected::new(self.clone(), client)
    }

    fn disconnect(&self, id: u64) {
        self.lock().retain(|held| held.id != id);
        self.metrics.clients.decrement(1.0);
    }

    fn clients(&self) -> Vec<Arc<Client>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ApiSink ===

impl ApiSink {
    /// Takes a batch over. Never waits: a client that does not read loses ticks by its own policy.
    pub fn publish(&mut self, batch: &SnapshotBatch) {
        self.hub.latest.apply(batch);
        let clients = self.hub.clients();
        let mut json = Encoded::new(&mut self.json);
        let mut message_pack = Encoded::new(&mut self.message_pack);
        let mut positional = Encoded::new(&mut self.positional);
        for client in clients {
            let encoded = match client.options.format {
                WireFormat::Json => &mut json,
                WireFormat::MessagePack => &mut message_pack,
                WireFormat::Positional => &mut positional,
            };
            client.offer(batch, encoded, &self.hub.metrics);
        }
    }

    /// Tells every client about the feed's health.
    pub fn publish_health(&self, record: &HealthRecord) {
        let clients = self.hub.clients();
        if clients.is_empty() || snapshot_wire::health_type(&record.event).is_none() {
            return;
        }
        let record = Arc::new(record.clone());
        for client in clients {
            client.offer_health(record.clone());
        }
    }
}

impl SnapshotSink for ApiSink {
    type Error = Infallible;

    async fn deliver(&mut self, batch: &SnapshotBatch) -> Result<(), Infallible> {
        self.publish(batch);
        Ok(())
    }

    async fn health(&mut self, record: &HealthRecord) -> Result<(), Infallible> {
        self.publish_health(record);
        Ok(())
    }
}

/// A batch encoded when the first client wants it, and a copy of each wanted tick that all clients share. The copies
/// keep a slow client from holding the memory of whole batches.
struct Encoded<'e> {
    encoder: &'e mut BatchEncoder,
    batch: Option<EncodedBatch>,
    ticks: Vec<Option<Bytes>>,
}

impl<'e> Encoded<'e> {
    const fn new(encoder: &'e mut BatchEncoder) -> Self {
        Self { encoder, batch: None, ticks: Vec::new() }
    }

    fn tick(&mut self, batch: &SnapshotBatch, index: usize) -> Bytes {
        let encoded = self.batch.get_or_insert_with(|| self.encoder.encode(batch));
        self.ticks.resize(batch.snapshots.len(), None);
        self.ticks[index].get_or_insert_with(|| Bytes::copy_from_slice(encoded.tick(index))).clone()
    }
}

// === impl StreamMetrics ===

impl StreamMetrics {
    /// Registers the handles.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("gateway-api", Level::INFO, Some(module_path!()));
        let key = |name: &'static str| Key::from_name(KeyName::from_const_str(name));
        let counter = |name| recorder.register_counter(&key(name), &metadata);
        Self {
            clients: recorder.register_gauge(&key("stream_clients"), &metadata),
            queued: counter("stream_ticks_queued_total"),
            conflated: counter("stream_ticks_conflated_total"),
            dropped: counter("stream_ticks_dropped_total"),
            slow_disconnects: counter("stream_slow_disconnects_total"),
        }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self {
            clients: Gauge::noop(),
            queued: Counter::noop(),
            conflated: Counter::noop(),
            dropped: Counter::noop(),
            slow_disconnects: Counter::noop(),
        }
    }
}
