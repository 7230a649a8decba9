//! Drives the pipeline with recorded time, so that the same recording gives the same output to the last bit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{Clock, FeedEvent, InstrumentCatalog, ManualClock, UnixNanos};
use tick_pipeline::{Market, Output, Pipeline, PipelineConfig, PipelineMetrics};

use crate::error::RecordingError;
use crate::format::RecordedAccount;
use crate::reader::{Concerned, concerned};
use crate::replay::{ReplayStep, Step};

/// While nothing at all is recorded for longer than this, not even a heartbeat, nobody was running: time is skipped.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// One pipeline worker per recorded account, all on the time of the recording.
///
/// Work that falls due between two records is done at the instant it was due, so that batches are sealed as they
/// would have been, whatever the speed of the replay.
#[derive(Debug)]
pub struct PipelineReplay {
    config: PipelineConfig,
    accounts: Vec<RecordedAccount>,
    clock: Arc<ManualClock>,
    /// The recorded time that `zero`, a moment of the monotonic clock, stands for.
    start: Option<UnixNanos>,
    zero: Instant,
    market: Option<Market>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    account: Arc<str>,
    pipeline: Pipeline,
}

// === impl PipelineReplay ===

impl PipelineReplay {
    /// A replay into pipelines with `config`. `accounts` says whose prices are simulated; an account that is not
    /// named there is taken for a real one.
    pub fn new(config: PipelineConfig, accounts: Vec<RecordedAccount>) -> Self {
        Self {
            config,
            accounts,
            clock: Arc::new(ManualClock::default()),
            start: None,
            zero: Instant::now(),
            market: None,
            workers: Vec::new(),
        }
    }

    /// Takes one step and hands out what leaves the pipelines until then.
    ///
    /// # Errors
    /// [`RecordingError::NoInstruments`] when there are ticks before any instruments.
    pub fn take(&mut self, step: ReplayStep, mut each: impl FnMut(Output)) -> Result<(), RecordingError> {
        let ReplayStep { at, what } = step;
        self.advance(at, &mut each);
        match what {
            Step::Instruments(catalog) => self.set_catalog(catalog, at),
            Step::Event(event) => self.push(event, at)?,
        }
        self.hand_out(&mut each);
        Ok(())
    }

    /// Flushes every pipeline: the recording is at its end.
    pub fn finish(&mut self, mut each: impl FnMut(Output)) {
        let now = self.instant(self.clock.now());
        self.workers.iter_mut().for_each(|worker| worker.pipeline.flush(now));
        self.hand_out(&mut each);
    }

    /// The pipelines by account, in the order they first spoke.
    pub fn pipelines(&self) -> impl Iterator<Item = (&str, &Pipeline)> {
        self.workers.iter().map(|worker| (&*worker.account, &worker.pipeline))
    }

    /// Lets time pass until `at` and does what falls due meanwhile, in its order.
    fn advance(&mut self, at: UnixNanos, each: &mut impl FnMut(Output)) {
        let idle = at.saturating_since(self.clock.now()) > LONGEST_IDLE && self.start.is_some();
        let until = self.instant(if idle { self.clock.now() + LONGEST_IDLE } else { at });
        while let Some((due, worker)) = self.next_due()
            && due <= until
        {
            // Where time was skipped, what fell due meanwhile is done afterwards: the clock never runs backwards.
            let start = self.start.unwrap_or(at);
            let now = (start + due.saturating_duration_since(self.zero)).max(self.clock.now());
            let due = self.instant(now);
            self.clock.set(now);
            self.workers[worker].pipeline.poll(due);
            self.hand_out(each);
            // A pipeline that is due again at once would be polled for ever.
            if self.workers[worker].pipeline.next_poll().is_some_and(|next| next <= due) {
                break;
            }
        }
        self.clock.set(at.max(self.clock.now()));
    }

    fn next_due(&self) -> Option<(Instant, usize)> {
        let dues = self.workers.iter().enumerate();
        dues.filter_map(|(at, worker)| worker.pipeline.next_poll().map(|due| (due, at))).min()
    }

    fn set_catalog(&mut self, catalog: Arc<InstrumentCatalog>, at: UnixNanos) {
        let (market, now) = (Market::new(catalog), self.instant(at));
        for worker in &mut self.workers {
            worker.pipeline.set_catalog(market.clone(), now);
        }
        self.market = Some(market);
    }

    fn push(&mut self, event: FeedEvent, at: UnixNanos) -> Result<(), RecordingError> {
        if self.market.is_none() && matches!(event, FeedEvent::Ticks(_)) {
            return Err(RecordingError::NoInstruments);
        }
        let now = self.instant(at);
        let account = match concerned(&event) {
            Concerned::Connection(connection) => &*connection.account,
            Concerned::Account(account) => account,
        };
        let worker = match self.workers.iter().position(|worker| &*worker.account == account) {
            Some(worker) => worker,
            None => self.add_worker(account.into()),
        };
        let pipeline = &mut self.workers[worker].pipeline;
        pipeline.push(event, now);
        if pipeline.is_due(now) {
            pipeline.poll(now);
        }
        Ok(())
    }

    fn add_worker(&mut self, account: Arc<str>) -> usize {
        // A connection may stand before its instruments are known.
        let market = self.market.clone().unwrap_or_else(|| Market::new(Arc::default()));
        let simulated = self.accounts.iter().any(|known| known.name == account && known.simulated);
        let (config, clock) = (self.config.clone(), self.clock.clone());
        let metrics = PipelineMetrics::noop();
        let pipeline = Pipeline::new(config, account.clone(), simulated, market, clock, metrics);
        self.workers.push(Worker { account, pipeline });
        self.workers.len() - 1
    }

    fn hand_out(&mut self, each: &mut impl FnMut(Output)) {
        for worker in &mut self.workers {
            while let Some(output) = worker.pipeline.next_output() {
                each(output);
            }
        }
    }

    /// The monotonic moment that stands for the recorded time `at`.
    fn instant(&mut self, at: UnixNanos) -> Instant {
        let start = *self.start.get_or_insert_with(|| {
            self.clock.set(at);
            at
        });
        self.zero + at.saturating_since(start)
    }
}
