//! Keeps the registry fresh: by the schedule, on demand, and again and again while it fails.

use std::sync::Arc;
use std::time::Duration;

use exchange_calendar::Calendar;
use market_model::{Clock, UnixNanos};
use resilience::{Backoff, BackoffConfig, TaskExit};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::intake::take_in;
use crate::registry::{Outcome, Request};
use crate::source::dump_channel;
use crate::{
    DiffReport, Due, DumpSource, Head, InstrumentHistory, IntakeLimits, Listing, Origin, RefreshFailure,
    RefreshRequests, Registry, RegistryError, RegistryMetrics, ScheduleConfig, compare, dump_day,
    next_refresh,
};

mod keep;

/// How dumps are fetched and judged.
#[derive(Debug, Clone, PartialEq)]
pub struct RefreshConfig {
    /// When.
    pub schedule: ScheduleConfig,
    /// What is believed.
    pub limits: IntakeLimits,
    /// Delays between tries that fail.
    pub backoff: BackoffConfig,
    /// A download that takes longer is given up.
    pub patience: Duration,
    /// The wall clock may be set at any time, so it is read again this often.
    pub look_again: Duration,
}

impl Default for RefreshConfig {
    /// The default schedule and limits; tries after 5 s, doubling to 10 minutes; two minutes for a download; the clock
    /// each minute.
    fn default() -> Self {
        let backoff = BackoffConfig {
            initial: Duration::from_secs(5),
            max: Duration::from_secs(600),
            ..BackoffConfig::default()
        };
        Self {
            schedule: ScheduleConfig::default(),
            limits: IntakeLimits::default(),
            backoff,
            patience: Duration::from_secs(120),
            look_again: Duration::from_secs(60),
        }
    }
}

/// The parts a [`Refresher`] is made of.
#[derive(Debug)]
pub struct RefresherParts<S, H, C> {
    /// Where listings go.
    pub registry: Registry,
    /// Who asks for one out of turn.
    pub requests: RefreshRequests,
    /// Where dumps come from.
    pub source: S,
    /// Where days are kept.
    pub history: H,
    /// Wall clock.
    pub clock: C,
    /// When exchanges trade, and when contracts end.
    pub calendar: Calendar,
    /// How.
    pub config: RefreshConfig,
    /// What is counted.
    pub metrics: RegistryMetrics,
}

/// The task behind a [`Registry`]. One per registry.
#[derive(Debug)]
pub struct Refresher<S, H, C> {
    registry: Registry,
    requests: mpsc::Receiver<Request>,
    source: S,
    history: H,
    clock: C,
    calendar: Calendar,
    config: RefreshConfig,
    metrics: RegistryMetrics,
    backoff: Backoff,
    /// No try on schedule before this moment.
    not_before: Option<Instant>,
    /// The listing that the store holds at that head, when this process knows.
    kept: Option<(Head, Arc<Listing>)>,
    /// A store that failed is tried again.
    keep_again: bool,
}

// === impl Refresher ===

impl<S: DumpSource, H: InstrumentHistory, C: Clock> Refresher<S, H, C> {
    /// Makes the task; [`Refresher::run`] runs it.
    pub fn new(parts: RefresherParts<S, H, C>) -> Self {
        let RefresherParts { registry, requests, source, history, clock, calendar, config, metrics } = parts;
        let backoff = Backoff::new(config.backoff, clock.now().0.unsigned_abs());
        let requests = requests.0;
        Self {
            registry,
            requests,
            source,
            history,
            clock,
            calendar,
            config,
            metrics,
            backoff,
            not_before: None,
            kept: None,
            keep_again: false,
        }
    }

    /// Restores the last stored day, then refreshes when a dump is due or asked for, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> TaskExit {
        let work = async {
            loop {
                self.turn().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => TaskExit::Cancelled,
            never = work => never,
        }
    }

    /// Waits for the next thing to do, at most [`RefreshConfig::look_again`], and does it.
    async fn turn(&mut self) {
        if self.registry.current().origin() == Origin::None {
            self.restore().await;
        } else if self.keep_again {
            self.keep().await;
        }
        let mut asked = Vec::new();
        if let Some(until) = self.rest() {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => asked.push(request),
                    // The registry is gone everywhere but here, which cannot be: this task holds one.
                    None => return sleep_until(until).await,
                },
                () = sleep_until(until) => return self.tell_age(),
            }
        }
        let outcome = self.refresh().await;
        while let Ok(request) = self.requests.try_recv() {
            asked.push(request);
        }
        for request in asked {
            // Whoever asked may have gone.
            let _ = request.send(outcome.clone());
        }
    }

    /// Until when there is nothing to do; `None` when a dump is due.
    fn rest(&mut self) -> Option<Instant> {
        let (now, now_waiting) = (self.clock.now(), Instant::now());
        let listing = self.registry.current();
        let last = (listing.origin() != Origin::None).then(|| listing.taken_at());
        let due = match next_refresh(now, &self.calendar, &self.config.schedule, last) {
            Due::Now => self.not_before.filter(|moment| *moment > now_waiting)?,
            Due::At(moment) => now_waiting + moment.saturating_since(now),
        };
        let next = now + due.saturating_duration_since(now_waiting);
        self.registry.tell(|status| status.next_refresh = Some(next));
        Some(due.min(now_waiting + self.config.look_again))
    }

    async fn refresh(&mut self) -> Outcome {
        let outcome = self.take().await;
        match &outcome {
            Ok(report) => {
                self.backoff.reset();
                self.not_before = None;
                self.keep().await;
                let listing = self.registry.current();
                self.metrics.refreshed.increment(1);
                let skipped = listing.skipped();
                self.metrics.skipped_rows.increment((skipped.unreadable + skipped.repeated) as u64);
                info!(
                    day = %report.day, listed = report.listed, new = report.new.rows, expired = report.expired.rows,
                    gone = report.gone.rows, changed = report.changed, unreadable = skipped.unreadable,
                    repeated = skipped.repeated, first_skipped = skipped.first, story = %report, "instruments refreshed"
                );
            }
            Err(reason) => {
                let delay = self.backoff.next();
                self.not_before = Some(Instant::now() + delay);
                let tries = self.backoff.attempt();
                let failed = match reason {
                    RegistryError::Fetch(_) => &self.metrics.unfetched,
                    _ => &self.metrics.refused,
                };
                failed.increment(1);
                let kept = self.registry.current();
                warn!(
                    %reason, tries, ?delay, kept_day = %kept.day(), kept = kept.catalog().len(), kept_from = kept.origin().as_str(),
                    "no new instruments, the last good ones stay"
                );
                let failure = RefreshFailure { reason: reason.clone(), at: self.clock.now(), tries };
                self.registry.tell(|status| status.failure = Some(failure));
            }
        }
        self.tell_age();
        outcome
    }

    /// Downloads, parses, judges and publishes one dump.
    async fn take(&self) -> Outcome {
        let taken_at = self.clock.now();
        let day = dump_day(taken_at, &self.config.schedule);
        let limits = self.config.limits.clone();
        let (mut writer, reader, seen) = dump_channel(limits.most_bytes);
        let (calendar, old) = (self.calendar.clone(), self.registry.current());
        // A whole dump takes tenths of a second: not on a thread that carries ticks.
        let parse = tokio::task::spawn_blocking(move || {
            let last = (!old.catalog().is_empty()).then(|| old.catalog().len());
            let rows = S::rows(reader).map_err(RegistryError::NotADump)?;
            let (catalog, skipped) = take_in(rows, &limits, &calendar, last)?;
            let new = Listing::new(day, Origin::Download, taken_at, catalog, skipped, &calendar);
            let report = DiffReport::new(&compare(old.catalog(), new.catalog()), &old, &new);
            Ok((Arc::new(new), Arc::new(report)))
        });
        let fetch = async {
            let fetched = timeout(self.config.patience, self.source.fetch(&mut writer)).await;
            let fetched =
                fetched.unwrap_or_else(|_| Err(format!("not done after {:?}", self.config.patience)));
            if fetched.is_ok() {
                writer.finish();
            } else {
                drop(writer);
            }
            fetched
        };
        let (fetched, parsed) = tokio::join!(fetch, parse);
        let parsed = parsed.map_err(|lost| RegistryError::Worker(lost.to_string()))?;
        let (listing, report) = match (fetched, parsed) {
            _ if seen.was_too_large() => {
                return Err(RegistryError::TooLarge { most: self.config.limits.most_bytes });
            }
            (Err(why), _) if !seen.was_refused() => return Err(RegistryError::Fetch(why)),
            (_, Err(why @ (RegistryError::NotADump(_) | RegistryError::TooMany { .. }))) => return Err(why),
            _ if !seen.is_whole() => return Err(RegistryError::CutOff { bytes: seen.bytes() }),
            (_, parsed) => parsed?,
        };
        self.publish(listing, report.clone());
        Ok(report)
    }

    fn publish(&self, listing: Arc<Listing>, report: Arc<DiffReport>) {
        let is_morning = report.previous.is_none_or(|previous| previous < report.day);
        self.registry.publish(listing);
        self.registry.tell(|status| {
            status.failure = None;
            if is_morning || status.morning.is_none() {
                status.morning = Some(report.clone());
            }
            status.latest = Some(report);
        });
    }

    fn tell_age(&self) {
        let now: UnixNanos = self.clock.now();
        let listing = self.registry.current();
        self.metrics.listed.set(listing.catalog().len() as f64);
        if listing.origin() != Origin::None {
            self.metrics.age.set(now.saturating_since(listing.taken_at()).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests;
