//! One seed from its plan to its verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use market_model::{InstrumentToken, Mode, SubscriptionSet};
use tick_pipeline::Market;
use turmoil::{Builder, Sim};

use crate::fault::Fault;
use crate::gateway::{Controls, all_exchanges, build, login};
use crate::market::{catalog, tokens};
use crate::plan::Plan;
use crate::random::Random;
use crate::server::{HOST, Server};
use crate::trace::Trace;
use crate::verdict;

/// The name of the gateway's host.
const GATEWAY: &str = "gateway";

/// How long everything may take to come back once nothing is wrong any more: a silence is found, the longest delay
/// between tries passes, one try hits a connection that hangs, and every command is repeated once.
const COMES_BACK: Duration = Duration::from_secs(20);
/// Longer where the ticker may try so rarely that a minute may have to pass first.
const COMES_BACK_SLOWLY: Duration = Duration::from_secs(80);
/// How long after it is told to stop everything may still run: the ticker's two close timeouts, and the slowest sink's
/// delivery of as many health records as may wait.
const STOPS: Duration = Duration::from_secs(70);

/// How a simulation went.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Which one.
    pub seed: u64,
    /// What must not be and was; empty when all is well.
    pub violations: Vec<String>,
    /// Hash of everything that happened, and of how many lines.
    pub trace: (u64, u64),
    /// The last things that happened, oldest first.
    pub last: Vec<String>,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// How long it took after the last fault until all was as wanted; `None` when it was stopped before.
    pub came_back: Option<Duration>,
    /// Sums for the curious.
    pub ticks: u64,
    /// Handshakes answered by the server.
    pub handshakes: u64,
    /// Sockets that took the place of another without a hole, for their age or because somebody asked.
    pub rotations: u64,
    /// Ticks the feed had no room for.
    pub dropped: u64,
    /// Packets that could not be decoded.
    pub undecodable: u64,
    /// Ticks that came after a later one while two sockets carried their instrument.
    pub steps_back: u64,
}

/// A simulation on its way.
pub(crate) struct Simulation<'a> {
    pub(crate) plan: &'a Plan,
    sim: Sim<'static>,
    pub(crate) server: Server,
    pub(crate) gateway: Controls,
    pub(crate) trace: Trace,
    pub(crate) wanted: BTreeMap<InstrumentToken, Mode>,
    generation: u64,
    /// What ends when, by kind: the newest of a kind counts.
    ends: Vec<(Duration, Fault)>,
    watch: verdict::Watch,
}

/// Runs `plan`.
///
/// The same plan gives the same trace when it is the first thing that its process does; see the `simulate` program.
pub fn run_plan(plan: &Plan, trace: &Trace) -> Report {
    let mut report = Report { seed: plan.seed, ..Report::default() };
    match Simulation::new(plan, trace) {
        Ok(mut simulation) => simulation.run(&mut report),
        Err(error) => trace.violation(format_args!("{error}")),
    }
    report.violations = trace.violations();
    report.trace = trace.hash();
    report.last = trace.last();
    report
}

// === impl Simulation ===

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan, trace: &Trace) -> turmoil::Result<Self> {
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(plan.step)
            .max_message_latency(plan.latency)
            .simulation_duration(Duration::from_secs(3600))
            .tcp_capacity(256)
            .enable_random_order()
            .build();
        let random = Random::new(plan.seed, "server");
        let server = Server::new(plan.server.clone(), tokens(), 1, random, trace.clone());
        let software = server.clone();
        sim.host(HOST, move || software.clone().run());
        let (gateway, software) = build(plan, &server, trace)?;
        sim.client(GATEWAY, software);
        Ok(Self {
            plan,
            sim,
            server,
            gateway,
            trace: trace.clone(),
            wanted: BTreeMap::new(),
            generation: 1,
            ends: Vec::new(),
            watch: verdict::Watch::default(),
        })
    }

    fn run(&mut self, report: &mut Report) {
        self.want(self.plan.wanted.clone());
        let mut faults = self.plan.faults.iter().peekable();
        while self.elapsed() < self.plan.calm_at && !self.trace.is_broken() {
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= self.elapsed()) {
                self.trace.note(format_args!("FAULT {fault:?}"));
                self.begin(fault);
            }
            self.end_due();
            self.step();
        }
        if self.plan.stops_early {
            self.release_consumers();
        } else {
            self.calm();
            report.came_back = self.wait_until_back();
        }
        self.stop();
        report.elapsed = self.elapsed();
        let story = self.gateway.story.lock().unwrap_or_else(PoisonError::into_inner);
        (report.ticks, report.dropped, report.undecodable) = (story.ticks, story.overrun, story.undecodable);
        report.steps_back = story.steps_back.len() as u64;
        report.handshakes = self.server.state().handshakes().len() as u64;
        let connections = self.gateway.ticker.status().connections;
        report.rotations = connections.iter().map(|connection| connection.rotations).sum();
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// One step of both hosts and the network.
    fn step(&mut self) {
        let stepped = self.sim.step();
        self.trace.set_time(self.sim.elapsed());
        if let Err(error) = stepped {
            self.trace.violation(format_args!("a task failed: {error}"));
        }
        let watch = std::mem::take(&mut self.watch);
        self.watch = watch.look(self);
    }

    /// Everything that a plan can still do wrong is undone.
    fn calm(&mut self) {
        self.trace.note(format_args!("CALM"));
        for (_, fault) in std::mem::take(&mut self.ends) {
            self.end(&fault);
        }
        self.server.state().heal();
        self.server.state().behave_all();
        self.release_consumers();
        if self.server.state().accepts != Some(self.generation) {
            self.renew();
        }
        // A refusal that was the server's mistake is repaired by an operator or by the next login.
        if self.gateway.ticker.status().token_refused {
            self.renew();
        }
        if let Ok(catalog) = catalog(0) {
            self.gateway.markets.send_replace(Market::new(catalog));
        }
    }

    fn release_consumers(&mut self) {
        self.gateway.feed_stalled.send_replace(false);
        for sink in &self.gateway.sinks {
            sink.mood.send_modify(|mood| (mood.stalled, mood.failing) = (false, false));
        }
    }

    /// Waits until all is as wanted, and a little longer.
    fn wait_until_back(&mut self) -> Option<Duration> {
        let since = self.elapsed();
        let (mut back, mut repaired) = (None, false);
        while !self.trace.is_broken() {
            let waited = self.elapsed() - since;
            // A refusal that was the server's mistake may have been on its way still; see `calm`.
            if self.gateway.ticker.status().token_refused && !std::mem::replace(&mut repaired, true) {
                self.renew();
            }
            match verdict::not_as_wanted(self, since) {
                None => {
                    let begun = *back.get_or_insert(waited);
                    if waited >= begun + Duration::from_millis(500) {
                        return back;
                    }
                }
                Some(missing) => {
                    back = None;
                    let is_slow = self.plan.ticker.handshakes_per_minute < 60;
                    if waited > if is_slow { COMES_BACK_SLOWLY } else { COMES_BACK } {
                        self.trace.violation(format_args!(
                            "not as wanted {:.1} s after the last fault: {missing}",
                            waited.as_secs_f64()
                        ));
                    }
                }
            }
            self.step();
        }
        None
    }

    /// Stops the gateway and settles the accounts.
    fn stop(&mut self) {
        if self.trace.is_broken() {
            return;
        }
        self.trace.note(format_args!("STOP"));
        self.gateway.shutdown.cancel();
        let since = self.elapsed();
        while !self.trace.is_broken() && !self.ended() {
            if self.elapsed() - since > STOPS {
                let ends = self.gateway.ends.lock().unwrap_or_else(PoisonError::into_inner);
                self.trace.violation(format_args!("still running {STOPS:?} after the stop: {ends:?}"));
                return;
            }
            self.step();
        }
        if !self.trace.is_broken() {
            verdict::settle(self);
        }
    }

    fn ended(&self) -> bool {
        self.gateway.ends.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    pub(crate) fn want(&mut self, wanted: BTreeMap<InstrumentToken, Mode>) {
        let mut set = SubscriptionSet::new();
        for (token, mode) in &wanted {
            set.insert(*token, *mode);
        }
        self.wanted = wanted;
        self.gateway.ticker.set_desired(set);
    }

    fn renew(&mut self) {
        self.generation += 1;
        self.server.state().accepts = Some(self.generation);
        self.gateway.credentials.send_replace(Some(login(self.generation)));
    }
}

// === impl Simulation: faults ===

impl Simulation<'_> {
    fn begin(&mut self, fault: &Fault) {
        let now = self.elapsed();
        let mut until = None;
        match fault {
            Fault::Partition(lasts) => {
                self.sim.partition(GATEWAY, HOST);
                until = Some(*lasts);
            }
            Fault::PartitionToServer(lasts) => {
                self.sim.partition_oneway(GATEWAY, HOST);
                until = Some(*lasts);
            }
            Fault::PartitionToGateway(lasts) => {
                self.sim.partition_oneway(HOST, GATEWAY);
                until = Some(*lasts);
            }
            Fault::Hold(lasts) => {
                self.sim.hold(GATEWAY, HOST);
                until = Some(*lasts);
            }
            Fault::Slow(latency, lasts) => {
                self.sim.set_link_max_message_latency(GATEWAY, HOST, *latency);
                until = Some(*lasts);
            }
            Fault::Restart(lasts) => {
                if self.sim.is_host_running(HOST) {
                    self.sim.crash(HOST);
                    self.server.state().crashed();
                    until = Some(*lasts);
                }
            }
            Fault::End(which, ending) => self.server.state().end(*which, *ending),
            Fault::EndAll(ending) => self.server.state().end_all(*ending),
            Fault::Mute(which, lasts) => {
                self.server.state().behave(*which, |behaviour| behaviour.mute = true);
                until = Some(*lasts);
            }
            Fault::Deaf(which, lasts) => {
                self.server.state().behave(*which, |behaviour| behaviour.deaf = true);
                until = Some(*lasts);
            }
            Fault::HalfOpen(which) => self.server.state().behave(*which, |behaviour| {
                (behaviour.mute, behaviour.deaf) = (true, true);
            }),
            Fault::Refuse(status, count) => {
                self.server.state().refusals.extend((0..*count).map(|_| *status));
            }
            Fault::SlowHandshakes(delay, lasts) => {
                self.server.state().handshake_delay = *delay;
                until = Some(*lasts);
            }
            Fault::Garble(which, garbage) => self.server.state().garble(*which, *garbage),
            Fault::RateCollapse(percent, lasts) => {
                self.server.state().rate = *percent;
                until = Some(*lasts);
            }
            Fault::SilentTokens(tokens, lasts) => {
                self.server.state().silent = tokens.iter().copied().collect();
                until = Some(*lasts);
            }
            Fault::LateSubscriptions(lateness, lasts) => {
                self.server.state().lateness = *lateness;
                until = Some(*lasts);
            }
            Fault::LoseCommands(count) => self.server.state().lost_commands += count,
            Fault::Texts(which, count) => {
                let text = r#"{"type":"message","data":"simulated"}"#;
                self.server.state().say(*which, text, *count);
            }
            Fault::Burst(rounds) => self.server.state().burst(*rounds),
            Fault::Renew => self.renew(),
            Fault::Expire(lasts) => {
                self.server.state().accepts = None;
                self.server.state().end_all(crate::server::Ending::Close(1000));
                until = Some(*lasts);
            }
            Fault::Want(wanted) => self.want(wanted.clone()),
            Fault::Reconnect(index) => {
                self.gateway.ticker.reconnect(*index);
                self.watch.asked();
            }
            Fault::FeedStall(lasts) => {
                self.gateway.feed_stalled.send_replace(true);
                until = Some(*lasts);
            }
            Fault::SinkStall(sink, lasts) => {
                self.mood(*sink, |mood| mood.stalled = true);
                until = Some(*lasts);
            }
            Fault::SinkFails(sink, lasts) => {
                self.mood(*sink, |mood| mood.failing = true);
                until = Some(*lasts);
            }
            Fault::SinkRestart(sink) => self.mood(*sink, |mood| mood.restarts += 1),
            Fault::ClockJump(millis) => self.gateway.clock.jump(*millis),
            Fault::Session(phase) => {
                self.gateway.sessions.send_replace(all_exchanges(*phase));
            }
            Fault::Catalog(missing) => {
                if let Ok(catalog) = catalog(*missing) {
                    self.gateway.markets.send_replace(Market::new(catalog));
                }
            }
        }
        if let Some(lasts) = until {
            self.ends.push((now + lasts, fault.clone()));
        }
    }

    fn end_due(&mut self) {
        let now = self.elapsed();
        let (due, later) = std::mem::take(&mut self.ends).into_iter().partition(|(at, _)| *at <= now);
        self.ends = later;
        let due: Vec<(Duration, Fault)> = due;
        for (_, fault) in due {
            self.trace.note(format_args!("ENDS {fault:?}"));
            self.end(&fault);
        }
    }

    fn end(&mut self, fault: &Fault) {
        match fault {
            Fault::Partition(_) | Fault::PartitionToServer(_) | Fault::PartitionToGateway(_) => {
                self.sim.repair(GATEWAY, HOST);
            }
            Fault::Hold(_) => self.sim.release(GATEWAY, HOST),
            Fault::Slow(..) => {
                self.sim.set_link_max_message_latency(GATEWAY, HOST, self.plan.latency);
            }
            Fault::Restart(_) => self.sim.bounce(HOST),
            Fault::Mute(which, _) => self.server.state().behave(*which, |behaviour| behaviour.mute = false),
            Fault::Deaf(which, _) => self.server.state().behave(*which, |behaviour| behaviour.deaf = false),
            Fault::SlowHandshakes(..) => self.server.state().handshake_delay = Duration::ZERO,
            Fault::RateCollapse(..) => self.server.state().rate = 100,
            Fault::SilentTokens(..) => self.server.state().silent.clear(),
            Fault::LateSubscriptions(..) => self.server.state().lateness = Duration::ZERO,
            Fault::Expire(_) => self.renew(),
            Fault::FeedStall(_) => {
                self.gateway.feed_stalled.send_replace(false);
            }
            Fault::SinkStall(sink, _) => self.mood(*sink, |mood| mood.stalled = false),
            Fault::SinkFails(sink, _) => self.mood(*sink, |mood| mood.failing = false),
            _ => {}
        }
    }

    /// The first sink is the witness, which nothing befalls.
    fn mood(&self, sink: usize, change: impl FnOnce(&mut crate::sink::Mood)) {
        if let Some(sink) = self.gateway.sinks.get(sink + 1) {
            sink.mood.send_modify(change);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, trace: (hash, lines), .. } = self;
        write!(f, "seed {seed}: trace {hash:016x} of {lines} lines, {:.1} s", self.elapsed.as_secs_f64())?;
        if let Some(came_back) = self.came_back {
            write!(f, ", back after {:.1} s", came_back.as_secs_f64())?;
        }
        write!(
            f,
            ", {} ticks, {} dropped, {} undecodable, {} handshakes, {} rotations, {} steps-back",
            self.ticks, self.dropped, self.undecodable, self.handshakes, self.rotations, self.steps_back
        )?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}
