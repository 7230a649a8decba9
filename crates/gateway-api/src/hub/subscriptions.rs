//! What one stream client wants.

use jiff::civil::Date;
use market_model::{InstrumentCatalog, InstrumentToken};
use rustc_hash::FxHashMap;

use crate::symbols::{UnknownSymbol, Wish};

/// The wishes of one client and the instruments they mean in today's catalog.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    wishes: FxHashMap<Wish, Vec<InstrumentToken>>,
    /// How many wishes want an instrument.
    wanted: FxHashMap<InstrumentToken, u32>,
}

/// Why a wish was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    Unknown(UnknownSymbol),
    TooMany { limit: usize },
    NotSubscribed,
}

// === impl Subscriptions ===

impl Subscriptions {
    pub(crate) fn wants(&self, token: InstrumentToken) -> bool {
        self.wanted.contains_key(&token)
    }

    /// How many instruments are wanted.
    pub(crate) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Grants `wish` and answers the instruments it means. A wish made twice counts once.
    pub(crate) fn add(
        &mut self,
        wish: Wish,
        catalog: &InstrumentCatalog,
        today: Date,
        limit: usize,
    ) -> Result<Vec<InstrumentToken>, Denied> {
        let tokens = wish.resolve(catalog, today).map_err(Denied::Unknown)?;
        if self.wishes.contains_key(&wish) {
            return Ok(tokens);
        }
        let new = tokens.iter().filter(|token| !self.wanted.contains_key(token)).count();
        // Two wishes may mean the same instruments, so they are bounded for themselves.
        if self.wanted.len() + new > limit || self.wishes.len() >= limit {
            return Err(Denied::TooMany { limit });
        }
        for &token in &tokens {
            *self.wanted.entry(token).or_default() += 1;
        }
        self.wishes.insert(wish, tokens.clone());
        Ok(tokens)
    }

    /// Takes a wish back; an instrument that another wish wants stays.
    pub(crate) fn remove(&mut self, wish: &Wish) -> Result<(), Denied> {
        let tokens = self.wishes.remove(wish).ok_or(Denied::NotSubscribed)?;
        for token in tokens {
            if let Some(count) = self.wanted.get_mut(&token) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(&token);
                }
            }
        }
        Ok(())
    }

    /// Reads every wish again, in a new catalog. What it no longer lists is no longer wanted but stays wished for.
    pub(crate) fn resolve_again(&mut self, catalog: &InstrumentCatalog, today: Date, limit: usize) {
        self.wanted.clear();
        for (wish, tokens) in &mut self.wishes {
            *tokens = wish.resolve(catalog, today).unwrap_or_default();
            tokens.truncate(limit.saturating_sub(self.wanted.len()));
            for &token in tokens.iter() {
                *self.wanted.entry(token).or_default() += 1;
            }
        }
    }
}

// === impl Denied ===

impl Denied {
    /// The stable code that clients see.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(unknown) => unknown.code(),
            Self::TooMany { .. } => "too_many_subscriptions",
            Self::NotSubscribed => "not_subscribed",
        }
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::TooMany { limit } => {
                write!(f, "a connection may subscribe {limit} instruments, open another one")
            }
            Self::NotSubscribed => f.write_str("this was not subscribed on this connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Market;

    const TODAY: Date = jiff::civil::date(2026, 11, 20);

    fn wish(text: &str) -> Wish {
        Wish::parse(text).unwrap()
    }

    #[test]
    fn an_instrument_stays_while_any_wish_wants_it() {
        let market = Market::new();
        let mut wanted = Subscriptions::default();
        wanted.add(wish("chain:NIFTY"), &market.catalog, TODAY, 100).unwrap();
        wanted.add(wish("256265"), &market.catalog, TODAY, 100).unwrap();
        wanted.add(wish("256265"), &market.catalog, TODAY, 100).unwrap();
        assert_eq!(wanted.len(), 8);
        wanted.remove(&wish("chain:NIFTY")).unwrap();
        assert_eq!((wanted.len(), wanted.wants(market.spot())), (1, true));
        wanted.remove(&wish("256265")).unwrap();
        assert_eq!(wanted.len(), 0);
        assert_eq!(wanted.remove(&wish("256265")), Err(Denied::NotSubscribed));
    }

    #[test]
    fn the_limit_counts_instruments_and_refuses_a_wish_whole() {
        let market = Market::new();
        let mut wanted = Subscriptions::default();
        wanted.add(wish("256265"), &market.catalog, TODAY, 8).unwrap();
        wanted.add(wish("chain:NIFTY"), &market.catalog, TODAY, 8).unwrap();
        let denied = wanted.add(wish("NSE:M&M"), &market.catalog, TODAY, 8).unwrap_err();
        assert_eq!(denied.code(), "too_many_subscriptions");
        assert_eq!(wanted.len(), 8);
    }

    #[test]
    fn a_new_catalog_moves_patterns_and_chains_along() {
        let (today, tomorrow) = (Market::new(), Market::with_strikes(&[25_000, 25_200]));
        let mut wanted = Subscriptions::default();
        wanted.add(wish("NFO:NIFTY261124*CE"), &today.catalog, TODAY, 100).unwrap();
        wanted.resolve_again(&tomorrow.catalog, TODAY, 100);
        assert!(wanted.wants(tomorrow.call(25_200)) && !wanted.wants(today.call(24_900)));
        assert_eq!(wanted.len(), 2);
    }
}
