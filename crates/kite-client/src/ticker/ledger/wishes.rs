//! What is wanted, instrument by instrument, kept so that a tick finds its own without a search.

use std::collections::hash_map::Entry;

use market_model::{InstrumentToken, Mode, SubscriptionState, UnixNanos};
use rustc_hash::FxHashMap;

use crate::ticker::ledger::habit::Habit;
use crate::ticker::ledger::holes::Seen;

/// One instrument. Looked at for every tick, so it holds only what a tick needs: two fit into a line of the cache.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) token: InstrumentToken,
    pub(super) mode: Mode,
    pub(super) state: SubscriptionState,
    /// It was silent on this socket before, and its commands were sent a second time.
    pub(super) resent: bool,
    pub(super) seen: Seen,
    pub(super) habit: Habit,
}

/// Everything wanted. The packets of a frame mostly come in the order of a frame before, so each wish knows which
/// one ticked after it the last time.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    rows: Vec<Wish>,
    /// By row: the row that ticked next. Only a guess; it may be wrong or past the end.
    next: Vec<u32>,
    /// The row of each token; always right.
    places: FxHashMap<InstrumentToken, u32>,
    /// The row that ticked last.
    last: u32,
}

// === impl Wishes ===

impl Wishes {
    /// The wish for `token`, which ticks now.
    #[inline]
    pub(super) fn ticking(&mut self, token: InstrumentToken) -> Option<&mut Wish> {
        let guess = self.next.get(self.last as usize).copied().unwrap_or_default();
        let place = match self.rows.get(guess as usize) {
            Some(wish) if wish.token == token => guess,
            _ => self.learn(token)?,
        };
        self.last = place;
        self.rows.get_mut(place as usize)
    }

    /// Another one than guessed: looks it up, and guesses it the next time.
    fn learn(&mut self, token: InstrumentToken) -> Option<u32> {
        let place = *self.places.get(&token)?;
        if place != self.last
            && let Some(next) = self.next.get_mut(self.last as usize)
        {
            *next = place;
        }
        Some(place)
    }

    pub(super) fn get(&self, token: InstrumentToken) -> Option<&Wish> {
        self.rows.get(*self.places.get(&token)? as usize)
    }

    pub(super) fn get_mut(&mut self, token: InstrumentToken) -> Option<&mut Wish> {
        self.rows.get_mut(*self.places.get(&token)? as usize)
    }

    pub(super) fn contains(&self, token: InstrumentToken) -> bool {
        self.places.contains_key(&token)
    }

    /// Adds a wish, unless the instrument has one.
    pub(super) fn push(&mut self, wish: Wish) {
        let place = self.rows.len() as u32;
        if let Entry::Vacant(vacant) = self.places.entry(wish.token) {
            vacant.insert(place);
            self.next.push(place + 1);
            self.rows.push(wish);
        }
    }

    /// Removes the wish for `token`; the last row takes its place.
    pub(super) fn remove(&mut self, token: InstrumentToken) -> Option<Wish> {
        let place = self.places.remove(&token)?;
        let removed = self.rows.swap_remove(place as usize);
        self.next.swap_remove(place as usize);
        if let Some(moved) = self.rows.get(place as usize) {
            self.places.insert(moved.token, place);
        }
        Some(removed)
    }

    /// In no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Wish> {
        self.rows.iter()
    }

    /// In no order that means anything.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Wish> {
        self.rows.iter_mut()
    }

    /// Every token wanted, lowest first.
    pub(super) fn tokens(&self) -> Vec<InstrumentToken> {
        let mut tokens: Vec<InstrumentToken> = self.rows.iter().map(|wish| wish.token).collect();
        tokens.sort_unstable();
        tokens
    }
}

// === impl Wish ===

impl Wish {
    /// One that nobody was told about.
    pub(super) fn new(token: InstrumentToken, mode: Mode) -> Self {
        Self {
            token,
            mode,
            state: SubscriptionState::Requested,
            resent: false,
            seen: Seen::Never,
            habit: Habit::default(),
        }
    }

    /// Its last tick, when nothing is known to be missing since.
    pub(super) const fn ticks_until(&self) -> Option<UnixNanos> {
        match self.seen {
            Seen::At(last) => Some(last),
            Seen::Never | Seen::Lost(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODE: Mode = Mode::Full;

    fn of(tokens: impl IntoIterator<Item = u32>) -> Wishes {
        let mut wishes = Wishes::default();
        for token in tokens {
            wishes.push(Wish::new(InstrumentToken(token), MODE));
        }
        wishes
    }

    /// How many of `tokens` were guessed right.
    fn guessed(wishes: &mut Wishes, tokens: &[u32]) -> usize {
        let is_guessed = |token: &&u32| {
            let guess = wishes.next[wishes.last as usize];
            let is_right = wishes.places.get(&InstrumentToken(**token)) == Some(&guess);
            assert_eq!(wishes.ticking(InstrumentToken(**token)).map(|wish| wish.token.0), Some(**token));
            is_right
        };
        tokens.iter().filter(is_guessed).count()
    }

    #[test]
    fn a_wish_is_half_a_cache_line() {
        assert_eq!(size_of::<Wish>(), 32);
    }

    #[test]
    fn the_order_of_one_frame_is_guessed_for_the_next() {
        let mut wishes = of(1..=5);
        assert_eq!(guessed(&mut wishes, &[1, 2, 3, 4, 5]), 4, "as subscribed");
        let other = [4, 2, 5, 3, 1];
        guessed(&mut wishes, &other);
        assert_eq!(guessed(&mut wishes, &other), 4, "all but the first, which followed another one before");
        assert_eq!(guessed(&mut wishes, &other), 5);
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_a_tick_finds_its_own(
            steps in prop::collection::vec((0u8..3, 0u32..12), 0..200),
        ) {
            let mut wishes = Wishes::default();
            let mut wanted = std::collections::BTreeSet::new();
            for (step, number) in steps {
                let token = InstrumentToken(number);
                match step {
                    0 => {
                        wanted.insert(token);
                        wishes.push(Wish::new(token, MODE));
                    }
                    1 => {
                        let removed = wishes.remove(token).map(|wish| wish.token);
                        prop_assert_eq!(removed.is_some(), wanted.remove(&token));
                        prop_assert!(removed.is_none_or(|removed| removed == token));
                    }
                    _ => {
                        let found = wishes.ticking(token).map(|wish| wish.token);
                        prop_assert_eq!(found, wanted.get(&token).copied());
                    }
                }
                prop_assert_eq!(wishes.tokens(), wanted.iter().copied().collect::<Vec<_>>());
                for token in &wanted {
                    prop_assert_eq!(wishes.get(*token).map(|wish| wish.token), Some(*token));
                }
            }
        }
    }
}
