//! Lots, freeze quantities, strike steps, index names.

use jiff::civil::Date;

use crate::answer::{Answer, Fact};
use crate::calendar::Calendar;
use crate::facts::LotRow;

/// How far apart the strikes of an underlying's options are.
///
/// Steps are what the exchange starts a series with; the instrument list of the day is the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StrikeStep {
    /// Near the money, in paise.
    pub near_paise: i64,
    /// Further out, in paise, where the exchange has a second step.
    pub wide_paise: Option<i64>,
    /// In long-dated contracts, in paise, where it differs.
    pub long_dated_paise: Option<i64>,
    /// Strikes listed at the near step on each side of the money.
    pub near_each_side: Option<u32>,
    /// Strikes listed at the wide step on each side, beyond the near ones.
    pub wide_each_side: Option<u32>,
}

// === impl Calendar ===

impl Calendar {
    /// Units per lot of the contracts of `underlying` that expire on `expiry`, as it stands on their last day.
    ///
    /// The lot belongs to the contract: during a transition two sizes coexist, told apart by expiry.
    pub fn lot_size(&self, underlying: &str, expiry: Date) -> Answer<u32> {
        self.lot_size_fact(underlying, expiry, expiry).value()
    }

    /// Units per lot of those contracts on the day `on`, with source and doubt; long-dated contracts change lot while
    /// they live.
    pub fn lot_size_fact(&self, underlying: &str, expiry: Date, on: Date) -> Answer<Fact<'_, u32>> {
        let applies = |row: &&LotRow| {
            row.underlying == underlying
                && row.expiry_from <= expiry
                && row.expiry_until.is_none_or(|until| expiry <= until)
                && row.from.is_none_or(|from| from <= on)
                && row.until.is_none_or(|until| on <= until)
        };
        let row = self.inner.facts.lots.iter().rfind(applies);
        row.map(|row| row.origin.fact(row.size)).into()
    }

    /// Largest quantity of one order, in units. The exchange sets it month by month: `Unknown` until it has.
    pub fn freeze_quantity(&self, underlying: &str, on: Date) -> Answer<u32> {
        self.freeze_quantity_fact(underlying, on).value()
    }

    /// [`Calendar::freeze_quantity`] with its source and doubt.
    pub fn freeze_quantity_fact(&self, underlying: &str, on: Date) -> Answer<Fact<'_, u32>> {
        let rows = self.inner.facts.freezes.iter().rev().filter(|row| row.span.contains(on));
        let mut found = rows.filter_map(|row| {
            let (_, quantity) = row.quantities.iter().find(|(name, _)| name == underlying)?;
            Some(row.origin.fact(*quantity))
        });
        found.next().into()
    }

    /// Largest order in whole lots that stays within the freeze quantity, in units: 1755 for 1800 and lots of 65.
    pub fn largest_order(&self, underlying: &str, expiry: Date, on: Date) -> Answer<u32> {
        let freeze = self.freeze_quantity(underlying, on).known();
        let lot = self.lot_size_fact(underlying, expiry, on).value().known();
        freeze.zip(lot).map(|(freeze, lot)| freeze / lot * lot).into()
    }

    /// Distance between strikes.
    pub fn strike_step(&self, underlying: &str, on: Date) -> Answer<StrikeStep> {
        self.strike_step_fact(underlying, on).value()
    }

    /// [`Calendar::strike_step`] with its source and doubt.
    pub fn strike_step_fact(&self, underlying: &str, on: Date) -> Answer<Fact<'_, StrikeStep>> {
        let rows = &self.inner.facts.strike_steps;
        let row = rows.iter().rfind(|row| row.underlying == underlying && row.span.contains(on));
        row.map(|row| row.origin.fact(row.step)).into()
    }

    /// The underlyings with a lot size in the tables, sorted.
    pub fn underlyings(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.inner.facts.lots.iter().map(|row| row.underlying.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The trading symbol of the index that contracts named `name` are written on: `NIFTY` gives `NIFTY 50`.
    pub fn index_symbol(&self, name: &str) -> Option<&str> {
        self.inner.facts.indices.iter().rfind(|row| row.name == name).map(|row| row.symbol.as_str())
    }

    /// The exchange that index is listed under, with source and doubt: `NIFTY` gives `NSE`.
    pub fn index_exchange(&self, name: &str) -> Option<Fact<'_, &str>> {
        let row = self.inner.facts.indices.iter().rfind(|row| row.name == name)?;
        Some(row.origin.fact(row.exchange.as_str()))
    }
}
