//! What `/health` and `/readyz` say: one place that looks at every part.

use std::sync::{Arc, Mutex, PoisonError};

use gateway_api::HealthSource;
use kite_client::{ConnectionState, ConnectionStatus, TickerStatus};
use market_model::{Clock, Sessions, UnixNanos};
use redis_fanout::{RedisStatus, RedisStatusHandle};
use resilience::{BreakerState, SupervisorStatus, TaskState};
use serde_json::{Value, json};
use tick_pipeline::{PipelineStatus, SinkQueue, TickRejected};
use tokio::sync::watch;

use crate::feed::FeedView;
use crate::instruments::CatalogBoard;
use crate::latency::LatencyWindow;
use crate::rates::RateMeter;
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
    pub(crate) rates: RateMeter,
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
            needed.map(|(account, status)| self.connection(account, status, now)).collect();
        let wishes = self.wishes.borrow().clone();
        json!({
            "connections": connections,
            "accounts": feeds.iter().map(|(ticker, pipeline)| account(ticker, pipeline)).collect::<Vec<_>>(),
            "unknown_tokens": feeds.iter().flat_map(|(_, pipeline)| unknown_tokens(pipeline)).collect::<Vec<_>>(),
            "rejected_ticks": rejected_ticks(&feeds),
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
            "sessions": sessions(&self.sessions.borrow()),
        })
    }

    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.catalog.missing().into_iter().collect();
        for feed in &self.feeds {
            match feed.status() {
                None => missing.push("a feed has not started".to_owned()),
                Some((ticker, _)) => missing.extend(ticker_problem(&ticker)),
            }
        }
        let waiting = self.wishes.borrow().waiting.join(", ");
        if !waiting.is_empty() {
            missing.push(format!("no price yet of {waiting}: their option strikes are not subscribed"));
        }
        if let Some(redis) = &self.redis {
            match redis.status() {
                Some(status)
                    if status.connected == status.connections && status.breaker == BreakerState::Closed => {}
                Some(status) => missing.push(format!(
                    "redis at {} is not usable: {}",
                    status.server,
                    status.last_error.as_deref().unwrap_or("not connected yet")
                )),
                None => missing.push("the redis sink has not started".to_owned()),
            }
        }
        missing
    }
}

impl Health {
    fn connection(&self, account: &str, status: &ConnectionStatus, now: UnixNanos) -> Value {
        let name = format!("{account}/{}", status.index);
        let counts = status.subscriptions;
        json!({
            "ticks_per_second": self.rates.rate(&name, status.ticks, now),
                "name": name,
            "state": status.state.as_str(),
            "instruments": counts.requested + counts.sent + counts.live + counts.silent,
            "live": counts.live,
            "silent": counts.silent,
            "silent_tokens": status.silent_tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
            "rejected_tokens": status.rejected_tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
            "frames": status.frames,
            "ticks": status.ticks,
            "decode_errors": status.decode_errors,
            "dropped_ticks": status.dropped_ticks,
            "handshakes": status.handshakes,
            "reconnects": status.connects.saturating_sub(1),
            "last_frame_age_ms": status.last_frame.map(|at| now.saturating_since(at).as_millis() as u64),
            "last_reason": status.last_reason.as_ref().map(|reason| format!("{reason:?}")),
        })
    }

    fn sinks(&self) -> Vec<Value> {
        let broken = self
            .redis
            .as_ref()
            .and_then(|redis| redis.status())
            .is_some_and(|s| s.breaker != BreakerState::Closed);
        let rows = self.sinks.iter().map(|queue| {
            let (name, counts) = (queue.name(), queue.counts());
            json!({
                "name": name,
                "state": if name == "redis" && broken { "circuit open" } else { "up" },
                "pushed": counts.pushed,
                "delivered": counts.delivered,
                "dropped": counts.dropped,
                "conflated": counts.conflated,
                "failed": counts.failed,
                "waiting": counts.depth,
            })
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

// === parts of the report ===

fn account(ticker: &TickerStatus, pipeline: &PipelineStatus) -> Value {
    json!({
        "name": &*ticker.account,
        "simulated": pipeline.sim,
        "token": if ticker.token_refused { "refused" } else { "accepted" },
        "surplus": ticker.surplus,
        "ticks": pipeline.counts.ticks,
        "instruments": pipeline.instruments,
        "stale": pipeline.stale,
    })
}

fn sessions(sessions: &Sessions) -> Value {
    let phases =
        sessions.iter().map(|(exchange, phase)| (exchange.as_str().to_owned(), json!(phase.as_str())));
    Value::Object(phases.collect())
}

fn unknown_tokens(pipeline: &PipelineStatus) -> impl Iterator<Item = Value> + '_ {
    pipeline
        .unknown_tokens
        .iter()
        .map(|(token, ticks)| json!({ "instrument_token": token.0, "ticks": ticks }))
}

fn rejected_ticks(feeds: &[(TickerStatus, PipelineStatus)]) -> Value {
    let sums = TickRejected::ALL.iter().map(|reason| {
        let sum: u64 = feeds.iter().map(|(_, pipeline)| pipeline.counts.rejected[reason.index()]).sum();
        (reason.as_str().to_owned(), json!(sum))
    });
    Value::Object(sums.collect())
}

fn forwards(pipeline: &PipelineStatus) -> impl Iterator<Item = Value> + '_ {
    let known = pipeline.chains.iter().filter(|chain| chain.forward.is_some());
    known.map(|chain| {
        json!({
            "underlying": &*chain.underlying,
            "expiry": chain.expiry.date.to_string(),
            "forward": chain.forward,
            "source": chain.source.map(snapshot_wire::forward_source_word),
            "stale": chain.stale,
            "parity_error": chain.parity_error,
            "parity_strikes": chain.parity_strikes,
        })
    })
}

fn redis_report(status: &RedisStatus) -> Value {
    json!({
        "server": status.server,
        "connections": status.connections,
        "connected": status.connected,
        "breaker": match status.breaker {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        },
        "last_error": status.last_error,
        "batches": status.batches,
        "publish_failures": status.publish_failures,
        "circuit_open_drops": status.circuit_open_drops,
        "connections_lost": status.connections_lost,
    })
}

/// What keeps an account's ticker from being of use.
fn ticker_problem(ticker: &TickerStatus) -> Option<String> {
    let account = &ticker.account;
    if ticker.token_refused {
        return Some(format!("account {account}: the access token was refused; log in again"));
    }
    let needed = ticker.connections.iter().filter(|connection| connection.state != ConnectionState::Idle);
    let down = needed.clone().filter(|connection| connection.state != ConnectionState::Up).count();
    match (needed.count(), down) {
        (0, _) => Some(format!("account {account}: nothing is subscribed")),
        (_, 0) => None,
        (needed, down) => Some(format!("account {account}: {down} of {needed} ticker connections are down")),
    }
}
