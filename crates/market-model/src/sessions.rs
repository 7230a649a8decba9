//! Which exchanges trade now, as far as anybody knows.

use std::sync::Arc;

use crate::Exchange;

/// What an exchange is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SessionPhase {
    /// Nobody told: expect nothing and refuse nothing.
    #[default]
    Unknown,
    /// No trading: silence is normal.
    Closed,
    /// The opening auction: few ticks, and books may be crossed.
    PreOpen,
    /// Orders match as they arrive: a live feed ticks.
    Continuous,
    /// The closing auction or what follows it: few ticks, and books may be crossed.
    Closing,
}

/// The phase of every exchange at one moment. Clones share it; a change is another value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    phases: Arc<[(Exchange, SessionPhase)]>,
}

// === impl SessionPhase ===

impl SessionPhase {
    /// The word used in logs and payloads.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Closed => "closed",
            Self::PreOpen => "pre_open",
            Self::Continuous => "continuous",
            Self::Closing => "closing",
        }
    }

    /// Whether bid and ask may cross without an error: in auctions, and where nobody knows.
    pub const fn allows_crossed_book(self) -> bool {
        !matches!(self, Self::Continuous | Self::Closed)
    }
}

// === impl Sessions ===

impl Sessions {
    /// What each exchange is doing; the others are [`SessionPhase::Unknown`].
    pub fn new(phases: impl IntoIterator<Item = (Exchange, SessionPhase)>) -> Self {
        Self { phases: phases.into_iter().collect() }
    }

    /// What `exchange` is doing.
    pub fn phase(&self, exchange: &Exchange) -> SessionPhase {
        let known = self.phases.iter().find(|(name, _)| name == exchange);
        known.map_or(SessionPhase::Unknown, |(_, phase)| *phase)
    }

    /// Whether any exchange is in continuous trading.
    pub fn any_continuous(&self) -> bool {
        self.phases.iter().any(|(_, phase)| *phase == SessionPhase::Continuous)
    }

    /// Every exchange that is known, with its phase.
    pub fn iter(&self) -> impl Iterator<Item = (&Exchange, SessionPhase)> {
        self.phases.iter().map(|(exchange, phase)| (exchange, *phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_nobody_told_of_is_unknown() {
        let sessions =
            Sessions::new([(Exchange::Nse, SessionPhase::Closed), (Exchange::Mcx, SessionPhase::Continuous)]);
        assert_eq!(sessions.phase(&Exchange::Nse), SessionPhase::Closed);
        assert_eq!(sessions.phase(&Exchange::Bse), SessionPhase::Unknown);
        assert!(sessions.any_continuous());
        assert!(!Sessions::default().any_continuous());
        assert!(
            SessionPhase::PreOpen.allows_crossed_book() && !SessionPhase::Continuous.allows_crossed_book()
        );
    }
}
