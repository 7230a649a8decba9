//! From ticks to snapshots: the newest state per instrument, a forward per expiry, Greeks per option.

mod chain;
mod config;
mod forward;
mod live;
mod quote;
mod refresh;
mod solve;
mod staleness;

use std::collections::VecDeque;
use std::time::Instant;

use market_model::{InstrumentSlot, Tick, UnderlyingId, UnixNanos};
use option_greeks::ParityQuote;
use rustc_hash::FxHashMap;

use crate::market::Market;
use crate::snapshot::{ForwardSource, GreeksState, NoGreeks, Snapshot, SnapshotCause};
use crate::validate::ValidTick;
use chain::{Chain, NONE};
use live::{Live, Role, Shown, Value};
use quote::Quote;
use solve::Solver;

pub use config::EnrichmentConfig;
pub use forward::ForwardHysteresis;
pub(crate) use live::{ConnectionIndex, has_derivatives};
pub use quote::SpreadRule;
pub(crate) use staleness::Concerns;

/// The forward one chain is priced on, for people to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainStatus {
    /// The name its derivatives carry.
    pub underlying: Box<str>,
    /// The day it ends.
    pub expiry: market_model::Expiry,
    /// The forward in use.
    pub forward: Option<f64>,
    /// Where it came from.
    pub source: Option<ForwardSource>,
    /// Whether what it came from is not current.
    pub stale: bool,
    /// Standard error of this worker's own parity forward, when it has one.
    pub parity_error: Option<f64>,
    /// How many strikes that parity forward stands on; zero without one.
    pub parity_strikes: usize,
}

/// What one [`Enricher::refresh`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Strikes that were solved or refused.
    pub strikes: usize,
    /// Whole chains among them.
    pub chains: usize,
}

/// Keeps the newest state of every instrument that ticks and computes what depends on several of them.
///
/// [`apply`](Self::apply) is cheap and called per tick; [`refresh`](Self::refresh) does the arithmetic for
/// everything that changed since, and [`drain`](Self::drain) hands out what is to be published.
#[derive(Debug)]
pub struct Enricher {
    config: EnrichmentConfig,
    market: Market,
    /// By slot: position in `live`, or `NONE`.
    index: Vec<u32>,
    live: Vec<Live>,
    /// By the same positions.
    values: Vec<Value>,
    pending: Vec<u32>,
    chains: Vec<Chain>,
    chains_of: FxHashMap<UnderlyingId, Vec<u32>>,
    queued: Vec<u32>,
    /// Every chain, the one that was looked through longest ago first.
    turns: VecDeque<u32>,
    /// Spots and futures of this worker, which it vouches for on the board.
    anchors: Vec<u32>,
    moved_anchors: Vec<u32>,
    last_vouched: Option<Instant>,
    /// Twice the number of refreshes.
    round: u32,
    stale: usize,
    conflated: u64,
    ticks_pending: u64,
    solver: Solver,
    rows: Vec<u32>,
    /// Options whose other side of the strike became stale or current.
    turned: Vec<u32>,
    parity_quotes: Vec<ParityQuote>,
}

// === impl Enricher ===

impl Enricher {
    /// Knows nothing yet.
    pub fn new(config: EnrichmentConfig, market: Market) -> Self {
        Self {
            config,
            index: vec![NONE; market.catalog().len()],
            market,
            live: Vec::new(),
            values: Vec::new(),
            pending: Vec::new(),
            chains: Vec::new(),
            chains_of: FxHashMap::default(),
            queued: Vec::new(),
            turns: VecDeque::new(),
            anchors: Vec::new(),
            moved_anchors: Vec::new(),
            last_vouched: None,
            round: 0,
            stale: 0,
            conflated: 0,
            ticks_pending: 0,
            solver: Solver::default(),
            rows: Vec::new(),
            turned: Vec::new(),
            parity_quotes: Vec::new(),
        }
    }

    /// Takes another catalog: instruments listed in both keep their state and chains their forward, the others are
    /// forgotten, and every chain is computed anew at the next refresh.
    pub fn set_market(&mut self, market: Market) {
        let mut old = std::mem::replace(self, Self::new(self.config.clone(), market));
        (self.conflated, self.round) = (old.conflated, old.round);
        for (before, value) in old.live.into_iter().zip(old.values) {
            let Some(slot) = self.market.catalog().slot(value.tick.token) else {
                continue;
            };
            let at = self.admit(slot, &value.tick, before.ts_recv, before.connection);
            self.values[at].greeks = value.greeks;
            (self.live[at].shown, self.live[at].shown_in) = (before.shown, before.shown_in);
            self.live[at].forward_stale = before.forward_stale;
            self.live[at].leg_stale = before.leg_stale;
            if let Some(from) = old.chains.get_mut(before.chain as usize)
                && let Some(to) = self.chains.get_mut(self.live[at].chain as usize)
            {
                to.inherit(from);
            }
            self.spread(at, &value.tick);
            if let Some((cause, since)) = before.stale {
                self.make_stale(at, cause, since);
            }
            // A reload is no reason to publish: only what waited before waits on.
            self.live[at].pending = before.pending;
            self.live[at].tick_count = before.tick_count;
        }
        self.ticks_pending = self.live.iter().filter(|live| live.tick_count > 0).count() as u64;
        let waits = |at: &u32| self.live[*at as usize].pending.is_some();
        self.pending = (0..self.live.len() as u32).filter(waits).collect();
    }

    /// How many instruments have ticked.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// How many of them have a value that is not current.
    pub fn stale(&self) -> usize {
        self.stale
    }

    /// How many ticks were replaced by a newer one of the same instrument before they were handed out.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    /// How many ticks will be shown by what is handed out next.
    pub fn ticks_pending(&self) -> u64 {
        self.ticks_pending
    }

    /// How many wait to be published.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The newest state of one instrument; Greeks as of the last refresh.
    pub fn snapshot(&self, slot: InstrumentSlot) -> Option<Snapshot> {
        let at = self.position(slot)?;
        let live = &self.live[at];
        Some(live.snapshot(&self.values[at], live.pending.unwrap_or(SnapshotCause::Tick)))
    }

    /// Whether the instrument waits to be published already.
    pub(crate) fn is_pending(&self, slot: InstrumentSlot) -> bool {
        self.position(slot).is_some_and(|at| self.live[at].pending.is_some())
    }

    /// When a refresh is due though nothing ticks: every chain has its turn once per refresh interval.
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        let vouch = self.last_vouched.filter(|_| !self.anchors.is_empty());
        let turn = |last: Instant| last + self.config.refresh_interval;
        // A chain that never had its turn was left over by the last refresh, and is due since.
        let first = self.turns.front().map(|at| self.chains[*at as usize].looked_at);
        let chain = first.and_then(|looked_at| looked_at.map_or(self.last_vouched, |last| Some(turn(last))));
        [vouch.map(turn), chain].into_iter().flatten().min()
    }

    /// Reads once what the ticks of a frame will need, so that the waits for memory overlap instead of adding up.
    pub(crate) fn fetch(&self, slots: &[Option<InstrumentSlot>]) {
        let mut seen = 0;
        for at in slots.iter().flatten().filter_map(|slot| self.position(*slot)) {
            let live = &self.live[at];
            seen |= live.tick_count | self.values[at].fetch();
            if let Role::Option { row, .. } = live.role {
                // Greeks are written to both options of the strike.
                for (_, leg) in self.chains[live.chain as usize].live(row as usize) {
                    let (live, value) = (self.live.get(leg as usize), self.values.get(leg as usize));
                    seen |= live.map_or(0, |live| live.tick_count);
                    seen |= value.map_or(0, |value| u32::from(value.greeks == GreeksState::NotAnOption));
                }
            }
        }
        std::hint::black_box(seen);
    }

    /// Takes a tick that arrived on the `connection`-th of the caller's connections; it is current now whatever was
    /// said before.
    pub fn apply(&mut self, tick: &ValidTick<'_>, ts_recv: UnixNanos, connection: u16) {
        let at = match self.position(tick.slot()) {
            Some(at) => at,
            None => self.admit(tick.slot(), tick.tick(), ts_recv, connection),
        };
        self.values[at].tick = *tick.tick();
        let live = &mut self.live[at];
        live.ts_recv = ts_recv;
        live.connection = connection;
        if live.stale.take().is_some() {
            self.stale -= 1;
        }
        live.tick_count += 1;
        if live.tick_count == 1 {
            self.ticks_pending += 1;
        } else {
            self.conflated += 1;
        }
        self.spread(at, tick.tick());
        self.want(at, SnapshotCause::Tick);
    }

    /// Computes everything that depends on what arrived since the last call, and looks through those chains whose turn
    /// it is, as far as [`EnrichmentConfig::refresh_strikes`] allows. `now` must not run backwards; `wall` is the
    /// time that expiry is counted from.
    pub fn refresh(&mut self, now: Instant, wall: UnixNanos) -> Refreshed {
        let interval = self.config.refresh_interval;
        self.round = self.round.wrapping_add(2);
        let all = self.last_vouched.is_none_or(|last| now.saturating_duration_since(last) >= interval);
        if all {
            self.last_vouched = Some(now);
        }
        self.vouch(all, wall);
        let mut refreshed = Refreshed::default();
        self.take_turns(now, wall, &mut refreshed);
        let mut queued = std::mem::take(&mut self.queued);
        for at in queued.drain(..) {
            if self.chains[at as usize].queued {
                self.refresh_chain(at as usize, false, now, wall, &mut refreshed);
            }
        }
        self.queued = queued;
        refreshed
    }

    /// Hands out what is to be published, in the order it became pending, each instrument once.
    pub fn drain(&mut self, mut each: impl FnMut(Snapshot)) {
        self.ticks_pending = 0;
        for at in self.pending.drain(..) {
            let (live, value) = (&mut self.live[at as usize], &self.values[at as usize]);
            if let Some(cause) = live.pending.take() {
                live.shown = Shown::of(&value.greeks);
                live.shown_in = self.round.wrapping_add(u32::from(cause == SnapshotCause::Tick));
                each(live.snapshot(value, cause));
                live.tick_count = 0;
            }
        }
    }

    /// The forward of every chain this worker sees.
    pub fn chains(&self) -> Vec<ChainStatus> {
        let status = |chain: &Chain| {
            let underlying = self.market.catalog().underlying(chain.underlying);
            let forward = chain.choice.current();
            let own = chain.parity.offer.is_some();
            ChainStatus {
                underlying: underlying.name.clone(),
                expiry: underlying.chains[chain.position].expiry,
                forward: forward.map(|forward| forward.value),
                source: forward.map(|forward| forward.source),
                stale: forward.is_some_and(|forward| forward.stale),
                parity_error: own.then_some(chain.parity.std_error),
                parity_strikes: if own { chain.parity.strikes_used } else { 0 },
            }
        };
        self.chains.iter().map(status).collect()
    }
}

// === impl Enricher: instruments ===

impl Enricher {
    fn position(&self, slot: InstrumentSlot) -> Option<usize> {
        self.index.get(slot.index()).filter(|at| **at != NONE).map(|at| *at as usize)
    }

    fn admit(&mut self, slot: InstrumentSlot, tick: &Tick, ts_recv: UnixNanos, connection: u16) -> usize {
        let role = Role::of(self.market.catalog(), slot);
        let at = self.live.len();
        self.index[slot.index()] = at as u32;
        let mut local = NONE;
        let greeks = match role {
            Role::Option { underlying, chain, row, side } => {
                let chain = self.chain_of(underlying, chain as usize);
                self.chains[chain].admit(row as usize, side, at as u32);
                local = chain as u32;
                GreeksState::Absent(NoGreeks::NoForward)
            }
            Role::Spot(_) | Role::Future(..) => {
                self.anchors.push(at as u32);
                GreeksState::NotAnOption
            }
            Role::Alone if self.market.catalog().get(slot).is_option() => {
                GreeksState::Absent(NoGreeks::NoForward)
            }
            Role::Alone => GreeksState::NotAnOption,
        };
        self.values.push(Value { tick: *tick, greeks });
        self.live.push(Live {
            slot,
            ts_recv,
            connection,
            role,
            chain: local,
            moved: false,
            shown: Shown::of(&greeks),
            shown_in: self.round,
            listed: false,
            stale: None,
            forward_stale: false,
            leg_stale: false,
            pending: None,
            tick_count: 0,
        });
        at
    }

    /// The chain, made when its first option ticks.
    fn chain_of(&mut self, underlying: UnderlyingId, position: usize) -> usize {
        let chains = self.chains_of.entry(underlying).or_default();
        let known = chains.iter().find(|at| self.chains[**at as usize].position == position);
        if let Some(at) = known {
            return *at as usize;
        }
        let at = self.chains.len();
        chains.push(at as u32);
        self.turns.push_back(at as u32);
        self.chains.push(Chain::new(self.market.catalog(), underlying, position, self.round));
        at
    }

    /// Tells the chains what an instrument is worth now.
    fn spread(&mut self, at: usize, tick: &Tick) {
        let live = &mut self.live[at];
        match live.role {
            Role::Alone => {}
            Role::Option { row, side, .. } => {
                let chain = live.chain as usize;
                self.chains[chain].quote(row as usize, side, Quote::of(tick));
                self.queue(chain);
            }
            Role::Spot(underlying) | Role::Future(underlying, _) => {
                if !std::mem::replace(&mut live.moved, true) {
                    self.moved_anchors.push(at as u32);
                }
                self.queue_all(underlying);
            }
        }
    }

    /// A tick outranks staleness, staleness outranks a forward that moved.
    fn want(&mut self, at: usize, cause: SnapshotCause) {
        let pending = &mut self.live[at].pending;
        match (*pending, cause) {
            (None, _) => {
                *pending = Some(cause);
                self.pending.push(at as u32);
            }
            (Some(SnapshotCause::Tick), _) | (_, SnapshotCause::Forward) => {}
            (Some(_), _) => *pending = Some(cause),
        }
    }

    fn queue(&mut self, chain: usize) {
        if !std::mem::replace(&mut self.chains[chain].queued, true) {
            self.queued.push(chain as u32);
        }
    }

    fn queue_all(&mut self, underlying: UnderlyingId) {
        if let Some(chains) = self.chains_of.get(&underlying) {
            for &chain in chains {
                if !std::mem::replace(&mut self.chains[chain as usize].queued, true) {
                    self.queued.push(chain);
                }
            }
        }
    }

    /// Writes spots and futures to the board: those that moved, and on a sweep all that are current.
    fn vouch(&mut self, all: bool, wall: UnixNanos) {
        let mut moved = std::mem::take(&mut self.moved_anchors);
        for &at in if all { &self.anchors } else { &moved } {
            let live = &self.live[at as usize];
            if live.stale.is_some() {
                continue;
            }
            let quote = Quote::of(&self.values[at as usize].tick);
            match live.role {
                Role::Spot(underlying) if quote.last > 0.0 => {
                    self.market.forwards().set_spot(underlying, quote.last, wall);
                }
                Role::Future(underlying, position) => {
                    if let Some((price, _)) = quote.price(&self.config.spread) {
                        self.market.forwards().set_future(underlying, position as usize, price, wall);
                    }
                }
                _ => {}
            }
        }
        for at in moved.drain(..) {
            self.live[at as usize].moved = false;
        }
        self.moved_anchors = moved;
    }
}

#[cfg(test)]
mod tests;
