//! Volatility from price: blocks of options through the fast kernel in short loops, the refused ones through the
//! wide kernel.
//!
//! Short loops over a block beat one long body: independent iterations overlap, and fewer values are alive at once.
//! Every stage works lane by lane, so an option's result does not depend on its place, its neighbours or the width.

use crate::block::{Refused, VECTORS, signs};
use crate::lanes::{Kernel, Lanes, Mask, WIDEST};
use crate::limits;
use crate::moneyness::{self, Moneyness};
use crate::near;
use crate::sensitivities::{Outside, Sensitivities, outside_local, sensitivities, whole_minus};
use crate::terms::{Terms, is_price};
use crate::wide;
use crate::{Chain, OptionInputs, Status};

/// Runs one stage over all vectors.
macro_rules! stages {
    ($items:expr, $($stage:ident),*) => {
        $(
            for item in $items.iter_mut() {
                item.$stage();
            }
        )*
    };
}
/// A chain to be solved. `COLUMNS` is 1 for the volatility alone, 6 with the five Greeks, 10 with all.
pub(crate) struct Solve<'a, const COLUMNS: usize> {
    pub(crate) chain: Chain<'a>,
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) status: &'a mut [Status],
}

impl<const COLUMNS: usize> Kernel for Solve<'_, COLUMNS> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let Chain { model, rate, years_to_expiry, strikes, kinds, .. } = self.chain;
        match Terms::new(model, rate, years_to_expiry) {
            Ok(terms) if terms.is_spot => self.blocks::<V, true>(lane, &terms),
            Ok(terms) => self.blocks::<V, false>(lane, &terms),
            Err(class) => {
                let Self { mut columns, status, .. } = self;
                for (i, (strike, kind)) in strikes.iter().zip(kinds).enumerate() {
                    status[i] = limits::without_terms(class, model, *strike, *kind).0;
                    columns.iter_mut().for_each(|column| column[i] = f64::NAN);
                }
            }
        }
    }
}

/// What the stages of the fast kernel hand on.
struct Stages<V: Lanes> {
    a: [V; VECTORS],
    above: [V::Mask; VECTORS],
    a_low: [V; VECTORS],
    time_value: [V; VECTORS],
    beta: [V; VECTORS],
    k: [V; VECTORS],
    guess: [V; VECTORS],
    inverse: [V; VECTORS],
    odd: [V; VECTORS],
    market: [(V, V); VECTORS],
    correction: [V; VECTORS],
    good: [V::Mask; VECTORS],
}

impl<const COLUMNS: usize> Solve<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V, terms: &Terms) {
        let mut stages = Stages::new(lane);
        let Chain { strikes, kinds, prices, .. } = self.chain;
        let (total, block) = (strikes.len(), V::WIDTH * VECTORS);
        let mut start = 0;
        while start < total {
            let n = (total - start).min(block);
            let vectors = n.div_ceil(V::WIDTH).min(VECTORS);
            self.near_block::<V, SPOT>(lane, terms, start, n, vectors, &mut stages);
            self.status[start..start + n].fill(Status::Ok);
            if !stages.good[..vectors].iter().all(|good| good.all()) {
                let mut refused = Refused::default();
                let range = start..start + n;
                let (strikes, kinds, prices) =
                    (&strikes[range.clone()], &kinds[range.clone()], &prices[range]);
                let refusals = refused.gather(&stages.good[..vectors], strikes, kinds, prices);
                self.wide_block::<V, SPOT>(lane, terms, start, refusals, &refused);
            }
            start += n;
        }
    }

    /// The fast kernel over a block, in stages.
    #[inline(always)]
    fn near_block<V: Lanes, const SPOT: bool>(
        &mut self,
        lane: V,
        terms: &Terms,
        start: usize,
        n: usize,
        vectors: usize,
        stages: &mut Stages<V>,
    ) {
        let range = start..start + n;
        let Chain { strikes, kinds, prices, .. } = self.chain;
        let (strikes, kinds, prices) = (&strikes[range.clone()], &kinds[range.clone()], &prices[range]);
        for j in 0..vectors {
            let i = j * V::WIDTH;
            let sign = signs(lane, &kinds[i..]);
            let m = moneyness::near::<V, SPOT>(terms, lane.load(&strikes[i..]));
            let time_value = m.time_value(terms, sign, lane.load(&prices[i..]));
            let inside = near::eligible::<V, SPOT>(terms, &m, time_value);
            // Where the fast kernel will not be used it works on a harmless option, as garbage may be slow.
            stages.a[j] = V::select(inside, m.a, lane.splat(HARMLESS.0));
            stages.above[j] = m.above;
            stages.a_low[j] = m.a_low;
            stages.time_value[j] = time_value;
            stages.beta[j] = V::select(inside, time_value / m.root, lane.splat(HARMLESS.1));
            stages.k[j] = V::select(inside, (m.a * m.root) / time_value, lane.splat(1.0));
            stages.good[j] = inside;
        }
        for j in 0..vectors {
            let seed = near::seed(stages.k[j], stages.beta[j]);
            stages.guess[j] = V::select(seed.inside, seed.s, lane.splat(HARMLESS.2));
            stages.good[j] = stages.good[j] & seed.inside;
        }
        for j in 0..vectors {
            (stages.inverse[j], stages.odd[j]) = near::odd_at(stages.a[j], stages.guess[j]);
        }
        for j in 0..vectors {
            let (guess, inverse) = (stages.guess[j], stages.inverse[j]);
            stages.market[j] = near::market(stages.a[j], stages.a_low[j], stages.beta[j], guess, inverse);
        }
        for j in 0..vectors {
            let i = j * V::WIDTH;
            let (a, guess, inverse) = (stages.a[j], stages.guess[j], stages.inverse[j]);
            let (correction, holds) = near::step(a, guess, inverse, stages.odd[j], stages.market[j]);
            stages.good[j] = stages.good[j] & holds;
            stages.correction[j] = correction;
            volatility(terms, guess, correction).store(&mut self.columns[0][start + i..start + n]);
        }
        if COLUMNS == 1 {
            return;
        }
        for j in 0..vectors {
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

    /// The wide kernel over `n` refused options of the block at `start`, in stages too.
    #[inline(always)]
    fn wide_block<V: Lanes, const SPOT: bool>(
        &mut self,
        lane: V,
        terms: &Terms,
        start: usize,
        n: usize,
        refused: &Refused,
    ) {
        let vectors = n.div_ceil(V::WIDTH).min(VECTORS);
        let mut items = [Wide::new::<SPOT>(terms, lane, lane, lane); VECTORS];
        for (j, item) in items[..vectors].iter_mut().enumerate() {
            let i = j * V::WIDTH;
            let (strike, sign) = (lane.load(&refused.strike[i..]), lane.load(&refused.sign[i..]));
            *item = Wide::new::<SPOT>(terms, strike, sign, lane.load(&refused.number[i..]));
        }
        stages!(items[..vectors], round, round, guess, improve, improve, finish);
        let mut results = [[0.0; WIDEST]; COLUMNS];
        let (mut time_value, mut room) = ([0.0; WIDEST], [0.0; WIDEST]);
        for (j, item) in items[..vectors].iter().enumerate() {
            let i = j * V::WIDTH;
            item.time_value.store(&mut time_value);
            item.room.store(&mut room);
            item.volatility(terms).store(&mut results[0]);
            if COLUMNS > 1 {
                let (strike, sign) = (lane.load(&refused.strike[i..]), lane.load(&refused.sign[i..]));
                let mut columns = results.each_mut().map(|column| &mut column[..]);
                let price = lane.load(&refused.number[i..]);
                item.greeks::<SPOT>(terms, strike, sign, price).store_greeks(0..WIDEST, &mut columns);
            }
            for lane in 0..V::WIDTH.min(n - i) {
                let (at, strike, price) = (
                    start + usize::from(refused.place[i + lane]),
                    refused.strike[i + lane],
                    refused.number[i + lane],
                );
                let status = refusal(strike, price, time_value[lane], room[lane], results[0][lane]);
                self.status[at] = status;
                for (column, result) in self.columns.iter_mut().zip(&results) {
                    column[at] = if status == Status::Ok { result[lane] } else { f64::NAN };
                }
            }
        }
    }
}

impl<V: Lanes> Stages<V> {
    #[inline(always)]
    fn new(lane: V) -> Self {
        let zeros = [lane.splat(0.0); VECTORS];
        Self {
            a: zeros,
            above: [lane.lt(lane); VECTORS],
            a_low: zeros,
            time_value: zeros,
            beta: zeros,
            k: zeros,
            guess: zeros,
            inverse: zeros,
            odd: zeros,
            market: [(zeros[0], zeros[0]); VECTORS],
            correction: zeros,
            good: [lane.lt(lane); VECTORS],
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
fn volatility<V: Lanes>(terms: &Terms, guess: V, correction: V) -> V {
    let inverse = terms.inverse_root_t;
    let high = guess * inverse.high;
    let low = guess.mul_add(high.splat(inverse.high), -high) + guess * inverse.low;
    high + high.mul_add(correction, low)
}

/// A vector of options on its way through the wide kernel.
#[derive(Clone, Copy)]
struct Wide<V: Lanes> {
    moneyness: Moneyness<V>,
    time_value: V,
    room: V,
    target: wide::Target<V>,
    trial: wide::Trial<V>,
    guess: V,
    correction: V,
}

impl<V: Lanes> Wide<V> {
    #[inline(always)]
    fn new<const SPOT: bool>(terms: &Terms, strike: V, sign: V, price: V) -> Self {
        let moneyness = moneyness::wide::<V, SPOT>(terms, strike);
        let time_value = moneyness.time_value(terms, sign, price);
        let room = moneyness.room(terms, strike, sign, price);
        let target = wide::Target::new(&moneyness, time_value, room);
        let zero = strike.splat(0.0);
        Self { moneyness, time_value, room, target, trial: target.start(), guess: zero, correction: zero }
    }

    /// One round of the rough guess.
    #[inline(always)]
    fn round(&mut self) {
        self.trial = self.target.round(self.moneyness.a, self.trial);
    }

    #[inline(always)]
    fn guess(&mut self) {
        self.guess = self.target.guess(self.moneyness.a, self.trial);
    }

    #[inline(always)]
    fn improve(&mut self) {
        self.guess = self.target.improve(self.moneyness.a, self.moneyness.a_low, self.guess);
    }

    #[inline(always)]
    fn finish(&mut self) {
        self.correction = self.target.finish(self.moneyness.a, self.moneyness.a_low, self.guess);
    }

    #[inline(always)]
    fn volatility(&self, terms: &Terms) -> V {
        volatility(terms, self.guess, self.correction)
    }

    #[inline(always)]
    fn greeks<const SPOT: bool>(&self, terms: &Terms, strike: V, sign: V, price: V) -> Sensitivities<V> {
        let total = self.guess.mul_add(self.correction, self.guess);
        let outside = wide::outside(terms, &self.moneyness, strike, total);
        sensitivities::<V, SPOT>(terms, self.moneyness.above, strike, sign, &outside, price).numbers()
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

/// One option, through the same stages one lane wide.
pub(crate) struct SolveOne<'a> {
    pub(crate) option: &'a OptionInputs,
    pub(crate) price: f64,
    pub(crate) answer: &'a mut Result<f64, Status>,
}

impl Kernel for SolveOne<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let Self { option: OptionInputs { model, kind, strike, rate, years_to_expiry }, price, answer } =
            self;
        *answer = match Terms::new(*model, *rate, *years_to_expiry) {
            Ok(terms) if terms.is_spot => one::<V, true>(lane, &terms, *strike, kind.sign(), price),
            Ok(terms) => one::<V, false>(lane, &terms, *strike, kind.sign(), price),
            Err(status) => Err(limits::without_terms(status, *model, *strike, *kind).0),
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
    let (k, th, p) = (lane.splat(strike), lane.splat(sign), lane.splat(price));
    let m = moneyness::near::<V, SPOT>(terms, k);
    let time_value = m.time_value(terms, th, p);
    if near::eligible::<V, SPOT>(terms, &m, time_value).all() {
        let beta = time_value / m.root;
        let seed = near::seed((m.a * m.root) / time_value, beta);
        let (inverse, odd) = near::odd_at(m.a, seed.s);
        let market = near::market(m.a, m.a_low, beta, seed.s, inverse);
        let (correction, holds) = near::step(m.a, seed.s, inverse, odd, market);
        if (seed.inside & holds).all() {
            return Ok(volatility(terms, seed.s, correction).first());
        }
    }
    let mut items = [Wide::new::<SPOT>(terms, k, th, p)];
    stages!(items, round, round, guess, improve, improve, finish);
    let [solved] = items;
    let volatility = solved.volatility(terms).first();
    match refusal(strike, price, solved.time_value.first(), solved.room.first(), volatility) {
        Status::Ok => Ok(volatility),
        status => Err(status),
    }
}
