//! Everything a seed decides before anything runs: the settings of both sides, and which fault comes when.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_client::{ConnectionLimits, RateCollapseAction, TickerConfig};
use market_model::{InstrumentToken, Mode, SessionPhase};
use resilience::BackoffConfig;
use tick_pipeline::{BatchConfig, EquityTopics, OverflowPolicy, PipelineConfig, QueueConfig};

use crate::fault::Fault;
use crate::market::tokens;
use crate::random::Random;
use crate::server::{Ending, Garbage, HOST, PORT, ServerConfig};

/// One simulation, before it runs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it came from.
    pub seed: u64,
    /// Resolution of the network.
    pub step: Duration,
    /// Longest time a segment is on its way.
    pub latency: Duration,
    /// The ticker's settings.
    pub ticker: TickerConfig,
    /// The pipeline's settings.
    pub pipeline: PipelineConfig,
    /// The queues of the scripted sinks. Beside them there is always one sink that takes everything at once.
    pub sinks: Vec<QueueConfig>,
    /// The server's settings.
    pub server: ServerConfig,
    /// The exchanges trade, and somebody says so; otherwise nobody knows.
    pub in_session: bool,
    /// What is wanted at first.
    pub wanted: BTreeMap<InstrumentToken, Mode>,
    /// What goes wrong, in order.
    pub faults: Vec<(Duration, Fault)>,
    /// When faults end and everything must come back.
    pub calm_at: Duration,
    /// The ticker is stopped in the middle of the faults instead.
    pub stops_early: bool,
}

/// The kinds of fault that one seed draws from, each with how often.
const KINDS: usize = 28;

/// How many of a hundred seeds are long enough for sockets to be replaced because of their age.
const PATIENT: u64 = 1;
/// The shortest time a ticker agrees to; the first connection comes after half of it at the earliest.
const ROTATION: Duration = Duration::from_secs(600);

// === impl Plan ===

impl Plan {
    /// The plan of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "plan");
        let (mut ticker, pipeline) = (ticker(seed, &mut random), pipeline(&mut random));
        let sinks = sinks(&mut random);
        let wanted = wishes(&mut random);
        let server = ServerConfig {
            trade_every: random.millis(60, 400),
            busy: random.between(20, 90),
            heartbeat_every: Duration::from_millis(500),
            packets_per_frame: random.pick(&[1, 3, 10, 100]),
            flawed: random.pick(&[0, 0, 5, 30]),
        };
        if server.packets_per_frame < 10 {
            // A round of ticks must fit, or the feed overflows for ever.
            ticker.feed_capacity = ticker.feed_capacity.max(100);
        }
        let mut calm_at = random.millis(6_000, 40_000);
        // Draws of its own, so that the other seeds keep their meaning.
        let mut patient = Random::new(seed, "rotation");
        if patient.chance(PATIENT) {
            ticker.rotate_after = Some(ROTATION);
            calm_at = ROTATION + patient.millis(0, 300_000);
        }
        let mut plan = Self {
            seed,
            step: Duration::from_millis(random.pick(&[5, 10, 10, 20, 20])),
            latency: random.millis(5, 120),
            ticker,
            pipeline,
            sinks,
            server,
            wanted,
            in_session: random.chance(60),
            faults: Vec::new(),
            calm_at,
            stops_early: random.chance(15),
        };
        plan.faults = faults(&plan, &mut random);
        plan
    }
}

/// Settings with which minutes of the real ones pass in seconds.
fn ticker(seed: u64, random: &mut Random) -> TickerConfig {
    TickerConfig {
        url: format!("ws://{HOST}:{PORT}/"),
        limits: ConnectionLimits {
            connections: random.between(1, 3) as u8,
            tokens_per_connection: random.between(4, 30) as usize,
        },
        tokens_per_command: random.pick(&[1, 3, 10, 100]),
        connect_timeout: Duration::from_millis(1500),
        silence_after: Duration::from_secs(2),
        ping_every: Duration::from_millis(1000),
        pong_timeout: Duration::from_secs(4),
        data_silence_after: Duration::from_secs(2),
        on_rate_collapse: random.pick(&[RateCollapseAction::Alarm, RateCollapseAction::Reconnect]),
        forced_reconnect_every: Duration::from_secs(5),
        rotate_after: None,
        prove_within: Duration::from_secs(2),
        handshakes_per_minute: random.pick(&[12, 60, 60]),
        silent_token_after: Duration::from_secs(3),
        stable_after: Duration::from_secs(3),
        close_timeout: Duration::from_millis(500),
        backoff: BackoffConfig {
            initial: Duration::from_millis(200),
            max: Duration::from_secs(3),
            multiplier: 2.0,
            jitter: random.pick(&[0.0, 0.5, 1.0]),
        },
        seed: Some(seed),
        feed_capacity: random.pick(&[8, 64, 256]),
        text_capacity: random.pick(&[1, 16]),
        ..TickerConfig::default()
    }
}

fn pipeline(random: &mut Random) -> PipelineConfig {
    PipelineConfig {
        batch: BatchConfig {
            max_bytes: random.pick(&[2_000, 64 * 1024]),
            max_count: random.pick(&[1, 3, 20, 1000]),
            max_age: random.millis(1, 150),
            conflate: random.chance(70),
            equity_topics: random.pick(&[EquityTopics::Shared, EquityTopics::PerSymbol]),
        },
        ..PipelineConfig::default()
    }
}

fn sinks(random: &mut Random) -> Vec<QueueConfig> {
    let policies = [OverflowPolicy::Conflate, OverflowPolicy::DropOldest, OverflowPolicy::Disconnect];
    (0..random.between(1, 3))
        .map(|_| QueueConfig {
            max_bytes: random.pick(&[2_000, 20_000, 1 << 20]),
            max_batches: random.pick(&[1, 2, 8, 64]),
            patience: Duration::from_millis(random.pick(&[0, 20, 50, 500])),
            deliver_timeout: Duration::from_millis(random.pick(&[150, 1_000, 30_000])),
            overflow: random.pick(&[policies[0], policies[0], policies[1], policies[2]]),
        })
        .collect()
}

/// Some of all tokens, each in some mode.
fn wishes(random: &mut Random) -> BTreeMap<InstrumentToken, Mode> {
    let share = random.pick(&[0, 10, 40, 40, 70, 100]);
    let mut wanted = BTreeMap::new();
    for token in tokens() {
        if random.chance(share) {
            wanted.insert(token, random.pick(&[Mode::Ltp, Mode::Quote, Mode::Full, Mode::Full]));
        }
    }
    wanted
}

/// A few kinds of fault, drawn often: what only a rare mixture shows would drown among all kinds at once.
fn faults(plan: &Plan, random: &mut Random) -> Vec<(Duration, Fault)> {
    let weights: Vec<u64> =
        (0..KINDS).map(|_| if random.chance(25) { random.between(1, 6) } else { 0 }).collect();
    let total: u64 = weights.iter().sum();
    let count = if total == 0 { 0 } else { random.between(1, 40) };
    let mut faults: Vec<(Duration, Fault)> = (0..count)
        .map(|_| {
            let mut drawn = random.below(total);
            let kind = weights.iter().position(|weight| {
                let hit = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                hit
            });
            let at = random.millis(0, plan.calm_at.as_millis() as u64);
            (at, fault(kind.unwrap_or_default(), plan, random))
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    // A command is lost once; a server that loses more is not repaired by repeating once.
    let mut lost = 0;
    faults.retain(|(_, fault)| {
        lost += u32::from(matches!(fault, Fault::LoseCommands(_)));
        !matches!(fault, Fault::LoseCommands(_)) || lost == 1
    });
    faults
}

fn fault(kind: usize, plan: &Plan, random: &mut Random) -> Fault {
    let which = random.below(6);
    let sink = random.below(plan.sinks.len() as u64) as usize;
    let short = random.millis(50, 1_500);
    let long = random.millis(200, 7_000);
    match kind {
        0 => Fault::Partition(long),
        1 => Fault::PartitionToServer(long),
        2 => Fault::PartitionToGateway(long),
        3 => Fault::Hold(long),
        4 => Fault::Slow(random.millis(200, 1_800), long),
        5 => Fault::Restart(long),
        6 => Fault::End(which, Ending::Close(random.pick(&[1000, 1001, 1006, 1011, 1012, 4000]))),
        7 => Fault::End(which, Ending::Drop),
        8 => Fault::EndAll(random.pick(&[Ending::Drop, Ending::Close(1001)])),
        9 => Fault::Mute(which, long),
        10 => Fault::Deaf(which, long),
        11 => Fault::HalfOpen(which),
        12 => Fault::Refuse(random.pick(&[403, 429, 429, 500, 502, 503]), random.between(1, 5)),
        13 => Fault::SlowHandshakes(random.millis(300, 2_500), long),
        14 => {
            use Garbage::{Empty, Huge, Miscounted, Noise, Text, Truncated, UnknownPacket};
            let kinds = [Truncated, UnknownPacket, Miscounted, Empty, Noise, Text, Huge];
            Fault::Garble(which, random.pick(&kinds))
        }
        15 => Fault::RateCollapse(random.pick(&[0, 2, 30]), long),
        16 => Fault::SilentTokens(wishes(random).into_keys().collect(), long),
        17 => Fault::LateSubscriptions(short, long),
        18 => Fault::LoseCommands(1),
        19 => Fault::Texts(which, random.between(1, 40)),
        20 => Fault::Burst(random.between(1, 40)),
        21 => Fault::Renew,
        22 => Fault::Expire(long),
        23 => Fault::Want(wishes(random)),
        24 => Fault::Reconnect(random.below(4) as u8),
        25 => Fault::FeedStall(if random.chance(50) { short } else { long }),
        26 => match random.below(3) {
            0 => Fault::SinkStall(sink, long),
            1 => Fault::SinkFails(sink, long),
            _ => Fault::SinkRestart(sink),
        },
        _ => match random.below(4) {
            3 => {
                use SessionPhase::{Closed, Closing, Continuous, PreOpen, Unknown};
                Fault::Session(random.pick(&[Closed, Closing, Continuous, PreOpen, Unknown]))
            }
            0 => Fault::Catalog(random.below(4) as u32),
            1 => Fault::ClockJump(random.between(0, 20_000) as i64 - 10_000),
            _ => Fault::Want(wishes(random)),
        },
    }
}
