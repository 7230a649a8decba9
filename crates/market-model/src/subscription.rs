//! What is wanted from the feed.

use rustc_hash::FxHashMap;

use crate::{InstrumentToken, Mode};

/// One instrument in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// Which instrument.
    pub token: InstrumentToken,
    /// In which mode.
    pub mode: Mode,
}

/// The desired state of a feed: each instrument at most once, in one mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionSet {
    modes: FxHashMap<InstrumentToken, Mode>,
}

impl SubscriptionSet {
    /// Nothing wanted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants `token` in `mode`, replacing the mode it was wanted in before.
    pub fn insert(&mut self, token: InstrumentToken, mode: Mode) -> Option<Mode> {
        self.modes.insert(token, mode)
    }

    /// Wants `token` in `mode` or the richer mode it is wanted in already.
    pub fn insert_at_least(&mut self, token: InstrumentToken, mode: Mode) {
        self.modes.entry(token).and_modify(|held| *held = (*held).max(mode)).or_insert(mode);
    }

    /// Wants `token` no longer.
    pub fn remove(&mut self, token: InstrumentToken) -> Option<Mode> {
        self.modes.remove(&token)
    }

    /// The mode `token` is wanted in.
    pub fn mode(&self, token: InstrumentToken) -> Option<Mode> {
        self.modes.get(&token).copied()
    }

    /// How many instruments are wanted.
    pub fn len(&self) -> usize {
        self.modes.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.modes.is_empty()
    }

    /// Every wish, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Subscription> + '_ {
        self.modes.iter().map(|(&token, &mode)| Subscription { token, mode })
    }
}

impl FromIterator<Subscription> for SubscriptionSet {
    fn from_iter<I: IntoIterator<Item = Subscription>>(wishes: I) -> Self {
        Self { modes: wishes.into_iter().map(|wish| (wish.token, wish.mode)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wanted_once_in_one_mode() {
        let token = InstrumentToken(408_065);
        let mut set = SubscriptionSet::new();
        set.insert(token, Mode::Full);
        set.insert_at_least(token, Mode::Ltp);
        assert_eq!(set.mode(token), Some(Mode::Full));
        assert_eq!(set.insert(token, Mode::Quote), Some(Mode::Full));
        assert_eq!((set.len(), set.mode(token)), (1, Some(Mode::Quote)));
        assert_eq!(set.remove(token), Some(Mode::Quote));
        assert!(set.is_empty());
    }
}
