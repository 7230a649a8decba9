//! The parts of the report: each a plain function from a part's own status to JSON.

use std::time::Duration;

use feed_recorder::{RecorderState, RecorderStatus};
use kite_client::{ConnectionState, ConnectionStatus, TickerStatus};
use market_model::{Sessions, UnixNanos};
use redis_fanout::RedisStatus;
use resilience::BreakerState;
use serde_json::{Value, json};
use tick_pipeline::{PipelineStatus, SinkCounts, SinkQueue, TickRejected};

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
        "last_reason": status.last_reason.as_ref().map(|reason| format!("{reason:?}")),
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

pub(super) fn account(ticker: &TickerStatus, pipeline: &PipelineStatus) -> Value {
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
