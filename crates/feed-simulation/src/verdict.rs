//! What must hold: at every step, when all is calm, and when everything has ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;

use tick_pipeline::{HEALTH_CAPACITY, OverflowPolicy, QueueConfig, SinkEnd};

use crate::market::catalog;
use crate::run::Simulation;
use crate::story::NOTHING;

/// What is remembered from step to step.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Tries in the last minute.
    tries: VecDeque<Duration>,
    seen: usize,
    /// Reconnects that an operator asked for: each allows one try more.
    asks: usize,
}

// === impl Watch ===

impl Watch {
    /// An operator asked for a reconnect.
    pub(crate) fn asked(&mut self) {
        self.asks += 1;
    }

    /// Looks after each step.
    pub(crate) fn look(mut self, simulation: &Simulation<'_>) -> Self {
        self.look_at_tries(simulation);
        look_at_connections(simulation);
        look_at_queues(simulation);
        self
    }

    fn look_at_tries(&mut self, simulation: &Simulation<'_>) {
        let (gateway, trace) = (&simulation.gateway, &simulation.trace);
        let dialled = gateway.network.dialled();
        let again = gateway.network.tried_again();
        if again.len() > self.asks {
            trace.violation(format_args!("login {:?} was refused and tried again", again.last()));
        }
        if dialled == self.seen {
            return;
        }
        self.tries.extend(gateway.network.dials().into_iter().skip(self.seen));
        self.seen = dialled;
        let minute_ago = simulation.elapsed().saturating_sub(Duration::from_secs(60));
        while self.tries.front().is_some_and(|at| *at < minute_ago) {
            self.tries.pop_front();
        }
        let limits = simulation.plan.ticker.limits;
        let most = usize::from(limits.connections) * simulation.plan.ticker.handshakes_per_minute as usize;
        if self.tries.len() > most {
            trace.violation(format_args!("{} handshakes tried within a minute", self.tries.len()));
        }
    }
}

fn look_at_connections(simulation: &Simulation<'_>) {
    let (open, most) = (simulation.gateway.network.open().len(), simulation.plan.ticker.limits.connections);
    if open > usize::from(most) {
        simulation.trace.violation(format_args!("{open} sockets are open, {most} are allowed"));
    }
    for connection in simulation.gateway.ticker.status().connections {
        if !connection.is_balanced() {
            simulation.trace.violation(format_args!("packets went astray: {connection:?}"));
        }
    }
}

fn look_at_queues(simulation: &Simulation<'_>) {
    for sink in &simulation.gateway.sinks {
        let counts = sink.queue.counts();
        let QueueConfig { max_batches, max_bytes, .. } = sink.config;
        // A batch that has the queue for itself may be larger.
        if counts.depth > max_batches || (counts.waiting_bytes > max_bytes && counts.depth > 1) {
            simulation.trace.violation(format_args!(
                "{}: {} batches of {} bytes wait in a queue of {max_batches} and {max_bytes}",
                sink.queue.name(),
                counts.depth,
                counts.waiting_bytes
            ));
        }
        if !counts.is_balanced() {
            simulation.trace.violation(format_args!("{}: ticks went astray: {counts:?}", sink.queue.name()));
        }
        let settled = counts.health_delivered + counts.health_failed + counts.health_dropped;
        if counts.health_pushed - settled > HEALTH_CAPACITY as u64 + 1 {
            simulation.trace.violation(format_args!("{}: too many health records wait", sink.queue.name()));
        }
    }
}

/// What is not yet as it should be, `since` nothing is wrong any more.
pub(crate) fn not_as_wanted(simulation: &Simulation<'_>, since: Duration) -> Option<String> {
    let Simulation { gateway, server, wanted, plan, .. } = simulation;
    let ports = gateway.network.open();
    let Some(carried) = server.state().carried(&ports) else {
        return Some("a token is carried twice".to_owned());
    };
    let limits = plan.ticker.limits;
    let room = usize::from(limits.connections) * limits.tokens_per_connection;
    let status = gateway.ticker.status();
    let expected = wanted.len().min(room);
    if status.surplus != wanted.len() - expected {
        return Some(format!("surplus is {}, not {}", status.surplus, wanted.len() - expected));
    }
    if carried.len() != expected || carried.iter().any(|(token, mode)| wanted.get(token) != Some(mode)) {
        let differs: BTreeMap<_, _> = (wanted.iter())
            .filter(|(token, mode)| carried.get(token) != Some(mode))
            .map(|(token, mode)| (token, (mode, carried.get(token))))
            .take(4)
            .collect();
        return Some(format!("the server carries {} of {expected}, differing {differs:?}", carried.len()));
    }
    let live: usize = status.connections.iter().map(|connection| connection.subscriptions.live).sum();
    if live != expected {
        return Some(format!("{live} of {expected} subscriptions are live: {:?}", status.connections));
    }
    let story = gateway.story.lock().unwrap_or_else(PoisonError::into_inner);
    let quiet = carried.iter().find(|(token, mode)| {
        story.ticked.get(token).is_none_or(|(at, ticked)| *at <= since || ticked != *mode)
    });
    if let Some((token, mode)) = quiet {
        return Some(format!("{token} has not ticked in {mode:?}: {:?}", story.ticked.get(token)));
    }
    // What is current says so.
    let witness = gateway.sinks[0].deliveries.lock();
    let listed = catalog(0).unwrap_or_default();
    let stale = (carried.keys())
        .filter(|token| listed.slot(**token).is_some())
        .find(|token| witness.newest(**token).is_none_or(|newest| is_feed_stale(newest.stale)));
    stale.map(|token| format!("{token} is still stale: {:?}", witness.newest(*token)))
}

fn is_feed_stale(cause: Option<tick_pipeline::StaleCause>) -> bool {
    cause.is_some_and(|cause| cause != tick_pipeline::StaleCause::Forward)
}

/// Everything has ended: the accounts.
pub(crate) fn settle(simulation: &Simulation<'_>) {
    settle_ticker(simulation);
    settle_pipeline(simulation);
    settle_sinks(simulation);
}

fn settle_ticker(simulation: &Simulation<'_>) {
    let (gateway, trace) = (&simulation.gateway, &simulation.trace);
    let story = gateway.story.lock().unwrap_or_else(PoisonError::into_inner);
    let status = gateway.ticker.status();
    let sum = |of: fn(&kite_client::ConnectionStatus) -> u64| status.connections.iter().map(of).sum::<u64>();
    let (decoded, dropped) = (sum(|one| one.ticks), sum(|one| one.dropped_ticks));
    let superseded = sum(|one| one.superseded_ticks);
    if decoded != story.ticks + dropped + superseded {
        trace.violation(format_args!(
            "{decoded} ticks decoded, but {} heard, {dropped} dropped and {superseded} superseded",
            story.ticks
        ));
    }
    if story.overrun != dropped {
        trace.violation(format_args!("{dropped} ticks dropped, but holes tell of {}", story.overrun));
    }
    let tapped = gateway.tap.counts();
    if tapped != (sum(|one| one.frames), decoded, sum(|one| one.undecodable_packets)) {
        trace.violation(format_args!(
            "{tapped:?} frames, good and lost packets were tapped, but {:?}",
            status.connections
        ));
    }
    if story.undecodable != tapped.2 {
        trace.violation(format_args!(
            "{} packets were lost, but holes tell of {}",
            tapped.2, story.undecodable
        ));
    }
    if tapped.0 > gateway.network.binaries() {
        trace.violation(format_args!("{} frames taken, but {} came", tapped.0, gateway.network.binaries()));
    }
    if !gateway.network.open().is_empty() {
        trace.violation(format_args!("streams are still open: {:?}", gateway.network.open()));
    }
}

fn settle_pipeline(simulation: &Simulation<'_>) {
    let (gateway, trace) = (&simulation.gateway, &simulation.trace);
    let ends = gateway.ends.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(counts) = ends.pipeline else { return };
    let story = gateway.story.lock().unwrap_or_else(PoisonError::into_inner);
    let witness = gateway.sinks[0].deliveries.lock();
    if counts.ticks != story.ticks {
        trace
            .violation(format_args!("{} ticks heard, but the pipeline counts {}", story.ticks, counts.ticks));
    }
    let rejected = counts.rejected_total();
    if counts.ticks != rejected + counts.conflated + witness.ticked
        || counts.ticks != rejected + witness.stood_for
    {
        trace.violation(format_args!(
            "{} ticks, but {rejected} rejected, {} conflated, {} published and {} stood for",
            counts.ticks, counts.conflated, witness.ticked, witness.stood_for
        ));
    }
    if (counts.snapshots, counts.batches) != (witness.snapshots, witness.batches) || witness.missing > 0 {
        trace.violation(format_args!(
            "published {} snapshots in {} batches, but the witness has {} in {}, {} missing",
            counts.snapshots, counts.batches, witness.snapshots, witness.batches, witness.missing
        ));
    }
    if counts.health != witness.records {
        trace.violation(format_args!(
            "{} health records, but the witness has {}",
            counts.health, witness.records
        ));
    }
    // Without the shares that a catalog may have lacked for a while.
    let listed = catalog(4).unwrap_or_default();
    for (token, possible) in story.newest.iter().filter(|(token, _)| listed.slot(**token).is_some()) {
        let newest = witness.newest(*token);
        if !possible.contains(&newest.map_or(NOTHING, |newest| newest.number)) {
            trace.violation(format_args!(
                "the last tick of {token} was one of {possible:?}, but {newest:?} was published; rejected {:?}",
                counts.rejected
            ));
        }
    }
}

fn settle_sinks(simulation: &Simulation<'_>) {
    let (gateway, trace) = (&simulation.gateway, &simulation.trace);
    let ends = gateway.ends.lock().unwrap_or_else(PoisonError::into_inner);
    for sink in &gateway.sinks {
        let (name, counts) = (sink.queue.name(), sink.queue.counts());
        let missed_at_the_end = match name == gateway.sinks[0].queue.name() {
            true => 0,
            false => sink.deliveries.lock().missed_since(&gateway.sinks[0].deliveries.lock()),
        };
        let taken = sink.deliveries.lock();
        let ticks = counts.ticks;
        if ticks.waiting + ticks.in_flight > 0 || taken.stood_for != ticks.delivered + ticks.conflated {
            trace.violation(format_args!("{name}: took {} ticks, but {ticks:?}", taken.stood_for));
        }
        if taken.missed + missed_at_the_end != ticks.lost() {
            trace.violation(format_args!(
                "{name}: misses {} and {missed_at_the_end} ticks by the totals, but {ticks:?}",
                taken.missed
            ));
        }
        if counts.pushed != counts.delivered + counts.failed + counts.dropped + counts.conflated {
            trace.violation(format_args!("{name}: the account does not balance: {counts:?}"));
        }
        if (counts.delivered, counts.health_delivered) != (taken.snapshots, taken.records) {
            trace.violation(format_args!(
                "{name}: {} snapshots and {} records were taken, but {counts:?}",
                taken.snapshots, taken.records
            ));
        }
        if counts.health_pushed != counts.health_delivered + counts.health_failed + counts.health_dropped {
            trace.violation(format_args!("{name}: the account of health does not balance: {counts:?}"));
        }
        let folds = sink.config.overflow == OverflowPolicy::Conflate;
        if taken.missing > 0 && counts.failed + counts.dropped == 0 && !folds {
            trace.violation(format_args!(
                "{name}: {} batches are missing and nothing is counted",
                taken.missing
            ));
        }
        let summary = ends.sinks.iter().find(|summary| summary.name == name);
        let end = summary.map(|summary| summary.end);
        let may_disconnect = sink.config.overflow == OverflowPolicy::Disconnect;
        if end != Some(SinkEnd::InputClosed) && !(may_disconnect && end == Some(SinkEnd::Disconnected)) {
            trace.violation(format_args!("{name}: ended with {end:?}"));
        }
    }
}
