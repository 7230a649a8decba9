//! The kernel for everything outside the box: any moneyness, any total volatility, prices down to the last subnormal.
//!
//! Notation as in [`near`](crate::near). Below half of its maximum `exp(-a/2)` the price itself is matched, `b = b' (M(z-t) -
//! M(z+t))`; above, what is missing to the maximum, `c = b' (M(t-z) + M(t+z))`. The objective is the logarithm in both
//! cases, as in P. Jäckel, "Let's be rational" (Wilmott, 2015), so the extremes are no harder than the middle.

use std::f64::consts::{LN_2, PI};

use crate::coefficients::{ATANH, FAR_P, FAR_Q, SEED_C1, SEED_P, SEED_Q};
use crate::elementary::{Exp, THIRD, exp, exp_half, gap, gap_wide, ln_rough, mills_rough, mills_wide};
use crate::lanes::{Lanes, Mask};
use crate::moneyness::Moneyness;
use crate::near::{bachelier_seed, householder, odd_part};
use crate::sensitivities::{Outside, whole_minus};
use crate::terms::Terms;

/// `1/sqrt(2 pi)`.
const INVERSE_ROOT_2PI: f64 = 0.398_942_280_401_432_7;
/// `ln sqrt(2 pi)`.
const LN_ROOT_2PI: f64 = 0.918_938_533_204_672_8;
/// Below this the odd part is taken by series, as the difference of two Mills ratios would cancel.
const SERIES_S: f64 = 1.4;
const SERIES_ZT: f64 = 1.0;
/// Below this the price is lifted by 2^300, so that it is a normal number with room below; then it must exceed the smallest.
const TINY: f64 = 1e-250;
const SMALLEST: f64 = 1e-290;
const LIFT: f64 = 2.037_035_976_334_486e90; // 2^300
const LIFT_EXPONENT: f64 = 300.0;

/// A step from a guess this good, relative, leaves less than the last bit.
const LARGEST_STEP: f64 = 3e-5;
/// The logarithm of the last step holds for `(market - model) / (market + model)` up to this.
const LARGEST_QUOTIENT: f64 = 0.2;

/// A guess that is not good enough after so many steps will not become so.
const MOST_STEPS: usize = 5;

/// What the volatility is sought by. Each kind has the shortest kernel that serves it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of both halves of the price range: very far from the money or at a tiny price.
    Mixed,
    /// Price below half of its maximum, near the money.
    Close,
    /// Price below half of its maximum, up to six deviations from the money.
    Lower,
    /// The same beyond.
    Far,
    /// Price above half of its maximum.
    Upper,
}

/// A [`Kind`] as a type, so that each has its own code.
pub(crate) trait Kinds {
    const KIND: Kind;
}

macro_rules! kinds {
    ($($name:ident $kind:ident),*) => {
        $(
            pub(crate) struct $name;
            impl Kinds for $name {
                const KIND: Kind = Kind::$kind;
            }
        )*
    };
}
kinds!(AsMixed Mixed, AsClose Close, AsLower Lower, AsFar Far, AsUpper Upper);

/// From here on two Mills ratios may be subtracted: what cancels is about `2/a` roundings.
const SMALLEST_A: f64 = 2.0;
/// Up to here the Bachelier formula makes a good guess.
const LARGEST_A: f64 = 12.0;
/// `exp` of the logarithm where `z = 6`.
const FAR_RATIO: f64 = 2e10;

/// What is to be matched: the time value, or what is missing to the maximum, over `sqrt(UK / 2 pi)`.
#[derive(Clone, Copy)]
pub(crate) struct Target<V: Lanes> {
    pub(crate) a: V,
    pub(crate) a_low: V,
    pub(crate) amount: V,
    /// The amount is given times 2^-exponent.
    pub(crate) exponent: V,
    /// The time value is matched, not its complement.
    pub(crate) lower: V::Mask,
}

/// A rough total volatility, and the ratio of Mills ratios at it.
#[derive(Clone, Copy)]
struct Trial<V> {
    s: V,
    overlap: V,
}

impl<V: Lanes> Target<V> {
    /// From the price in kernel money, split into the amounts above the intrinsic value and below the maximum.
    #[inline(always)]
    pub(crate) fn new(m: &Moneyness<V>, time_value: V, room: V) -> Self {
        let lower = time_value.le(room);
        let amount = V::select(lower, time_value, room);
        let tiny = amount.lt((m.root * TINY).max(amount.splat(TINY)));
        let zero = amount.splat(0.0);
        let amount = V::select(tiny, amount * LIFT, amount) / m.root;
        // Beyond that there is no answer.
        let amount = V::select(amount.splat(SMALLEST).lt(amount), amount, zero + f64::NAN);
        let exponent = V::select(tiny, zero - LIFT_EXPONENT, zero);
        Self { a: m.a, a_low: m.a_low, amount, exponent, lower }
    }

    /// The lanes of kind close, lower, far and upper; the others are mixed.
    #[inline(always)]
    pub(crate) fn kinds(&self) -> [V::Mask; 4] {
        let Self { a, amount, exponent, lower, .. } = *self;
        let plain = a.lt(a.splat(LARGEST_A)) & exponent.eq(exponent.splat(0.0));
        let (close, far) = (a.lt(a.splat(SMALLEST_A)), (amount * FAR_RATIO).lt(a));
        let below = plain & lower;
        [below & close, below & !close & !far, below & !close & far, plain & !lower]
    }

    /// A guess, good to a few percent; far from the money to less than [`LARGEST_STEP`].
    #[inline(always)]
    pub(crate) fn seed<K: Kinds>(&self) -> V {
        match K::KIND {
            Kind::Mixed => self.round(self.round(self.start())).s,
            Kind::Close => {
                let far = (self.amount * FAR_RATIO).lt(self.a);
                let (near, trusted) = bachelier_seed(self.a, self.amount);
                V::select(trusted & !far, near, self.far_seed())
            }
            Kind::Lower => {
                let l = ln_rough(self.a / self.amount + 1.0);
                let (p, q) = (l * l.polynomial(&SEED_P), l.polynomial(&SEED_Q));
                let aq = self.a * q;
                widened(aq, p, (aq * self.a) * l.polynomial(&SEED_C1), p * p)
            }
            Kind::Far => self.far_seed(),
            Kind::Upper => self.round(self.start()).s,
        }
    }

    #[inline(always)]
    fn far_seed(&self) -> V {
        let l = ln_rough(self.a / self.amount);
        let z2 = l.polynomial(&FAR_P) / l.polynomial(&FAR_Q);
        // c1 = (1 - z^2 (1 - zM)) / 24 by its continued fraction.
        let numerator = (self.a * self.a) * (z2 + 9.0);
        let denominator = (z2 * 8.0) * (z2 + 14.0).mul_add(z2, z2.splat(35.0));
        widened(self.a, z2.sqrt(), numerator, denominator)
    }

    /// Before the first [`round`](Self::round).
    #[inline(always)]
    fn start(&self) -> Trial<V> {
        let zero = self.amount.splat(0.0);
        Trial { s: zero + 1.0, overlap: V::select(self.lower, zero, zero + 0.5) }
    }

    /// A better guess: `b = exp(-a/2) N(-h) (1 - rho)` with `h = z - t` and `rho` a ratio of Mills ratios, as a fixed
    /// point; for the complement `1 + rho` and `h = t - z`.
    #[inline(always)]
    fn round(&self, trial: Trial<V>) -> Trial<V> {
        let (a, one) = (self.a, self.a.splat(1.0));
        let log_chance = a.splat(LN_ROOT_2PI) - (ln_rough(self.amount) + self.exponent * LN_2) - a * 0.5;
        let factor = V::select(self.lower, one - trial.overlap, one + trial.overlap).max(one.splat(1e-7));
        let h = quantile(log_chance + ln_rough(factor));
        let root = h.mul_add(h, a + a).sqrt();
        let wider = (root + h).max(one.splat(1e-3));
        let narrow = (a + a) / wider;
        let overlap = mills_denominator(h) / mills_denominator(h + narrow);
        Trial { s: V::select(self.lower, narrow, wider), overlap }
    }

    /// One step of order four from any guess.
    #[inline(always)]
    pub(crate) fn improve<K: Kinds>(&self, s: V) -> V {
        let state = self.state::<K, false>(s);
        let residual = ln_rough(state.exp.times(self.amount) / state.sum);
        let correction = householder(residual, state.odd, state.z2, state.t2);
        correction.max(s.splat(-0.6)).min(s.splat(2.0)).mul_add(s, s)
    }

    /// The last step: it forms the residual without the rounding of the product. Answers the relative correction, and where
    /// the guess was good enough for it to be the last.
    #[inline(always)]
    pub(crate) fn finish<K: Kinds>(&self, s: V) -> (V, V::Mask) {
        let state = self.state::<K, true>(s);
        let market = state.exp.scaled(self.amount);
        let excess = market.mul_add(state.exp.fraction, market - state.sum);
        // ln(1+e) = 2 atanh(e / (2+e)).
        let q = excess / (state.sum + (state.sum + excess));
        let y = q * q;
        let half = (q * y).mul_add(y.mul_add(y.polynomial(&ATANH), y.splat(THIRD)), q);
        let correction = householder(half + half, state.odd, state.z2, state.t2);
        let holds = correction.abs().lt(s.splat(LARGEST_STEP)) & q.abs().lt(s.splat(LARGEST_QUOTIENT));
        (correction, holds)
    }

    /// Steps from a guess until the last one is good enough: the guess it started from, and the relative correction.
    #[inline(always)]
    pub(crate) fn settle<K: Kinds>(&self, mut guess: V) -> (V, V) {
        let (mut correction, mut holds) = self.finish::<K>(guess);
        let mut steps = 1;
        while !holds.all() && steps < MOST_STEPS {
            // Each lane decides for itself, so that its bits do not depend on its neighbours.
            guess = V::select(holds, guess, self.improve::<K>(guess));
            (correction, holds) = self.finish::<K>(guess);
            steps += 1;
        }
        (guess, correction)
    }

    #[inline(always)]
    fn state<K: Kinds, const PRECISE: bool>(&self, s: V) -> State<V> {
        let a = self.a;
        let inverse = s.splat(1.0) / s;
        let z = a * inverse;
        let t = s * 0.5;
        let (z2, t2) = (z * z, t * t);
        let twice = z2 + t2;
        let twice_low = if PRECISE {
            let z_low = (z.neg_mul_add(s, a) + self.a_low) * inverse;
            let z2_low = z.mul_add(z, -z2) + (z + z) * z_low;
            let t2_low = t.mul_add(t, -t2);
            let larger = z2.max(t2);
            (z2_low + t2_low) + (z2.min(t2) - (twice - larger))
        } else {
            s.splat(0.0)
        };
        let Exp { n, fraction } = exp_half(twice, twice_low);
        let lowest = s.splat(-0.98);
        let (sum, odd, n) = match K::KIND {
            Kind::Mixed => {
                let distance = V::select(self.lower, z - t, t - z).max(lowest);
                let (minus, plus) = (mills::<V, PRECISE>(distance), mills::<V, PRECISE>(z + t));
                let difference = series_or(minus - plus, s, z, z2, t2);
                let sum = V::select(self.lower, difference, minus + plus);
                (sum, V::select(self.lower, sum, -sum), n + self.exponent)
            }
            Kind::Close => {
                let difference = mills::<V, PRECISE>((z - t).max(lowest)) - mills::<V, PRECISE>(z + t);
                let difference = series_or(difference, s, z, z2, t2);
                (difference, difference, n)
            }
            Kind::Lower | Kind::Far => {
                let difference = mills::<V, PRECISE>((z - t).max(lowest)) - mills::<V, PRECISE>(z + t);
                (difference, difference, n)
            }
            Kind::Upper => {
                let sum = mills::<V, PRECISE>((t - z).max(lowest)) + mills::<V, PRECISE>(z + t);
                (sum, -sum, n)
            }
        };
        State { exp: Exp { n, fraction }, sum, odd: odd * inverse, z2, t2 }
    }
}

/// `top / bottom (1 + w / (1 - 3w))` with `w = numerator / denominator`: the correction of the Bachelier formula for Black,
/// summed so that it serves for total volatilities up to seven.
#[inline(always)]
fn widened<V: Lanes>(top: V, bottom: V, numerator: V, denominator: V) -> V {
    let last = (denominator - numerator * 3.0).max(denominator * 0.05);
    (top * (numerator + last)) / (bottom * last)
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

/// `M(z)` for `z >= -1`, to the last bit or seven digits.
#[inline(always)]
fn mills<V: Lanes, const PRECISE: bool>(z: V) -> V {
    if PRECISE { mills_wide(z) } else { mills_rough(z) }
}

/// `M(z-t) - M(z+t)`: by series where the difference given would cancel.
#[inline(always)]
fn series_or<V: Lanes>(difference: V, s: V, z: V, z2: V, t2: V) -> V {
    let series = s.lt(s.splat(SERIES_S)) & (z * (s * 0.5)).lt(s.splat(SERIES_ZT));
    if series.bits() == 0 {
        return difference;
    }
    let near = z.lt(z.splat(6.0));
    let gap = V::select(near, gap(z.min(z.splat(6.0)), z.splat(1.0)), gap_wide(z));
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
