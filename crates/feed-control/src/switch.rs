//! From one plan to the next without a hole: what is new is subscribed before what is old is dropped.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use market_model::{InstrumentToken, Mode, SubscriptionSet, SubscriptionState, UnderlyingId};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{AccountSlot, FeedLink, Plan};

/// How long two of something stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchConfig {
    /// An old subscription is dropped when the new one ticks, at the latest after this.
    pub overlap: Duration,
    /// The same when the new one is on another instance, whose ticks are not seen here and which learns of it later.
    pub foreign_overlap: Duration,
    /// How often is looked whether the new ones tick.
    pub look: Duration,
}

impl Default for SwitchConfig {
    /// 3 s, 8 s between instances; a look every 100 ms.
    fn default() -> Self {
        Self {
            overlap: Duration::from_secs(3),
            foreign_overlap: Duration::from_secs(8),
            look: Duration::from_millis(100),
        }
    }
}

/// What to tell an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub account: Arc<str>,
    /// Exactly what it should stream from now on.
    pub desired: SubscriptionSet,
}

/// What every account of this instance was told, and what it may drop soon.
///
/// An instrument that moves between two healthy accounts is on both until it ticks on the new one; strikes that a ladder
/// leaves stay until those it gains tick. A lost account is told nothing is wanted, at once. When an account has no room
/// for both, the new goes before the old.
#[derive(Debug)]
pub struct Switchboard {
    config: SwitchConfig,
    accounts: BTreeMap<Arc<str>, Carrying>,
    batches: Vec<Batch>,
    next_batch: u64,
}

#[derive(Debug, Default)]
struct Carrying {
    wanted: SubscriptionSet,
    leaving: BTreeMap<InstrumentToken, Leaving>,
    told: SubscriptionSet,
    capacity: usize,
}

#[derive(Debug, Clone)]
struct Leaving {
    mode: Mode,
    until: Instant,
    waits: Waits,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// For the same instrument on another account.
    Move(Arc<str>),
    /// For the newcomers of a batch. Sorted last: it gives way first.
    Batch(u64),
}

/// New instruments of one underlying that old ones of it wait for.
#[derive(Debug)]
struct Batch {
    number: u64,
    pending: Vec<(Arc<str>, InstrumentToken)>,
}

// === impl Switchboard ===

impl Switchboard {
    /// Nobody was told anything.
    pub const fn new(config: SwitchConfig) -> Self {
        Self { config, accounts: BTreeMap::new(), batches: Vec::new(), next_batch: 0 }
    }

    /// Goes over to `plan`. The commands are in the order to be given: those that gain first.
    pub fn follow(&mut self, plan: &Plan, now: Instant) -> Vec<Command> {
        let mut sets = plan.sets().into_iter();
        let mut wanted: BTreeMap<Arc<str>, (SubscriptionSet, &AccountSlot)> = BTreeMap::new();
        for load in plan.accounts() {
            let set = sets.next().unwrap_or_default();
            if load.slot.held {
                wanted.insert(load.slot.id.clone(), (set, &load.slot));
            }
        }
        let newcomers = self.newcomers(plan, &wanted);
        let mut batches: FxHashMap<UnderlyingId, u64> = FxHashMap::default();
        for (account, carrying) in &mut self.accounts {
            let new = wanted.get(account).filter(|(_, slot)| slot.is_usable());
            let Some((set, _)) = new else {
                carrying.leaving.clear();
                continue;
            };
            carrying.leaving.retain(|token, _| set.mode(*token).is_none());
            for old in carrying.wanted.iter().filter(|old| set.mode(old.token).is_none()) {
                let catalog = plan.desired().catalog();
                let (waits, limit) = match plan.account_of(old.token) {
                    Some(target) if wanted.contains_key(target) => {
                        (Waits::Move(target.clone()), self.config.overlap)
                    }
                    Some(target) => (Waits::Move(target.clone()), self.config.foreign_overlap),
                    // Refused: somebody more important needs the room.
                    None if plan.desired().find(old.token).is_some() => continue,
                    None => {
                        let Some(slot) = catalog.slot(old.token) else { continue };
                        let group = catalog.underlying_of(slot);
                        let Some(pending) = newcomers.get(&group) else { continue };
                        let number = *batches.entry(group).or_insert_with(|| {
                            self.next_batch += 1;
                            self.batches.push(Batch { number: self.next_batch, pending: pending.clone() });
                            self.next_batch
                        });
                        (Waits::Batch(number), self.config.overlap)
                    }
                };
                carrying.leaving.insert(old.token, Leaving { mode: old.mode, until: now + limit, waits });
            }
        }
        for (account, (set, slot)) in wanted {
            let carrying = self.accounts.entry(account).or_default();
            carrying.wanted = if slot.is_usable() { set } else { SubscriptionSet::new() };
            carrying.capacity = slot.capacity;
        }
        let held = |account: &Arc<str>| {
            plan.accounts().iter().any(|load| load.slot.held && load.slot.id == *account)
        };
        let gone: Vec<Arc<str>> = self.accounts.keys().filter(|account| !held(account)).cloned().collect();
        for account in &gone {
            if let Some(carrying) = self.accounts.get_mut(account) {
                (carrying.wanted, carrying.capacity) = (SubscriptionSet::new(), 0);
            }
        }
        let commands = self.commands();
        gone.iter().for_each(|account| drop(self.accounts.remove(account)));
        commands
    }

    /// Drops what need not wait any longer.
    pub fn look(&mut self, link: &impl FeedLink, now: Instant) -> Vec<Command> {
        if !self.is_switching() {
            return Vec::new();
        }
        let live = |account: &str, token| link.state(account, token) == Some(SubscriptionState::Live);
        for batch in &mut self.batches {
            batch.pending.retain(|(account, token)| !live(account, *token));
        }
        let batches = &self.batches;
        for carrying in self.accounts.values_mut() {
            carrying.leaving.retain(|token, leaving| {
                now < leaving.until
                    && match &leaving.waits {
                        Waits::Move(target) => !live(target, *token),
                        Waits::Batch(number) => {
                            batches.iter().any(|batch| batch.number == *number && !batch.pending.is_empty())
                        }
                    }
            });
        }
        self.commands()
    }

    /// Whether something stands side by side, so that [`look`](Self::look) is worth a call.
    pub fn is_switching(&self) -> bool {
        self.leaving() > 0
    }

    /// How many subscriptions stand only until their successors tick.
    pub fn leaving(&self) -> usize {
        self.accounts.values().map(|carrying| carrying.leaving.len()).sum()
    }

    /// How many instruments the accounts of this instance were told to stream.
    pub fn told(&self) -> usize {
        self.accounts.values().map(|carrying| carrying.told.len()).sum()
    }

    /// What nobody here streams yet, by underlying.
    fn newcomers(
        &self,
        plan: &Plan,
        wanted: &BTreeMap<Arc<str>, (SubscriptionSet, &AccountSlot)>,
    ) -> FxHashMap<UnderlyingId, Vec<(Arc<str>, InstrumentToken)>> {
        let mut newcomers: FxHashMap<_, Vec<_>> = FxHashMap::default();
        for (subscription, at) in plan.placed() {
            let account = &plan.accounts()[at].slot.id;
            let streamed = self.accounts.values().any(|old| old.told.mode(subscription.token).is_some());
            if !streamed
                && wanted.contains_key(account)
                && let Some(slot) = plan.desired().catalog().slot(subscription.token)
            {
                let group = plan.desired().catalog().underlying_of(slot);
                newcomers.entry(group).or_default().push((account.clone(), subscription.token));
            }
        }
        newcomers
    }

    /// Tells every account whose set differs from what it was told.
    fn commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        for (account, carrying) in &mut self.accounts {
            carrying.make_room();
            let mut desired = carrying.wanted.clone();
            for (token, leaving) in &carrying.leaving {
                desired.insert(*token, leaving.mode);
            }
            if desired != carrying.told {
                let gains = desired.iter().filter(|one| carrying.told.mode(one.token).is_none()).count();
                carrying.told = desired.clone();
                commands.push((gains, Command { account: account.clone(), desired }));
            }
        }
        let waited_for = |number: u64| {
            let mut leaving = self.accounts.values().flat_map(|carrying| carrying.leaving.values());
            leaving.any(|leaving| leaving.waits == Waits::Batch(number))
        };
        self.batches.retain(|batch| waited_for(batch.number));
        commands.sort_by_key(|(gains, _)| Reverse(*gains));
        commands.into_iter().map(|(_, command)| command).collect()
    }
}

// === impl Carrying ===

impl Carrying {
    /// What leaves may stay only in the room that what is wanted leaves; a move goes before a ladder.
    fn make_room(&mut self) {
        let room = self.capacity.saturating_sub(self.wanted.len());
        if self.leaving.len() > room {
            let mut order: Vec<(Waits, InstrumentToken)> =
                self.leaving.iter().map(|(token, leaving)| (leaving.waits.clone(), *token)).collect();
            order.sort();
            for (_, token) in order.drain(room..) {
                self.leaving.remove(&token);
            }
        }
    }
}

#[cfg(test)]
mod tests;
