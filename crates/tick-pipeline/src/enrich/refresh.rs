//! The arithmetic of one chain: its forward, what must be computed anew, and what is published for it.

use std::time::Instant;

use market_model::{InstrumentSlot, UnixNanos};
use option_greeks::implied_forward;

use super::chain::{Basis, Chain, NONE};
use super::forward::Offer;
use super::solve::Targets;
use super::{Enricher, Refreshed};
use crate::market::SharedValue;
use crate::snapshot::{GreeksState, NoGreeks, SnapshotCause};

// === impl Enricher ===

impl Enricher {
    /// Looks through the chains that were looked through longest ago, as many as are due and the budget allows. Those
    /// that are due a moment later come along, so that a turn seldom needs a wake-up of its own.
    pub(super) fn take_turns(&mut self, now: Instant, wall: UnixNanos, refreshed: &mut Refreshed) {
        let interval = self.config.refresh_interval;
        let soon = now + interval / 8;
        let mut looked_through = 0;
        for _ in 0..self.turns.len() {
            let Some(&at) = self.turns.front() else {
                return;
            };
            let chain = &self.chains[at as usize];
            let is_due = chain.looked_at.is_none_or(|last| last + interval <= soon);
            let strikes = chain.strikes.len();
            if !is_due || (looked_through > 0 && looked_through + strikes > self.config.refresh_strikes) {
                return;
            }
            looked_through += strikes;
            self.turns.rotate_left(1);
            self.refresh_chain(at as usize, true, now, wall, refreshed);
        }
    }

    /// Computes what ticked in a chain, and when it is its turn, or its forward is known for the first time or no longer,
    /// everything that has moved enough and was not computed since its last turn.
    pub(super) fn refresh_chain(
        &mut self,
        at: usize,
        has_turn: bool,
        now: Instant,
        wall: UnixNanos,
        refreshed: &mut Refreshed,
    ) {
        self.chains[at].queued = false;
        let basis = self.basis(at, now, wall);
        self.mark_forward(at, basis.is_ok_and(|basis| basis.forward.stale));
        let chain = &mut self.chains[at];
        let begun = chain.basis.is_none_or(|before| before.map(drop) != basis.map(drop));
        self.rows.clear();
        self.rows.extend_from_slice(&chain.dirty_rows);
        if begun || has_turn {
            let all = begun || chain.is_out_of_date(&basis, &self.config);
            if all {
                chain.basis = Some(basis);
            }
            chain.add_moved_rows(all, &basis, &self.config, &mut self.rows);
            refreshed.chains += usize::from(self.rows.len() > chain.dirty_rows.len());
        }
        chain.note_computed(&self.rows, &basis, self.round);
        chain.clear_dirty();
        refreshed.strikes += self.rows.len();
        self.compute(at, &basis);
        self.tell_turned();
        if begun || has_turn {
            self.want_moved(at, begun, now);
        }
        if has_turn {
            let chain = &mut self.chains[at];
            (chain.looked_at, chain.turn) = (Some(now), self.round);
        }
    }

    /// Computes the options of `self.rows`.
    fn compute(&mut self, at: usize, basis: &Result<Basis, NoGreeks>) {
        let mut unsaid = std::mem::take(&mut self.chains[at].unsaid);
        let (chain, config) = (&self.chains[at], &self.config);
        let (live, values, turned) = (&mut self.live, &mut self.values, &mut self.turned);
        let mut to = Targets { live, values, unsaid: &mut unsaid, config, turned };
        match basis {
            Ok(basis) => self.solver.solve(chain, &self.rows, basis, config.rate, &config.spread, &mut to),
            Err(reason) => {
                for &row in &self.rows {
                    for (_, index) in chain.live(row as usize) {
                        if index != NONE {
                            to.set(index, GreeksState::Absent(*reason));
                        }
                    }
                }
            }
        }
        self.chains[at].unsaid = unsaid;
    }

    /// Publishes that an option depends, or no longer depends, on another that is stale.
    fn tell_turned(&mut self) {
        let mut turned = std::mem::take(&mut self.turned);
        for at in turned.drain(..) {
            if self.live[at as usize].stale.is_none() {
                self.want(at as usize, SnapshotCause::Staleness);
            }
        }
        self.turned = turned;
    }

    /// Wants the options of a chain published whose Greeks have moved since they were. One whose own value is not
    /// current has nothing new to say; one that was published since the chain's last turn, and so not long ago, waits for
    /// the next, unless the forward `begun`.
    fn want_moved(&mut self, at: usize, begun: bool, now: Instant) {
        let Chain { turn, looked_at, .. } = self.chains[at];
        let is_late = |last| now.saturating_duration_since(last) >= 2 * self.config.refresh_interval;
        let all = begun || looked_at.is_none_or(is_late);
        let mut unsaid = std::mem::take(&mut self.chains[at].unsaid);
        let mut kept = 0;
        for place in 0..unsaid.len() {
            let index = unsaid[place];
            let (live, value) = (&mut self.live[index as usize], &self.values[index as usize]);
            if !all && live.was_shown_after(turn) {
                unsaid[kept] = index;
                kept += 1;
                continue;
            }
            live.listed = false;
            if live.stale.is_none() && live.greeks_moved(&value.greeks, &self.config) {
                self.want(index as usize, SnapshotCause::Forward);
            }
        }
        unsaid.truncate(kept);
        self.chains[at].unsaid = unsaid;
    }

    /// Wants all options of a chain published that are current themselves.
    fn want_all(&mut self, at: usize, cause: SnapshotCause) {
        for row in 0..self.chains[at].strikes.len() {
            for (_, index) in self.chains[at].live(row) {
                if self.live.get(index as usize).is_some_and(|live| live.stale.is_none()) {
                    self.want(index as usize, cause);
                }
            }
        }
    }

    /// Publishes the change when the forward of a chain becomes stale or current again.
    fn mark_forward(&mut self, at: usize, stale: bool) {
        let chain = &mut self.chains[at];
        if std::mem::replace(&mut chain.marked_stale, stale) == stale {
            return;
        }
        for row in 0..chain.strikes.len() {
            for (_, index) in chain.live(row) {
                if index != NONE {
                    self.live[index as usize].forward_stale = stale;
                }
            }
        }
        self.want_all(at, SnapshotCause::Staleness);
    }

    fn basis(&mut self, at: usize, now: Instant, wall: UnixNanos) -> Result<Basis, NoGreeks> {
        let expiry = self.chains[at].expiry.ok_or(NoGreeks::UnknownExpiry)?;
        let t_years = years_between(wall, expiry);
        if t_years <= 0.0 {
            return Err(NoGreeks::Expired);
        }
        let spot = self.spot_offer(at, t_years, wall);
        let future = self.future_offer(at, wall);
        let parity = self.parity_offer(at, t_years, future.or(spot), wall);
        let chain = &mut self.chains[at];
        let choice = chain.choice.update([parity, future, spot], now, &self.config.hysteresis);
        choice.map(|forward| Basis { forward, t_years }).ok_or(NoGreeks::NoForward)
    }

    fn spot_offer(&self, at: usize, t_years: f64, wall: UnixNanos) -> Option<Offer> {
        let chain = &self.chains[at];
        let shared = self.market.forwards().spot(chain.underlying);
        let spot = self.anchor_offer(chain.spot, shared, wall)?;
        let carry = ((self.config.rate - self.config.dividend_yield) * t_years).exp();
        Some(Offer { value: spot.value * carry, ..spot })
    }

    fn future_offer(&self, at: usize, wall: UnixNanos) -> Option<Offer> {
        let chain = &self.chains[at];
        let (position, slot) = chain.future?;
        let shared = self.market.forwards().future(chain.underlying, position);
        self.anchor_offer(Some(slot), shared, wall)
    }

    /// The board's value: this worker's own while that is current, else any that was vouched for since.
    fn anchor_offer(
        &self,
        slot: Option<InstrumentSlot>,
        shared: Option<SharedValue>,
        wall: UnixNanos,
    ) -> Option<Offer> {
        let shared = shared?;
        let own = slot.and_then(|slot| self.position(slot)).map(|at| &self.live[at]);
        let fresh = match own.map(|own| own.stale) {
            Some(None) => true,
            Some(Some((_, since))) => shared.at > since && self.is_recent(shared.at, wall),
            None => self.is_recent(shared.at, wall),
        };
        Some(Offer { value: shared.value, fresh })
    }

    fn is_recent(&self, at: UnixNanos, wall: UnixNanos) -> bool {
        wall.saturating_since(at) <= self.config.shared_max_age
    }

    /// Put-call parity over this worker's own quotes; else what another worker found.
    fn parity_offer(
        &mut self,
        at: usize,
        t_years: f64,
        guess: Option<Offer>,
        wall: UnixNanos,
    ) -> Option<Offer> {
        let config = &self.config;
        let chain = &mut self.chains[at];
        let (underlying, position) = (chain.underlying, chain.position);
        if chain.take_parity_dirty() {
            let guess = chain.parity.offer.or(guess).map(|offer| offer.value);
            chain.parity_quotes(guess, config.parity_reach, &mut self.parity_quotes);
            let found = implied_forward(&self.parity_quotes, config.rate, t_years, guess).ok();
            let found = found.filter(|found| {
                found.strikes_used >= config.parity_min_strikes
                    && found.std_error <= config.parity_max_error * found.forward
            });
            if let Some(found) = found {
                chain.parity.std_error = found.std_error;
                chain.parity.strikes_used = found.strikes_used;
            }
            if found.is_none() && chain.parity.offer.is_some() {
                chain.parity.lost_at = wall;
            }
            chain.parity.offer = found.map(|found| Offer { value: found.forward, fresh: true });
        }
        if let Some(own) = chain.parity.offer {
            self.market.forwards().set_parity(underlying, position, own.value, wall);
            return Some(own);
        }
        let lost_at = chain.parity.lost_at;
        let shared = self.market.forwards().parity(underlying, position)?;
        // Before that moment it may have been our own.
        let fresh = shared.at > lost_at && self.is_recent(shared.at, wall);
        fresh.then_some(Offer { value: shared.value, fresh })
    }
}

fn years_between(from: UnixNanos, to: UnixNanos) -> f64 {
    const YEAR: f64 = 525_600.0 * 60.0 * 1e9;
    (to.0 - from.0) as f64 / YEAR
}
