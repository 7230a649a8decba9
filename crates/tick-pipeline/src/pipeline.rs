//! The synchronous core: feed events in, batches and health records out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use market_model::{Clock, ConnectionId, FeedEvent, InstrumentSlot, Sessions, Tick, TickFrame, UnixNanos};
use tokio::sync::watch;

use crate::batch::{Batcher, TopicId};
use crate::config::PipelineConfig;
use crate::enrich::{Concerns, ConnectionIndex, Enricher};
use crate::health::HealthRecord;
use crate::market::Market;
use crate::metrics::PipelineMetrics;
use crate::snapshot::{Snapshot, SnapshotBatch, StaleCause, Topic};
use crate::status::{PipelineCounts, PipelineStatus};
use crate::unknown::UnknownTokens;
use crate::validate::{TickRejected, Validator};

/// One worker: validates, enriches, conflates and batches what one feed says.
///
/// It never waits and never reads a clock but the one it is given. Call [`push`](Self::push) for every event,
/// [`poll`](Self::poll) when [`is_due`](Self::is_due), and take [`next_output`](Self::next_output) until it is
/// `None` after each.
pub struct Pipeline {
    source: Arc<str>,
    sim: bool,
    clock: Arc<dyn Clock>,
    config: PipelineConfig,
    metrics: PipelineMetrics,
    market: Market,
    markets: Option<watch::Receiver<Market>>,
    /// Whether a new market was seen and waits to be taken.
    market_due: bool,
    validator: Validator,
    unknown: UnknownTokens,
    enricher: Enricher,
    batcher: Batcher,
    /// By slot: the topic its snapshots go to, once it has ticked.
    topics: Vec<Option<TopicId>>,
    connections: Vec<ConnectionId>,
    /// Of the ticks of the frame being pushed.
    slots: Vec<Option<InstrumentSlot>>,
    /// Who takes the vectors of frames that are done with.
    spent: Option<Box<dyn Fn(Vec<Tick>) + Send + Sync>>,
    pending_since: Option<Instant>,
    /// When what was pending last left.
    left_at: Option<Instant>,
    health: VecDeque<Arc<HealthRecord>>,
    health_seq: u64,
    counts: PipelineCounts,
    status: watch::Sender<PipelineStatus>,
    next_status: Option<Instant>,
}

/// What leaves a pipeline.
#[derive(Debug, Clone)]
pub enum Output {
    /// Snapshots of one topic.
    Batch(Arc<SnapshotBatch>),
    /// Something about the feed itself.
    Health(Arc<HealthRecord>),
}

// === impl Pipeline ===

impl Pipeline {
    /// A worker that has seen nothing. `source` names it in every batch (the account); `sim` says whether its prices
    /// are simulated. Workers that are given clones of one [`Market`] share forwards.
    pub fn new(
        config: PipelineConfig,
        source: Arc<str>,
        sim: bool,
        market: impl Into<Market>,
        clock: Arc<dyn Clock>,
        metrics: PipelineMetrics,
    ) -> Self {
        let market = market.into();
        let catalog = market.catalog().clone();
        let (batch, enrichment) = (config.batch.clone(), config.enrichment.clone());
        Self {
            validator: Validator::new(config.validation.clone(), market.clone()),
            unknown: UnknownTokens::new(config.validation.unknown_tokens_kept),
            enricher: Enricher::new(enrichment, market.clone()),
            topics: vec![None; catalog.len()],
            batcher: Batcher::new(batch, source.clone(), sim, catalog, clock.clone()),
            status: watch::Sender::new(PipelineStatus::new(source.clone(), sim)),
            source,
            sim,
            clock,
            config,
            metrics,
            market,
            markets: None,
            market_due: false,
            connections: Vec::new(),
            slots: Vec::new(),
            spent: None,
            pending_since: None,
            left_at: None,
            health: VecDeque::new(),
            health_seq: 0,
            counts: PipelineCounts::default(),
            next_status: None,
        }
    }

    /// From now on takes every new market from `markets`, at the next poll after it is sent.
    #[must_use]
    pub fn follow(mut self, markets: watch::Receiver<Market>) -> Self {
        self.markets = Some(markets);
        self
    }

    /// From now on judges ticks by what their exchange is doing: see
    /// [`CrossedBook::BySession`](crate::CrossedBook::BySession).
    #[must_use]
    pub fn follow_sessions(mut self, sessions: watch::Receiver<Sessions>) -> Self {
        self.validator = self.validator.follow_sessions(sessions);
        self
    }

    /// From now on hands the vector of every frame that it is done with to `taker`, who may fill it anew. It is
    /// called on the way of the ticks, so it must not wait.
    #[must_use]
    pub fn return_vectors_to(mut self, taker: impl Fn(Vec<Tick>) + Send + Sync + 'static) -> Self {
        self.spent = Some(Box::new(taker));
        self
    }

    /// Waits until the market it follows is another one, to be taken at the next poll; for ever when it follows none.
    ///
    /// # Cancel safety
    /// Safe: a change that was not waited for to the end is found again.
    pub(crate) async fn market_changed(&mut self) {
        match &mut self.markets {
            Some(markets) if !self.market_due => match markets.changed().await {
                Ok(()) => self.market_due = true,
                Err(_) => std::future::pending().await,
            },
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Takes another catalog (a new day, a reload). Instruments listed in both keep their state; batches that refer
    /// to the old catalog are sealed first.
    pub fn set_catalog(&mut self, market: impl Into<Market>, now: Instant) {
        self.publish_pending(now);
        self.market = market.into();
        let catalog = self.market.catalog();
        self.batcher.set_catalog(catalog.clone());
        self.validator.set_market(self.market.clone());
        self.enricher.set_market(self.market.clone());
        self.unknown.retain(|token| catalog.slot(token).is_none());
        self.topics = vec![None; catalog.len()];
    }

    /// A view for health pages, renewed at most once per `status_interval` while the pipeline is polled.
    pub fn status(&self) -> watch::Receiver<PipelineStatus> {
        self.status.subscribe()
    }

    /// What was counted so far, exact at any moment.
    pub fn counts(&self) -> PipelineCounts {
        PipelineCounts {
            conflated: self.enricher.conflated() + self.batcher.conflated(),
            waiting: self.enricher.ticks_pending() + self.batcher.ticks_waiting(),
            ..self.counts
        }
    }

    /// The newest state of one instrument; its Greeks are those of the last poll.
    pub fn snapshot(&self, slot: InstrumentSlot) -> Option<Snapshot> {
        self.enricher.snapshot(slot)
    }

    /// Takes one event. `now` is monotonic time and must not run backwards from call to call.
    pub fn push(&mut self, event: FeedEvent, now: Instant) {
        match event {
            FeedEvent::Ticks(frame) => {
                self.push_frame(&frame, now);
                if let Some(taker) = &self.spent {
                    taker(frame.ticks);
                }
            }
            event => {
                self.mark_stale(&event);
                self.push_health(event);
            }
        }
        if self.enricher.pending() > 0 {
            self.pending_since.get_or_insert(now);
        }
    }

    /// Whether [`poll`](Self::poll) has something to do.
    pub fn is_due(&self, now: Instant) -> bool {
        self.enricher.pending() >= self.config.batch.max_count
            || self.next_poll().is_some_and(|due| due <= now)
    }

    /// When [`poll`](Self::poll) is due without any further event.
    pub fn next_poll(&self) -> Option<Instant> {
        let due = [self.pending_due(), self.batcher.next_due(), self.enricher.next_turn(), self.next_status];
        due.into_iter().flatten().min()
    }

    /// After a pause what arrives leaves at once: it is in the processor's cache, and waiting would gather nothing. What
    /// comes within the batch's age of that leaves together when it is over.
    fn pending_due(&self) -> Option<Instant> {
        let since = self.pending_since?;
        Some(self.left_at.map_or(since, |left| since.max(left + self.config.batch.max_age)))
    }

    /// Does what is due: computes Greeks, fills batches, seals those that are old or full.
    pub fn poll(&mut self, now: Instant) {
        self.take_new_market(now);
        let is_due = self.pending_due().is_some_and(|due| due <= now);
        self.publish_pending(now);
        if is_due {
            self.left_at = Some(now);
            self.batcher.seal_all();
        } else {
            self.batcher.seal_due(now);
        }
        if self.next_status.is_none_or(|due| due <= now) {
            self.renew_status(now);
        }
    }

    /// Seals everything, whatever its age; for the end of the feed.
    pub fn flush(&mut self, now: Instant) {
        self.publish_pending(now);
        self.batcher.seal_all();
        self.renew_status(now);
    }

    /// The next thing to hand to the sinks, health first.
    pub fn next_output(&mut self) -> Option<Output> {
        if let Some(record) = self.health.pop_front() {
            self.counts.health += 1;
            self.metrics.health.increment(1);
            return Some(Output::Health(record));
        }
        let sealed = self.batcher.pop()?;
        let snapshots = sealed.batch.snapshots.len() as u64;
        self.counts.batches += 1;
        self.counts.snapshots += snapshots;
        self.counts.shown += sealed.ticks_shown;
        self.metrics.shown.increment(sealed.ticks_shown);
        self.metrics.batches.increment(1);
        self.metrics.snapshots.increment(snapshots);
        if let Some(oldest) = sealed.oldest_tick {
            let waited = sealed.batch.ts_publish.saturating_since(oldest);
            self.metrics.recv_to_publish.record(waited.as_secs_f64());
        }
        Some(Output::Batch(sealed.batch))
    }
}

// === impl Pipeline: ticks ===

impl Pipeline {
    fn push_frame(&mut self, frame: &TickFrame, now: Instant) {
        let connection = self.connection(&frame.connection);
        let mut newest_event = None;
        let mut slots = std::mem::take(&mut self.slots);
        self.validator.fetch(&frame.ticks, &mut slots);
        self.enricher.fetch(&slots);
        for (tick, slot) in frame.ticks.iter().zip(&slots) {
            let valid = match self.validator.check_at(*slot, tick) {
                Ok(valid) => valid,
                Err(reason) => {
                    self.counts.rejected[reason.index()] += 1;
                    self.metrics.rejected[reason.index()].increment(1);
                    if reason == TickRejected::UnknownToken {
                        self.unknown.count(tick.token);
                    }
                    tracing::trace!(token = %tick.token, %reason, "tick rejected");
                    continue;
                }
            };
            newest_event = newest_event.max(tick.exchange_timestamp());
            // Without conflation a tick that waits must leave before the next one takes its place.
            if !self.config.batch.conflate && self.enricher.is_pending(valid.slot()) {
                self.publish_pending(now);
            }
            self.enricher.apply(&valid, frame.ts_recv, connection);
        }
        self.slots = slots;
        self.counts.ticks += frame.ticks.len() as u64;
        self.metrics.ticks.increment(frame.ticks.len() as u64);
        if let Some(at) = newest_event {
            self.metrics.event_to_recv.record(frame.ts_recv.saturating_since(at).as_secs_f64());
        }
    }

    fn connection(&mut self, id: &ConnectionId) -> ConnectionIndex {
        let at = self.connections.iter().position(|known| known == id).unwrap_or_else(|| {
            self.connections.push(id.clone());
            self.connections.len() - 1
        });
        // An account has a handful of connections; a feed with more than 65,535 would share the last index.
        ConnectionIndex::try_from(at).unwrap_or(ConnectionIndex::MAX)
    }

    /// Computes Greeks for what changed and moves every pending snapshot into its batch.
    fn publish_pending(&mut self, now: Instant) {
        let since = self.pending_since.take().unwrap_or(now);
        let started = Instant::now();
        let refreshed = self.enricher.refresh(now, self.clock.now());
        if refreshed.strikes > 0 {
            self.metrics.greeks.record(started.elapsed().as_secs_f64());
            self.metrics.strikes.increment(refreshed.strikes as u64);
            self.metrics.chain_refreshes.increment(refreshed.chains as u64);
        }
        let Self { enricher, batcher, topics, market, config, .. } = self;
        batcher.begin_round();
        enricher.drain(|snapshot| {
            let topic = *topics[snapshot.slot.index()].get_or_insert_with(|| {
                let equity = config.batch.equity_topics;
                batcher.topic(Topic::of(market.catalog(), snapshot.slot, equity), now)
            });
            batcher.add_once(topic, snapshot, since);
        });
        let conflated = self.enricher.conflated() + self.batcher.conflated();
        self.metrics.conflated.increment(conflated - self.counts.conflated);
        self.counts.conflated = conflated;
    }

    fn take_new_market(&mut self, now: Instant) {
        let Some(markets) = &mut self.markets else {
            return;
        };
        // A sender that is gone hides from `has_changed` that it sent something before.
        if std::mem::take(&mut self.market_due) || markets.has_changed().unwrap_or(false) {
            let market = markets.borrow_and_update().clone();
            self.set_catalog(market, now);
        }
    }

    fn renew_status(&mut self, now: Instant) {
        self.next_status = Some(now + self.config.status_interval);
        let (unknown_tokens, unknown_others) = self.unknown.report();
        let counts = self.counts();
        self.metrics.waiting.set(counts.waiting as f64);
        self.status.send_replace(PipelineStatus {
            at: Some(self.clock.now()),
            counts,
            unknown_tokens,
            unknown_others,
            instruments: self.enricher.len(),
            stale: self.enricher.stale(),
            chains: self.enricher.chains(),
            ..PipelineStatus::new(self.source.clone(), self.sim)
        });
    }
}

// === impl Pipeline: health ===

impl Pipeline {
    fn push_health(&mut self, event: FeedEvent) {
        self.health_seq += 1;
        self.health.push_back(Arc::new(HealthRecord {
            source: self.source.clone(),
            seq: self.health_seq,
            ts_publish: self.clock.now(),
            sim: self.sim,
            event,
        }));
    }

    /// What an event says about values already known. Only the next tick makes them current again, or the end of what
    /// was a suspicion.
    fn mark_stale(&mut self, event: &FeedEvent) {
        use market_model::{DisconnectReason, GapCause, SubscriptionState};
        let now = self.clock.now();
        match event {
            FeedEvent::Reconnecting { connection, reason, .. }
            | FeedEvent::Disconnected { connection, reason, .. } => {
                let cause = match reason {
                    DisconnectReason::TokenRefused => StaleCause::TokenLost,
                    _ => StaleCause::Feed(GapCause::Disconnected),
                };
                self.mark_connections(|known| known == connection, None, cause, now);
            }
            FeedEvent::Gap(gap) => {
                // What arrived since the gap ended is good.
                let (cause, until) = (StaleCause::Feed(gap.cause), Some(gap.to));
                match &gap.tokens {
                    None => self.mark_connections(|known| *known == gap.connection, until, cause, now),
                    Some(tokens) => {
                        let connection = self.connection(&gap.connection);
                        for slot in tokens.iter().filter_map(|token| self.market.catalog().slot(*token)) {
                            self.enricher.mark_stale(
                                Concerns::Instrument(slot, connection),
                                until,
                                cause,
                                now,
                            );
                        }
                    }
                }
            }
            FeedEvent::Silent(silence) => {
                let cause = StaleCause::Feed(GapCause::Silent);
                self.mark_connections(|known| *known == silence.connection, None, cause, now);
            }
            FeedEvent::TokenLost(loss) => {
                self.mark_connections(
                    |known| known.account == loss.account,
                    None,
                    StaleCause::TokenLost,
                    now,
                );
            }
            FeedEvent::RateCollapse(collapse) => {
                let cause = StaleCause::RateCollapse;
                self.mark_connections(|known| *known == collapse.connection, None, cause, now);
            }
            FeedEvent::RateRestored { connection, .. } => {
                let connection = self.connection(connection);
                self.enricher.end_suspicion(connection, StaleCause::RateCollapse);
            }
            FeedEvent::Subscriptions { connection, changes } => {
                let connection = self.connection(connection);
                for change in changes {
                    let cause = match change.state {
                        SubscriptionState::Silent => StaleCause::TokenSilent,
                        SubscriptionState::Rejected => StaleCause::Rejected,
                        SubscriptionState::Removed => StaleCause::Unsubscribed,
                        _ => continue,
                    };
                    if let Some(slot) = self.market.catalog().slot(change.token) {
                        self.enricher.mark_stale(Concerns::Instrument(slot, connection), None, cause, now);
                    }
                }
            }
            _ => {}
        }
    }

    fn mark_connections(
        &mut self,
        which: impl Fn(&ConnectionId) -> bool,
        until: Option<UnixNanos>,
        cause: StaleCause,
        now: UnixNanos,
    ) {
        for (index, _) in (0..).zip(&self.connections).filter(|(_, known)| which(known)) {
            self.enricher.mark_stale(Concerns::Connection(index), until, cause, now);
        }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("source", &self.source)
            .field("sim", &self.sim)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
