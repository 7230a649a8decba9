//! Tokens that ticked and are not in the catalog: counted, and the first few remembered by name.

use market_model::InstrumentToken;
use rustc_hash::FxHashMap;

/// A bounded count per unknown token.
#[derive(Debug)]
pub(crate) struct UnknownTokens {
    counts: FxHashMap<InstrumentToken, u64>,
    kept: usize,
    others: u64,
}

impl UnknownTokens {
    pub(crate) fn new(kept: usize) -> Self {
        Self { counts: FxHashMap::default(), kept, others: 0 }
    }

    pub(crate) fn count(&mut self, token: InstrumentToken) {
        if let Some(count) = self.counts.get_mut(&token) {
            *count += 1;
        } else if self.counts.len() < self.kept {
            self.counts.insert(token, 1);
        } else {
            self.others += 1;
        }
    }

    /// Forgets tokens that a new catalog lists.
    pub(crate) fn retain(&mut self, still_unknown: impl Fn(InstrumentToken) -> bool) {
        self.counts.retain(|token, _| still_unknown(*token));
    }

    /// The remembered tokens with their counts, most frequent first, and how many ticks had other tokens.
    pub(crate) fn report(&self) -> (Vec<(InstrumentToken, u64)>, u64) {
        let mut counts: Vec<_> = self.counts.iter().map(|(&token, &count)| (token, count)).collect();
        counts.sort_unstable_by_key(|&(token, count)| (std::cmp::Reverse(count), token));
        (counts, self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_nothing_goes_uncounted() {
        let mut unknown = UnknownTokens::new(2);
        for token in [7, 8, 8, 9, 7, 8, 10] {
            unknown.count(InstrumentToken(token));
        }
        let named = vec![(InstrumentToken(8), 3), (InstrumentToken(7), 2)];
        assert_eq!(unknown.report(), (named, 2));
        unknown.retain(|token| token != InstrumentToken(8));
        assert_eq!(unknown.report(), (vec![(InstrumentToken(7), 2)], 2));
    }
}
