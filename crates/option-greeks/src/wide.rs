//! The kernel for everything outside the box: any moneyness, any total volatility, prices down to the last subnormal.
//!
//! Notation as in [`near`](crate::near). Below half of its maximum `exp(-a/2)` the price itself is matched, `b = b' (M(z-t) -
//! M(z+t))`; above, what is missing to the maximum, `c = b' (M(t-z) + M(t+z))`. The objective is the logarithm in both
//! cases, as in P. Jäckel, "Let's be rational" (Wilmott, 2015), so the extremes are no harder than the middle.

use std::f64::consts::{LN_2, PI};

use crate::elementary::{Exp, exp, gap, gap_wide, ln, ln_1p_small, ln_rough, mills_wide};
use crate::lanes::{Lanes, Mask};
use crate::moneyness::Moneyness;
use crate::near::{bachelier_seed, odd_part};
use crate::sensitivities::{Outside, whole_minus};
use crate::terms::Terms;

/// `1/sqrt(2 pi)`.
const INVERSE_ROOT_2PI: f64 = 0.398_942_280_401_432_7;
/// `ln sqrt(2 pi)`.
const LN_ROOT_2PI: f64 = 0.918_938_533_204_672_8;
/// Below this the odd part is taken by series, as the difference of two Mills ratios would cancel.
const SERIES_S: f64 = 1.4;
const SERIES_ZT: f64 = 0.4;
/// Below this the price is lifted by 2^300, so that it is a normal number with room below.
const TINY: f64 = 1e-250;
const LIFT: f64 = 2.037_035_976_334_486e90; // 2^300
const LIFT_EXPONENT: f64 = 300.0;

/// What is to be matched: the time value, or what is missing to the maximum, over `sqrt(UK / 2 pi)`.
#[derive(Clone, Copy)]
pub(crate) struct Target<V: Lanes> {
    amount: V,
    /// The amount is given times 2^-exponent.
    exponent: V,
    /// The time value is matched, not its complement.
    lower: V::Mask,
}

/// A rough total volatility, and the ratio of Mills ratios at it.
#[derive(Clone, Copy)]
pub(crate) struct Trial<V> {
    s: V,
    overlap: V,
}

impl<V: Lanes> Target<V> {
    /// From the price in kernel money, split into the amounts above the intrinsic value and below the maximum.
    #[inline(always)]
    pub(crate) fn new(m: &Moneyness<V>, time_value: V, room: V) -> Self {
        let lower = time_value.le(room);
        let amount = V::select(lower, time_value, room);
        let tiny = amount.lt(amount.splat(TINY));
        let zero = amount.splat(0.0);
        let amount = V::select(tiny, amount * LIFT, amount) / m.root;
        Self { amount, exponent: V::select(tiny, zero - LIFT_EXPONENT, zero), lower }
    }

    /// Before the first round of [`Target::round`].
    #[inline(always)]
    pub(crate) fn start(&self) -> Trial<V> {
        let zero = self.amount.splat(0.0);
        Trial { s: zero + 1.0, overlap: V::select(self.lower, zero, zero + 0.5) }
    }

    /// A better guess, good to a few percent after three rounds: `b = exp(-a/2) N(-h) (1 - rho)` with `h = z - t` and
    /// `rho` a ratio of Mills ratios, as a fixed point; for the complement `1 + rho` and `h = t - z`.
    #[inline(always)]
    pub(crate) fn round(&self, a: V, trial: Trial<V>) -> Trial<V> {
        let one = a.splat(1.0);
        let log_chance = a.splat(LN_ROOT_2PI) - (ln_rough(self.amount) + self.exponent * LN_2) - a * 0.5;
        let factor = V::select(self.lower, one - trial.overlap, one + trial.overlap).max(one.splat(1e-7));
        let h = quantile(log_chance + ln_rough(factor));
        let root = h.mul_add(h, a + a).sqrt();
        let wider = (root + h).max(one.splat(1e-3));
        let narrow = (a + a) / wider;
        let overlap = mills_denominator(h) / mills_denominator(h + narrow);
        Trial { s: V::select(self.lower, narrow, wider), overlap }
    }

    /// The guess to start from: near the money the Bachelier formula is better than the fixed point.
    #[inline(always)]
    pub(crate) fn guess(&self, a: V, trial: Trial<V>) -> V {
        let (bachelier, trusted) = bachelier_seed(a / self.amount, self.amount);
        let near = (self.lower & trusted) & (a.lt(a.splat(1.2)) & self.exponent.eq(a.splat(0.0)));
        V::select(near, bachelier, trial.s)
    }

    /// One step of order four from any guess.
    #[inline(always)]
    pub(crate) fn improve(&self, a: V, a_low: V, s: V) -> V {
        let state = self.state(a, a_low, s);
        let residual = ln(state.exp.times(self.amount) / state.sum);
        let correction = state.householder(residual);
        correction.max(s.splat(-0.6)).min(s.splat(2.0)).mul_add(s, s)
    }

    /// The last step: it forms the residual without the rounding of the product. Answers the relative correction.
    #[inline(always)]
    pub(crate) fn finish(&self, a: V, a_low: V, s: V) -> V {
        let state = self.state(a, a_low, s);
        let market = state.exp.scaled(self.amount);
        let residual = market.mul_add(state.exp.fraction, market - state.sum) / state.sum;
        state.householder(ln_1p_small(residual))
    }

    #[inline(always)]
    fn state(&self, a: V, a_low: V, s: V) -> State<V> {
        let inverse = s.splat(1.0) / s;
        let z = a * inverse;
        let z_low = (z.neg_mul_add(s, a) + a_low) * inverse;
        let t = s * 0.5;
        let (z2, t2) = (z * z, t * t);
        let twice = z2 + t2;
        let z2_low = z.mul_add(z, -z2) + (z + z) * z_low;
        let t2_low = t.mul_add(t, -t2);
        let larger = z2.max(t2);
        let twice_low = (z2_low + t2_low) + (z2.min(t2) - (twice - larger));
        let Exp { n, fraction } = exp(twice * 0.5, twice_low * 0.5);
        let distance = V::select(self.lower, z - t, t - z).max(s.splat(-0.98));
        let (minus, plus) = (mills_wide(distance), mills_wide(z + t));
        let difference = series_or(minus - plus, s, z, z2, t2);
        let sum = V::select(self.lower, difference, minus + plus);
        let odd = V::select(self.lower, sum, -sum) * inverse;
        State { exp: Exp { n: n + self.exponent, fraction }, sum, odd, z2, t2 }
    }
}

/// Everything known at one trial value of the total volatility.
struct State<V> {
    exp: Exp<V>,
    /// `b/b'` or `c/b'`.
    sum: V,
    /// The reciprocal of d ln b/d ln s or d ln c/d ln s.
    odd: V,
    z2: V,
    t2: V,
}

impl<V: Lanes> State<V> {
    /// The step of order four for a residual of the logarithm, relative to s. See [`near::step`](crate::near::step).
    #[inline(always)]
    fn householder(&self, residual: V) -> V {
        let Self { odd, z2, t2, .. } = *self;
        let kappa = odd.splat(1.0) / odd;
        let nu = residual * odd;
        let g = z2 - t2;
        let h2 = g - kappa;
        let h3 = g.mul_add(g, kappa.mul_add((kappa + kappa) - g * 3.0, -(z2 * 3.0 + t2)));
        let c3 = h3.mul_add(odd.splat(-1.0 / 6.0), h2 * (h2 * 0.5));
        nu.mul_add(nu * nu.mul_add(c3, h2 * -0.5), nu)
    }
}

/// `M(z-t) - M(z+t)`: by series where the difference given would cancel.
#[inline(always)]
fn series_or<V: Lanes>(difference: V, s: V, z: V, z2: V, t2: V) -> V {
    let series = s.lt(s.splat(SERIES_S)) & (z * (s * 0.5)).lt(s.splat(SERIES_ZT));
    if series.bits() == 0 {
        return difference;
    }
    let near = z.lt(z.splat(8.6));
    let gap = V::select(near, gap(z.min(z.splat(8.6)), z.splat(1.0)), gap_wide(z));
    V::select(series, s * odd_part::<V, true>(z2, gap, t2), difference)
}

/// The option outside the money at a total volatility, for any positive `s`.
#[inline(always)]
pub(crate) fn outside<V: Lanes>(terms: &Terms, m: &Moneyness<V>, strike: V, s: V) -> Outside<V> {
    let far = s.splat(1e9);
    let inverse_s = (s.splat(1.0) / s).min(s.splat(f64::MAX));
    let z = (m.a * inverse_s).min(far);
    let t = (s * 0.5).min(far);
    let (z2, t2) = (z * z, t * t);
    // W = U phi(d1) = K phi(d2): of the two the one whose deviation is z - t, as z and t may be large and nearly equal.
    let z_low = (z.neg_mul_add(s, m.a) + m.a_low) * inverse_s;
    let deviation = (z - t) + V::select(z.lt(s.splat(1e3)), z_low, s.splat(0.0));
    let exponent = (deviation * deviation * -0.5).max(s.splat(-1300.0));
    let whole = whole_minus(terms, m.above, strike);
    let weight = exp(exponent, s.splat(0.0)).times(whole * INVERSE_ROOT_2PI);
    // Beyond the maximum of vega the larger leg is nearly whole: take what is missing.
    let high = (z - t).lt(s.splat(-0.5));
    let distance = V::select(high, t - z, z - t);
    let (minus, plus) = (mills_wide(distance), mills_wide(z + t));
    let part = weight * minus;
    let rest = whole - part;
    let (leg_minus, rest_minus) = (V::select(high, rest, part), V::select(high, part, rest));
    let leg_plus = weight * plus;
    let ratio = series_or(minus - plus, s, z, z2, t2);
    let price = V::select(high, leg_minus - leg_plus, weight * ratio);
    Outside { s, inverse_s, z, weight, leg_minus, rest_minus, leg_plus, price }
}

/// The z with `N(-z) = exp(-log_chance)`, to about 1e-3, for chances up to 0.75.
///
/// M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*, 26.2.23.
#[inline(always)]
fn quantile<V: Lanes>(log_chance: V) -> V {
    let u = (log_chance + log_chance).max(log_chance.splat(0.0)).sqrt();
    let top = u.polynomial(&[2.515517, 0.802853, 0.010328]);
    let bottom = u.polynomial(&[1.0, 1.432788, 0.189269, 0.001308]);
    u - top / bottom
}

/// `pi / M(z)` to about a percent, for z >= 0 (A. V. Boyd, Rep. Statist. Appl. Res. 6, 1959).
#[inline(always)]
fn mills_denominator<V: Lanes>(z: V) -> V {
    z.mul_add(z.splat(PI - 1.0), z.mul_add(z, z.splat(2.0 * PI)).sqrt())
}
