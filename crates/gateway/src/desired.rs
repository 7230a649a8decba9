//! From wishes to instruments: which tokens are wanted in which mode, given today's catalog and today's prices.

use std::collections::BTreeSet;

use market_model::{
    Exchange, ExpiryChain, InstrumentCatalog, InstrumentKind, InstrumentSlot, Mode, Price, SubscriptionSet,
    Underlying, UnixNanos,
};

use crate::config::Wish;

/// What wishes came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Desired {
    /// What to subscribe.
    pub set: SubscriptionSet,
    /// Wishes that name nothing in the catalog, as sentences for the operator.
    pub unmet: Vec<String>,
    /// Underlyings whose strikes wait for a first price.
    pub waiting: Vec<String>,
}

/// Resolves `wishes`. `price_of` answers the newest price of an instrument, if one has been seen. Chains of an
/// underlying without a price are left out until there is one; its spot and futures are subscribed to get it.
pub fn resolve(
    wishes: &[Wish],
    catalog: &InstrumentCatalog,
    now: UnixNanos,
    price_of: impl Fn(InstrumentSlot) -> Option<Price>,
) -> Desired {
    let mut desired = Desired::default();
    for wish in wishes {
        match wish {
            Wish::Instrument { exchange, symbol, mode } => {
                desired.add_instruments(catalog, exchange, symbol, *mode);
            }
            Wish::Chain { underlying: name, expiries, around, mode } => {
                let Some(id) = catalog.underlying_by_name(name) else {
                    desired.unmet.push(format!("there is no underlying `{name}` today"));
                    continue;
                };
                let underlying = catalog.underlying(id);
                for slot in underlying.spot.iter().chain(&underlying.futures) {
                    desired.set.insert_at_least(catalog.get(*slot).token, *mode);
                }
                let alive = |chain: &&ExpiryChain| chain.expiry.instant.is_none_or(|end| end > now);
                let chains = underlying.chains.iter().filter(alive).take(*expiries);
                match reference_price(underlying, &price_of) {
                    Some(price) => {
                        chains.for_each(|chain| desired.add_chain(catalog, chain, price, *around, *mode));
                    }
                    None => desired.waiting.push(name.clone()),
                }
            }
        }
    }
    desired
}

/// The price the ladder is centred on: the spot's, else the nearest future's.
fn reference_price(
    underlying: &Underlying,
    price_of: impl Fn(InstrumentSlot) -> Option<Price>,
) -> Option<Price> {
    underlying.spot.iter().chain(&underlying.futures).find_map(|slot| price_of(*slot))
}

/// Cuts `desired` into one set per account, none larger than `capacity`; what does not fit is returned last.
/// Whole underlyings stay together, so that an option and the forward it needs come over one account.
pub fn split(
    desired: &SubscriptionSet,
    catalog: &InstrumentCatalog,
    accounts: usize,
    capacity: usize,
) -> (Vec<SubscriptionSet>, Vec<market_model::InstrumentToken>) {
    let mut sets = vec![SubscriptionSet::new(); accounts];
    let mut refused = Vec::new();
    let group = |token| catalog.slot(token).map(|slot| catalog.underlying_of(slot));
    let ordered: BTreeSet<_> =
        desired.iter().map(|wish| (group(wish.token), wish.token, wish.mode)).collect();
    let mut account = 0;
    for (_, token, mode) in ordered {
        while account < accounts && sets[account].len() >= capacity {
            account += 1;
        }
        match sets.get_mut(account) {
            Some(set) => drop(set.insert(token, mode)),
            None => refused.push(token),
        }
    }
    (sets, refused)
}

// === impl Desired ===

impl Desired {
    fn add_instruments(&mut self, catalog: &InstrumentCatalog, exchange: &str, symbol: &str, mode: Mode) {
        let exchange = Exchange::from_word(exchange);
        if symbol == "*" {
            let listed = catalog.instruments().iter().filter(|instrument| instrument.exchange == exchange);
            listed.for_each(|instrument| self.set.insert_at_least(instrument.token, mode));
            return;
        }
        match catalog.by_symbol(&exchange, symbol) {
            Some(slot) => self.set.insert_at_least(catalog.get(slot).token, mode),
            None => self.unmet.push(format!("{exchange} does not list `{symbol}` today")),
        }
    }

    fn add_chain(
        &mut self,
        catalog: &InstrumentCatalog,
        chain: &ExpiryChain,
        price: Price,
        around: usize,
        mode: Mode,
    ) {
        let Some(atm) = (0..chain.rows.len()).min_by_key(|&at| chain.rows[at].strike.abs_diff(price)) else {
            return;
        };
        let last = (atm + around).min(chain.rows.len() - 1);
        for row in &chain.rows[atm.saturating_sub(around)..=last] {
            for slot in row.call.iter().chain(&row.put) {
                debug_assert!(matches!(catalog.get(*slot).kind, InstrumentKind::Option { .. }));
                self.set.insert_at_least(catalog.get(*slot).token, mode);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_wishes;
    use market_model::{Expiry, Instrument, InstrumentToken, OptionSide, Segment};

    fn catalog() -> InstrumentCatalog {
        let row = |token, exchange, symbol: &str, name: &str, kind| Instrument {
            token: InstrumentToken(token),
            exchange,
            segment: Segment::Nse,
            tradingsymbol: symbol.into(),
            name: name.into(),
            kind,
            lot_size: 1,
            tick_size: Price::from_paise(5),
        };
        let mut rows = vec![
            row(9, Exchange::Nse, "NIFTY 50", "NIFTY 50", InstrumentKind::Index),
            row(1, Exchange::Nse, "INFY", "INFOSYS", InstrumentKind::Equity),
        ];
        for (day, end) in [(17, 10), (24, 20)] {
            let expiry =
                Expiry { date: jiff::civil::date(2026, 11, day), instant: Some(UnixNanos::from_secs(end)) };
            for strike in 0..11 {
                for (side, offset) in [(OptionSide::Call, 0), (OptionSide::Put, 100)] {
                    let token = 1000 * u32::from(day.unsigned_abs()) + offset + strike;
                    let price = Price::from_paise(i64::from(24_500 + strike * 100) * 100);
                    let kind = InstrumentKind::Option { expiry, strike: price, side };
                    rows.push(row(token, Exchange::Nfo, &format!("N{token}"), "NIFTY", kind));
                }
            }
        }
        InstrumentCatalog::new(rows, |name| (name == "NIFTY").then_some("NIFTY 50")).unwrap()
    }

    fn check(wishes: &str, now: i64, spot: Option<i64>, tokens: &[u32], unmet: usize, waiting: usize) {
        let catalog = catalog();
        let wishes = parse_wishes(wishes).unwrap();
        let desired = resolve(&wishes, &catalog, UnixNanos::from_secs(now), |slot| {
            spot.filter(|_| catalog.get(slot).token == InstrumentToken(9))
                .map(|paise| Price::from_paise(paise * 100))
        });
        let mut found: Vec<u32> = desired.set.iter().map(|wish| wish.token.0).collect();
        found.sort_unstable();
        assert_eq!(found, tokens);
        assert_eq!((desired.unmet.len(), desired.waiting.len()), (unmet, waiting));
    }

    #[test]
    fn a_ladder_is_centred_on_the_money() {
        check("NIFTY:1:1", 0, Some(24_960), &[9, 17004, 17005, 17006, 17104, 17105, 17106], 0, 0);
        check("NIFTY:1:1", 0, Some(1), &[9, 17000, 17001, 17100, 17101], 0, 0);
        check("NIFTY:1:0", 15, Some(25_000), &[9, 24005, 24105], 0, 0);
        check("NIFTY:5:0", 0, Some(25_000), &[9, 17005, 17105, 24005, 24105], 0, 0);
    }

    #[test]
    fn strikes_wait_for_a_price_and_strangers_are_named() {
        check("NIFTY:1:1", 0, None, &[9], 0, 1);
        check("GOLD,NSE:TCS,NSE:INFY", 0, None, &[1], 2, 0);
        check("NSE:*", 0, None, &[1, 9], 0, 0);
    }

    #[test]
    fn accounts_are_filled_in_order_and_the_rest_is_refused() {
        let catalog = catalog();
        let all = catalog
            .instruments()
            .iter()
            .map(|row| market_model::Subscription { token: row.token, mode: Mode::Ltp });
        let all: SubscriptionSet = all.collect();
        let (sets, refused) = split(&all, &catalog, 2, 20);
        assert_eq!((sets[0].len(), sets[1].len(), refused.len()), (20, 20, all.len() - 40));
        let (sets, refused) = split(&all, &catalog, 1, 100);
        assert_eq!((sets[0].len(), refused.len()), (all.len(), 0));
    }
}
