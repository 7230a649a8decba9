//! Which instruments tick on some connection now, over all tickers of a process: one that begins to tick here learns
//! whether it ticked nowhere before, and since when. So a move from account to account tells its hole, if it had one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use market_model::{InstrumentToken, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

/// Shared by tickers between which instruments move ([`Ticker::share_carriers`](crate::Ticker::share_carriers)).
///
/// Looked at when an instrument begins or ceases to tick on a connection, never for each tick.
#[derive(Debug, Default)]
pub struct Carriers(Mutex<FxHashMap<InstrumentToken, Row>>);

#[derive(Debug, Default)]
struct Row {
    /// Connections on which it has ticked and nothing is known to be missing.
    carriers: u32,
    /// Its last tick on the connection that ceased last.
    last: Option<UnixNanos>,
    /// Since when somebody wants it, on whichever account.
    wanted_since: Option<UnixNanos>,
}

// === impl Carriers ===

impl Carriers {
    /// Nothing is wanted and nothing ticks.
    pub fn new() -> Self {
        Self::default()
    }

    /// From `at` on exactly `tokens` are wanted, on whichever account. What nobody wanted for a while has missed nothing.
    pub fn want(&self, tokens: impl IntoIterator<Item = InstrumentToken>, at: UnixNanos) {
        let wanted: FxHashSet<InstrumentToken> = tokens.into_iter().collect();
        let mut rows = self.rows();
        rows.retain(|token, row| {
            if !wanted.contains(token) {
                row.wanted_since = None;
            }
            row.carriers > 0 || row.wanted_since.is_some()
        });
        for token in wanted {
            rows.entry(token).or_default().wanted_since.get_or_insert(at);
        }
    }

    /// `token` ticks on one connection more. Answers with its last tick elsewhere when it ticked nowhere meanwhile
    /// although it was wanted.
    pub(crate) fn begins(&self, token: InstrumentToken) -> Option<UnixNanos> {
        let mut rows = self.rows();
        let row = rows.entry(token).or_default();
        row.carriers += 1;
        row.last.filter(|last| row.carriers == 1 && row.wanted_since.is_some_and(|since| since <= *last))
    }

    /// Each of `tokens`, with its last tick there, ticks on one connection less.
    pub(crate) fn end(&self, tokens: impl IntoIterator<Item = (InstrumentToken, UnixNanos)>) {
        let mut rows = self.rows();
        for (token, last) in tokens {
            let row = rows.entry(token).or_default();
            row.carriers = row.carriers.saturating_sub(1);
            row.last = row.last.max(Some(last));
        }
    }

    fn rows(&self) -> MutexGuard<'_, FxHashMap<InstrumentToken, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InstrumentToken = InstrumentToken(1);

    fn wanted_since(at: i64) -> Carriers {
        let carriers = Carriers::new();
        carriers.want([ONE], UnixNanos(at));
        carriers
    }

    #[test]
    fn a_move_has_a_hole_only_when_nobody_carried_it_meanwhile() {
        let carriers = wanted_since(5);
        assert_eq!(carriers.begins(ONE), None, "its first carrier");
        assert_eq!(carriers.begins(ONE), None, "make before break");
        carriers.end([(ONE, UnixNanos(10))]);
        carriers.end([(ONE, UnixNanos(12))]);
        assert_eq!(carriers.begins(ONE), Some(UnixNanos(12)));
        assert_eq!(carriers.begins(ONE), None, "told once");
    }

    #[test]
    fn what_nobody_wanted_meanwhile_has_missed_nothing() {
        let carriers = wanted_since(5);
        carriers.begins(ONE);
        carriers.want([], UnixNanos(8));
        carriers.end([(ONE, UnixNanos(10))]);
        carriers.want([ONE], UnixNanos(20));
        assert_eq!(carriers.begins(ONE), None);
        // Nothing is kept of what is neither wanted nor carried.
        carriers.end([(ONE, UnixNanos(30))]);
        carriers.want([], UnixNanos(40));
        assert!(carriers.rows().is_empty());
    }
}
