//! Volatility from price: blocks of 64 options through the fast kernel in short loops, the refused ones through the
//! wide kernel.
//!
//! Short loops over a block beat one long body: independent iterations overlap, and fewer values are alive at once.
//! Every stage works lane by lane, so an option's result does not depend on its place, its neighbours or the width.

use crate::lanes::{Kernel, Lanes, Mask};
use crate::moneyness::{self, Moneyness};
use crate::near;
use crate::sensitivities::{Outside, Sensitivities, sensitivities, whole_minus};
use crate::terms::{Terms, is_price};
use crate::wide;
use crate::{OptionKind, Status};

/// Options per block: enough to fill the pipelines, few enough to stay in the first-level cache.
pub(crate) const BLOCK: usize = 64;

/// A chain to be solved. `COLUMNS` is 1 for the volatility alone, 6 with the five Greeks, 10 with all.
pub(crate) struct Solve<'a, const COLUMNS: usize> {
    pub(crate) terms: &'a Terms,
    pub(crate) strikes: &'a [f64],
    pub(crate) kinds: &'a [OptionKind],
    pub(crate) prices: &'a [f64],
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) status: &'a mut [Status],
}

/// One block of inputs, padded.
struct Inputs {
    strike: [f64; BLOCK],
    sign: [f64; BLOCK],
    price: [f64; BLOCK],
}

impl<const COLUMNS: usize> Kernel for Solve<'_, COLUMNS> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        if self.terms.is_spot { self.blocks::<V, true>(lane) } else { self.blocks::<V, false>(lane) }
    }
}

impl<const COLUMNS: usize> Solve<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V) {
        let total = self.strikes.len();
        let mut results = [[0.0; BLOCK]; COLUMNS];
        let mut inputs = Inputs { strike: [1.0; BLOCK], sign: [1.0; BLOCK], price: [0.0; BLOCK] };
        let mut start = 0;
        while start < total {
            let n = (total - start).min(BLOCK);
            let range = start..start + n;
            inputs.strike[..n].copy_from_slice(&self.strikes[range.clone()]);
            inputs.price[..n].copy_from_slice(&self.prices[range.clone()]);
            for (sign, kind) in inputs.sign[..n].iter_mut().zip(&self.kinds[range.clone()]) {
                *sign = kind.sign();
            }
            let good = near_block::<V, SPOT, COLUMNS>(lane, self.terms, &inputs, n, &mut results);
            for (column, result) in self.columns.iter_mut().zip(&results) {
                column[range.clone()].copy_from_slice(&result[..n]);
            }
            self.status[range].fill(Status::Ok);
            let refused = !good & mask_below(n);
            if refused != 0 {
                self.wide_block::<V, SPOT>(lane, &inputs, start, refused);
            }
            start += n;
        }
    }

    /// The options of a block the fast kernel refused, as a bit set.
    #[inline(always)]
    fn wide_block<V: Lanes, const SPOT: bool>(&mut self, lane: V, all: &Inputs, start: usize, refused: u64) {
        let mut inputs = Inputs { strike: [1.0; BLOCK], sign: [1.0; BLOCK], price: [0.0; BLOCK] };
        let mut place = [0_u8; BLOCK];
        let (mut left, mut n) = (refused, 0);
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            place[n] = i as u8;
            inputs.strike[n] = all.strike[i];
            inputs.sign[n] = all.sign[i];
            inputs.price[n] = all.price[i];
            left &= left - 1;
            n += 1;
        }
        let mut results = [[0.0; V_MAX]; COLUMNS];
        let (mut time_value, mut room) = ([0.0; V_MAX], [0.0; V_MAX]);
        let mut i = 0;
        while i < n {
            let (strike, sign) = (lane.load(&inputs.strike[i..]), lane.load(&inputs.sign[i..]));
            let price = lane.load(&inputs.price[i..]);
            let solved = wide_lanes::<V, SPOT>(self.terms, strike, sign, price);
            solved.time_value.store(&mut time_value);
            solved.room.store(&mut room);
            if COLUMNS == 1 {
                solved.volatility.store(&mut results[0]);
            } else {
                solved.greeks(self.terms, strike, sign, price).store(solved.volatility, 0, &mut results);
            }
            for j in 0..V::WIDTH.min(n - i) {
                let at = start + usize::from(place[i + j]);
                let status =
                    refusal(inputs.strike[i + j], inputs.price[i + j], time_value[j], room[j], results[0][j]);
                self.status[at] = status;
                for (column, result) in self.columns.iter_mut().zip(&results) {
                    column[at] = if status == Status::Ok { result[j] } else { f64::NAN };
                }
            }
            i += V::WIDTH;
        }
    }
}

/// The most lanes of any width.
const V_MAX: usize = 8;

/// The first `n` bits.
fn mask_below(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// The fast kernel over a block. Answers the set of options it solved.
#[inline(always)]
fn near_block<V: Lanes, const SPOT: bool, const COLUMNS: usize>(
    lane: V,
    terms: &Terms,
    inputs: &Inputs,
    n: usize,
    results: &mut [[f64; BLOCK]; COLUMNS],
) -> u64 {
    let (mut x, mut a_low, mut beta) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
    let (mut amount, mut guess) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (mut eligible, mut trusted, mut held) = (0, 0, 0);
    let mut i = 0;
    while i < n {
        let (strike, sign) = (lane.load(&inputs.strike[i..]), lane.load(&inputs.sign[i..]));
        let m = moneyness::near::<V, SPOT>(terms, strike);
        let time_value = m.time_value(terms, sign, lane.load(&inputs.price[i..]));
        V::select(m.above, m.a, -m.a).store(&mut x[i..]);
        m.a_low.store(&mut a_low[i..]);
        time_value.store(&mut amount[i..]);
        (time_value / m.root).store(&mut beta[i..]);
        eligible |= u64::from(near::eligible(&m, time_value).bits()) << i;
        i += V::WIDTH;
    }
    let mut i = 0;
    while i < n {
        let seed = near::seed(lane.load(&x[i..]).abs(), lane.load(&beta[i..]));
        seed.s.store(&mut guess[i..]);
        trusted |= u64::from(seed.inside.bits()) << i;
        i += V::WIDTH;
    }
    let mut i = 0;
    while i < n {
        let x = lane.load(&x[i..]);
        let solution =
            near::step(x.abs(), lane.load(&a_low[i..]), lane.load(&beta[i..]), lane.load(&guess[i..]));
        held |= u64::from(solution.inside.bits()) << i;
        let volatility = solution.volatility(terms);
        if COLUMNS == 1 {
            volatility.store(&mut results[0][i..]);
        } else {
            let (strike, sign) = (lane.load(&inputs.strike[i..]), lane.load(&inputs.sign[i..]));
            let above = lane.splat(0.0).lt(x);
            let whole = whole_minus(terms, above, strike);
            let outside = outside_solved(terms, &solution, whole, lane.load(&amount[i..]));
            let price = lane.load(&inputs.price[i..]);
            sensitivities(terms, above, strike, sign, &outside, price).store(volatility, i, results);
        }
        i += V::WIDTH;
    }
    eligible & trusted & held
}

/// The legs of the outside option at the solution, scaled so that they reproduce the time value.
#[inline(always)]
fn outside_solved<V: Lanes>(
    terms: &Terms,
    solution: &near::Solution<V>,
    whole_minus: V,
    time_value: V,
) -> Outside<V> {
    let local = solution.local();
    let price = time_value * terms.discount;
    outside_local(&local, whole_minus, price / local.ratio, price)
}

/// The legs of the outside option from the normalised problem and its weight.
#[inline(always)]
pub(crate) fn outside_local<V: Lanes>(
    local: &near::Local<V>,
    whole_minus: V,
    weight: V,
    price: V,
) -> Outside<V> {
    let leg_minus = weight * local.mills_minus;
    Outside {
        s: local.s,
        inverse_s: local.inverse_s,
        z: local.z,
        weight,
        leg_minus,
        rest_minus: whole_minus - leg_minus,
        leg_plus: leg_minus - price,
        price,
    }
}

/// What the wide kernel found.
struct Wide<V: Lanes> {
    moneyness: Moneyness<V>,
    time_value: V,
    room: V,
    total: V,
    volatility: V,
}

/// The wide kernel from inputs to volatility.
#[inline(always)]
fn wide_lanes<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, price: V) -> Wide<V> {
    let moneyness = moneyness::wide::<V, SPOT>(terms, strike);
    let time_value = moneyness.time_value(terms, sign, price);
    let room = moneyness.room(terms, strike, sign, price);
    let solution = wide::Target::new(&moneyness, time_value, room).solve(moneyness.a, moneyness.a_low);
    Wide { moneyness, time_value, room, total: solution.total(), volatility: solution.volatility(terms) }
}

impl<V: Lanes> Wide<V> {
    #[inline(always)]
    fn greeks(&self, terms: &Terms, strike: V, sign: V, price: V) -> Sensitivities<V> {
        let outside = wide::outside(terms, &self.moneyness, strike, self.total);
        sensitivities(terms, self.moneyness.above, strike, sign, &outside, price)
    }
}

/// Why the fast kernel refused an option, in the order of the checks; `Ok` when the wide kernel solved it.
#[inline(always)]
fn refusal(strike: f64, price: f64, time_value: f64, room: f64, volatility: f64) -> Status {
    if !is_price(strike) {
        Status::BadStrike
    } else if !price.is_finite() {
        Status::BadPrice
    } else if time_value < 0.0 {
        Status::BelowIntrinsic
    } else if time_value == 0.0 {
        Status::AtIntrinsic
    } else if room < 0.0 {
        Status::AboveMaximum
    } else if room == 0.0 {
        Status::AtMaximum
    } else if volatility > 0.0 && volatility < f64::INFINITY {
        Status::Ok
    } else {
        // The amounts left the range of doubles on the way.
        Status::BadPrice
    }
}

impl<V: Lanes> Sensitivities<V> {
    /// Writes `first` and then the Greeks in the order of [`Greeks`](crate::Greeks), as many as there are columns.
    #[inline(always)]
    pub(crate) fn store<const N: usize, const COLUMNS: usize>(
        &self,
        first: V,
        at: usize,
        columns: &mut [[f64; N]; COLUMNS],
    ) {
        let Self { delta, gamma, vega, theta, rho, vanna, volga, charm, speed, .. } = *self;
        let values = [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed];
        for (column, value) in columns.iter_mut().zip(values) {
            value.store(&mut column[at..]);
        }
    }
}

/// One option, through the same stages one lane wide.
pub(crate) struct SolveOne<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) strike: f64,
    pub(crate) sign: f64,
    pub(crate) price: f64,
    pub(crate) answer: &'a mut Result<f64, Status>,
}

impl Kernel for SolveOne<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let Self { terms, strike, sign, price, answer } = self;
        *answer = if terms.is_spot {
            one::<V, true>(lane, terms, strike, sign, price)
        } else {
            one::<V, false>(lane, terms, strike, sign, price)
        };
    }
}

#[inline(always)]
fn one<V: Lanes, const SPOT: bool>(
    lane: V,
    terms: &Terms,
    strike: f64,
    sign: f64,
    price: f64,
) -> Result<f64, Status> {
    let first = |v: V| {
        let mut all = [0.0; V_MAX];
        v.store(&mut all);
        all[0]
    };
    let (k, th, p) = (lane.splat(strike), lane.splat(sign), lane.splat(price));
    let m = moneyness::near::<V, SPOT>(terms, k);
    let time_value = m.time_value(terms, th, p);
    if near::eligible(&m, time_value).all() {
        let beta = time_value / m.root;
        let seed = near::seed(m.a, beta);
        let solution = near::step(m.a, m.a_low, beta, seed.s);
        if (seed.inside & solution.inside).all() {
            return Ok(first(solution.volatility(terms)));
        }
    }
    let solved = wide_lanes::<V, SPOT>(terms, k, th, p);
    let volatility = first(solved.volatility);
    match refusal(strike, price, first(solved.time_value), first(solved.room), volatility) {
        Status::Ok => Ok(volatility),
        status => Err(status),
    }
}
