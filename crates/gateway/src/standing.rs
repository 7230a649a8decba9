//! How accounts stand, told to the other instances: which are usable, and until when each was streamed.
//!
//! Every instance plans with the same accounts, so each must see that a token was lost that another instance holds. The
//! holder of an account's lease writes; everybody reads. While the database is away each goes on with what it knew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use feed_control::{AccountSlot, AccountState};
use market_model::{Clock, UnixNanos};
use resilience::TaskExit;
use sql_store::lease::HeldLeases;
use sql_store::{Database, Kind, Migration, Schema, Statement, StoreError, Value};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The table of this page.
pub(crate) const SCHEMA: Schema = Schema {
    name: "gateway",
    migrations: &[Migration {
        version: 1,
        name: "account standing",
        sql: include_str!("../migrations/0001_account_standing.sql"),
    }],
};

/// How often the others' accounts are looked at; a lost token is known everywhere within this and one reload.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is written that an account is still streamed. A takeover tells a hole from the last time on.
const WRITE: Duration = Duration::from_secs(2);

static WRITE_ALL: Statement = Statement::for_engines(
    "write account standing",
    "insert into account_standing (name, fence, usable, reason, at)
     values ($1, $2, $3, $4, (extract(epoch from statement_timestamp()) * 1000000)::bigint)
     on conflict (name) do update set fence = excluded.fence, usable = excluded.usable, reason = excluded.reason,
         at = excluded.at
     where account_standing.fence <= excluded.fence",
    "insert into account_standing (name, fence, usable, reason, at)
     values ($1, $2, $3, $4, cast(unixepoch('subsec') * 1000000 as integer))
     on conflict (name) do update set fence = excluded.fence, usable = excluded.usable, reason = excluded.reason,
         at = excluded.at
     where account_standing.fence <= excluded.fence",
    &[Kind::Text, Kind::Int, Kind::Int, Kind::Text],
);
static READ_ALL: Statement = Statement::for_engines(
    "read account standing",
    "select name, usable, reason, (extract(epoch from statement_timestamp()) * 1000000)::bigint - at
     from account_standing",
    "select name, usable, reason, cast(unixepoch('subsec') * 1000000 as integer) - at from account_standing",
    &[],
);

/// An account as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalAccount {
    pub(crate) capacity: usize,
    pub(crate) weight: u32,
    /// Why it cannot be used, if it cannot.
    pub(crate) lost: Option<Arc<str>>,
}

/// The accounts of the configuration as this process sees them.
pub(crate) type LocalAccounts = Arc<BTreeMap<Arc<str>, LocalAccount>>;

/// Until when each account is known to have been streamed by somebody.
pub(crate) type StreamedUntil = Arc<BTreeMap<Arc<str>, UnixNanos>>;

/// What an account's holder wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    lost: Option<Arc<str>>,
    /// Wall clock of this machine.
    at: UnixNanos,
}

/// Reads and writes the table, and makes the planner's view of every account.
pub(crate) struct Standing {
    database: Database,
    clock: Arc<dyn Clock>,
    local: watch::Receiver<LocalAccounts>,
    held: watch::Receiver<HeldLeases>,
    slots: watch::Sender<Arc<[AccountSlot]>>,
    streamed_until: watch::Sender<StreamedUntil>,
}

// === impl Standing ===

impl Standing {
    pub(crate) fn new(
        database: &Database,
        clock: Arc<dyn Clock>,
        local: watch::Receiver<LocalAccounts>,
        held: watch::Receiver<HeldLeases>,
    ) -> Self {
        Self {
            // It is asked again a second later.
            database: database.with_timeout(LOOK),
            clock,
            local,
            held,
            slots: watch::Sender::new(Arc::default()),
            streamed_until: watch::Sender::default(),
        }
    }

    /// Every account as the planner sees it.
    pub(crate) fn slots(&self) -> watch::Receiver<Arc<[AccountSlot]>> {
        self.slots.subscribe()
    }

    /// Until when each account is known to have been streamed by somebody.
    pub(crate) fn streamed_until(&self) -> watch::Receiver<StreamedUntil> {
        self.streamed_until.subscribe()
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> TaskExit {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut written, mut failing) = (BTreeMap::new(), None, false);
        loop {
            let changed = tokio::select! {
                biased;
                () = stop.cancelled() => return TaskExit::Cancelled,
                changed = self.local.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return TaskExit::InputClosed,
                },
                Ok(()) = self.held.changed() => true,
                _ = looks.tick() => false,
            };
            // Before anything that waits for the database: what is known here counts at once.
            self.publish(&told);
            let due = written.is_none_or(|at: Instant| at.elapsed() >= WRITE);
            let turn = self.turn(changed || due);
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return TaskExit::Cancelled,
                outcome = turn => outcome,
            };
            match outcome {
                Ok(news) => {
                    told = news;
                    if changed || due {
                        written = Some(Instant::now());
                    }
                    failing = false;
                    self.publish(&told);
                }
                Err(error) => {
                    // A change that could not be written is written as soon as it can be.
                    written = None;
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "other instances cannot be told how accounts stand, nor heard");
                    }
                }
            }
        }
    }

    async fn turn(&self, write: bool) -> Result<BTreeMap<Arc<str>, Told>, StoreError> {
        if write {
            let (held, local) = (self.held.borrow().clone(), self.local.borrow().clone());
            let rows = held.iter().filter(|(_, guard)| guard.is_held()).filter_map(|(name, guard)| {
                let account = local.get(name)?;
                let usable = i64::from(account.lost.is_none());
                let reason = account.lost.as_deref().unwrap_or_default();
                Some(vec![Value::from(&**name), guard.fence().into(), usable.into(), Value::from(reason)])
            });
            self.database.execute_many(&WRITE_ALL, rows.collect::<Vec<_>>()).await?;
        }
        let now = self.clock.now();
        let rows = self.database.query(&READ_ALL, []).await?;
        let told = rows.iter().map(|row| {
            let age = Duration::from_micros(u64::try_from(row.int(3)?).unwrap_or_default());
            let lost = (row.int(1)? == 0).then(|| row.text(2).map(Arc::from)).transpose()?;
            Ok((Arc::from(row.text(0)?), Told { lost, at: now - age }))
        });
        told.collect()
    }

    fn publish(&self, told: &BTreeMap<Arc<str>, Told>) {
        let (held, local) = (self.held.borrow().clone(), self.local.borrow().clone());
        let slots: Vec<AccountSlot> =
            local.iter().map(|(name, account)| slot(name, account, &held, told)).collect();
        self.slots.send_if_modified(|shown| {
            let differs = **shown != *slots;
            if differs {
                *shown = slots.into();
            }
            differs
        });
        let until: BTreeMap<_, _> = told.iter().map(|(name, told)| (name.clone(), told.at)).collect();
        self.streamed_until.send_replace(Arc::new(until));
    }
}

fn slot(
    name: &Arc<str>,
    account: &LocalAccount,
    held: &HeldLeases,
    told: &BTreeMap<Arc<str>, Told>,
) -> AccountSlot {
    let held = held.get(name).is_some_and(|guard| guard.is_held());
    // Its holder knows best.
    let lost = match held {
        true => account.lost.clone(),
        false => told.get(name).and_then(|told| told.lost.clone()),
    };
    AccountSlot {
        id: name.clone(),
        capacity: account.capacity,
        weight: account.weight,
        state: lost.map_or(AccountState::Ready, AccountState::Lost),
        held,
    }
}
