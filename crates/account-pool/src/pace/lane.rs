//! The queue before one set of limits: first come, first served, bounded, and nobody waits past a deadline.
//!
//! There is no task behind it. Whoever is at the front of the queue keeps the time; when the front leaves, the next one
//! is woken to do so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::{Clock, UnixNanos};
use resilience::{Backoff, BackoffConfig};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::window::{Limit, Window};
use super::{PaceClass, PaceError};
use crate::metrics::{PaceMetrics, RefusedBy};

/// A broker that asks for a longer pause than this is not believed.
const MOST_PAUSE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
pub(super) struct LaneConfig {
    pub(super) class: PaceClass,
    pub(super) max_waiting: usize,
    pub(super) backoff: BackoffConfig,
}

/// One queue before up to eight limits. A caller says by a bit mask which of them it is subject to.
pub(super) struct Lane {
    config: LaneConfig,
    clock: Arc<dyn Clock>,
    metrics: PaceMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    windows: Vec<Window>,
    queue: VecDeque<Waiter>,
    /// Grants that their waiter has not picked up yet.
    granted: HashMap<u64, Grant>,
    next_ticket: u64,
    in_flight: usize,
    /// What the front of the queue sleeps for.
    wake_at: Option<Instant>,
    closed_until: Option<Instant>,
    /// Grants before this moment were made before the broker complained.
    closed_at: Option<Instant>,
    backoff: Backoff,
    throttled: u64,
}

struct Waiter {
    ticket: u64,
    mask: u8,
    since: Instant,
    signal: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Grant {
    at: Instant,
    wall: UnixNanos,
    mask: u8,
}

/// Leave to make one call now. It counts as in flight until it is dropped.
#[must_use = "the call counts as in flight until the permit is dropped"]
pub struct Permit {
    lane: Arc<Lane>,
    grant: Grant,
}

/// How busy one class of one account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStatus {
    /// Calls that count against the first limit now.
    pub used: u32,
    /// That limit.
    pub most: u32,
    /// Calls under way.
    pub in_flight: usize,
    /// Callers waiting.
    pub waiting: usize,
    /// How long the class is still left alone because the broker complained.
    pub paused_for: Option<Duration>,
    /// How often the broker complained.
    pub throttled: u64,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(
        config: LaneConfig,
        limits: Vec<Limit>,
        clock: Arc<dyn Clock>,
        metrics: PaceMetrics,
    ) -> Self {
        let inner = Inner {
            windows: limits.into_iter().take(8).map(Window::new).collect(),
            queue: VecDeque::new(),
            granted: HashMap::new(),
            next_ticket: 0,
            in_flight: 0,
            wake_at: None,
            closed_until: None,
            closed_at: None,
            backoff: Backoff::new(config.backoff, config.class as u64),
            throttled: 0,
        };
        Self { config, clock, metrics, inner: Mutex::new(inner) }
    }

    pub(super) async fn acquire(lane: &Arc<Self>, mask: u8, deadline: Instant) -> Result<Permit, PaceError> {
        let place = Place::join(lane, mask, deadline)?;
        loop {
            let wake = match place.look(deadline)? {
                Look::Granted(permit) => return Ok(permit),
                Look::Wait(wake) => wake,
            };
            tokio::select! {
                () = place.signal.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    pub(super) fn status(&self, now: Instant) -> LaneStatus {
        let inner = self.lock();
        LaneStatus {
            used: inner.windows.first().map_or(0, |window| window.used(now)),
            most: inner.windows.first().map_or(0, Window::most),
            in_flight: inner.in_flight,
            waiting: inner.queue.len(),
            paused_for: inner.closed_until.filter(|until| *until > now).map(|until| until - now),
            throttled: inner.throttled,
        }
    }

    /// How long a caller subject to the first limit would wait.
    pub(super) fn wait_now(&self, now: Instant) -> Duration {
        let inner = self.lock();
        inner.estimate(1, inner.queue.len(), now) - now
    }

    /// Hands slots to those who wait, then makes sure that the front of the queue keeps the right time.
    fn dispatch(&self, inner: &mut Inner, now: Instant) {
        let front = inner.front();
        let wake = inner.grant_ready(now, self.clock.now(), &self.metrics);
        self.metrics.in_flight.set(inner.in_flight as f64);
        self.metrics.waiting.set(inner.queue.len() as f64);
        // A new front has slept without a time of its own.
        if inner.wake_at != wake || inner.front() != front {
            inner.wake_at = wake;
            inner.wake_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("class", &self.config.class).finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// Grants from the front of the queue; answers when it is worth looking again. A later caller passes an earlier one
    /// only where the earlier one waits for a limit that the later one is not subject to.
    fn grant_ready(&mut self, now: Instant, wall: UnixNanos, metrics: &PaceMetrics) -> Option<Instant> {
        if self.queue.is_empty() {
            return None;
        }
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Some(until);
        }
        let (mut blocked, mut wake, mut index) = (0_u8, None::<Instant>, 0);
        while let Some(waiter) = self.queue.get(index) {
            let mask = waiter.mask;
            if mask & blocked != 0 {
                index += 1;
                continue;
            }
            let mut ready_at = None;
            for (bit, window) in self.windows.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0) {
                if let Some(until) = window.blocked_until(now, wall) {
                    blocked |= 1 << bit;
                    ready_at = ready_at.max(Some(until));
                }
            }
            if let Some(ready_at) = ready_at {
                wake = Some(wake.map_or(ready_at, |wake| wake.min(ready_at)));
                index += 1;
            } else if let Some(waiter) = self.queue.remove(index) {
                for (bit, window) in self.windows.iter_mut().enumerate() {
                    if mask & (1 << bit) != 0 {
                        window.grant(now, wall);
                    }
                }
                self.in_flight += 1;
                self.granted.insert(waiter.ticket, Grant { at: now, wall, mask });
                metrics.granted.increment(1);
                metrics.wait.record(now.saturating_duration_since(waiter.since).as_secs_f64());
                waiter.signal.notify_one();
            }
        }
        wake
    }

    fn give_back(&mut self, grant: Grant) {
        for (bit, window) in self.windows.iter_mut().enumerate() {
            if grant.mask & (1 << bit) != 0 {
                window.give_back(grant.at, grant.wall);
            }
        }
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// When the caller that is `ahead` behind the front gets its turn, if nobody gives up.
    fn estimate(&self, mask: u8, ahead: usize, now: Instant) -> Instant {
        let mut at = self.closed_until.map_or(now, |until| until.max(now));
        for (bit, window) in self.windows.iter().enumerate() {
            if mask & (1 << bit) != 0 {
                at = at.max(window.estimate(ahead, now));
            }
        }
        at
    }

    fn front(&self) -> Option<u64> {
        self.queue.front().map(|waiter| waiter.ticket)
    }

    fn wake_front(&self) {
        if let Some(front) = self.queue.front() {
            front.signal.notify_one();
        }
    }
}

// === places in the queue ===

enum Look {
    Granted(Permit),
    Wait(Instant),
}

/// A place in the queue; leaving it is dropping it.
struct Place<'a> {
    lane: &'a Arc<Lane>,
    ticket: u64,
    signal: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn join(lane: &'a Arc<Lane>, mask: u8, deadline: Instant) -> Result<Self, PaceError> {
        let class = lane.config.class;
        let now = Instant::now();
        let mut inner = lane.lock();
        let waiting = inner.queue.len();
        if waiting >= lane.config.max_waiting.max(1) {
            lane.metrics.refused(RefusedBy::Queue);
            return Err(PaceError::TooManyWaiting { class, waiting });
        }
        let turn = inner.estimate(mask, waiting, now);
        if turn > deadline || now > deadline {
            lane.metrics.refused(RefusedBy::Deadline);
            return Err(PaceError::TooLate { class, wait: turn - now });
        }
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        let signal = Arc::new(Notify::new());
        inner.queue.push_back(Waiter { ticket, mask, since: now, signal: Arc::clone(&signal) });
        lane.dispatch(&mut inner, now);
        drop(inner);
        Ok(Self { lane, ticket, signal })
    }

    fn look(&self, deadline: Instant) -> Result<Look, PaceError> {
        let now = Instant::now();
        let mut inner = self.lane.lock();
        self.lane.dispatch(&mut inner, now);
        if let Some(grant) = inner.granted.remove(&self.ticket) {
            return Ok(Look::Granted(Permit { lane: Arc::clone(self.lane), grant }));
        }
        let at_front = inner.queue.front().is_some_and(|front| front.ticket == self.ticket);
        let wake = inner.wake_at.filter(|_| at_front).unwrap_or(deadline);
        // The front knows its time exactly; the others only know that they had none by their deadline. The time kept
        // may be that of one further back, which is the earlier one.
        if now >= deadline {
            self.lane.metrics.refused(RefusedBy::Deadline);
            let wait = inner.wake_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
            return Err(PaceError::TooLate { class: self.lane.config.class, wait });
        }
        Ok(Look::Wait(wake.min(deadline)))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.lane.lock();
        let inner = &mut *inner;
        if let Some(grant) = inner.granted.remove(&self.ticket) {
            // Granted, but the caller went away before it knew.
            inner.give_back(grant);
        } else if let Some(index) = inner.queue.iter().position(|waiter| waiter.ticket == self.ticket) {
            inner.queue.remove(index);
        } else {
            return;
        }
        // Somebody else must keep the time now, whatever it is.
        self.lane.dispatch(inner, Instant::now());
        inner.wake_front();
    }
}

// === impl Permit ===

impl Permit {
    /// The call was answered, and not with "too many requests".
    pub fn answered(&self) {
        let mut inner = self.lane.lock();
        if inner.closed_at.is_none_or(|closed_at| self.grant.at > closed_at) {
            inner.backoff.reset();
        }
    }

    /// The broker said "too many requests": the class is left alone for a while, longer each time in a row.
    /// `retry_after` is what the broker asked for, if it did.
    pub fn too_many_requests(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut inner = self.lane.lock();
        inner.throttled += 1;
        self.lane.metrics.throttled.increment(1);
        // Calls sent together are refused together; that is one complaint.
        let known = inner.closed_at.is_some_and(|closed_at| self.grant.at <= closed_at);
        let pause = if known { Duration::ZERO } else { inner.backoff.next() };
        let pause = pause.max(retry_after.unwrap_or_default().min(MOST_PAUSE));
        inner.closed_at = inner.closed_at.max(Some(now));
        inner.closed_until = inner.closed_until.max(Some(now + pause));
        self.lane.dispatch(&mut inner, now);
    }

    /// When the slot was given.
    pub const fn granted_at(&self) -> Instant {
        self.grant.at
    }

    /// The call was never sent: its slot is free again.
    pub(crate) fn unused(self) {
        let mut inner = self.lane.lock();
        inner.give_back(self.grant);
        // What the drop takes off.
        inner.in_flight += 1;
        self.lane.dispatch(&mut inner, Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.lane.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        self.lane.metrics.in_flight.set(inner.in_flight as f64);
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("class", &self.lane.config.class).finish_non_exhaustive()
    }
}
