//! Holds an instance's share of the names for as long as it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::LeaseConfig;
use super::guard::{HeldLeases, LeaseGuard};
use super::share::plan;
use super::table::{LeaseTable, Round};
use super::uptime::Uptime;
use crate::{Database, StoreError};

/// Takes, renews and gives up leases. One task owns it and calls [`LeaseKeeper::run`].
#[derive(Debug)]
pub struct LeaseKeeper {
    keeper: Keeper<Database>,
}

pub(super) struct Keeper<T> {
    table: T,
    config: LeaseConfig,
    id: Arc<str>,
    uptime: Arc<dyn Uptime>,
    names: watch::Receiver<Arc<BTreeSet<String>>>,
    held: watch::Sender<HeldLeases>,
    /// Withdrawn here, still ours in the database.
    leaving: BTreeMap<String, Leaving>,
    /// When to look again, if sooner than usual.
    next_round: Option<Duration>,
    /// Said to be the only instance, and none other was seen.
    alone: bool,
}

struct Leaving {
    fence: i64,
    /// Uptime.
    since: Duration,
}

// === impl LeaseKeeper ===

impl LeaseKeeper {
    /// A keeper for `names`, all that there are to hold by anybody; they may change while it runs.
    pub fn new(
        database: &Database,
        config: LeaseConfig,
        names: watch::Receiver<Arc<BTreeSet<String>>>,
        uptime: impl Uptime,
    ) -> Self {
        let table = database.with_timeout(config.request_timeout);
        Self { keeper: Keeper::new(table, config, names, Arc::new(uptime)) }
    }

    /// What this instance is called in the tables: unique to this process.
    pub fn id(&self) -> &Arc<str> {
        self.keeper.id()
    }

    /// The leases that are held. A name that disappears from here, or whose guard is no longer held, must be let go
    /// of at once.
    pub fn held(&self) -> watch::Receiver<HeldLeases> {
        self.keeper.subscribe()
    }

    /// Keeps the leases until `stop` is done; then frees them, so that others take over without waiting.
    ///
    /// # Errors
    /// Only the last step's: when the leases could not be freed, they run out by themselves.
    ///
    /// # Cancel safety
    /// Dropping the future ends every lease here; in the database they run out.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        self.keeper.run(stop).await
    }
}

// === impl Keeper ===

impl<T: LeaseTable> Keeper<T> {
    pub(super) fn new(
        table: T,
        config: LeaseConfig,
        names: watch::Receiver<Arc<BTreeSet<String>>>,
        uptime: Arc<dyn Uptime>,
    ) -> Self {
        Self {
            table,
            id: unique_id(&config.instance),
            uptime,
            names,
            held: watch::channel(HeldLeases::default()).0,
            leaving: BTreeMap::new(),
            next_round: None,
            alone: false,
            config,
        }
    }

    async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = self.round() => {}
            }
            if self.rest(&mut stop).await {
                break;
            }
        }
        self.end_all();
        self.table.leave(&self.id).await
    }

    /// Waits for the next round; a lease that runs out before it is withdrawn at once. `true` to stop.
    async fn rest(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        let wait = self.next_round.take().unwrap_or(Duration::MAX).min(self.config.renew_every);
        let first = self.held.borrow().values().map(LeaseGuard::valid_for).min();
        tokio::select! {
            biased;
            () = stop => true,
            // The owner of the names is gone only when everything ends.
            Ok(()) = self.names.changed() => false,
            () = sleep(wait.min(first.unwrap_or(wait))) => {
                self.drop_expired();
                false
            }
        }
    }

    /// Renews, then takes and gives up what the shares ask for.
    pub(super) async fn round(&mut self) {
        if self.alone {
            // Whatever the database answers, if it does; a lease that has ended stays ended.
            let valid_until = self.valid_until(self.uptime.now());
            self.held.borrow().values().for_each(|guard| _ = guard.extend(valid_until));
        }
        if let Err(error) = self.try_round().await {
            tracing::warn!(%error, instance = %self.id, "leases could not be renewed");
            // Soon again: several tries fit into what is left of the leases.
            self.next_round = Some(self.config.renew_every / 4);
        }
    }

    async fn try_round(&mut self) -> Result<(), StoreError> {
        let (table, id, ttl) = (self.table.clone(), self.id.clone(), self.config.ttl);
        // Counted from before the question: the database counts from when it read it, so it always ends later.
        let asked = self.uptime.now();
        let round = self.watching_expiry(table.round(&id, ttl)).await?;
        self.renewed(asked, &round);
        let others = round.instances.iter().find(|instance| instance.id != *self.id);
        if let (true, Some(other)) = (self.config.sole, others) {
            let other = &other.id;
            tracing::warn!(%other, instance = %self.id, "said to be the only instance, and there is another");
        }
        self.alone = self.config.sole && others.is_none();
        let names = self.names.borrow_and_update().clone();
        let held = self.held.borrow().keys().map(ToString::to_string).collect();
        let leaving = self.leaving.keys().cloned().collect();
        let plan = plan(&id, &names, &held, &leaving, &round, self.config.settle);
        if !plan.take.is_empty() {
            let mut sorted = plan.take;
            // In one order everywhere, so that two instances do not wait for each other's rows.
            sorted.sort_unstable();
            let asked = self.uptime.now();
            let taken = self.watching_expiry(table.take(&id, ttl, &sorted)).await?;
            self.taken(asked, taken);
        }
        self.withdraw(&plan.give_up);
        self.free_left().await
    }

    /// Waits for an answer, and withdraws leases that run out before it comes.
    async fn watching_expiry<A>(
        &self,
        answer: impl Future<Output = Result<A, StoreError>>,
    ) -> Result<A, StoreError> {
        let mut answer = pin!(answer);
        loop {
            let first = self.held.borrow().values().map(LeaseGuard::valid_for).min();
            tokio::select! {
                biased;
                answer = &mut answer => {
                    self.drop_expired();
                    return answer;
                }
                () = sleep(first.unwrap_or_default()), if first.is_some() => self.drop_expired(),
            }
        }
    }

    fn renewed(&mut self, asked: Duration, round: &Round) {
        let valid_until = self.valid_until(asked);
        self.held.send_if_modified(|held| {
            let mut next = BTreeMap::new();
            for (name, fence) in &round.renewed {
                if self.leaving.contains_key(name) {
                    continue;
                }
                match held.get(name.as_str()) {
                    Some(guard) if guard.fence() == *fence && guard.extend(valid_until) => {
                        next.insert(guard.name().clone(), guard.clone());
                    }
                    // Taken by a question whose answer was lost, or thought lost in between: this answer proves it.
                    _ => {
                        let guard = self.guard(name, *fence, valid_until);
                        next.insert(guard.name().clone(), guard);
                    }
                }
            }
            // Another holds it, or it was freed by hand.
            held.iter().filter(|(name, _)| !next.contains_key(*name)).for_each(|(_, guard)| guard.end());
            replace(held, next)
        });
        self.leaving.retain(|name, leaving| round.renewed.contains(&(name.clone(), leaving.fence)));
        let others =
            round.leases.iter().filter(|lease| lease.holder != *self.id && !lease.remaining.is_zero());
        // When the first of them runs out, unless its holder renews it.
        self.next_round = others.map(|lease| lease.remaining + JUST_AFTER).min();
    }

    fn taken(&self, asked: Duration, taken: Vec<(String, i64)>) {
        let valid_until = self.valid_until(asked);
        self.held.send_if_modified(|held| {
            let mut next = BTreeMap::clone(held);
            for (name, fence) in taken {
                tracing::info!(%name, fence, instance = %self.id, "lease taken");
                let guard = self.guard(&name, fence, valid_until);
                next.insert(guard.name().clone(), guard);
            }
            replace(held, next)
        });
    }

    /// Ends these leases here; the database keeps them until the holder had time to let go.
    fn withdraw(&mut self, names: &[String]) {
        let (held, now) = (self.held.borrow().clone(), self.uptime.now());
        for name in names {
            if let Some(guard) = held.get(name.as_str()) {
                tracing::info!(%name, fence = guard.fence(), instance = %self.id, "lease given up");
                guard.end();
                self.leaving.insert(name.clone(), Leaving { fence: guard.fence(), since: now });
            }
        }
        self.drop_expired();
    }

    async fn free_left(&mut self) -> Result<(), StoreError> {
        let now = self.uptime.now();
        let is_due = |leaving: &Leaving| now.saturating_sub(leaving.since) >= self.config.hand_over;
        let due = self.leaving.iter().filter(|(_, leaving)| is_due(leaving));
        let due: Vec<(String, i64)> = due.map(|(name, leaving)| (name.clone(), leaving.fence)).collect();
        if due.is_empty() {
            return Ok(());
        }
        let (table, id) = (self.table.clone(), self.id.clone());
        self.watching_expiry(table.release(&id, &due)).await?;
        self.leaving.retain(|name, _| !due.iter().any(|(freed, _)| freed == name));
        Ok(())
    }

    fn drop_expired(&self) {
        self.held.send_if_modified(|held| {
            let (valid, lost): (BTreeMap<_, _>, BTreeMap<_, _>) = held
                .iter()
                .map(|(name, guard)| (name.clone(), guard.clone()))
                .partition(|(_, guard)| guard.is_held());
            for (name, guard) in &lost {
                guard.end();
                tracing::debug!(%name, fence = guard.fence(), instance = %self.id, "lease no longer held");
            }
            replace(held, valid)
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<HeldLeases> {
        self.held.subscribe()
    }

    pub(super) const fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn end_all(&self) {
        let held = self.held.send_replace(HeldLeases::default());
        held.values().for_each(LeaseGuard::end);
    }

    fn guard(&self, name: &str, fence: i64, valid_until: Duration) -> LeaseGuard {
        LeaseGuard::new(name.into(), self.id.clone(), fence, valid_until, self.uptime.clone())
    }

    fn valid_until(&self, asked: Duration) -> Duration {
        asked + self.config.ttl.saturating_sub(self.config.margin)
    }
}

impl<T> Drop for Keeper<T> {
    fn drop(&mut self) {
        // Nobody renews them any more.
        let held = self.held.send_replace(HeldLeases::default());
        held.values().for_each(LeaseGuard::end);
    }
}

impl<T> fmt::Debug for Keeper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("id", &self.id).finish_non_exhaustive()
    }
}

/// So long after another's lease has run out we look whether it was renewed.
const JUST_AFTER: Duration = Duration::from_millis(50);

/// Publishes `next` if it holds other leases; an extended one is the same lease.
fn replace(held: &mut HeldLeases, next: BTreeMap<Arc<str>, LeaseGuard>) -> bool {
    let same = held.len() == next.len()
        && held.iter().zip(&next).all(|((name, old), (other, new))| name == other && old.is_same(new));
    if !same {
        *held = Arc::new(next);
    }
    !same
}

fn unique_id(instance: &str) -> Arc<str> {
    let mut random = [0_u8; 6];
    // Without randomness the time since boot still tells processes of one machine apart.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        let nanos = super::uptime::SystemUptime.now().as_nanos().to_le_bytes();
        random.copy_from_slice(&nanos[..6]);
    }
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{instance}.{random}").into()
}
