//! What the ticker says, held against what the server did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use market_model::{
    ConnectionId, FeedEvent, Gap, GapCause, InstrumentToken, Mode, SubscriptionState, Tick, TickFrame,
};

use crate::clock::virtual_time;
use crate::market::{Flaw, flaw, number};
use crate::network::Network;
use crate::server::Server;
use crate::tap::Tap;
use crate::trace::Trace;

/// Ticks that came after a later one, and nobody could have known: two sockets carried their instrument, each with its
/// own way through the network, and either they belong to two connections or the mode tells nothing about the order.
/// Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepsBack(Arc<Mutex<BTreeSet<(InstrumentToken, i64)>>>);

/// How long a newcomer may take to prove itself and the former socket to close.
const LEAVES_WITHIN: Duration = Duration::from_secs(4);

/// The number of no tick.
pub(crate) const NOTHING: i64 = -1;

/// Listens to the feed before the pipeline does.
#[derive(Debug)]
pub(crate) struct Story {
    trace: Trace,
    server: Server,
    network: Network,
    tap: Arc<Tap>,
    told: Arc<Mutex<Vec<FeedEvent>>>,
    /// What came out of order, and might.
    pub(crate) steps_back: StepsBack,
    /// Single sockets of the server may fall silent.
    mutes: bool,
    /// Events heard.
    heard: u64,
    connections: BTreeMap<ConnectionId, Line>,
    tokens: BTreeMap<InstrumentToken, Seen>,
    holes: Vec<Hole>,
    /// Ticks heard.
    pub(crate) ticks: u64,
    /// Ticks that were dropped, as the holes say.
    pub(crate) overrun: u64,
    /// Packets that could not be decoded, as the holes say.
    pub(crate) undecodable: u64,
    /// The newest believable tick of each instrument, and doubtful ones since.
    pub(crate) newest: BTreeMap<InstrumentToken, Vec<i64>>,
    /// When each instrument ticked last, and in which mode.
    pub(crate) ticked: BTreeMap<InstrumentToken, (Duration, Mode)>,
}

/// One connection.
#[derive(Debug, Default)]
struct Line {
    /// It ticked since it first stood.
    ticked: bool,
    /// A hole must be told before its next tick.
    owes_gap: bool,
    /// When a hole that concerns everything was last told.
    gap: u64,
}

/// The last tick of an instrument.
#[derive(Debug, Clone)]
struct Seen {
    /// The latest one, and where it came from.
    number: i64,
    latest_on: ConnectionId,
    /// It told how far the trading had come.
    has_volume: bool,
    connection: ConnectionId,
    at: u64,
    /// When a hole that names it was last told.
    gap: u64,
}

/// Ticks that the server wrote and nobody heard.
#[derive(Debug)]
struct Hole {
    token: InstrumentToken,
    connection: ConnectionId,
    lost: Vec<i64>,
    before: i64,
    /// Two sockets carried the instrument.
    two_sources: bool,
    seen_at: Duration,
}

/// Token and number of each tick.
struct Names<'a>(&'a [Tick]);

// === impl StepsBack ===

impl StepsBack {
    /// Whether this tick may come after a later one.
    pub(crate) fn contains(&self, token: InstrumentToken, number: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(token, number))
    }

    /// How many there were.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn add(&self, token: InstrumentToken, number: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((token, number));
    }
}

// === impl Story ===

impl Story {
    /// Nothing heard yet. Events that are not ticks are added to `told`.
    pub(crate) fn new(
        trace: Trace,
        server: Server,
        network: Network,
        tap: Arc<Tap>,
        told: Arc<Mutex<Vec<FeedEvent>>>,
        steps_back: StepsBack,
        mutes: bool,
    ) -> Self {
        Self {
            trace,
            server,
            network,
            tap,
            told,
            steps_back,
            mutes,
            heard: 0,
            connections: BTreeMap::new(),
            tokens: BTreeMap::new(),
            holes: Vec::new(),
            ticks: 0,
            overrun: 0,
            undecodable: 0,
            newest: BTreeMap::new(),
            ticked: BTreeMap::new(),
        }
    }

    /// The next event.
    pub(crate) fn hear(&mut self, event: &FeedEvent) {
        self.heard += 1;
        if let FeedEvent::Ticks(frame) = event {
            return self.hear_ticks(frame);
        }
        self.trace.note(format_args!("feed says {event:?}"));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        match event {
            FeedEvent::Reconnected { connection, .. } => {
                let line = self.connections.entry(connection.clone()).or_default();
                line.owes_gap = line.ticked;
            }
            FeedEvent::Connected { connection, .. } => {
                // It had nothing to carry before, so nothing is missed.
                self.connections.insert(connection.clone(), Line::default());
                self.tokens.retain(|_, seen| seen.connection != *connection);
                self.holes.retain(|hole| hole.connection != *connection);
            }
            FeedEvent::Gap(gap) => self.hear_gap(gap),
            FeedEvent::Subscriptions { changes, .. } => {
                let gone = [SubscriptionState::Removed, SubscriptionState::Rejected];
                for change in changes.iter().filter(|change| gone.contains(&change.state)) {
                    self.tokens.remove(&change.token);
                    self.holes.retain(|hole| hole.token != change.token);
                }
            }
            _ => {}
        }
    }

    /// The feed has ended: every hole must have been told. A tick that came after a later one, because two sockets
    /// stood side by side, is none.
    pub(crate) fn end(&self) {
        let end = virtual_time().unwrap_or_default();
        for Hole { token, connection, lost, before, two_sources, seen_at } in &self.holes {
            // What never came is told when the former socket has left, which the stop forestalled; and a server that
            // keeps quiet on the newer socket only cannot be found out.
            let may_not_come = *two_sources && (self.mutes || *seen_at + LEAVES_WITHIN > end);
            let known_at = self.tap.arrival(*token, *before);
            let is_untold = |arrival: Option<u64>| match arrival {
                Some(_) => arrival < known_at,
                None => !may_not_come,
            };
            if let Some(lost) = lost.iter().find(|lost| is_untold(self.tap.arrival(*token, **lost))) {
                let arrival = self.tap.arrival(*token, *lost);
                let way =
                    if arrival.is_some() { "came and was withheld" } else { "was written and never came" };
                self.trace.violation(format_args!(
                    "tick {lost} of {token} on {connection} {way}, and no hole was told \
                     (tick {before} came at {:.3} s)",
                    seen_at.as_secs_f64()
                ));
            }
        }
    }

    fn hear_ticks(&mut self, frame: &TickFrame) {
        self.ticks += frame.ticks.len() as u64;
        self.trace.note(format_args!("feed ticks on {}: {}", frame.connection, Names(&frame.ticks)));
        let line = self.connections.entry(frame.connection.clone()).or_default();
        line.ticked = true;
        if std::mem::take(&mut line.owes_gap) {
            self.trace.violation(format_args!(
                "{} ticks after a reconnect before its hole was told",
                frame.connection
            ));
        }
        for tick in &frame.ticks {
            self.hear_tick(tick, &frame.connection);
        }
    }

    fn hear_tick(&mut self, tick: &Tick, connection: &ConnectionId) {
        let (token, number) = (tick.token, number(tick));
        let now = virtual_time().unwrap_or_default();
        self.ticked.insert(token, (now, tick.mode()));
        match flaw(tick) {
            None => drop(self.newest.insert(token, vec![number])),
            // Believed or not, as the session has it.
            Some(Flaw::Crossed) => self.newest.entry(token).or_insert_with(|| vec![NOTHING]).push(number),
            Some(Flaw::OutOfRange) => {}
        }
        let line_gap = self.connections.get(connection).map_or(0, |line| line.gap);
        let gap = self.tokens.get(&token).map_or(0, |seen| seen.gap);
        let has_volume = tick.quote().is_some();
        let latest_on = connection.clone();
        let seen =
            Seen { number, latest_on, has_volume, connection: connection.clone(), at: self.heard, gap };
        let Some(before) = self.tokens.insert(token, seen) else { return };
        if before.number > number {
            let is_told = before.has_volume && has_volume && before.latest_on == *connection;
            if !is_told && self.server.state().had_two_sources(token, &self.network.open()) {
                // What follows it is out of order as well, until the later tick is reached again.
                if let Some(seen) = self.tokens.get_mut(&token) {
                    (seen.number, seen.latest_on) = (before.number, before.latest_on);
                    seen.has_volume = before.has_volume;
                }
                return self.steps_back.add(token, number);
            }
            let before = before.number;
            self.trace.violation(format_args!("tick {number} of {token} came after tick {before}"));
        }
        let told = line_gap.max(before.gap) >= before.at;
        if told || before.connection != *connection {
            return;
        }
        let lost = self.server.state().wrote_between(token, before.number, number);
        if !lost.is_empty() {
            let connection = connection.clone();
            let two_sources = self.server.state().had_two_sources(token, &self.network.open());
            self.holes.push(Hole { token, connection, lost, before: number, two_sources, seen_at: now });
        }
    }

    fn hear_gap(&mut self, gap: &Gap) {
        let lost = gap.lost_ticks.unwrap_or(0);
        match gap.cause {
            GapCause::Overrun => self.overrun += lost,
            GapCause::Undecodable => self.undecodable += lost,
            _ => {}
        }
        let line = self.connections.entry(gap.connection.clone()).or_default();
        if gap.cause == GapCause::Disconnected {
            line.owes_gap = false;
        }
        match &gap.tokens {
            None => {
                line.gap = self.heard;
                self.holes.retain(|hole| hole.connection != gap.connection);
            }
            Some(tokens) => {
                for token in tokens.iter() {
                    if let Some(seen) = self.tokens.get_mut(token) {
                        seen.gap = self.heard;
                    }
                }
                self.holes.retain(|hole| hole.connection != gap.connection || !tokens.contains(&hole.token));
            }
        }
    }
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|tick| write!(f, "{}#{} ", tick.token, number(tick)))
    }
}
