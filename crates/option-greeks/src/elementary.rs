//! Exponential, logarithm and Mills ratio for several lanes at once.
//!
//! The Mills ratio is `M(z) = (1 - N(z)) / phi(z)`; `gap` is `1 - z M(z) = -M'(z)`. Both are polynomials in a Moebius
//! map of z, as in S. J. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1+2x) exp(x^2) erfc x", Math.
//! Comp. 36 (1981). Exponential and logarithm reduce by powers of two (W. J. Cody and W. Waite, 1980).

use std::f64::consts::{LN_2, LOG2_E};

use crate::coefficients::{EXP, GAP, GAP_WIDE, LN_1P, LN_ROUGH, MILLS, MILLS_ROUGH, MILLS_WIDE};
use crate::lanes::{Lanes, MAGIC};

/// ln 2 in two parts; the first has 32 bits, so its product with an exponent is exact.
pub(crate) const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
pub(crate) const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/3, and what its rounding lost.
pub(crate) const THIRD: f64 = 1.0 / 3.0;
pub(crate) const THIRD_LOW: f64 = 1.850_371_707_708_594e-17;

/// `exp(x) = 2^n (1 + fraction)`.
#[derive(Clone, Copy)]
pub(crate) struct Exp<V> {
    /// `n + MAGIC`, as [`Lanes::add_exponent`] wants it.
    pub(crate) n: V,
    pub(crate) fraction: V,
}

/// `exp(x + low)`, `low` being small against one. `|x|` may be up to a few thousand.
#[inline(always)]
pub(crate) fn exp<V: Lanes>(x: V, low: V) -> Exp<V> {
    let n = x.mul_add(x.splat(LOG2_E), x.splat(MAGIC));
    let k = n - MAGIC;
    let r = k.neg_mul_add(x.splat(LN2_LOW), k.neg_mul_add(x.splat(LN2_HIGH), x) + low);
    Exp { n, fraction: (r * r).mul_add(r.polynomial(&EXP), r) }
}

/// `exp((x + low) / 2)`, as [`exp`].
#[inline(always)]
pub(crate) fn exp_half<V: Lanes>(x: V, low: V) -> Exp<V> {
    let n = x.mul_add(x.splat(LOG2_E / 2.0), x.splat(MAGIC));
    let k = n - MAGIC;
    let r = k.neg_mul_add(x.splat(2.0 * LN2_LOW), k.neg_mul_add(x.splat(2.0 * LN2_HIGH), x) + low);
    Exp { n, fraction: (r * r).mul_add(r.polynomial(&EXP_HALF), r * 0.5) }
}

impl<V: Lanes> Exp<V> {
    /// The value, when it is a normal number.
    #[inline(always)]
    pub(crate) fn value(self) -> V {
        (self.fraction + 1.0).add_exponent(self.n)
    }

    /// `a` times `2^n`, for `|n| < 2000`.
    #[inline(always)]
    pub(crate) fn scaled(self, a: V) -> V {
        let k = self.n - MAGIC;
        let half = k * 0.5 + MAGIC;
        let rest = (k - (half - MAGIC)) + MAGIC;
        let one = a.splat(1.0);
        a * one.add_exponent(half) * one.add_exponent(rest)
    }

    /// `a` times the value, through the subnormal numbers down to zero, for `|n| < 2000`.
    #[inline(always)]
    pub(crate) fn times(self, a: V) -> V {
        self.scaled(a * (self.fraction + 1.0))
    }
}

/// [`EXP`] for half the argument.
const EXP_HALF: [f64; 10] = {
    let (mut c, mut i, mut scale) = (EXP, 0, 0.25);
    while i < c.len() {
        c[i] *= scale;
        scale *= 0.5;
        i += 1;
    }
    c
};

/// `-ln(1 - e)` for `|e| <= 0.004`.
#[inline(always)]
pub(crate) fn ln_reciprocal<V: Lanes>(e: V) -> V {
    const SIGNED: [f64; 4] = [-LN_1P[0], LN_1P[1], -LN_1P[2], LN_1P[3]];
    (e * e).mul_add(e.polynomial(&SIGNED), e)
}

/// `ln(x)` to about six digits, for positive normal numbers.
#[inline(always)]
pub(crate) fn ln_rough<V: Lanes>(x: V) -> V {
    let (e, m) = x.split();
    let y = m - 1.0;
    y.mul_add(y.polynomial(&LN_ROUGH), e * LN_2)
}

/// `M(z)` for `-0.26 <= z <= 6.05`.
#[inline(always)]
pub(crate) fn mills<V: Lanes>(z: V) -> V {
    let v = z.splat(1.0) / (z + 5.0);
    v * ((z - 5.0) * v).polynomial(&MILLS)
}

/// The slope of [`GAP`] in `p + 1` up to 0.5, beyond which nothing is lost; within 0.4.
const SLOPE: [f64; 2] = [-2.8, 5.2];

/// `1 - z M(z)` for `z = a/s` from 0 to 6.05, absolutely accurate.
///
/// Near `z = 0` it falls steeply with `p = (z-5)/(z+5)`, so what the rounding of p lost is put back with a rough slope.
#[inline(always)]
pub(crate) fn gap<V: Lanes>(a: V, s: V) -> V {
    // p + 1, from a and s: dividing twice would only take longer.
    let above = (a + a) / s.mul_add(s.splat(5.0), a);
    let p = above - 1.0;
    let p_low = above - (p + 1.0);
    let slope = above.mul_add(a.splat(SLOPE[1]), a.splat(SLOPE[0]));
    p_low.mul_add(slope, p.polynomial(&GAP))
}

/// `M(z)` for `z >= -1`.
#[inline(always)]
pub(crate) fn mills_wide<V: Lanes>(z: V) -> V {
    let v = z.splat(1.0) / (z + 5.0);
    v * ((z - 3.0) * v).polynomial(&MILLS_WIDE)
}

/// `M(z)` to seven digits for `z >= -1`.
#[inline(always)]
pub(crate) fn mills_rough<V: Lanes>(z: V) -> V {
    let v = z.splat(1.0) / (z + 5.0);
    v * ((z - 3.0) * v).polynomial(&MILLS_ROUGH)
}

/// `1 - z M(z)` for `z >= 0`.
#[inline(always)]
pub(crate) fn gap_wide<V: Lanes>(z: V) -> V {
    let v = z.splat(1.0) / (z + 5.0);
    v * v * ((z - 3.0) * v).polynomial(&GAP_WIDE)
}
