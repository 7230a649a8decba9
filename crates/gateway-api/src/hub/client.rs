//! One stream client on the hub: what it wants and what waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::civil::Date;
use market_model::{InstrumentCatalog, InstrumentToken, UnixNanos};
use snapshot_wire::{BatchEncoder, WireFormat};
use tick_pipeline::{HealthRecord, Snapshot, SnapshotBatch, SnapshotCause, Topic, TopicKind};
use tokio::sync::Notify;

use super::queue::{ClientQueue, Offered, Outbox, SlowPolicy};
use super::subscriptions::{Denied, Subscriptions};
use super::{Encoded, StreamHub, StreamMetrics, StreamStats};
use crate::latest::LatestValue;
use crate::symbols::{Wish, date_in_india};

/// What a connection is like for its whole life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientOptions {
    pub(crate) policy: SlowPolicy,
    pub(crate) format: WireFormat,
    /// Ticks that may wait, unless they are conflated.
    pub(crate) capacity: usize,
    pub(crate) max_subscriptions: usize,
}

/// One connection. Dropping the [`Connected`] that holds it takes it off the hub.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) options: ClientOptions,
    wake: Notify,
    state: Mutex<ClientState>,
}

#[derive(Debug)]
struct ClientState {
    wanted: Subscriptions,
    queue: ClientQueue,
    conflated: u64,
}

/// A client on the hub.
#[derive(Debug)]
pub(crate) struct Connected {
    hub: Arc<StreamHub>,
    client: Arc<Client>,
}

/// What granting one wish came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) tokens: Vec<InstrumentToken>,
    /// How many of them have a value already.
    pub(crate) live: usize,
}

// === impl Client ===

impl Client {
    pub(super) fn new(id: u64, options: ClientOptions) -> Arc<Self> {
        let state = ClientState {
            wanted: Subscriptions::default(),
            queue: ClientQueue::new(options.policy, options.capacity),
            conflated: 0,
        };
        Arc::new(Self { id, options, wake: Notify::new(), state: Mutex::new(state) })
    }

    pub(super) fn add_to(&self, stats: &mut StreamStats) {
        let state = self.lock();
        stats.clients += 1;
        stats.waiting += state.queue.waiting();
        stats.subscriptions += state.wanted.len();
    }

    pub(super) fn offer_health(&self, record: Arc<HealthRecord>) {
        self.lock().queue.push_health(record);
        self.wake.notify_one();
    }

    pub(super) fn offer(&self, batch: &SnapshotBatch, encoded: &mut Encoded<'_>, metrics: &StreamMetrics) {
        let (mut queued, mut conflated, mut dropped) = (0, 0, 0);
        let mut state = self.lock();
        if state.queue.has_overflowed() {
            return;
        }
        for (index, snapshot) in batch.snapshots.iter().enumerate() {
            let token = snapshot.token();
            if !state.wanted.wants(token) {
                continue;
            }
            queued += 1;
            match state.queue.push_tick(token, encoded.tick(batch, index)) {
                Offered::Queued => {}
                Offered::Conflated => conflated += 1,
                Offered::Dropped => dropped += 1,
                Offered::Overflow => break,
            }
            if snapshot.cause == SnapshotCause::Staleness {
                state.queue.push_staleness(token, snapshot.stale);
            }
        }
        state.conflated += conflated;
        drop(state);
        if queued > 0 {
            self.wake.notify_one();
        }
        metrics.queued.increment(queued);
        metrics.conflated.increment(conflated);
        metrics.dropped.increment(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connected ===

impl Connected {
    pub(super) fn new(hub: Arc<StreamHub>, client: Arc<Client>) -> Self {
        Self { hub, client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Grants a wish and, given an encoder of the client's format, queues the newest value of everything it means.
    pub(crate) fn subscribe(
        &self,
        wish: Wish,
        encoder: Option<&mut BatchEncoder>,
        catalog: &Arc<InstrumentCatalog>,
        now: UnixNanos,
    ) -> Result<Granted, Denied> {
        let limit = self.client.options.max_subscriptions;
        // The values are read under the client's lock: what is published after them waits behind them.
        let mut state = self.client.lock();
        let tokens = state.wanted.add(wish, catalog, date_in_india(now), limit)?;
        let mut values = Vec::new();
        self.hub.latest.each(tokens.iter().copied(), |value| values.push(value.clone()));
        let live = values.len();
        let wanted = state.wanted.len();
        state.queue.make_room_for(wanted);
        if let Some(encoder) = encoder {
            let batch = batch_of(values, catalog);
            let encoded = encoder.encode(&batch);
            for (index, snapshot) in batch.snapshots.iter().enumerate() {
                let tick = Bytes::copy_from_slice(encoded.tick(index));
                state.queue.push_tick(snapshot.token(), tick);
            }
        }
        drop(state);
        self.client.wake.notify_one();
        Ok(Granted { tokens, live })
    }

    /// Holds ticks back until the answer that announces them is queued.
    pub(crate) fn hold_ticks(&self, held: bool) {
        self.client.lock().queue.hold(held);
        self.client.wake.notify_one();
    }

    pub(crate) fn unsubscribe(&self, wish: &Wish) -> Result<(), Denied> {
        let mut state = self.client.lock();
        state.wanted.remove(wish)?;
        let ClientState { wanted, queue, .. } = &mut *state;
        queue.forget(|token| !wanted.wants(token));
        Ok(())
    }

    /// Reads the client's wishes again, in a new catalog.
    pub(crate) fn move_to(&self, catalog: &InstrumentCatalog, today: Date) {
        let limit = self.client.options.max_subscriptions;
        self.client.lock().wanted.resolve_again(catalog, today, limit);
    }

    pub(crate) fn answer(&self, message: String) {
        self.client.lock().queue.push_control(message);
        self.client.wake.notify_one();
    }

    /// Takes what is to be sent next; `false` when the client fell too far behind.
    pub(crate) fn take(&self, out: &mut Outbox, max_ticks: usize, max_bytes: usize) -> bool {
        let mut state = self.client.lock();
        state.queue.take(out, max_ticks, max_bytes);
        !state.queue.has_overflowed()
    }

    /// Returns when something was queued since the last call.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn woken(&self) {
        self.client.wake.notified().await;
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.client.lock().wanted.len()
    }

    pub(crate) fn conflated(&self) -> u64 {
        self.client.lock().conflated
    }

    pub(crate) fn count_slow_disconnect(&self) {
        self.hub.metrics.slow_disconnects.increment(1);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.hub.disconnect(self.client.id);
    }
}

/// Values as one batch, so that they are encoded like any other.
pub(crate) fn batch_of(values: Vec<LatestValue>, catalog: &Arc<InstrumentCatalog>) -> SnapshotBatch {
    let sim = values.iter().any(|value| value.sim);
    let ts_publish = values.iter().map(|value| value.ts_publish).max().unwrap_or_default();
    let listed = values.into_iter().filter_map(|value| {
        let slot = catalog.slot(value.snapshot.token())?;
        Some(Snapshot { slot, ..value.snapshot })
    });
    let kind = TopicKind::Underlying;
    let topic = Arc::new(Topic { exchange: "".into(), underlying: "".into(), kind });
    SnapshotBatch {
        topic,
        source: "".into(),
        seq: 0,
        tick_count: 0,
        tick_total: 0,
        ts_publish,
        sim,
        catalog: catalog.clone(),
        snapshots: listed.collect(),
    }
}
