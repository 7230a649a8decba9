//! The fast kernel, for the box where markets live: `a <= 0.42`, `s <= 0.5`, `z <= 6`.
//!
//! Notation of all kernels: `x = ln(U/K)`, `a = |x|`, `s = sigma sqrt(T)`, `z = a/s`, `t = s/2`, `M` the Mills ratio, and
//! `b` the out-of-the-money price over `sqrt(UK)`. Then `db/ds = b' = exp(-(z^2+t^2)/2) / sqrt(2 pi)` and
//! `b = b' (M(z-t) - M(z+t)) = b' s O`, where `O = (M(z-t) - M(z+t)) / 2t`. One exponential and one Mills ratio give
//! everything. The identities follow from `M' = zM - 1` and Black's formula (F. Black, J. Financ. Econ. 3, 1976).
//!
//! A volatility takes three stages: [`seed`], good to 3e-5; [`step`], one Householder step of order four on `ln b`,
//! which leaves less than 1e-16; and the division by `sqrt(T)` with all roundings carried along.

use crate::coefficients::{SEED_C1, SEED_C2, SEED_MAX, SEED_P, SEED_Q};
use crate::elementary::{Exp, exp_half, gap, ln_reciprocal, ln_rough, mills};
use crate::lanes::{Lanes, Mask};
use crate::moneyness::Moneyness;
use crate::terms::Terms;

/// Corners of the box.
const LARGEST_A: f64 = 0.42;
const LARGEST_Z: f64 = 6.0;
const LARGEST_S: f64 = 0.5;
const SMALLEST_S: f64 = 1e-60;
/// Below it five terms of the odd part reach the last bit; above, eight.
const FEW_TERMS: f64 = 0.1;
/// The series of the step hold for relative changes of the price up to this; the seed is better.
const LARGEST_RESIDUAL: f64 = 0.004;

/// A first guess.
#[derive(Clone, Copy)]
pub(crate) struct Seed<V: Lanes> {
    /// Total volatility.
    pub(crate) s: V,
    /// Where the guess can be trusted.
    pub(crate) inside: V::Mask,
}

/// The solution of `b(a, s) = beta`, as the guess and its relative correction, with what is known at the guess.
#[derive(Clone, Copy)]
pub(crate) struct Solution<V> {
    pub(crate) a: V,
    pub(crate) guess: V,
    pub(crate) inverse_guess: V,
    pub(crate) odd: V,
    pub(crate) correction: V,
}

/// What the Greeks need of the normalised problem, at a total volatility `s`.
#[derive(Clone, Copy)]
pub(crate) struct Local<V> {
    pub(crate) s: V,
    pub(crate) inverse_s: V,
    pub(crate) z: V,
    /// `b/b'`.
    pub(crate) ratio: V,
    /// `M(z-t)`.
    pub(crate) mills_minus: V,
}

/// Whether moneyness and price lie in the box, as far as can be told without a guess; `beta` as for [`seed`].
#[inline(always)]
pub(crate) fn eligible<V: Lanes, const SPOT: bool>(terms: &Terms, m: &Moneyness<V>, beta: V) -> V::Mask {
    close::<V, SPOT>(terms, m) & beta.splat(SMALLEST_S).lt(beta)
}

/// Moneyness in the box. Without carry `a = 2 atanh(sqrt(y))`, and the bound on `y` is enough.
#[inline(always)]
fn close<V: Lanes, const SPOT: bool>(terms: &Terms, m: &Moneyness<V>) -> V::Mask {
    let close = m.y.lt(m.y.splat(terms.largest_y));
    if SPOT { close & m.a.lt(m.a.splat(LARGEST_A)) } else { close }
}

/// Guess of the total volatility: the Bachelier formula inverted by a rational function, then corrected for Black.
///
/// `beta` is `sqrt(2 pi)` times the price to match. With `k = a / beta`, `L = ln(1+k)` the Bachelier solution is
/// `z = L P(L)/Q(L)`; Black is Bachelier with the weight `exp(-u^2/8)` on the variance, which moves it by
/// `s^2 (c1 + c2 s^2)`.
#[inline(always)]
pub(crate) fn seed<V: Lanes>(a: V, beta: V) -> Seed<V> {
    let (s, trusted) = bachelier_seed(a, beta);
    Seed { s, inside: trusted & s.lt(s.splat(LARGEST_S)) }
}

/// The guess, and where its rational function holds; it fades beyond `s = 1`.
#[inline(always)]
pub(crate) fn bachelier_seed<V: Lanes>(a: V, beta: V) -> (V, V::Mask) {
    let k = (a / beta).max(a.splat(1e-9));
    let a = beta * k;
    let l = ln_rough(k + 1.0);
    let [p, q, c1, c2] = l.polynomials(&SEED_P, &SEED_Q, &SEED_C1, &SEED_C2);
    let p = l * p;
    // One division serves for both quotients.
    let inverse = a.splat(1.0) / (p * q);
    let bachelier = (a * q * q) * inverse;
    let s2 = bachelier * bachelier;
    let correction = s2.mul_add(c2, c1);
    let s = ((bachelier * s2) * (p * inverse)).mul_add(correction, bachelier);
    (s, l.lt(l.splat(SEED_MAX)))
}

/// `1/s` and the odd part at a guess, which [`step`] wants.
#[inline(always)]
pub(crate) fn odd_at<V: Lanes>(a: V, s: V) -> (V, V) {
    let inverse = s.splat(1.0) / s;
    let z = a * inverse;
    (inverse, odd_part::<V, false>(z * z, gap(a, s), (s * s) * 0.25))
}

/// One step of order four from a guess to the solution of `b(a, s) = beta`: the relative correction, and where the step
/// holds what it promises.
///
/// The price asked for, in the unit in which `s O` is the price of the guess, is kept as `market (1 + fraction)`, since
/// rounding it to one number would be the largest error of all. For the same reason `z^2` carries what its own rounding
/// lost.
#[inline(always)]
pub(crate) fn step<V: Lanes>(a: V, a_low: V, beta: V, s: V, inverse: V, odd: V) -> (V, V::Mask) {
    let z = a * inverse;
    let z_low = (z.neg_mul_add(s, a) + a_low) * inverse;
    let z2 = z * z;
    let z2_low = (z + z).mul_add(z_low, z.mul_add(z, -z2));
    let t2 = (s * s) * 0.25;
    let twice = z2 + t2;
    let twice_low = z2_low + (t2 - (twice - z2));
    let Exp { n, fraction } = exp_half(twice, twice_low);
    let market = beta.add_exponent(n);
    // The excess over the market, as the reciprocal of the market is ready before the odd part is. The two are within half a
    // percent of each other, so that their fused difference rounds far below the last digit of either.
    let inverse_market = s.splat(1.0) / market.mul_add(fraction, market);
    let excess = market.mul_add(fraction, s.neg_mul_add(odd, market)) * inverse_market;
    let correction = householder(ln_reciprocal(excess), odd, z2, t2);
    (correction, excess.abs().lt(s.splat(LARGEST_RESIDUAL)))
}

/// The step of order four (Householder 1970) that changes `ln b` by `residual`, relative to `s`.
///
/// With `r` the residual and `nu = r O` the series is `nu - nu^2 h2 / 2 + nu^3 (h2^2 / 2 - h3 / 6)`, where `h2` and `h3` are
/// derivatives of `ln b` over the first one. As `O h2 = g O - 1`, `g = z^2 - t^2`, it needs no reciprocal of `O`, and
/// everything but `r` itself is ready before the residual is.
#[inline(always)]
pub(crate) fn householder<V: Lanes>(residual: V, odd: V, z2: V, t2: V) -> V {
    let drift = (z2 - t2) * odd;
    let second = drift - 1.0;
    let spread = z2.mul_add(z2.splat(3.0), t2);
    let third = (odd * odd).mul_add(spread, second * (second + drift));
    let series = residual.mul_add(third * (1.0 / 6.0), second * -0.5);
    let nu = residual * odd;
    (nu * residual).mul_add(series, nu)
}

/// `O = (M(z-t) - M(z+t)) / 2t` by its Taylor series in `t^2`, from `gap = 1 - z M(z)`.
///
/// The terms are odd derivatives of `M`, which follow a three-term recurrence: with `B_k` the k-th over `(2k+1)!`,
/// `B_(k+1) = ((z^2 + 4k+3) B_k - B_(k-1)) / ((2k+2)(2k+3))`. Nothing cancels, however small `t` is. Eight terms reach the
/// last bit for `t <= 0.25`; `MANY` takes thirteen, for `t <= 0.7`.
#[inline(always)]
pub(crate) fn odd_part<V: Lanes, const MANY: bool>(z2: V, gap: V, t2: V) -> V {
    let b0 = gap;
    let b1 = z2.mul_add(z2.splat(1.0 / 6.0), z2.splat(0.5)).mul_add(b0, z2.splat(-1.0 / 6.0));
    let b2 = odd_term::<V, 1>(z2, b1, b0);
    let b3 = odd_term::<V, 2>(z2, b2, b1);
    let b4 = odd_term::<V, 3>(z2, b3, b2);
    // Each lane decides for itself, so that its bits do not depend on its neighbours.
    let few = t2.lt(t2.splat(FEW_TERMS * FEW_TERMS / 4.0));
    let b4 = if few.all() {
        b4
    } else {
        let b5 = odd_term::<V, 4>(z2, b4, b3);
        let b6 = odd_term::<V, 5>(z2, b5, b4);
        let b7 = odd_term::<V, 6>(z2, b6, b5);
        let last = if MANY {
            let b8 = odd_term::<V, 7>(z2, b7, b6);
            let b9 = odd_term::<V, 8>(z2, b8, b7);
            let b10 = odd_term::<V, 9>(z2, b9, b8);
            let b11 = odd_term::<V, 10>(z2, b10, b9);
            let b12 = odd_term::<V, 11>(z2, b11, b10);
            b12.mul_add(t2, b11).mul_add(t2, b10).mul_add(t2, b9).mul_add(t2, b8).mul_add(t2, b7)
        } else {
            b7
        };
        let rest = last.mul_add(t2, b6).mul_add(t2, b5);
        V::select(few, b4, rest.mul_add(t2, b4))
    };
    let t4 = t2 * t2;
    let (low, high) = (b1.mul_add(t2, b0), b3.mul_add(t2, b2));
    b4.mul_add(t4, high).mul_add(t4, low)
}

/// `B_(K+1)` from the two before it.
#[inline(always)]
fn odd_term<V: Lanes, const K: usize>(z2: V, b: V, before: V) -> V {
    let (k, scale) = (K as f64, 1.0 / ((2 * K + 2) * (2 * K + 3)) as f64);
    z2.mul_add(z2.splat(scale), z2.splat((4.0 * k + 3.0) * scale)).mul_add(b, before * -scale)
}

impl<V: Lanes> Solution<V> {
    /// The normalised problem at the solution, moved there from the guess by three Taylor terms in `ln s`:
    /// `dO/d ln s = 1 - (1+g) O` with `g = z^2 - t^2`.
    #[inline(always)]
    pub(crate) fn local(&self) -> Local<V> {
        let (rel, odd) = (self.correction, self.odd);
        let z = self.a * self.inverse_guess;
        let (z2, t2) = (z * z, (self.guess * self.guess) * 0.25);
        let (g, h) = (z2 - t2, z2 + t2);
        let shift = rel.mul_add(rel * rel.mul_add(rel.splat(1.0 / 3.0), rel.splat(-0.5)), rel);
        let c = g + 1.0;
        let d1 = c.neg_mul_add(odd, odd.splat(1.0));
        let d2 = c.neg_mul_add(d1, (h + h) * odd);
        let d3 = c.neg_mul_add(d2, (h.mul_add(d1, -(g * odd))) * 4.0);
        let moved = shift.mul_add((shift * 0.5).mul_add((shift * (1.0 / 3.0)).mul_add(d3, d2), d1), odd);
        let s = self.guess.mul_add(rel, self.guess);
        // 1/(1 + rel) to the same order.
        let shrink = -rel.neg_mul_add(rel.neg_mul_add(rel, rel), rel);
        let inverse_s = self.inverse_guess.mul_add(shrink, self.inverse_guess);
        let z = z.mul_add(shrink, z);
        Local { s, inverse_s, z, ratio: s * moved, mills_minus: mills(z - s * 0.5) }
    }
}

/// Where a total volatility lies in the box, and the harmless one used elsewhere, as garbage may be slow.
#[inline(always)]
pub(crate) fn tame<V: Lanes, const SPOT: bool>(terms: &Terms, m: &Moneyness<V>, s: V) -> (V, V, V::Mask) {
    let inside = close::<V, SPOT>(terms, m)
        & (m.a.lt(s * LARGEST_Z) & s.lt(s.splat(LARGEST_S)))
        & s.splat(SMALLEST_S).lt(s);
    (V::select(inside, m.a, s.splat(0.0)), V::select(inside, s, s.splat(0.5)), inside)
}

/// `sqrt(2 pi) b'` at a total volatility in the box.
#[inline(always)]
pub(crate) fn slope<V: Lanes>(a: V, s: V, inverse: V) -> V {
    let z = a * inverse;
    exp_half(-z.mul_add(z, (s * s) * 0.25), s.splat(0.0)).value()
}

/// The normalised problem at a total volatility in the box, from the parts of [`odd_at`].
#[inline(always)]
pub(crate) fn local_at<V: Lanes>(a: V, s: V, inverse: V, odd: V) -> Local<V> {
    let z = a * inverse;
    Local { s, inverse_s: inverse, z, ratio: s * odd, mills_minus: mills(z - s * 0.5) }
}
