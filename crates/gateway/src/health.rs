//! What `/health` and `/readyz` say: one place that looks at every part.

mod parts;

use std::sync::{Arc, Mutex, PoisonError};

use feed_recorder::RecorderStatus;
use gateway_api::HealthSource;
use kite_client::ConnectionState;
use market_model::{Clock, Sessions};
use redis_fanout::{RedisStatus, RedisStatusHandle};
use resilience::{BreakerState, SupervisorStatus, TaskState};
use serde_json::{Value, json};
use tick_pipeline::SinkQueue;
use tokio::sync::watch;

use self::parts::{
    account, connection, conservation, forwards, recording, redis_problem, redis_report, rejected_ticks,
    sessions, sink, ticker_problems, unknown_tokens,
};
use crate::feed::FeedView;
use crate::instruments::CatalogBoard;
use crate::latency::LatencyWindow;
use crate::subscriptions::WishReport;

/// Everything the report looks at.
pub(crate) struct Health {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalog: CatalogBoard,
    pub(crate) wishes: watch::Receiver<WishReport>,
    pub(crate) feeds: Vec<Arc<FeedView>>,
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
        let feeds: Vec<_> = self.feeds.iter().filter_map(|feed| feed.status()).collect();
        let now = self.clock.now();
        let all =
            feeds.iter().flat_map(|(ticker, _)| ticker.connections.iter().map(|c| (&*ticker.account, c)));
        let needed = all.filter(|(_, status)| status.state != ConnectionState::Idle);
        let connections: Vec<Value> =
            needed.map(|(account, status)| connection(account, status, now)).collect();
        let wishes = self.wishes.borrow().clone();
        json!({
            "connections": connections,
            "accounts": feeds.iter().map(|(ticker, pipeline)| account(ticker, pipeline)).collect::<Vec<_>>(),
            "unknown_tokens": feeds.iter().flat_map(|(_, pipeline)| unknown_tokens(pipeline)).collect::<Vec<_>>(),
            "rejected_ticks": rejected_ticks(&feeds),
            "conservation": conservation(&feeds, &self.sinks),
            "forwards": feeds.iter().flat_map(|(_, pipeline)| forwards(pipeline)).collect::<Vec<_>>(),
            "subscriptions": {
                "wanted": wishes.wanted,
                "unmet": wishes.unmet,
                "waiting_for_a_price": wishes.waiting,
                "refused_for_capacity": wishes.refused,
            },
            "instruments": self.catalog.catalog().borrow().len(),
            "sinks": self.sinks(),
            "redis": self.redis.as_ref().and_then(|redis| redis.status()).map(|status| redis_report(&status)),
            "tasks": self.tasks(),
            "latency": self.latency.percentiles(),
            "recording": self.recording.as_ref().map(|status| recording(&status.borrow())),
            "sessions": sessions(&self.sessions.borrow()),
        })
    }

    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.catalog.missing().into_iter().collect();
        for feed in &self.feeds {
            match feed.status() {
                None => missing.push("a feed has not started".to_owned()),
                Some((ticker, _)) => missing.extend(ticker_problems(&ticker)),
            }
        }
        let waiting = self.wishes.borrow().waiting.join(", ");
        if !waiting.is_empty() {
            missing.push(format!("no price yet of {waiting}: their option strikes are not subscribed"));
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
