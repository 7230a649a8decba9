//! The faults of a running simulator: waiting, active and over, with what each has done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::{Clock, UnixNanos};
use tokio::sync::watch;

use crate::SimError;
use crate::accounts::Accounts;
use crate::clock::SimClock;
use crate::fault::{Door, Fault, FaultId, FaultPlan, Target};
use crate::random::Stream;

/// Faults that may wait or be active at a time; a script for days of soak stays below.
const MOST: usize = 10_000;
/// Faults that are over and still listed; the oldest go first.
const REMEMBERED: usize = 1_000;

/// The faults of a simulator: adds, lists and takes them back. Clones are the same list.
#[derive(Debug, Clone)]
pub struct Faults {
    inner: Arc<Inner>,
}

/// A fault as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultReport {
    /// Its name.
    pub id: FaultId,
    /// What was handed in.
    pub plan: FaultPlan,
    /// Where it stands.
    pub state: FaultState,
    /// When it begins or began, in simulated time.
    pub since: UnixNanos,
    /// When it will end or ended; `None` while nobody knows.
    pub until: Option<UnixNanos>,
    /// What it did.
    pub did: FaultCounts,
}

/// Where a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultState {
    /// Its time has not come.
    Waiting,
    /// At work.
    Active,
    /// Ended, used up, taken back, or done at once.
    Over,
}

/// What a fault did. What it has no say in stays 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Ticker connections it touched.
    pub connections: u64,
    /// Requests, handshakes and accepted sockets it touched.
    pub requests: u64,
    /// Frames it changed, added or kept back.
    pub frames: u64,
    /// Packets it changed, added or kept back; those behind a damaged place included.
    pub packets: u64,
    /// Text frames it changed, added or kept back.
    pub texts: u64,
}

/// A fault whose time has come.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: FaultId,
    pub(crate) plan: FaultPlan,
    /// Random numbers of this fault.
    pub(crate) stream: Stream,
    pub(crate) did: Counters,
    /// Counts beginnings; connections remember how far they have looked.
    order: u64,
    since: UnixNanos,
    /// The connections that were there, when only those are meant.
    present: Option<BTreeSet<u64>>,
    used: AtomicU32,
}

/// What a fault did so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) packets: AtomicU64,
    pub(crate) texts: AtomicU64,
}

/// A ticker connection as faults know it.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) number: u64,
    pub(crate) api_key: Arc<str>,
}

/// What a connection has to do and to bear.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) lasting: Vec<Arc<Active>>,
    pub(crate) once: Vec<Arc<Active>>,
    /// For the next call.
    pub(crate) order: u64,
}

#[derive(Debug)]
struct Inner {
    clock: SimClock,
    stream: Stream,
    accounts: Arc<Mutex<Accounts>>,
    state: Mutex<State>,
    /// Counts changes, so that connections need no lock while nothing changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    added: u64,
    begun: u64,
    waiting: Vec<(FaultId, UnixNanos, FaultPlan)>,
    active: Vec<Arc<Active>>,
    over: VecDeque<(Arc<Active>, UnixNanos)>,
    connections: BTreeMap<u64, Arc<str>>,
    restart: Option<Duration>,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(clock: SimClock, stream: Stream, accounts: Arc<Mutex<Accounts>>) -> Self {
        let (changed, _) = watch::channel(0);
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { clock, stream, accounts, state, changed }) }
    }

    /// Hands in a fault. When it begins at once it has begun when this returns.
    ///
    /// # Errors
    /// [`SimError::Fault`] when the plan makes no sense or there are too many.
    pub fn add(&self, plan: FaultPlan) -> Result<FaultId, SimError> {
        self.add_all(vec![plan]).map(|ids| ids[0])
    }

    /// Hands in several faults: all of them or, on an error, none.
    ///
    /// # Errors
    /// As [`Faults::add`].
    pub fn add_all(&self, plans: Vec<FaultPlan>) -> Result<Vec<FaultId>, SimError> {
        let refuse = |problem: String| SimError::Fault { place: "fault".to_owned(), problem };
        for plan in &plans {
            plan.check().map_err(refuse)?;
        }
        let now = self.inner.clock.now();
        let mut state = self.state();
        if state.waiting.len() + state.active.len() + plans.len() > MOST {
            return Err(refuse(format!("{MOST} faults wait or are active: take some back first")));
        }
        let mut ids = Vec::with_capacity(plans.len());
        for plan in plans {
            state.added += 1;
            let id = FaultId(state.added);
            state.waiting.push((id, now + plan.at, plan));
            ids.push(id);
        }
        self.advance_locked(&mut state, now);
        Ok(ids)
    }

    /// Ends a fault or keeps it from beginning; `false` when it is over or never was.
    pub fn remove(&self, id: FaultId) -> bool {
        let now = self.inner.clock.now();
        let mut state = self.state();
        let waiting = state.waiting.len();
        state.waiting.retain(|(other, ..)| *other != id);
        let removed = state.waiting.len() < waiting;
        let ended = self.end(&mut state, now, |active| active.id == id);
        removed || ended
    }

    /// Ends every fault and forgets those that wait.
    pub fn clear(&self) {
        let now = self.inner.clock.now();
        let mut state = self.state();
        state.waiting.clear();
        self.end(&mut state, now, |_| true);
    }

    /// Every fault that waits or is active, and the latest thousand that are over, in the order of their names.
    pub fn list(&self) -> Vec<FaultReport> {
        self.advance();
        let state = self.state();
        let waiting = state.waiting.iter().map(|(id, since, plan)| FaultReport {
            id: *id,
            plan: plan.clone(),
            state: FaultState::Waiting,
            since: *since,
            until: plan.lasts.map(|lasts| *since + lasts),
            did: FaultCounts::default(),
        });
        let active = state.active.iter().map(|active| active.report(FaultState::Active, active.until()));
        let over = state.over.iter().map(|(active, end)| active.report(FaultState::Over, Some(*end)));
        let mut all: Vec<FaultReport> = waiting.chain(active).chain(over).collect();
        all.sort_by_key(|report| report.id);
        all
    }

    /// The fault named `id`, unless it is so long over that it was forgotten.
    pub fn get(&self, id: FaultId) -> Option<FaultReport> {
        self.list().into_iter().find(|report| report.id == id)
    }

    /// The ticker connections that are open, with their api keys, oldest first.
    pub fn connections(&self) -> Vec<(u64, String)> {
        self.state().connections.iter().map(|(number, api_key)| (*number, api_key.to_string())).collect()
    }

    /// Begins and ends what is due.
    pub(crate) fn advance(&self) {
        let now = self.inner.clock.now();
        self.advance_locked(&mut self.state(), now);
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// A connection was admitted. Returns where its [`Faults::orders`] begin.
    pub(crate) fn opened(&self, who: &Who) -> u64 {
        let mut state = self.state();
        state.connections.insert(who.number, Arc::clone(&who.api_key));
        state.begun
    }

    pub(crate) fn closed(&self, number: u64) {
        self.state().connections.remove(&number);
    }

    /// What `who` has to bear now, and to do that began after `order`.
    pub(crate) fn orders(&self, who: &Who, order: u64) -> Orders {
        let state = self.state();
        let lasting = state.active.iter().filter(|active| active.concerns(who));
        let once = state
            .over
            .iter()
            .map(|(active, _)| active)
            .filter(|active| active.plan.fault.is_once() && active.order > order && active.concerns(who));
        Orders { lasting: lasting.cloned().collect(), once: once.cloned().collect(), order: state.begun }
    }

    /// What lies in wait at `door` for a request of `api_key` to `path`, each counted as met.
    pub(crate) fn at_door(&self, door: Door, api_key: Option<&str>, path: &str) -> Vec<Arc<Active>> {
        self.advance();
        let mut state = self.state();
        let met: Vec<Arc<Active>> = state
            .active
            .iter()
            .filter(|active| active.is_at(door, api_key, path) && active.claim())
            .cloned()
            .collect();
        for active in &met {
            active.did.requests.fetch_add(1, Ordering::Relaxed);
        }
        if !met.is_empty() {
            self.advance_locked(&mut state, self.inner.clock.now());
        }
        met
    }

    /// How long the server shall be gone, when it shall.
    pub(crate) fn take_restart(&self) -> Option<Duration> {
        self.state().restart.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance_locked(&self, state: &mut State, now: UnixNanos) {
        self.end(state, now, |active| active.is_over(now));
        let mut due: Vec<_> = state.waiting.extract_if(.., |(_, since, _)| *since <= now).collect();
        // Of those that begin together the one handed in first is first.
        due.sort_by_key(|(id, since, _)| (*since, *id));
        for (id, since, plan) in due {
            self.begin(state, id, since, plan);
        }
    }

    fn begin(&self, state: &mut State, id: FaultId, since: UnixNanos, plan: FaultPlan) {
        tracing::info!(fault = id.0, what = ?plan.fault, target = ?plan.target, "fault begins");
        state.begun += 1;
        let active = Arc::new(Active {
            id,
            stream: self.inner.stream.child(id.0),
            did: Counters::default(),
            order: state.begun,
            since,
            present: plan.present.then(|| state.connections.keys().copied().collect()),
            used: AtomicU32::new(0),
            plan,
        });
        match &active.plan.fault {
            Fault::ExpireToken => {
                let api_key = match &active.plan.target {
                    Target::ApiKey(api_key) => Some(api_key.as_str()),
                    _ => None,
                };
                self.accounts().expire(api_key, id);
            }
            Fault::Restart { down } => {
                let touched = state.connections.len() as u64;
                active.did.connections.fetch_add(touched, Ordering::Relaxed);
                state.restart = Some(*down);
            }
            _ => {}
        }
        match active.plan.fault.is_once() {
            true => state.remember(active, since),
            false => state.active.push(active),
        }
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Ends the active faults that `which` picks.
    fn end(&self, state: &mut State, now: UnixNanos, which: impl Fn(&Active) -> bool) -> bool {
        let ended: Vec<_> = state.active.extract_if(.., |active| which(active)).collect();
        let any = !ended.is_empty();
        for active in ended {
            tracing::info!(fault = active.id.0, "fault ends");
            if active.plan.fault == Fault::ExpireToken {
                self.accounts().restore(active.id);
            }
            let end = active.until().map_or(now, |until| until.min(now));
            state.remember(active, end);
        }
        if any {
            self.inner.changed.send_modify(|count| *count += 1);
        }
        any
    }
}

// === impl State ===

impl State {
    fn remember(&mut self, active: Arc<Active>, end: UnixNanos) {
        if self.over.len() == REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back((active, end));
    }
}

// === impl Active ===

impl Active {
    /// Takes one of its times; `false` when they are used up.
    pub(crate) fn claim(&self) -> bool {
        let Some(times) = self.plan.times else { return true };
        let take = |used: u32| (used < times).then_some(used + 1);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Whether its times are used up.
    pub(crate) fn is_used_up(&self) -> bool {
        self.plan.times.is_some_and(|times| self.used.load(Ordering::Acquire) >= times)
    }

    fn concerns(&self, who: &Who) -> bool {
        let target = match &self.plan.target {
            Target::All => true,
            Target::ApiKey(api_key) => **api_key == *who.api_key,
            Target::Connection(number) => *number == who.number,
        };
        target
            && self.plan.fault.concerns_connections()
            && self.present.as_ref().is_none_or(|present| present.contains(&who.number))
    }

    fn is_at(&self, at: Door, api_key: Option<&str>, path: &str) -> bool {
        let here = match &self.plan.fault {
            Fault::Delay { door, .. } => *door == at,
            Fault::Refuse { door, path: begin, .. } => {
                *door == at && begin.as_ref().is_none_or(|begin| path.starts_with(begin.as_str()))
            }
            _ => false,
        };
        here && match &self.plan.target {
            Target::ApiKey(wanted) => api_key == Some(wanted.as_str()),
            _ => true,
        }
    }

    /// Faults of sockets hold on to theirs when their times are used up; the others end.
    fn is_over(&self, now: UnixNanos) -> bool {
        let holds_on = matches!(self.plan.fault, Fault::Mute | Fault::NoPong | Fault::HalfOpen);
        self.until().is_some_and(|until| until <= now) || (!holds_on && self.is_used_up())
    }

    fn until(&self) -> Option<UnixNanos> {
        self.plan.lasts.map(|lasts| self.since + lasts)
    }

    fn report(&self, state: FaultState, until: Option<UnixNanos>) -> FaultReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let did = FaultCounts {
            connections: read(&self.did.connections),
            requests: read(&self.did.requests),
            frames: read(&self.did.frames),
            packets: read(&self.did.packets),
            texts: read(&self.did.texts),
        };
        FaultReport { id: self.id, plan: self.plan.clone(), state, since: self.since, until, did }
    }
}

// === impl FaultState ===

impl FaultState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Over => "over",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
