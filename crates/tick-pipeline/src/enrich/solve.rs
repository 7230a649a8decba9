//! From prices of one expiry to Greeks: picks a side per strike, solves the columns, writes the results back.

use market_model::OptionSide;
use option_greeks::{
    CALENDAR_DAYS_PER_YEAR, Chain as PricedChain, GreeksColumns, OptionKind, PriceColumns, PricingModel,
    Status, VolatilityChain, greeks_at, implied_greeks,
};

use super::chain::{Basis, Chain, NONE, Pick};
use super::config::EnrichmentConfig;
use super::live::{Live, Value};
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
    /// Filled only when a strike had to be read from its in-the-money side.
    other: Columns,
    has_other: bool,
}

/// What the results are written to.
pub(super) struct Targets<'a> {
    pub(super) live: &'a mut [Live],
    pub(super) values: &'a mut [Value],
    /// Gets those options whose Greeks have moved enough to be published.
    pub(super) unsaid: &'a mut Vec<u32>,
    pub(super) config: &'a EnrichmentConfig,
    /// Gets those options whose other side of the strike, which they depend on, became stale or current.
    pub(super) turned: &'a mut Vec<u32>,
}

/// What put-call parity says of the other side of a strike.
#[derive(Debug, Clone, Copy)]
struct Parity {
    discount: f64,
    /// Present value of forward less strike: a call is worth this much more than its put.
    away: f64,
    rate: f64,
    t_years: f64,
}

/// As the kernels give them: vega and rho per 1.00, theta per year.
#[derive(Debug, Clone, Copy)]
struct Sensitivities {
    delta: f64,
    gamma: f64,
    vega: f64,
    theta: f64,
    rho: f64,
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
        to: &mut Targets<'_>,
    ) {
        self.collect(chain, rows, basis, rule, to);
        if self.rows.is_empty() {
            return;
        }
        self.compute(basis, rate);
        let discount = (-rate * basis.t_years).exp();
        for at in 0..self.rows.len() {
            let away = discount * (basis.forward.value - self.strikes[at]);
            let parity = Parity { discount, away, rate, t_years: basis.t_years };
            let states = self.states(at, basis, &parity);
            for ((side, index), (kind, state)) in chain.live(self.rows[at] as usize).into_iter().zip(states) {
                debug_assert_eq!(kind, kind_of(side));
                if index != NONE {
                    to.set(index, state);
                    to.live[index as usize].forward_stale = basis.forward.stale;
                }
            }
        }
    }

    fn collect(
        &mut self,
        chain: &Chain,
        rows: &[u32],
        basis: &Basis,
        rule: &SpreadRule,
        to: &mut Targets<'_>,
    ) {
        self.has_other = false;
        self.rows.clear();
        self.qualities.clear();
        self.strikes.clear();
        self.kinds.clear();
        self.other_kinds.clear();
        self.prices.clear();
        for &row in rows {
            let pick = chain.pick(row as usize, basis.forward.value, rule);
            let leg_stale = matches!(pick, Pick::Keep);
            for (_, index) in chain.live(row as usize) {
                if index != NONE {
                    let before = &mut to.live[index as usize].leg_stale;
                    if std::mem::replace(before, leg_stale) != leg_stale {
                        to.turned.push(index);
                    }
                }
            }
            match pick {
                Pick::Price { side, price, quality } => {
                    let kind = kind_of(side);
                    self.has_other |= quality == Quality::InTheMoneySide;
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
                            to.set(index, GreeksState::Absent(NoGreeks::NoPrice));
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
        if !self.has_other {
            return;
        }
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
    fn states(&self, at: usize, basis: &Basis, parity: &Parity) -> [(OptionKind, GreeksState); 2] {
        let of = |columns: &Columns| Sensitivities {
            delta: columns.delta[at],
            gamma: columns.gamma[at],
            vega: columns.vega[at],
            theta: columns.theta[at],
            rho: columns.rho[at],
        };
        let known = |found: Sensitivities| {
            GreeksState::Known(OptionGreeks {
                iv: self.iv[at],
                delta: found.delta,
                gamma: found.gamma,
                vega: found.vega / 100.0,
                theta: found.theta / CALENDAR_DAYS_PER_YEAR,
                rho: found.rho / 100.0,
                forward: basis.forward.value,
                forward_source: basis.forward.source,
                rate: parity.rate,
                t_years: basis.t_years,
                quality: self.qualities[at],
            })
        };
        let (picked, other) = match refusal(self.picked.status[at]) {
            None => {
                let picked = of(&self.picked);
                // From a small value to a large one nothing is lost; the other way round it would be.
                let other = match self.qualities[at] {
                    Quality::InTheMoneySide => of(&self.other),
                    _ => parity.other_side(self.kinds[at], picked),
                };
                (known(picked), known(other))
            }
            Some(reason) => (GreeksState::Absent(reason), GreeksState::Absent(reason)),
        };
        match self.kinds[at] {
            OptionKind::Call => [(OptionKind::Call, picked), (OptionKind::Put, other)],
            OptionKind::Put => [(OptionKind::Call, other), (OptionKind::Put, picked)],
        }
    }
}

// === impl Targets ===

impl Targets<'_> {
    pub(super) fn set(&mut self, index: u32, greeks: GreeksState) {
        let (live, value) = (&mut self.live[index as usize], &mut self.values[index as usize]);
        value.greeks = greeks;
        if !live.listed && live.greeks_moved(&value.greeks, self.config) {
            live.listed = true;
            self.unsaid.push(index);
        }
    }
}

// === impl Parity ===

impl Parity {
    /// The other side of a strike whose `side` has the values `of`. With C - P = D (F - K): gamma and vega are the same,
    /// the deltas differ by D, and the others by what D changes with time and rate.
    fn other_side(&self, side: OptionKind, of: Sensitivities) -> Sensitivities {
        let sign = match side {
            OptionKind::Call => -1.0,
            OptionKind::Put => 1.0,
        };
        Sensitivities {
            delta: of.delta + sign * self.discount,
            theta: of.theta + sign * self.rate * self.away,
            rho: of.rho - sign * self.t_years * self.away,
            ..of
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
