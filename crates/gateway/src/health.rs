//! What `/health` and `/readyz` say: one place that looks at every part.

mod parts;
mod reasons;

use std::sync::{Arc, Mutex, PoisonError};

use account_pool::{AccountDirectory, AccountPool, TokenBoard};
use feed_control::{AccountSlot, ControlReport, SyncStatus};
use feed_recorder::RecorderStatus;
use gateway_api::HealthSource;
use instrument_registry::Registry;
use kite_client::ConnectionState;
use market_model::{Clock, Sessions};
use redis_fanout::{RedisStatus, RedisStatusHandle};
use resilience::{BreakerState, SupervisorStatus, TaskState};
use serde_json::{Value, json};
use sql_store::DatabaseStatus;
use sql_store::lease::HeldLeases;
use tick_pipeline::SinkQueue;
use tokio::sync::watch;

use self::parts::{
    AccountView, account, connection, conservation, forwards, instruments, recording, redis_problem,
    redis_report, rejected_ticks, sessions, sink, subscriptions, ticker_problems, unknown_tokens,
};
use crate::address::AddressWatch;
use crate::automatic::AutomaticLogins;
use crate::catalog;
use crate::config::Roles;
use crate::fleet::Roster;
use crate::latency::LatencyWindow;
use crate::order_counts::OrderCounts;

/// Everything the report looks at.
pub(crate) struct Health {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) plan: watch::Receiver<Option<Arc<ControlReport>>>,
    pub(crate) wishes: watch::Receiver<SyncStatus>,
    pub(crate) directory: Arc<AccountDirectory>,
    pub(crate) tokens: Arc<TokenBoard>,
    pub(crate) automatic: Arc<AutomaticLogins>,
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) orders: Arc<OrderCounts>,
    pub(crate) address: Arc<AddressWatch>,
    pub(crate) slots: watch::Receiver<Arc<[AccountSlot]>>,
    pub(crate) held: watch::Receiver<HeldLeases>,
    pub(crate) instance: Arc<str>,
    pub(crate) database: watch::Receiver<DatabaseStatus>,
    pub(crate) roles: Roles,
    pub(crate) roster: Roster,
    pub(crate) sinks: Vec<SinkQueue>,
    pub(crate) redis: Option<Arc<RedisView>>,
    pub(crate) tasks: SupervisorStatus,
    pub(crate) latency: Arc<LatencyWindow>,
    pub(crate) sessions: watch::Receiver<Sessions>,
    pub(crate) recording: Option<watch::Receiver<RecorderStatus>>,
}

/// The state of the Redis sink's present run.
#[derive(Default)]
pub(crate) struct RedisView(Mutex<Option<RedisStatusHandle>>);

fn database(status: &DatabaseStatus) -> Value {
    json!({
        "up": status.is_up(),
        "down": status.down,
        "writes_refused": status.writes_refused,
        "since_s": status.since.elapsed().as_secs(),
    })
}

// === impl RedisView ===

impl RedisView {
    pub(crate) fn show(&self, handle: RedisStatusHandle) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    fn status(&self) -> Option<RedisStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(RedisStatusHandle::now)
    }
}

// === impl Health ===

impl HealthSource for Health {
    fn report(&self) -> Value {
        let feeds: Vec<_> = self.roster.feeds().values().filter_map(|feed| feed.status()).collect();
        let now = self.clock.now();
        let all =
            feeds.iter().flat_map(|(ticker, _)| ticker.connections.iter().map(|c| (&*ticker.account, c)));
        let needed = all.filter(|(_, status)| status.state != ConnectionState::Idle);
        let connections: Vec<Value> =
            needed.map(|(account, status)| connection(account, status, now)).collect();
        json!({
            "instance": &*self.instance,
            "roles": { "feed": self.roles.feed, "api": self.roles.api },
            "connections": connections,
            "accounts": self.accounts(),
            "address": self.address.report(),
            "unknown_tokens": feeds.iter().flat_map(|(_, pipeline)| unknown_tokens(pipeline)).collect::<Vec<_>>(),
            "rejected_ticks": rejected_ticks(&feeds),
            "conservation": conservation(&feeds, &self.sinks),
            "forwards": feeds.iter().flat_map(|(_, pipeline)| forwards(pipeline)).collect::<Vec<_>>(),
            "subscriptions": subscriptions(self.plan.borrow().as_deref(), &self.wishes.borrow()),
            "instrument_list": instruments(&self.registry, now),
            "database": database(&self.database.borrow()),
            "sinks": self.sinks(),
            "redis": self.redis.as_ref().and_then(|redis| redis.status()).map(|status| redis_report(&status)),
            "tasks": self.tasks(),
            "latency": self.latency.percentiles(),
            "recording": self.recording.as_ref().map(|status| recording(&status.borrow())),
            "sessions": sessions(&self.sessions.borrow()),
        })
    }

    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.database_problem().into_iter().collect();
        missing.extend(catalog::missing(&self.registry, self.clock.as_ref()));
        if self.directory.accounts().iter().all(|account| !account.enabled) {
            missing.push("there is no account, add one (`accounts add`)".to_owned());
        }
        let held = self.held.borrow().clone();
        for (name, feed) in self.roster.feeds() {
            match feed.status() {
                // An account that another instance streams, or that nobody could take yet.
                None if self.roles.feed && held.contains_key(&name) => {
                    missing.push(format!("the feed of account {name} has not started"));
                }
                None => {}
                Some((ticker, _)) => missing.extend(ticker_problems(&ticker)),
            }
        }
        missing.extend(self.token_problems());
        let plan = self.plan.borrow().clone();
        match &plan {
            None if missing.is_empty() => missing.push("the first plan is being made".to_owned()),
            None => {}
            Some(report) => missing.extend(parts::waiting(&report.plan)),
        }
        if let Some(redis) = &self.redis {
            match redis.status() {
                Some(status) => missing.extend(redis_problem(&status)),
                None => missing.push("the redis sink has not started".to_owned()),
            }
        }
        missing
    }
}

impl Health {
    /// Every account: its token, who streams it, what it carries.
    pub(crate) fn accounts(&self) -> Value {
        let (feeds, held, now) = (self.roster.feeds(), self.held.borrow().clone(), self.clock.now());
        let (slots, plan) = (self.slots.borrow().clone(), self.plan.borrow().clone());
        let (accounts, statuses) = (self.directory.accounts(), self.pool.status());
        let rows = accounts.iter().map(|known| {
            let name = known.name.as_str();
            account(&AccountView {
                account: known,
                token: self.tokens.view(name),
                automatic: self.automatic.status(known),
                address: self.address.verdict(known),
                orders: statuses.iter().find(|status| status.name == known.name).map(|status| &status.orders),
                book: self.orders.status(&known.name),
                slot: slots.iter().find(|slot| *slot.id == *name),
                load: plan.as_ref().and_then(|report| {
                    report.plan.accounts().iter().find(|load| *load.slot.id == *name).map(|load| load.tokens)
                }),
                fence: held.get(name).map(|guard| guard.fence()),
                feed: feeds.get(name).and_then(|feed| feed.status()),
                now,
            })
        });
        rows.collect()
    }

    fn database_problem(&self) -> Option<String> {
        let status = self.database.borrow();
        let down = status.down.as_ref().map(|why| format!("the database is down: {why}"));
        down.or_else(|| {
            status.writes_refused.as_ref().map(|why| format!("the database refuses writes: {why}"))
        })
    }

    fn token_problems(&self) -> Vec<String> {
        let lost = |account: &account_pool::Account| {
            let view = self.tokens.view(account.name.as_str())?;
            let is_usable = crate::feed::usable_token(account, &view).is_some();
            let (name, state) = (&account.name, view.state.as_str());
            let barred = self.automatic.status(account).and_then(|automatic| automatic.problem);
            (!is_usable).then(|| match barred {
                Some(problem) => format!("account {name}: its access token is {state}, {problem}"),
                None => format!("account {name}: its access token is {state}, log in or hand one over"),
            })
        };
        self.directory.accounts().iter().filter(|account| account.enabled).filter_map(lost).collect()
    }

    fn sinks(&self) -> Vec<Value> {
        let broken = self
            .redis
            .as_ref()
            .and_then(|redis| redis.status())
            .is_some_and(|s| s.breaker != BreakerState::Closed);
        let rows = self.sinks.iter().map(|queue| {
            let (name, counts) = (queue.name(), queue.counts());
            let state = if name == "redis" && broken { "circuit open" } else { "up" };
            sink(name, state, &counts, queue.oldest_waiting_age())
        });
        rows.collect()
    }

    fn tasks(&self) -> Vec<Value> {
        let rows = self.tasks.tasks().into_iter().map(|task| {
            json!({
                "name": &*task.name,
                "state": match task.state {
                    TaskState::Running => "running",
                    TaskState::Restarting { .. } => "restarting",
                    _ => "ended",
                },
                "restarts": task.restarts,
                "panics": task.panics,
                "last_exit": task.last_exit.map(|exit| exit.to_string()),
            })
        });
        rows.collect()
    }
}
