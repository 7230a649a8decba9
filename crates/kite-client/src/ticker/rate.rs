//! Whether a connection ticks as fast as it usually does: against its own last minutes and its own usual day.
//!
//! Synchronous. Rates are compared per instrument carried, so a changed list of wishes is no collapse; a connection
//! is compared with nothing but itself, because no rate is promised (protocol section 17.7).

mod profile;

use std::collections::VecDeque;
use std::time::Duration;

use market_model::{Exchange, InstrumentToken, Mode, SessionPhase, Sessions, SubscriptionSet, UnixNanos};
use tokio::time::Instant;

use self::profile::Learned;

pub use self::profile::{RateProfile, RateProfileError, RateSlot};

/// Ticks are counted over this long: ten frames and more of a connection that is worth judging.
const WINDOW: Duration = Duration::from_secs(5);
/// A collapse is told when it has lasted this long. With the window: a fall to 2.5 % is told within 7 seconds.
const CONFIRM: Duration = Duration::from_secs(2);
/// Below this part of the last minutes' rate it is a collapse. The lunch hour, a slow fall to a third, is not.
const COLLAPSED: f64 = 0.10;
/// Below this part of the usual day it is a collapse: less than above, because some days are quiet.
const COLLAPSED_TODAY: f64 = 0.05;
/// From this part of the rate before it is as usual again.
const RESTORED: f64 = 0.25;
/// Below this many ticks per second chance decides too much.
const LEAST: f64 = 4.0;
/// At this many ticks per second, seconds without any are no chance: ten of them once in 10^8.
const LEAST_FOR_SILENCE: f64 = 2.0;
/// The last minutes are known after this long.
const WARM: Duration = Duration::from_secs(60);
/// How far back the last minutes reach; what is older fades.
const MEMORY: Duration = Duration::from_secs(300);
/// With this much more or less to carry, the last minutes say nothing.
const OTHER_LOAD: f64 = 0.2;
/// A longer pause between two looks means that this process was stopped.
const STOPPED: Duration = Duration::from_secs(2);
/// Where nobody knows the sessions, a collapse that lasts this long is the new usual.
const NEW_USUAL: Duration = Duration::from_secs(1800);

/// What a connection carries, and how it may be judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) judged: Judged,
    /// Instruments that should tick now; one in LTP mode counts as half, because it ticks only when the price moves.
    pub(crate) units: f64,
}

/// By what a rate may be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// By nothing: what it carries does not trade now.
    Not,
    /// Nobody knows the sessions: by its own last minutes only.
    ByLastMinutes,
    /// An exchange it carries is in continuous trading.
    InSession,
}

/// Something to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RateNews {
    Collapsed {
        rate: f64,
        baseline: f64,
    },
    Restored {
        rate: f64,
    },
    /// No tick at all for this long, although an exchange trades and ticks came before.
    Dataless(Duration),
}

/// The rate of one connection, over all its sockets.
#[derive(Debug)]
pub(crate) struct RateWatch {
    data_silence_after: Duration,
    learned: Learned,
    has_learned: bool,
    load: Load,
    /// When, and how many ticks by then.
    window: VecDeque<(Instant, u64)>,
    /// Ticks per second and unit in the last minutes.
    recent: f64,
    recent_units: f64,
    warm: Duration,
    counted: u64,
    last_tick: Option<Instant>,
    dataless: bool,
    below_since: Option<Instant>,
    collapse: Option<Collapse>,
    rate: f64,
}

#[derive(Debug, Clone, Copy)]
struct Collapse {
    since: Instant,
    usual_per_unit: f64,
}

// === impl Load ===

impl Load {
    /// What `wishes` are while `sessions` hold.
    pub(crate) fn of(wishes: &SubscriptionSet, sessions: &Sessions) -> Self {
        let (mut open, mut unknown) = (0.0, 0.0);
        for wish in wishes.iter() {
            let units = if wish.mode == Mode::Ltp { 0.5 } else { 1.0 };
            match exchange_of(wish.token).map_or(SessionPhase::Unknown, |exchange| sessions.phase(&exchange))
            {
                SessionPhase::Continuous => open += units,
                SessionPhase::Unknown => unknown += units,
                SessionPhase::Closed | SessionPhase::PreOpen | SessionPhase::Closing => {}
            }
        }
        if open > 0.0 {
            return Self { judged: Judged::InSession, units: open };
        }
        let judged = if unknown > 0.0 { Judged::ByLastMinutes } else { Judged::Not };
        Self { judged, units: unknown }
    }
}

/// The exchange that the segment byte names. Indices move with the trades of NSE: BSE keeps the same hours.
pub(crate) fn exchange_of(token: InstrumentToken) -> Option<Exchange> {
    Some(match token.segment_byte() {
        1 | 9 => Exchange::Nse,
        2 => Exchange::Nfo,
        3 => Exchange::Cds,
        4 => Exchange::Bse,
        5 => Exchange::Bfo,
        6 => Exchange::Bcd,
        7 => Exchange::Mcx,
        12 => Exchange::Nco,
        _ => return None,
    })
}

// === impl RateWatch ===

impl RateWatch {
    /// Knows what `profile` says about `connection`.
    pub(crate) fn new(profile: &RateProfile, connection: u8, data_silence_after: Duration) -> Self {
        Self {
            data_silence_after,
            learned: Learned::new(profile, connection),
            has_learned: false,
            load: Load { judged: Judged::Not, units: 0.0 },
            window: VecDeque::new(),
            recent: 0.0,
            recent_units: 0.0,
            warm: Duration::ZERO,
            counted: 0,
            last_tick: None,
            dataless: false,
            below_since: None,
            collapse: None,
            rate: 0.0,
        }
    }

    /// Another list of wishes, or another phase of the day.
    pub(crate) fn carries(&mut self, load: Load) {
        let before = std::mem::replace(&mut self.load, load);
        let opens = before.judged == Judged::Not && load.judged != Judged::Not;
        if opens || (load.units - self.recent_units).abs() > self.recent_units * OTHER_LOAD {
            self.warm = Duration::ZERO;
            self.recent_units = load.units;
            self.interrupted();
        }
    }

    /// The socket ended or another one took over: what was not counted must not be missed.
    pub(crate) fn interrupted(&mut self) {
        self.window.clear();
        self.below_since = None;
        self.last_tick = None;
    }

    /// At `now` (`at` on the wall clock), `ticks` had come on this connection in all.
    pub(crate) fn observe(&mut self, now: Instant, at: UnixNanos, ticks: u64) -> Option<RateNews> {
        let before = self.window.back().copied();
        if before.is_some_and(|(then, _)| now - then > STOPPED) {
            self.interrupted();
        }
        if std::mem::replace(&mut self.counted, ticks) != ticks {
            self.last_tick = Some(now);
            self.dataless = false;
        }
        let last_tick = *self.last_tick.get_or_insert(now);
        self.window.push_back((now, ticks));
        while self.window.get(1).is_some_and(|(then, _)| now - *then >= WINDOW) {
            self.window.pop_front();
        }
        let (since, known) = *self.window.front()?;
        let span = now - since;
        if span.is_zero() {
            return None;
        }
        self.rate = ticks.saturating_sub(known) as f64 / span.as_secs_f64();
        if self.load.judged == Judged::Not {
            return self.close();
        }
        if let Some(dataless) = self.judge_silence(at, now - last_tick) {
            return Some(dataless);
        }
        if span < WINDOW {
            return None;
        }
        if let Some(collapse) = self.collapse {
            return self.judge_collapsed(collapse, now, at);
        }
        if let Some(baseline) = self.is_below(at) {
            if now - *self.below_since.get_or_insert(now) < CONFIRM {
                return None;
            }
            self.collapse = Some(Collapse { since: now, usual_per_unit: baseline / self.load.units });
            return Some(RateNews::Collapsed { rate: self.rate, baseline });
        }
        self.below_since = None;
        if self.dataless {
            return None;
        }
        let (then, known) = before?;
        self.learn(at, now - then, ticks.saturating_sub(known) as f64);
        None
    }

    /// The slot of the day that is under way ends here, because the connection does.
    pub(crate) fn settle(&mut self) {
        self.learned.settle();
    }

    /// Whether something was learned since the last call.
    pub(crate) fn take_learned(&mut self) -> bool {
        std::mem::take(&mut self.has_learned)
    }

    /// What is usual, as of `connection`.
    pub(crate) fn slots(&self, connection: u8) -> impl Iterator<Item = RateSlot> + '_ {
        self.learned.slots(connection)
    }

    /// Ticks per second over the last five seconds.
    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }

    /// Ticks per second that are usual now, when anything is known.
    pub(crate) fn baseline(&self, at: UnixNanos) -> Option<f64> {
        match self.collapse {
            Some(collapse) => Some(collapse.usual_per_unit * self.load.units),
            None => self.last_minutes().or_else(|| self.usual_day(at)),
        }
    }

    /// Whether the rate has collapsed and is not restored.
    pub(crate) const fn is_collapsed(&self) -> bool {
        self.collapse.is_some()
    }

    /// Whether ticks stopped altogether and have not come back.
    pub(crate) const fn is_dataless(&self) -> bool {
        self.dataless
    }

    /// What it carries stopped trading.
    fn close(&mut self) -> Option<RateNews> {
        self.has_learned |= self.learned.settle();
        self.below_since = None;
        self.dataless = false;
        self.collapse.take().map(|_| RateNews::Restored { rate: self.rate })
    }

    fn judge_silence(&mut self, at: UnixNanos, quiet: Duration) -> Option<RateNews> {
        let judged = self.load.judged == Judged::InSession && !self.dataless;
        let usual = self.baseline(at).is_some_and(|usual| usual >= LEAST_FOR_SILENCE);
        if !judged || !usual || quiet < self.data_silence_after {
            return None;
        }
        self.dataless = true;
        Some(RateNews::Dataless(quiet))
    }

    fn judge_collapsed(&mut self, collapse: Collapse, now: Instant, at: UnixNanos) -> Option<RateNews> {
        let before = collapse.usual_per_unit * self.load.units;
        let usual = self.usual_day(at).map_or(before, |day| day.min(before));
        let forgotten =
            self.load.judged == Judged::ByLastMinutes && now - collapse.since >= NEW_USUAL && self.rate > 0.0;
        if self.rate < usual * RESTORED && !forgotten {
            return None;
        }
        self.collapse = None;
        self.below_since = None;
        if forgotten {
            self.warm = Duration::ZERO;
        }
        Some(RateNews::Restored { rate: self.rate })
    }

    /// The rate it is far below of.
    fn is_below(&self, at: UnixNanos) -> Option<f64> {
        let below = |usual: &f64, part: f64| *usual >= LEAST && self.rate < *usual * part;
        (self.last_minutes().filter(|usual| below(usual, COLLAPSED)))
            .or_else(|| self.usual_day(at).filter(|usual| below(usual, COLLAPSED_TODAY)))
    }

    fn last_minutes(&self) -> Option<f64> {
        (self.warm >= WARM).then_some(self.recent * self.load.units)
    }

    fn usual_day(&self, at: UnixNanos) -> Option<f64> {
        let judged = self.load.judged == Judged::InSession;
        judged.then(|| self.learned.usual(at, self.load.units)).flatten()
    }

    fn learn(&mut self, at: UnixNanos, over: Duration, ticks: f64) {
        if self.load.units <= 0.0 || over.is_zero() {
            return;
        }
        let now = self.rate / self.load.units;
        if self.warm.is_zero() {
            self.recent = now;
        }
        self.warm += over;
        // A plain mean at first, a fading one later.
        let weight = over.as_secs_f64() / self.warm.min(MEMORY).as_secs_f64();
        self.recent += (now - self.recent) * weight;
        if self.load.judged == Judged::InSession {
            self.has_learned |= self.learned.learn(at, over, ticks, self.load.units);
        }
    }
}

#[cfg(test)]
mod tests;
