//! Price and Greeks from volatility, in blocks as [`solve`](crate::solve) does.

use crate::lanes::{Kernel, Lanes, Mask, WIDEST};
use crate::limits;
use crate::moneyness::{self, Moneyness};
use crate::near;
use crate::sensitivities::{Outside, Sensitivities, sensitivities_at, whole_minus};
use crate::solve::{LARGEST_BLOCK, Refused, VECTORS, outside_local, write_signs};
use crate::terms::{Terms, is_price};
use crate::wide;
use crate::{Greeks, OptionKind, Status};

/// A chain to be priced. `COLUMNS` is 6 for the price and five Greeks, 10 with all.
pub(crate) struct Value<'a, const COLUMNS: usize> {
    pub(crate) terms: &'a Terms,
    pub(crate) strikes: &'a [f64],
    pub(crate) kinds: &'a [OptionKind],
    pub(crate) volatilities: &'a [f64],
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) status: &'a mut [Status],
}

impl<const COLUMNS: usize> Kernel for Value<'_, COLUMNS> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        if self.terms.is_spot { self.blocks::<V, true>(lane) } else { self.blocks::<V, false>(lane) }
    }
}

impl<const COLUMNS: usize> Value<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V) {
        let mut good = [lane.lt(lane); VECTORS];
        let mut refused = Refused::default();
        let mut signs = [1.0; LARGEST_BLOCK];
        let (total, block) = (self.strikes.len(), V::WIDTH * VECTORS);
        let mut start = 0;
        while start < total {
            let n = (total - start).min(block);
            write_signs(&self.kinds[start..start + n], &mut signs);
            self.near_block::<V, SPOT>(lane, start, n, &signs, &mut good);
            self.status[start..start + n].fill(Status::Ok);
            let n_refused =
                refused.gather(n, &good, &self.strikes[start..], &signs, &self.volatilities[start..]);
            if n_refused != 0 {
                self.wide_block::<V, SPOT>(lane, start, n_refused, &refused);
            }
            start += n;
        }
    }

    /// The fast kernel over a block.
    #[inline(always)]
    fn near_block<V: Lanes, const SPOT: bool>(
        &mut self,
        lane: V,
        start: usize,
        n: usize,
        signs: &[f64; LARGEST_BLOCK],
        good: &mut [V::Mask; VECTORS],
    ) {
        let (strikes, volatilities) = (&self.strikes[start..start + n], &self.volatilities[start..start + n]);
        for j in 0..n.div_ceil(V::WIDTH).min(VECTORS) {
            let i = j * V::WIDTH;
            let (strike, sign) = (lane.load(&strikes[i..]), lane.load(&signs[i..]));
            let s = lane.load(&volatilities[i..]) * self.terms.root_t;
            let (values, inside) = near_lanes::<V, SPOT>(self.terms, strike, sign, s);
            values.store(values.price, start + i..start + n, &mut self.columns);
            good[j] = inside;
        }
    }

    /// The wide kernel over `n` refused options of the block at `start`.
    #[inline(always)]
    fn wide_block<V: Lanes, const SPOT: bool>(&mut self, lane: V, start: usize, n: usize, refused: &Refused) {
        let mut results = [[0.0; WIDEST]; COLUMNS];
        let mut i = 0;
        while i < n {
            let (strike, sign) = (lane.load(&refused.strike[i..]), lane.load(&refused.sign[i..]));
            let s = lane.load(&refused.number[i..]) * self.terms.root_t;
            let values = wide_lanes::<V, SPOT>(self.terms, strike, sign, s);
            let mut columns = results.each_mut().map(|column| &mut column[..]);
            values.store(values.price, 0..WIDEST, &mut columns);
            for j in 0..V::WIDTH.min(n - i) {
                let at = start + usize::from(refused.place[i + j]);
                let status = status(self.terms, refused.strike[i + j], refused.number[i + j]);
                self.status[at] = status;
                let limit = match status {
                    Status::Ok => None,
                    Status::ZeroVol => {
                        Some(limits::zero_volatility(self.terms, refused.strike[i + j], refused.sign[i + j]))
                    }
                    _ => Some(limits::NAN_GREEKS),
                };
                for (c, column) in self.columns.iter_mut().enumerate() {
                    column[at] = limit.as_ref().map_or(results[c][j], |limit| limit.columns()[c]);
                }
            }
            i += V::WIDTH;
        }
    }
}

/// Whether an option has a price, apart from what the call shares.
fn status(terms: &Terms, strike: f64, volatility: f64) -> Status {
    if !is_price(strike) {
        Status::BadStrike
    } else if !(0.0..f64::INFINITY).contains(&volatility) {
        Status::BadSigma
    } else if volatility * terms.root_t == 0.0 {
        Status::ZeroVol
    } else {
        Status::Ok
    }
}

/// The fast kernel: values, and where they hold.
#[inline(always)]
fn near_lanes<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    sign: V,
    s: V,
) -> (Sensitivities<V>, V::Mask) {
    let m = moneyness::near::<V, SPOT>(terms, strike);
    let (local, slope, inside) = near::at(&m, s);
    let weight = slope * (m.root * terms.discount);
    let outside = outside_local(&local, whole_minus(terms, m.above, strike), weight, weight * local.ratio);
    (sensitivities_at(terms, &m, strike, sign, &outside), inside)
}

/// The wide kernel.
#[inline(always)]
fn wide_lanes<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, s: V) -> Sensitivities<V> {
    let m: Moneyness<V> = moneyness::wide::<V, SPOT>(terms, strike);
    let outside: Outside<V> = wide::outside(terms, &m, strike, s);
    sensitivities_at(terms, &m, strike, sign, &outside)
}

/// One option, through the same stages one lane wide.
pub(crate) struct ValueOne<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) strike: f64,
    pub(crate) sign: f64,
    pub(crate) volatility: f64,
    pub(crate) answer: &'a mut (Status, Greeks),
}

impl Kernel for ValueOne<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        if self.terms.is_spot { self.value::<V, true>(lane) } else { self.value::<V, false>(lane) }
    }
}

impl ValueOne<'_> {
    #[inline(always)]
    fn value<V: Lanes, const SPOT: bool>(self, lane: V) {
        let Self { terms, strike, sign, volatility, answer } = self;
        let (k, th, s) = (lane.splat(strike), lane.splat(sign), lane.splat(volatility) * terms.root_t);
        let (values, inside) = near_lanes::<V, SPOT>(terms, k, th, s);
        *answer = if inside.all() {
            (Status::Ok, values.first())
        } else {
            match status(terms, strike, volatility) {
                Status::Ok => (Status::Ok, wide_lanes::<V, SPOT>(terms, k, th, s).first()),
                Status::ZeroVol => (Status::ZeroVol, limits::zero_volatility(terms, strike, sign)),
                status => (status, limits::NAN_GREEKS),
            }
        };
    }
}

impl<V: Lanes> Sensitivities<V> {
    /// The first lane.
    #[inline(always)]
    fn first(&self) -> Greeks {
        let Self { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed } = *self;
        let values = [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed];
        let [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] = values.map(V::first);
        Greeks { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed }
    }
}
