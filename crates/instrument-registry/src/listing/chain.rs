//! Expiries, strike ladders, and the strikes around a price.

use jiff::civil::Date;
use market_model::{ExpiryChain, Instrument, InstrumentSlot, Price, StrikeRow, Underlying, UnderlyingId};

use super::Listing;

/// One day on which contracts of an underlying end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryInfo {
    /// The last trading day.
    pub date: Date,
    /// Whether no later contract of the underlying ends in that month: the monthly one, also when a holiday moved it.
    pub is_monthly: bool,
    /// Strikes with an option; 0 when only a future ends then.
    pub strikes: usize,
    /// The future that ends on that day.
    pub future: Option<InstrumentSlot>,
}

/// The strikes around a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder<'l> {
    /// Neighbouring strikes in ascending order.
    pub rows: &'l [StrikeRow],
    /// Which of them is at the money.
    pub at_the_money: usize,
}

// === impl Listing ===

impl Listing {
    /// The underlying called `name`, as derivatives call it (`NIFTY`), as its spot is called (`NIFTY 50`), or as
    /// `EXCHANGE:SYMBOL` of either; in capitals.
    pub fn underlying(&self, name: &str) -> Option<UnderlyingId> {
        let catalog = &*self.catalog;
        if let Some((exchange, name)) = name.split_once(':') {
            let exchange = market_model::Exchange::from_word(exchange);
            let spot = || catalog.by_symbol(&exchange, name).map(|slot| catalog.underlying_of(slot));
            return catalog.underlying_on(&exchange, name).or_else(spot);
        }
        catalog.underlying_by_name(name).or_else(|| {
            let exchanges = [market_model::Exchange::Nse, market_model::Exchange::Bse];
            exchanges
                .iter()
                .find_map(|at| catalog.by_symbol(at, name))
                .map(|slot| catalog.underlying_of(slot))
        })
    }

    /// The days from `from` on that contracts of the underlying end on, nearest first.
    pub fn expiries(&self, id: UnderlyingId, from: Date) -> Vec<ExpiryInfo> {
        let unit = self.catalog.underlying(id);
        let mut all: Vec<ExpiryInfo> = unit
            .chains
            .iter()
            .map(|chain| (chain.expiry.date, chain.rows.len(), chain.future))
            .chain(unit.futures.iter().filter_map(|slot| Some((self.end_of(*slot)?, 0, Some(*slot)))))
            .map(|(date, strikes, future)| ExpiryInfo { date, is_monthly: false, strikes, future })
            .collect();
        // Chains stand before futures of their day, and the sort is stable.
        all.sort_by_key(|info| info.date);
        all.dedup_by_key(|info| info.date);
        for at in 0..all.len() {
            let month = all[at].date.first_of_month();
            all[at].is_monthly = all.get(at + 1).is_none_or(|next| next.date.first_of_month() != month);
        }
        all.retain(|info| info.date >= from);
        all
    }

    /// Every strike of one expiry.
    pub fn chain(&self, id: UnderlyingId, expiry: Date) -> Option<&ExpiryChain> {
        let chains = &self.catalog.underlying(id).chains;
        let at = chains.binary_search_by_key(&expiry, |chain| chain.expiry.date).ok()?;
        chains.get(at)
    }

    /// The strike nearest to `price` (of two the lower one) with `each_side` strikes below and above it, as far as listed.
    pub fn around(
        &self,
        id: UnderlyingId,
        expiry: Date,
        price: Price,
        each_side: usize,
    ) -> Option<Ladder<'_>> {
        ladder(&self.chain(id, expiry)?.rows, price, each_side)
    }

    /// The call and the put of one strike.
    pub fn strike(&self, id: UnderlyingId, expiry: Date, strike: Price) -> Option<StrikeRow> {
        let rows = &self.chain(id, expiry)?.rows;
        let at = rows.binary_search_by_key(&strike, |row| row.strike).ok()?;
        rows.get(at).copied()
    }

    /// The future that options of this expiry are settled by or follow: the first that ends on that day or later.
    /// Commodity options end some days before their future.
    pub fn future_behind(&self, id: UnderlyingId, expiry: Date) -> Option<&Instrument> {
        let unit: &Underlying = self.catalog.underlying(id);
        let behind = unit.futures.iter().find(|slot| self.end_of(**slot).is_some_and(|end| end >= expiry));
        behind.map(|slot| self.catalog.get(*slot))
    }

    fn end_of(&self, slot: InstrumentSlot) -> Option<Date> {
        self.catalog.get(slot).expiry().map(|expiry| expiry.date)
    }
}

fn ladder(rows: &[StrikeRow], price: Price, each_side: usize) -> Option<Ladder<'_>> {
    let above = rows.partition_point(|row| row.strike < price);
    let distance = |at: &usize| rows.get(*at).map_or(u64::MAX, |row| row.strike.abs_diff(price));
    let at =
        [above.saturating_sub(1), above].into_iter().min_by_key(distance).filter(|at| *at < rows.len())?;
    let first = at.saturating_sub(each_side);
    let last = at.saturating_add(each_side).min(rows.len() - 1);
    Some(Ladder { rows: &rows[first..=last], at_the_money: at - first })
}
