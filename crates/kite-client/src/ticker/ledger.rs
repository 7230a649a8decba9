//! What one connection is asked to carry, what the server was told, and what the ticks prove.
//!
//! Synchronous: no socket, no timer. Kite acknowledges nothing and forgets everything when a connection ends
//! (protocol section 17.2), so this is the only place that knows.

mod habit;
mod holes;
mod wishes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kite_wire::TickerRequest;
use market_model::{
    InstrumentToken, Mode, Subscription, SubscriptionChange, SubscriptionSet, SubscriptionState, UnixNanos,
};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use self::holes::{Holes, Seen};
use self::wishes::{Wish, Wishes};
use crate::ticker::carriers::Carriers;

/// How many subscriptions stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionCounts {
    /// Wanted, not yet written to a socket.
    pub requested: usize,
    /// Written, not yet proven by a tick.
    pub sent: usize,
    /// Proven by a tick in the wanted mode.
    pub live: usize,
    /// Written, and no tick came in time.
    pub silent: usize,
    /// Refused.
    pub rejected: usize,
}

/// The subscription bookkeeping of one connection.
#[derive(Debug)]
pub(crate) struct SubscriptionLedger {
    batch: usize,
    silent_after: Duration,
    wanted: Wishes,
    /// When the newest mode of each was written.
    sent_at: FxHashMap<InstrumentToken, Instant>,
    /// What the server carries on this socket; `None` until a mode was written.
    served: FxHashMap<InstrumentToken, Option<Mode>>,
    /// Tokens for which `wanted` and `served` differ. Ordered, so commands are the same every time.
    dirty: BTreeSet<InstrumentToken>,
    /// Silent tokens whose commands are to be sent once more.
    repeats: BTreeSet<InstrumentToken>,
    /// Handed out by `next_command`, not yet on the socket.
    in_flight: Vec<(InstrumentToken, Mode)>,
    /// The tokens of the newest subscribe command: those a limit error is about.
    last_subscribed: Vec<InstrumentToken>,
    changes: Vec<SubscriptionChange>,
    counts: SubscriptionCounts,
    holes: Holes,
    /// Told which instruments tick here; `None` while another ledger speaks for the connection.
    carriers: Option<Arc<Carriers>>,
}

// === impl SubscriptionCounts ===

impl SubscriptionCounts {
    /// All of them together.
    pub const fn total(&self) -> usize {
        self.requested + self.sent + self.live + self.silent + self.rejected
    }

    fn of(&mut self, state: SubscriptionState) -> Option<&mut usize> {
        match state {
            SubscriptionState::Requested => Some(&mut self.requested),
            SubscriptionState::Sent => Some(&mut self.sent),
            SubscriptionState::Live => Some(&mut self.live),
            SubscriptionState::Silent => Some(&mut self.silent),
            SubscriptionState::Rejected => Some(&mut self.rejected),
            _ => None,
        }
    }
}

// === impl SubscriptionLedger ===

impl SubscriptionLedger {
    /// An empty one. `batch` is the most tokens in one command; a token without a tick `silent_after` its command
    /// was written is silent.
    pub(crate) fn new(batch: usize, silent_after: Duration) -> Self {
        Self {
            batch: batch.max(1),
            silent_after,
            wanted: Wishes::default(),
            sent_at: FxHashMap::default(),
            served: FxHashMap::default(),
            dirty: BTreeSet::new(),
            repeats: BTreeSet::new(),
            in_flight: Vec::new(),
            last_subscribed: Vec::new(),
            changes: Vec::new(),
            counts: SubscriptionCounts::default(),
            holes: Holes::default(),
            carriers: None,
        }
    }

    /// Wants exactly `desired` from now on.
    pub(crate) fn set_desired(&mut self, desired: &SubscriptionSet) {
        let mut gone = self.wanted.tokens();
        gone.retain(|token| desired.mode(*token).is_none());
        let mut ceased = Vec::new();
        for token in gone {
            self.sent_at.remove(&token);
            if let Some(wish) = self.wanted.remove(token) {
                ceased.extend(wish.ticks_until().map(|last| (token, last)));
                self.count(wish.state, SubscriptionState::Removed);
                self.changes.push(SubscriptionChange {
                    token,
                    mode: wish.mode,
                    state: SubscriptionState::Removed,
                });
            }
            self.mark(token);
        }
        self.cease(ceased);
        let mut wishes: Vec<_> = desired.iter().collect();
        wishes.sort_unstable_by_key(|wish| wish.token);
        for wish in wishes {
            let held = self.wanted.get(wish.token).map(|held| held.mode);
            if held == Some(wish.mode) {
                continue;
            }
            if held.is_none() {
                self.counts.requested += 1;
                self.wanted.push(Wish::new(wish.token, wish.mode));
                self.changes.push(SubscriptionChange {
                    token: wish.token,
                    mode: wish.mode,
                    state: SubscriptionState::Requested,
                });
            } else {
                if let Some(held) = self.wanted.get_mut(wish.token) {
                    held.mode = wish.mode;
                }
                self.change(wish.token, SubscriptionState::Requested);
            }
            self.mark(wish.token);
            self.settle(wish);
        }
    }

    /// The next command that brings the server nearer to what is wanted; `None` when it has been told everything.
    ///
    /// Removals come first, because they make room below the server's limit; then subscriptions; then modes. The
    /// caller writes each command before it asks for the next and calls [`Self::written`] after each.
    pub(crate) fn next_command(&mut self) -> Option<TickerRequest> {
        let leaving = self.take_dirty(|this, token| !this.wanted.contains(token));
        if !leaving.is_empty() {
            for token in &leaving {
                self.served.remove(token);
                self.dirty.remove(token);
            }
            return Some(TickerRequest::Unsubscribe(leaving));
        }
        let coming = self.take_dirty(|this, token| !this.served.contains_key(&token));
        if !coming.is_empty() {
            self.served.extend(coming.iter().map(|token| (*token, None)));
            self.last_subscribed.clone_from(&coming);
            return Some(TickerRequest::Subscribe(coming));
        }
        let mut again: Vec<InstrumentToken> = (std::mem::take(&mut self.repeats).into_iter())
            .filter(|token| self.wanted.contains(*token))
            .collect();
        if !again.is_empty() {
            self.repeats = again.split_off(again.len().min(self.batch)).into_iter().collect();
            for token in &again {
                self.served.insert(*token, None);
                self.dirty.insert(*token);
            }
            return Some(TickerRequest::Subscribe(again));
        }
        let mode = self.wanted_mode(*self.dirty.first()?)?;
        let tokens = self.take_dirty(|this, token| this.wanted_mode(token) == Some(mode));
        for token in &tokens {
            self.served.insert(*token, Some(mode));
            self.dirty.remove(token);
        }
        self.in_flight.extend(tokens.iter().map(|token| (*token, mode)));
        Some(TickerRequest::Mode(mode, tokens))
    }

    /// The commands handed out so far are on the socket.
    pub(crate) fn written(&mut self, now: Instant) {
        for (token, mode) in std::mem::take(&mut self.in_flight) {
            let Some(wish) = self.wanted.get_mut(token).filter(|wish| wish.mode == mode) else {
                continue;
            };
            self.sent_at.insert(token, now);
            if wish.state == SubscriptionState::Requested {
                self.change(token, SubscriptionState::Sent);
            }
        }
    }

    /// A tick arrived `at`. Answers whether the token is wanted.
    #[inline]
    pub(crate) fn ticked(&mut self, token: InstrumentToken, mode: Mode, at: UnixNanos) -> bool {
        // The usual one: it ticked before, and nothing is to be told.
        if let Some(wish) = self.wanted.ticking(token)
            && let (SubscriptionState::Live, Seen::At(before)) = (wish.state, wish.seen)
        {
            wish.habit.ticked(before, at);
            wish.seen = Seen::At(at);
            return true;
        }
        self.ticked_with_news(token, mode, at)
    }

    #[cold]
    fn ticked_with_news(&mut self, token: InstrumentToken, mode: Mode, at: UnixNanos) -> bool {
        let Some(wish) = self.wanted.get_mut(token) else {
            return false;
        };
        match std::mem::replace(&mut wish.seen, Seen::At(at)) {
            Seen::At(before) => wish.habit.ticked(before, at),
            Seen::Lost(from) => {
                self.holes.end(token, from, at);
                Self::begin(&mut self.holes, self.carriers.as_deref(), token, None);
            }
            Seen::Never => Self::begin(&mut self.holes, self.carriers.as_deref(), token, Some(at)),
        }
        let asked = match wish.state {
            SubscriptionState::Live => false,
            SubscriptionState::Requested => self.served.get(&token) == Some(&Some(mode)),
            _ => true,
        };
        if asked && wish.mode == mode {
            self.change(token, SubscriptionState::Live);
        }
        true
    }

    /// The server said that it carries no more instruments: what the newest subscribe command asked for and has
    /// not ticked yet counts as refused, until a tick proves otherwise. Answers how many.
    pub(crate) fn refused(&mut self) -> usize {
        let mut refused = 0;
        for token in std::mem::take(&mut self.last_subscribed) {
            let state = self.wanted.get(token).map(|wish| wish.state);
            if matches!(state, Some(SubscriptionState::Requested | SubscriptionState::Sent)) {
                self.change(token, SubscriptionState::Rejected);
                refused += 1;
            }
        }
        refused
    }

    /// Marks as silent what was written long enough ago and never ticked, and has its commands sent once more: a
    /// repeat is harmless, and a command may have been lost.
    pub(crate) fn sweep(&mut self, now: Instant) {
        if self.counts.sent == 0 {
            return;
        }
        let mut silent: Vec<InstrumentToken> = (self.wanted.iter())
            .filter(|wish| wish.state == SubscriptionState::Sent)
            .map(|wish| wish.token)
            .filter(|token| now - *self.sent_at.entry(*token).or_insert(now) >= self.silent_after)
            .collect();
        silent.sort_unstable();
        for token in silent {
            self.silence(token);
        }
    }

    fn silence(&mut self, token: InstrumentToken) {
        self.change(token, SubscriptionState::Silent);
        let wish = self.wanted.get_mut(token);
        if wish.is_some_and(|wish| !std::mem::replace(&mut wish.resent, true)) {
            self.repeats.insert(token);
        }
    }

    /// The socket is gone, and with it everything the server knew.
    pub(crate) fn disconnected(&mut self) {
        self.served.clear();
        self.repeats.clear();
        self.in_flight.clear();
        self.sent_at.clear();
        self.last_subscribed.clear();
        for wish in self.wanted.iter_mut() {
            wish.resent = false;
        }
        let tokens = self.wanted.tokens();
        for token in &tokens {
            self.change(*token, SubscriptionState::Requested);
        }
        self.dirty = tokens.into_iter().collect();
    }

    /// This ledger's socket takes the place of the one of `former`, which wants the same. What is told next are the
    /// differences that mean something: an instrument that was live and is only sent here is not a step back.
    pub(crate) fn succeed(&mut self, former: &mut Self) {
        use SubscriptionState::{Requested, Sent};
        self.inherit_seen(former);
        self.changes = std::mem::take(&mut former.changes);
        for token in self.wanted.tokens() {
            let Some(wish) = self.wanted.get(token) else { continue };
            let before = former.wanted.get(token).map_or(Requested, |wish| wish.state);
            let step_back = matches!(wish.state, Requested | Sent) && before != Requested;
            if wish.state != before && !step_back {
                self.changes.push(SubscriptionChange { token, mode: wish.mode, state: wish.state });
            }
        }
    }

    /// What changed since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<SubscriptionChange> {
        std::mem::take(&mut self.changes)
    }

    /// How many stand where.
    pub(crate) const fn counts(&self) -> SubscriptionCounts {
        self.counts
    }

    /// How many the server was asked to carry.
    pub(crate) fn served(&self) -> usize {
        self.served.len()
    }

    /// Up to `most` tokens in `state`, lowest first.
    pub(crate) fn in_state(&self, state: SubscriptionState, most: usize) -> Vec<InstrumentToken> {
        let mut tokens: Vec<InstrumentToken> =
            (self.wanted.iter()).filter(|wish| wish.state == state).map(|wish| wish.token).collect();
        tokens.sort_unstable();
        tokens.truncate(most);
        tokens
    }

    fn wanted_mode(&self, token: InstrumentToken) -> Option<Mode> {
        self.wanted.get(token).map(|wish| wish.mode)
    }

    /// Notes whether the server must be told something about `token`.
    fn mark(&mut self, token: InstrumentToken) {
        let served = self.served.get(&token).copied();
        let agreed = match self.wanted_mode(token) {
            Some(mode) => served == Some(Some(mode)),
            None => served.is_none(),
        };
        if agreed {
            self.dirty.remove(&token);
        } else {
            self.dirty.insert(token);
        }
    }

    /// A wish that came back to what the server carries already needs no command and counts as sent.
    fn settle(&mut self, wish: Subscription) {
        let carried = self.served.get(&wish.token) == Some(&Some(wish.mode));
        if carried && !self.in_flight.contains(&(wish.token, wish.mode)) {
            self.change(wish.token, SubscriptionState::Sent);
        }
    }

    fn take_dirty(&self, picks: impl Fn(&Self, InstrumentToken) -> bool) -> Vec<InstrumentToken> {
        (self.dirty.iter().copied()).filter(|token| picks(self, *token)).take(self.batch).collect()
    }

    fn change(&mut self, token: InstrumentToken, state: SubscriptionState) {
        let Some(wish) = self.wanted.get_mut(token) else {
            return;
        };
        let before = std::mem::replace(&mut wish.state, state);
        let mode = wish.mode;
        self.count(before, state);
        self.changes.push(SubscriptionChange { token, mode, state });
    }

    fn count(&mut self, before: SubscriptionState, after: SubscriptionState) {
        if let Some(left) = self.counts.of(before) {
            *left = left.saturating_sub(1);
        }
        if let Some(entered) = self.counts.of(after) {
            *entered += 1;
        }
    }
}

#[cfg(test)]
mod tests;
