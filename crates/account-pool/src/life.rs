//! How long an access token lives, as a state machine without a clock of its own.
//!
//! A token dies at 06:00 Indian time, at a logout, or when the broker says so. What is known about it is kept as facts,
//! and the state is worked out from them and the time: a clock that jumps there and back changes nothing for good.

use std::time::Duration;

use jiff::civil::Time;
use market_model::UnixNanos;

/// Indian time is five and a half hours ahead and has no summer time.
const IST_SECONDS: i64 = 5 * 3600 + 1800;
const DAY_SECONDS: i64 = 86_400;

/// When tokens die and from when on that is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeConfig {
    /// The Indian time of day at which every token of the day before dies. Kite documents 06:00; older posts say 07:30.
    pub dies_at: Time,
    /// How long before that a token counts as expiring.
    pub expiring_within: Duration,
    /// The wall clock may be set at any time, so it is looked at this often at least.
    pub look_every: Duration,
}

/// Counts the tokens an account has had since the start. Whoever reports that a token was refused says which one, so
/// that a late answer about an old token does not condemn its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// What an account's token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// There is none, or its session was logged out.
    None,
    /// It works.
    Valid {
        /// When it will stop.
        until: UnixNanos,
    },
    /// It works, but not for long.
    Expiring {
        /// When it will stop.
        until: UnixNanos,
    },
    /// Its time is over.
    Expired {
        /// When that was.
        since: UnixNanos,
    },
    /// The broker refused it (403 `TokenException`). Only a new one helps.
    Refused {
        /// When we learnt of it.
        at: UnixNanos,
    },
}

/// What happens to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenEvent {
    /// A token was given to us, obtained at that time elsewhere.
    HandedOver {
        /// When it was got from the broker.
        obtained: UnixNanos,
    },
    /// A login here led to a token, just now.
    Exchanged,
    /// The broker refused the token of this generation.
    Refused {
        /// Which token.
        generation: Generation,
    },
    /// Time passed, or the clock was set.
    ClockMoved,
    /// The session of this generation was ended on purpose.
    LoggedOut {
        /// Which token.
        generation: Generation,
    },
}

/// The life of one account's tokens.
#[derive(Debug, Clone)]
pub struct TokenLife {
    config: LifeConfig,
    generation: Generation,
    token: Option<Held>,
    state: TokenState,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    until: UnixNanos,
    refused_at: Option<UnixNanos>,
}

// === impl LifeConfig ===

impl Default for LifeConfig {
    /// 06:00 Indian time, announced half an hour before; the clock each 30 s.
    fn default() -> Self {
        Self {
            dies_at: Time::constant(6, 0, 0, 0),
            expiring_within: Duration::from_secs(30 * 60),
            look_every: Duration::from_secs(30),
        }
    }
}

impl LifeConfig {
    /// The first moment after `obtained` at which tokens die.
    pub fn end_of(&self, obtained: UnixNanos) -> UnixNanos {
        let time = self.dies_at;
        let seconds =
            i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        // Days that begin when tokens die.
        let shift = IST_SECONDS - seconds;
        let day = obtained.as_secs().saturating_add(shift).div_euclid(DAY_SECONDS);
        UnixNanos::from_secs((day + 1) * DAY_SECONDS - shift)
    }
}

// === impl TokenLife ===

impl TokenLife {
    /// No token yet.
    pub const fn new(config: LifeConfig) -> Self {
        Self { config, generation: Generation(0), token: None, state: TokenState::None }
    }

    /// The state as of the last event.
    pub const fn state(&self) -> TokenState {
        self.state
    }

    /// The token that the state speaks of.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Takes in what happened at `now`; answers whether the state or the generation changed.
    pub fn apply(&mut self, event: TokenEvent, now: UnixNanos) -> bool {
        let before = (self.generation, self.state);
        match event {
            TokenEvent::HandedOver { obtained } => self.take(obtained),
            TokenEvent::Exchanged => self.take(now),
            TokenEvent::Refused { generation } if generation == self.generation => {
                if let Some(token) = &mut self.token {
                    token.refused_at.get_or_insert(now);
                }
            }
            TokenEvent::LoggedOut { generation } if generation == self.generation => self.token = None,
            TokenEvent::Refused { .. } | TokenEvent::LoggedOut { .. } | TokenEvent::ClockMoved => {}
        }
        self.state = self.state_at(now);
        before != (self.generation, self.state)
    }

    /// When the state will change by itself, as seen at `now`; `None` when only an event can change it.
    pub fn next_change(&self, now: UnixNanos) -> Option<UnixNanos> {
        let token = self.token.filter(|token| token.refused_at.is_none())?;
        let warn = token.until - self.config.expiring_within;
        [warn, token.until].into_iter().find(|at| *at > now)
    }

    fn take(&mut self, obtained: UnixNanos) {
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.token = Some(Held { until: self.config.end_of(obtained), refused_at: None });
    }

    fn state_at(&self, now: UnixNanos) -> TokenState {
        let Some(Held { until, refused_at }) = self.token else {
            return TokenState::None;
        };
        if let Some(at) = refused_at {
            TokenState::Refused { at }
        } else if now >= until {
            TokenState::Expired { since: until }
        } else if now >= until - self.config.expiring_within {
            TokenState::Expiring { until }
        } else {
            TokenState::Valid { until }
        }
    }
}

// === impl TokenState ===

impl TokenState {
    /// Whether calls may be made with the token.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Valid { .. } | Self::Expiring { .. })
    }

    /// The count-down; `None` when there is nothing to count.
    pub fn time_left(self, now: UnixNanos) -> Option<Duration> {
        match self {
            Self::Valid { until } | Self::Expiring { until } => Some(until.saturating_since(now)),
            Self::None | Self::Expired { .. } | Self::Refused { .. } => None,
        }
    }

    /// The word used in health reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Valid { .. } => "valid",
            Self::Expiring { .. } => "expiring",
            Self::Expired { .. } => "expired",
            Self::Refused { .. } => "refused",
        }
    }
}

#[cfg(test)]
mod tests;
