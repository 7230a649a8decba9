//! The parts of the report: each a plain function from a part's own status to JSON.

use std::time::Duration;

use account_pool::{Account, AddressVerdict, OrderStatus, TokenView};
use feed_control::{AccountSlot, AccountState, ControlReport, Plan, Refusal, SyncStatus, UnmetReason};
use feed_recorder::{RecorderState, RecorderStatus};
use instrument_registry::Registry;
use kite_client::{ConnectionState, ConnectionStatus, TickerStatus};
use market_model::{Sessions, UnixNanos};
use redis_fanout::RedisStatus;
use resilience::BreakerState;
use serde_json::{Value, json};
use tick_pipeline::{PipelineStatus, SinkCounts, SinkQueue, TickRejected};

use super::reasons;
use crate::automatic::AutomaticStatus;

pub(super) fn connection(account: &str, status: &ConnectionStatus, now: UnixNanos) -> Value {
    let counts = status.subscriptions;
    json!({
        "name": format!("{account}/{}", status.index),
        "state": status.state.as_str(),
        "instruments": counts.requested + counts.sent + counts.live + counts.silent,
        "live": counts.live,
        "silent": counts.silent,
        "silent_tokens": status.silent_tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
        "rejected_tokens": status.rejected_tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
        "ticks_per_second": status.rate,
        "usual_ticks_per_second": status.usual_rate,
        "rate_collapsed": status.rate_collapsed,
        "dataless": status.dataless,
        "frames": status.frames,
        "packets": status.packets,
        "ticks": status.ticks,
        "delivered_ticks": status.delivered_ticks,
        "dropped_ticks": status.dropped_ticks,
        "superseded_ticks": status.superseded_ticks,
        "undecodable_packets": status.undecodable_packets,
        "decode_errors": status.decode_errors,
        "handshakes": status.handshakes,
        "reconnects": status.connects.saturating_sub(1),
        "rotations": status.rotations,
        "last_frame_age_ms": status.last_frame.map(|at| now.saturating_since(at).as_millis() as u64),
        "last_reason": status.last_reason.as_ref().map(reasons::words),
        "next_step": status.last_reason.as_ref().map(reasons::next_step),
    })
}

pub(super) fn sink(name: &str, state: &str, counts: &SinkCounts, oldest: Option<Duration>) -> Value {
    let ticks = counts.ticks;
    json!({
        "name": name,
        "state": state,
        "pushed": counts.pushed,
        "delivered": counts.delivered,
        "dropped": counts.dropped,
        "conflated": counts.conflated,
        "failed": counts.failed,
        "waiting": counts.depth,
        "waiting_bytes": counts.waiting_bytes,
        "oldest_waiting_ms": oldest.map(|age| age.as_millis() as u64),
        "ticks": {
            "offered": ticks.offered,
            "delivered": ticks.delivered,
            "conflated": ticks.conflated,
            "overflowed": ticks.overflowed,
            "failed": ticks.failed,
            "closed": ticks.closed,
            "waiting": ticks.waiting,
            "in_flight": ticks.in_flight,
        },
    })
}

/// Whether every tick is accounted for, on each of its legs. A leg that is not is a bug of ours.
pub(super) fn conservation(feeds: &[(TickerStatus, PipelineStatus)], sinks: &[SinkQueue]) -> Value {
    let tickers = feeds.iter().flat_map(|(ticker, _)| {
        let unbalanced = ticker.connections.iter().filter(|connection| !connection.is_balanced());
        unbalanced.map(|connection| format!("connection {}/{}", ticker.account, connection.index))
    });
    let pipelines = feeds.iter().filter(|(_, pipeline)| !pipeline.counts.is_balanced());
    let pipelines = pipelines.map(|(_, pipeline)| format!("pipeline {}", pipeline.source));
    let sinks = sinks.iter().filter(|queue| !queue.counts().is_balanced());
    let sinks = sinks.map(|queue| format!("sink {}", queue.name()));
    let unbalanced: Vec<String> = tickers.chain(pipelines).chain(sinks).collect();
    json!({ "balanced": unbalanced.is_empty(), "unbalanced": unbalanced })
}

/// One account, seen from everywhere.
pub(super) struct AccountView<'a> {
    pub(super) account: &'a Account,
    pub(super) token: Option<TokenView>,
    pub(super) automatic: Option<AutomaticStatus>,
    pub(super) address: Option<AddressVerdict>,
    pub(super) orders: Option<&'a OrderStatus>,
    /// Whether the order book was counted, and why not.
    pub(super) book: (bool, Option<String>),
    pub(super) slot: Option<&'a AccountSlot>,
    pub(super) load: Option<usize>,
    pub(super) fence: Option<i64>,
    pub(super) feed: Option<(TickerStatus, PipelineStatus)>,
    pub(super) now: UnixNanos,
}

pub(super) fn account(view: &AccountView<'_>) -> Value {
    let AccountView { account, token, automatic, address, orders, book, slot, load, fence, feed, now } = view;
    let refused = feed.as_ref().is_some_and(|(ticker, _)| ticker.token_refused);
    let state = token.as_ref().map(|view| view.state);
    let lost = slot.and_then(|slot| match &slot.state {
        AccountState::Lost(why) => Some(why.to_string()),
        _ => None,
    });
    json!({
        "name": account.name.as_str(),
        "from": account.origin,
        "enabled": account.enabled,
        "simulated": account.simulated,
        "token": if refused { "refused" } else { state.map_or("none", |state| state.as_str()) },
        "token_seconds_left": state.and_then(|state| state.time_left(*now)).map(|left| left.as_secs()),
        "automatic_login": automatic.as_ref().map_or("off", |automatic| automatic.state),
        "automatic_login_problem": automatic.as_ref().and_then(|automatic| automatic.problem.as_deref()),
        "registered_addresses": account.registered_addresses,
        "order_address": address.as_ref().map(ToString::to_string),
        "order_address_is_good": address.as_ref().map(AddressVerdict::is_good),
        "orders": orders.map(|orders| json!({
            "trading_account": orders.trading_account,
            "today": orders.day_used,
            "most_a_day": orders.day_most,
            "saved": orders.day_saved,
            "order_book_counted": book.0,
            "order_book_problem": book.1,
        })),
        "state": slot.map_or("unknown", |slot| slot.state.as_str()),
        "lost_because": lost,
        "streamed_here": fence.is_some(),
        "fence": fence,
        "planned": load,
        "capacity": slot.map(|slot| slot.capacity),
        "surplus": feed.as_ref().map_or(0, |(ticker, _)| ticker.surplus),
        "ticks": feed.as_ref().map_or(0, |(_, pipeline)| pipeline.counts.ticks),
        "instruments": feed.as_ref().map_or(0, |(_, pipeline)| pipeline.instruments),
        "stale": feed.as_ref().map_or(0, |(_, pipeline)| pipeline.stale),
    })
}

/// What wishes came to.
pub(super) fn subscriptions(report: Option<&ControlReport>, store: &SyncStatus) -> Value {
    let Some(report) = report else { return json!({ "wanted": 0, "store_failure": store.failure }) };
    let plan = &report.plan;
    let (waiting, unmet): (Vec<_>, Vec<_>) = plan
        .desired()
        .unmet()
        .iter()
        .partition(|unmet| matches!(unmet.reason, UnmetReason::WaitingForPrice { .. }));
    json!({
        "wanted": plan.desired().len(),
        "unmet": unmet.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "waiting_for_a_price": waiting.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "refused_for_capacity": plan.changes().refused,
        "refusals": plan.refusals().iter().map(|refusal| refusal_words(plan, refusal)).collect::<Vec<_>>(),
        "generation": store.wishes_generation,
        "store_failure": store.failure,
    })
}

/// Which wish is not met, by its own text, and one of the instruments it goes without.
fn refusal_words(plan: &Plan, refusal: &Refusal) -> String {
    let desired = plan.desired();
    let wish = desired.wishes().iter().find(|wish| wish.id == refusal.wish);
    let wish = wish.map_or_else(String::new, |wish| format!(" ({})", wish.spec));
    let first = desired.catalog().by_token(refusal.first);
    let first = first.map_or_else(|| refusal.first.0.to_string(), |found| found.tradingsymbol.to_string());
    let Refusal { wish: id, refused, of, why, .. } = refusal;
    format!("wish `{id}`{wish}: {refused} of {of} on no account, such as {first}: {}", why.as_str())
}

/// Strikes that wait for a first price.
pub(super) fn waiting(plan: &Plan) -> Option<String> {
    let mut names: Vec<&str> = plan
        .desired()
        .unmet()
        .iter()
        .filter_map(|unmet| match &unmet.reason {
            UnmetReason::WaitingForPrice { underlying, .. } => Some(&**underlying),
            _ => None,
        })
        .collect();
    names.dedup();
    let names = names.join(", ");
    (!names.is_empty()).then(|| format!("no price yet of {names}: their option strikes are not subscribed"))
}

pub(super) fn instruments(registry: &Registry, now: UnixNanos) -> Value {
    let (summary, status) = (registry.summary(now), registry.status());
    json!({
        "from": summary.origin.as_str(),
        "day": summary.day.map(|day| day.to_string()),
        "listed": summary.listed,
        "age_s": summary.age.map(|age| age.as_secs()),
        "unreadable_rows": summary.skipped.unreadable,
        "failure": status.failure.as_ref().map(|failure| failure.reason.to_string()),
        "tries": status.failure.as_ref().map(|failure| failure.tries),
        "next_refresh": status.next_refresh.map(|at| at.0),
        "stored_day": status.stored.map(|day| day.to_string()),
        "store_failure": status.store_failure,
        "changes": status.morning.as_ref().map(|report| report.to_string()),
    })
}

pub(super) fn recording(status: &RecorderStatus) -> Value {
    let (state, problem) = match &status.state {
        RecorderState::Starting => ("starting", None),
        RecorderState::Recording => ("recording", None),
        RecorderState::Paused { reason } => ("paused", Some(reason.to_string())),
        _ => ("ended", None),
    };
    json!({
        "state": state,
        "problem": problem,
        "file": status.file.as_ref().map(|file| file.display().to_string()),
        "frames": status.counts.frames,
        "frames_lost": status.counts.frames_lost,
        "written_bytes": status.written_bytes,
        "disk_bytes": status.disk_bytes,
        "deleted_files": status.deleted_files,
    })
}

pub(super) fn sessions(sessions: &Sessions) -> Value {
    let phases =
        sessions.iter().map(|(exchange, phase)| (exchange.as_str().to_owned(), json!(phase.as_str())));
    Value::Object(phases.collect())
}

pub(super) fn unknown_tokens(pipeline: &PipelineStatus) -> impl Iterator<Item = Value> + '_ {
    pipeline
        .unknown_tokens
        .iter()
        .map(|(token, ticks)| json!({ "instrument_token": token.0, "ticks": ticks }))
}

pub(super) fn rejected_ticks(feeds: &[(TickerStatus, PipelineStatus)]) -> Value {
    let sums = TickRejected::ALL.iter().map(|reason| {
        let sum: u64 = feeds.iter().map(|(_, pipeline)| pipeline.counts.rejected[reason.index()]).sum();
        (reason.as_str().to_owned(), json!(sum))
    });
    Value::Object(sums.collect())
}

pub(super) fn forwards(pipeline: &PipelineStatus) -> impl Iterator<Item = Value> + '_ {
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

pub(super) fn redis_report(status: &RedisStatus) -> Value {
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
        "faults": status.faults.iter().map(|fault| json!({
            "part": fault.part.as_str(),
            "error": fault.error.to_string(),
            "next_step": fault.error.next_step(),
            "for_ms": fault.lasts.as_millis() as u64,
        })).collect::<Vec<_>>(),
        "ticks_offered": status.ticks_offered,
        "ticks_published": status.ticks_published,
        "ticks_failed": status.ticks_failed,
        "ticks_dropped": status.ticks_dropped,
        "batches": status.batches,
        "publish_failures": status.publish_failures,
        "circuit_open_drops": status.circuit_open_drops,
        "connections_lost": status.connections_lost,
    })
}

/// What keeps Redis from being of use, or from storing what it should.
pub(super) fn redis_problem(status: &RedisStatus) -> Option<String> {
    let usable = status.connected == status.connections && status.breaker == BreakerState::Closed;
    match &status.last_error {
        Some(error) if !usable || !status.faults.is_empty() => {
            Some(format!("redis at {} is not usable: {error}", status.server))
        }
        _ if usable => None,
        _ => Some(format!("redis at {} is not usable: not connected yet", status.server)),
    }
}

/// What keeps an account's ticker from being of use, or makes its values doubtful.
pub(super) fn ticker_problems(ticker: &TickerStatus) -> Vec<String> {
    let account = &ticker.account;
    if ticker.token_refused {
        return vec![format!(
            "account {account}: the access token was refused; log in again and hand the token over (PUT /v1/accounts/{account}/access_token)"
        )];
    }
    let needed: Vec<&ConnectionStatus> =
        ticker.connections.iter().filter(|connection| connection.state != ConnectionState::Idle).collect();
    if needed.is_empty() {
        return vec![format!("account {account}: nothing is subscribed")];
    }
    let mut problems = Vec::new();
    let down = needed.iter().filter(|connection| connection.state != ConnectionState::Up).count();
    if down > 0 {
        problems.push(format!("account {account}: {down} of {} ticker connections are down", needed.len()));
    }
    for connection in needed {
        let name = format!("connection {account}/{}", connection.index);
        if connection.dataless {
            problems.push(format!("{name} sends heartbeats but no ticks"));
        } else if connection.rate_collapsed {
            let (rate, usual) = (connection.rate, connection.usual_rate.unwrap_or_default());
            problems.push(format!("{name} ticks at {rate:.0} a second, usual are {usual:.0}"));
        }
    }
    problems
}
