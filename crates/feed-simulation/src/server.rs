//! A ticker server that does what it is told, also when that is wrong, and remembers what it wrote.

mod socket;
mod trade;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::{InstrumentToken, Mode};
use rustc_hash::FxHashSet;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use turmoil::net::TcpListener;

use crate::random::Random;
use crate::trace::Trace;

pub use self::trade::Garbage;

/// The port it listens on.
pub(crate) const PORT: u16 = 9_000;
/// The name of its host.
pub(crate) const HOST: &str = "kite";

/// Longest time that something written to one socket may come after what was written later to another.
const STILL_ON_THE_WAY: Duration = Duration::from_secs(4);

/// How the server behaves when nothing is wrong.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Time between two rounds of ticks.
    pub trade_every: Duration,
    /// How many of a hundred instruments tick in a round.
    pub busy: u64,
    /// Time between two heartbeats of a socket.
    pub heartbeat_every: Duration,
    /// Packets in one frame.
    pub packets_per_frame: usize,
    /// How many of a thousand ticks are unbelievable.
    pub flawed: u64,
}

/// What a handshake was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// When it was answered.
    pub(crate) at: Duration,
    /// The login it came with.
    pub(crate) generation: u64,
    /// 101, or what it was refused with.
    pub(crate) status: u16,
}

/// What a socket does on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Behaviour {
    /// Neither ticks nor heartbeats are written.
    pub(crate) mute: bool,
    /// Nothing is read, so no ping is answered and no command obeyed.
    pub(crate) deaf: bool,
}

/// How a socket is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a close frame.
    Close(u16),
    /// Without a word.
    Drop,
}

/// The server. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

/// Everything it knows and does wrong. Faults change the public fields.
#[derive(Debug)]
pub(crate) struct State {
    config: ServerConfig,
    random: Random,
    trace: Trace,
    tokens: Vec<InstrumentToken>,
    /// The login it accepts; every other one is refused.
    pub(crate) accepts: Option<u64>,
    /// Answers to the next handshakes.
    pub(crate) refusals: VecDeque<u16>,
    /// How long a handshake waits for its answer.
    pub(crate) handshake_delay: Duration,
    /// How many of a hundred ticks are written at all.
    pub(crate) rate: u64,
    /// Instruments that do not tick.
    pub(crate) silent: BTreeSet<InstrumentToken>,
    /// How long a subscription takes to come alive.
    pub(crate) lateness: Duration,
    /// So many commands are ignored.
    pub(crate) lost_commands: u32,
    handshakes: Vec<Handshake>,
    sockets: BTreeMap<u16, Peer>,
    numbers: BTreeMap<InstrumentToken, u32>,
    written: FxHashSet<(InstrumentToken, u32)>,
    /// When instruments last had one socket more, or less, beside another one.
    two_sources: BTreeMap<InstrumentToken, Duration>,
}

/// One open socket.
#[derive(Debug)]
struct Peer {
    carried: BTreeMap<InstrumentToken, Carried>,
    behaviour: watch::Sender<Behaviour>,
    ending: watch::Sender<Option<Ending>>,
    outbox: mpsc::Sender<Outgoing>,
}

#[derive(Debug, Clone, Copy)]
struct Carried {
    mode: Mode,
    live_from: Duration,
}

/// A message on its way out, and which ticks are in it.
#[derive(Debug)]
enum Outgoing {
    Binary { bytes: Vec<u8>, ticks: Vec<(InstrumentToken, u32)> },
    Text(String),
}

// === impl Server ===

impl Server {
    /// A server that lists `tokens` and accepts login `generation`.
    pub(crate) fn new(
        config: ServerConfig,
        tokens: Vec<InstrumentToken>,
        generation: u64,
        random: Random,
        trace: Trace,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            numbers: tokens.iter().map(|token| (*token, 0)).collect(),
            tokens,
            config,
            random,
            trace,
            accepts: Some(generation),
            refusals: VecDeque::new(),
            handshake_delay: Duration::ZERO,
            rate: 100,
            silent: BTreeSet::new(),
            lateness: Duration::ZERO,
            lost_commands: 0,
            handshakes: Vec::new(),
            sockets: BTreeMap::new(),
            written: FxHashSet::default(),
            two_sources: BTreeMap::new(),
        })))
    }

    /// The software of the server's host.
    ///
    /// # Errors
    /// When the port is taken, which no simulation does.
    pub(crate) async fn run(self) -> turmoil::Result {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        let trade_every = self.state().config.trade_every;
        let mut rounds = interval(trade_every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut sockets = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                accepted = listener.accept() => {
                    let (stream, peer) = accepted?;
                    sockets.spawn(self.clone().socket(stream, peer.port()));
                }
                _ = rounds.tick() => self.state().trade(),
                Some(_) = sockets.join_next() => {}
            }
        }
    }

    /// Locks everything.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Nothing is wrong any more, except with sockets that are.
    pub(crate) fn heal(&mut self) {
        self.refusals.clear();
        self.handshake_delay = Duration::ZERO;
        self.rate = 100;
        self.silent.clear();
        self.lateness = Duration::ZERO;
        self.lost_commands = 0;
    }

    /// The host went down and forgot everything but the prices.
    pub(crate) fn crashed(&mut self) {
        self.sockets.clear();
    }

    /// Every handshake answered so far.
    pub(crate) fn handshakes(&self) -> &[Handshake] {
        &self.handshakes
    }

    /// What the sockets to `ports` carry together; `None` when two of them carry one token.
    pub(crate) fn carried(&self, ports: &BTreeSet<u16>) -> Option<BTreeMap<InstrumentToken, Mode>> {
        let mut all = BTreeMap::new();
        let peers = self.sockets.iter().filter(|(port, _)| ports.contains(port));
        for (token, carried) in peers.flat_map(|(_, peer)| &peer.carried) {
            if all.insert(*token, carried.mode).is_some() {
                return None;
            }
        }
        Some(all)
    }

    /// Whether more than one of the sockets to `ports` carries `token`, or one has just taken the place of another.
    pub(crate) fn had_two_sources(&self, token: InstrumentToken, ports: &BTreeSet<u16>) -> bool {
        let peers = self.sockets.iter().filter(|(port, _)| ports.contains(port));
        let carriers = peers.filter(|(_, peer)| peer.carried.contains_key(&token)).count();
        let until = self.two_sources.get(&token).map(|at| *at + STILL_ON_THE_WAY);
        carriers > 1 || until.is_some_and(|until| self.now() <= until)
    }

    /// A socket carries `tokens` now, or does so no longer.
    fn changes_sources(&mut self, tokens: &[InstrumentToken]) {
        let now = self.now();
        for token in tokens {
            if self.sockets.values().any(|peer| peer.carried.contains_key(token)) {
                self.two_sources.insert(*token, now);
            }
        }
    }

    /// Which ticks between the two were written to any socket.
    pub(crate) fn wrote_between(&self, token: InstrumentToken, after: i64, before: i64) -> Vec<i64> {
        let numbers = (after + 1..before).filter_map(|number| u32::try_from(number).ok());
        numbers.filter(|number| self.written.contains(&(token, *number))).map(i64::from).collect()
    }

    /// Changes what the `which`-th open socket does.
    pub(crate) fn behave(&mut self, which: u64, change: impl FnOnce(&mut Behaviour)) {
        if let Some(peer) = self.nth(which) {
            peer.behaviour.send_modify(change);
        }
    }

    /// Everybody behaves.
    pub(crate) fn behave_all(&mut self) {
        for peer in self.sockets.values() {
            peer.behaviour.send_replace(Behaviour::default());
        }
    }

    /// Ends the `which`-th open socket.
    pub(crate) fn end(&mut self, which: u64, ending: Ending) {
        if let Some(peer) = self.nth(which) {
            peer.ending.send_replace(Some(ending));
        }
    }

    /// Ends all sockets.
    pub(crate) fn end_all(&mut self, ending: Ending) {
        for peer in self.sockets.values() {
            peer.ending.send_replace(Some(ending));
        }
    }

    /// Writes `count` texts to the `which`-th socket, as many as find room.
    pub(crate) fn say(&mut self, which: u64, text: &str, count: u64) {
        if let Some(peer) = self.nth(which) {
            for _ in 0..count {
                let _ = peer.outbox.try_send(Outgoing::Text(text.to_owned()));
            }
        }
    }

    fn nth(&mut self, which: u64) -> Option<&mut Peer> {
        let at = which.checked_rem(self.sockets.len() as u64)?;
        self.sockets.values_mut().nth(at as usize)
    }

    fn now(&self) -> Duration {
        self.trace.time()
    }
}
