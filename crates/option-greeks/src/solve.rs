//! Volatility from price: blocks of options through the fast kernel, in short loops.
//!
//! Short loops over a block beat one long body: independent iterations overlap, and fewer values are alive at once.
//! Every stage works lane by lane, so an option's result does not depend on its place, its neighbours or the width.

use crate::block::{Progress, signs};
use crate::lanes::{Kernel, Lanes, Mask};
use crate::limits;
use crate::moneyness;
use crate::near;
use crate::sensitivities::{Outside, outside_local, sensitivities, whole_minus};
use crate::solve_wide;
use crate::terms::Terms;
use crate::{Chain, OptionInputs, Status};

/// A chain to be solved, from an option on. `COLUMNS` is 1 for the volatility alone, 6 with the five Greeks, 10 with all.
pub(crate) struct Solve<'a, const COLUMNS: usize> {
    pub(crate) chain: Chain<'a>,
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) progress: Progress<'a>,
}

impl<const COLUMNS: usize> Kernel for Solve<'_, COLUMNS> {
    type Answer = ();

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let Chain { model, rate, years_to_expiry, strikes, kinds, .. } = self.chain;
        match Terms::new(model, rate, years_to_expiry) {
            Ok(terms) if terms.is_spot => self.blocks::<V, true>(lane, &terms),
            Ok(terms) => self.blocks::<V, false>(lane, &terms),
            Err(class) => {
                let Self { mut columns, progress, .. } = self;
                for (i, (strike, kind)) in strikes.iter().zip(kinds).enumerate() {
                    progress.status[i] = limits::without_terms(class, model, *strike, *kind).0;
                    columns.iter_mut().for_each(|column| column[i] = f64::NAN);
                }
                *progress.start = strikes.len();
            }
        }
    }
}

/// What the stages of the fast kernel hand on.
struct Stages<V: Lanes> {
    a: V::Block<V>,
    above: V::Block<V::Mask>,
    a_low: V::Block<V>,
    time_value: V::Block<V>,
    beta: V::Block<V>,
    guess: V::Block<V>,
    inverse: V::Block<V>,
    odd: V::Block<V>,
    correction: V::Block<V>,
    good: V::Block<V::Mask>,
}

impl<const COLUMNS: usize> Solve<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V, terms: &Terms) {
        let mut stages = Stages::new(lane);
        while let Some(block) = self.progress.next::<V>() {
            self.block::<V, SPOT>(lane, terms, block, &mut stages);
            self.progress.close::<V>(block, &stages.good);
        }
    }

    /// The fast kernel over a block, in stages. A vector without any option for it is left out.
    #[inline(always)]
    fn block<V: Lanes, const SPOT: bool>(
        &mut self,
        lane: V,
        terms: &Terms,
        (start, n, vectors): (usize, usize, usize),
        stages: &mut Stages<V>,
    ) {
        let range = start..start + n;
        let Chain { strikes, kinds, prices, .. } = self.chain;
        let (strikes, kinds, prices) = (&strikes[range.clone()], &kinds[range.clone()], &prices[range]);
        for j in 0..vectors {
            let i = j * V::WIDTH;
            let strike = lane.load(&strikes[i..]);
            lane.prefetch(strikes, i + V::WIDTH * V::VECTORS);
            lane.prefetch(prices, i + V::WIDTH * V::VECTORS);
            if moneyness::may_be_near(terms, strike).none() {
                stages.good[j] = lane.lt(lane);
                continue;
            }
            let sign = signs(lane, &kinds[i..]);
            let m = moneyness::near::<V, SPOT, true>(terms, strike);
            let time_value = m.time_value::<SPOT>(terms, sign, lane.load(&prices[i..]));
            let beta = time_value * m.inverse_root;
            let inside = near::eligible::<V, SPOT>(terms, &m, beta);
            // Where the fast kernel will not be used it works on a harmless option, as garbage may be slow.
            stages.a[j] = V::select(inside, m.a, lane.splat(HARMLESS.0));
            stages.above[j] = m.above;
            stages.a_low[j] = m.a_low;
            stages.time_value[j] = time_value;
            stages.beta[j] = V::select(inside, beta, lane.splat(HARMLESS.1));
            stages.good[j] = inside;
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            let seed = near::seed(stages.a[j], stages.beta[j]);
            stages.guess[j] = V::select(seed.inside, seed.s, lane.splat(HARMLESS.2));
            stages.good[j] = stages.good[j] & seed.inside;
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            (stages.inverse[j], stages.odd[j]) = near::odd_at(stages.a[j], stages.guess[j]);
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            let i = j * V::WIDTH;
            let (guess, inverse, odd) = (stages.guess[j], stages.inverse[j], stages.odd[j]);
            let (correction, holds) =
                near::step(stages.a[j], stages.a_low[j], stages.beta[j], guess, inverse, odd);
            stages.good[j] = stages.good[j] & holds;
            stages.correction[j] = correction;
            volatility(terms, guess, correction).store(&mut self.columns[0][start + i..start + n]);
        }
        if COLUMNS == 1 {
            return;
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            let i = j * V::WIDTH;
            let (strike, sign) = (lane.load(&strikes[i..]), signs(lane, &kinds[i..]));
            let solution = near::Solution {
                a: stages.a[j],
                guess: stages.guess[j],
                inverse_guess: stages.inverse[j],
                odd: stages.odd[j],
                correction: stages.correction[j],
            };
            let above = stages.above[j];
            let whole = whole_minus(terms, above, strike);
            let outside = outside_solved(terms, &solution, whole, stages.time_value[j]);
            let greeks =
                sensitivities::<V, SPOT>(terms, above, strike, sign, &outside, lane.load(&prices[i..]));
            greeks.store_greeks(start + i..start + n, &mut self.columns);
        }
    }
}

impl<V: Lanes> Stages<V> {
    #[inline(always)]
    fn new(lane: V) -> Self {
        let never = lane.lt(lane);
        Self {
            a: V::block(lane),
            above: V::block(never),
            a_low: V::block(lane),
            time_value: V::block(lane),
            beta: V::block(lane),
            guess: V::block(lane),
            inverse: V::block(lane),
            odd: V::block(lane),
            correction: V::block(lane),
            good: V::block(never),
        }
    }
}

/// `a`, `sqrt(2 pi) b` and about the total volatility of an option in the middle of the box.
const HARMLESS: (f64, f64, f64) = (0.1, 0.103, 0.2);

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

/// `sigma = s / sqrt(T)` for `s = guess (1 + correction)`, rounded once.
#[inline(always)]
pub(crate) fn volatility<V: Lanes>(terms: &Terms, guess: V, correction: V) -> V {
    let inverse = terms.inverse_root_t;
    let high = guess * inverse.high;
    let low = guess.mul_add(high.splat(inverse.high), -high) + guess * inverse.low;
    high + high.mul_add(correction, low)
}

/// One option, through the same stages one lane wide.
pub(crate) struct SolveOne<'a> {
    pub(crate) option: &'a OptionInputs,
    pub(crate) price: f64,
}

impl Kernel for SolveOne<'_> {
    /// Not a `Result`, as a pair comes back in registers.
    type Answer = (f64, Status);

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) -> Self::Answer {
        let Self { option: OptionInputs { model, kind, strike, rate, years_to_expiry }, price } = self;
        match Terms::new(*model, *rate, *years_to_expiry) {
            Ok(terms) if terms.is_spot => one::<V, true>(lane, &terms, *strike, kind.sign(), price),
            Ok(terms) => one::<V, false>(lane, &terms, *strike, kind.sign(), price),
            Err(status) => (f64::NAN, limits::without_terms(status, *model, *strike, *kind).0),
        }
    }
}

#[inline(always)]
fn one<V: Lanes, const SPOT: bool>(
    lane: V,
    terms: &Terms,
    strike: f64,
    sign: f64,
    price: f64,
) -> (f64, Status) {
    let (k, th, p) = (lane.splat(strike), lane.splat(sign), lane.splat(price));
    let m = moneyness::near::<V, SPOT, true>(terms, k);
    let time_value = m.time_value::<SPOT>(terms, th, p);
    let beta = time_value * m.inverse_root;
    if near::eligible::<V, SPOT>(terms, &m, beta).all() {
        let seed = near::seed(m.a, beta);
        let (inverse, odd) = near::odd_at(m.a, seed.s);
        let (correction, holds) = near::step(m.a, m.a_low, beta, seed.s, inverse, odd);
        if (seed.inside & holds).all() {
            return (volatility(terms, seed.s, correction).first(), Status::Ok);
        }
    }
    solve_wide::one::<V, SPOT>(terms, k, th, p)
}
