//! From prices of one expiry to Greeks: picks a side per strike, solves the columns, writes the results back.

use market_model::OptionSide;
use option_greeks::{
    CALENDAR_DAYS_PER_YEAR, Chain as PricedChain, GreeksColumns, OptionKind, PriceColumns, PricingModel,
    Status, VolatilityChain, greeks_at, implied_greeks,
};

use super::chain::{Basis, Chain, NONE, Pick};
use super::live::Live;
use super::quote::SpreadRule;
use crate::snapshot::{GreeksState, NoGreeks, OptionGreeks, Quality};

/// Columns that are reused from chain to chain, so that solving allocates nothing once they have grown.
#[derive(Debug, Default)]
pub(super) struct Solver {
    rows: Vec<u32>,
    qualities: Vec<Quality>,
    strikes: Vec<f64>,
    kinds: Vec<OptionKind>,
    other_kinds: Vec<OptionKind>,
    prices: Vec<f64>,
    iv: Vec<f64>,
    picked: Columns,
    other: Columns,
}

#[derive(Debug, Default)]
struct Columns {
    price: Vec<f64>,
    delta: Vec<f64>,
    gamma: Vec<f64>,
    vega: Vec<f64>,
    theta: Vec<f64>,
    rho: Vec<f64>,
    status: Vec<Status>,
}

// === impl Solver ===

impl Solver {
    /// Computes the Greeks of `rows` on one basis and writes them to the instruments.
    pub(super) fn solve(
        &mut self,
        chain: &Chain,
        rows: &[u32],
        basis: &Basis,
        rate: f64,
        rule: &SpreadRule,
        live: &mut [Live],
    ) {
        self.collect(chain, rows, basis, rule, live);
        self.compute(basis, rate);
        for at in 0..self.rows.len() {
            let states = self.states(at, basis, rate);
            for ((side, index), (kind, state)) in chain.live(self.rows[at] as usize).into_iter().zip(states) {
                debug_assert_eq!(kind, kind_of(side));
                if index != NONE {
                    let live = &mut live[index as usize];
                    live.greeks = state;
                    live.forward_stale = basis.forward.stale;
                }
            }
        }
    }

    fn collect(&mut self, chain: &Chain, rows: &[u32], basis: &Basis, rule: &SpreadRule, live: &mut [Live]) {
        self.rows.clear();
        self.qualities.clear();
        self.strikes.clear();
        self.kinds.clear();
        self.other_kinds.clear();
        self.prices.clear();
        for &row in rows {
            match chain.pick(row as usize, basis.forward.value, rule) {
                Pick::Price { side, price, quality } => {
                    let kind = kind_of(side);
                    self.rows.push(row);
                    self.qualities.push(quality);
                    self.strikes.push(chain.strikes[row as usize]);
                    self.kinds.push(kind);
                    self.other_kinds.push(opposite(kind));
                    self.prices.push(price);
                }
                Pick::Keep => {}
                Pick::Nothing => {
                    for (_, index) in chain.live(row as usize) {
                        if index != NONE {
                            live[index as usize].greeks = GreeksState::Absent(NoGreeks::NoPrice);
                        }
                    }
                }
            }
        }
    }

    fn compute(&mut self, basis: &Basis, rate: f64) {
        let len = self.rows.len();
        let model = PricingModel::Black76 { forward: basis.forward.value };
        let years_to_expiry = basis.t_years;
        self.iv.resize(len, f64::NAN);
        let out = self.picked.resized(len);
        let chain = PricedChain {
            model,
            rate,
            years_to_expiry,
            strikes: &self.strikes,
            kinds: &self.kinds,
            prices: &self.prices,
        };
        implied_greeks(
            &chain,
            &mut GreeksColumns {
                iv: &mut self.iv,
                delta: &mut out.delta,
                gamma: &mut out.gamma,
                vega: &mut out.vega,
                theta: &mut out.theta,
                rho: &mut out.rho,
                status: &mut out.status,
            },
        );
        let out = self.other.resized(len);
        let chain = VolatilityChain {
            model,
            rate,
            years_to_expiry,
            strikes: &self.strikes,
            kinds: &self.other_kinds,
            volatilities: &self.iv,
        };
        greeks_at(
            &chain,
            &mut PriceColumns {
                price: &mut out.price,
                delta: &mut out.delta,
                gamma: &mut out.gamma,
                vega: &mut out.vega,
                theta: &mut out.theta,
                rho: &mut out.rho,
                status: &mut out.status,
            },
        );
    }

    /// The call's and the put's state at one solved row.
    fn states(&self, at: usize, basis: &Basis, rate: f64) -> [(OptionKind, GreeksState); 2] {
        let known = |columns: &Columns| {
            GreeksState::Known(OptionGreeks {
                iv: self.iv[at],
                delta: columns.delta[at],
                gamma: columns.gamma[at],
                vega: columns.vega[at] / 100.0,
                theta: columns.theta[at] / CALENDAR_DAYS_PER_YEAR,
                rho: columns.rho[at] / 100.0,
                forward: basis.forward.value,
                forward_source: basis.forward.source,
                rate,
                t_years: basis.t_years,
                quality: self.qualities[at],
            })
        };
        let (picked, other) = match refusal(self.picked.status[at]) {
            None => (known(&self.picked), known(&self.other)),
            Some(reason) => (GreeksState::Absent(reason), GreeksState::Absent(reason)),
        };
        match self.kinds[at] {
            OptionKind::Call => [(OptionKind::Call, picked), (OptionKind::Put, other)],
            OptionKind::Put => [(OptionKind::Call, other), (OptionKind::Put, picked)],
        }
    }
}

// === impl Columns ===

impl Columns {
    fn resized(&mut self, len: usize) -> &mut Self {
        for column in [
            &mut self.price,
            &mut self.delta,
            &mut self.gamma,
            &mut self.vega,
            &mut self.theta,
            &mut self.rho,
        ] {
            column.resize(len, f64::NAN);
        }
        self.status.resize(len, Status::Ok);
        self
    }
}

fn kind_of(side: OptionSide) -> OptionKind {
    match side {
        OptionSide::Call => OptionKind::Call,
        OptionSide::Put => OptionKind::Put,
    }
}

fn opposite(kind: OptionKind) -> OptionKind {
    match kind {
        OptionKind::Call => OptionKind::Put,
        OptionKind::Put => OptionKind::Call,
    }
}

/// The published reason for a solver status; `None` when solved.
fn refusal(status: Status) -> Option<NoGreeks> {
    Some(match status {
        Status::Ok => return None,
        Status::Expired => NoGreeks::Expired,
        Status::BelowIntrinsic => NoGreeks::BelowIntrinsic,
        Status::AtIntrinsic => NoGreeks::AtIntrinsic,
        Status::AboveMaximum | Status::AtMaximum => NoGreeks::AboveMaximum,
        Status::BadUnderlying
        | Status::BadStrike
        | Status::BadExpiry
        | Status::BadRate
        | Status::BadSigma
        | Status::ZeroVol
        | Status::BadPrice => NoGreeks::Unsolvable,
    })
}
