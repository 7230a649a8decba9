//! Numbers with twice the digits of a double, for the few constants of a call that every option shares.
//!
//! T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971).

use crate::coefficients::EXP_CUBIC;
use crate::lanes::Lanes;

/// The unevaluated sum `high + low`, `low` being at most half a unit of the last place of `high`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DoubleDouble {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

/// ln 2 in three parts; the first has 32 bits, so its product with an exponent is exact.
const LN2: [f64; 3] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10, 1.161_222_722_936_253_2e-26];

/// `1/3!` to `1/9!`: what is left out of `exp(0.05)` is 3e-20.
const TAYLOR: [f64; 7] =
    [1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40_320.0, 1.0 / 362_880.0];

impl DoubleDouble {
    pub(crate) const ONE: Self = Self { high: 1.0, low: 0.0 };

    /// `a + b` where `|a| >= |b|` or `a` is zero.
    #[inline(always)]
    pub(crate) fn fast_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: b - (high - a) }
    }

    /// `a + b` whatever their sizes (Knuth).
    #[inline(always)]
    pub(crate) fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let shadow = high - a;
        Self { high, low: (a - (high - shadow)) + (b - shadow) }
    }

    /// `a * b`.
    #[inline(always)]
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: Lanes::mul_add(a, b, -high) }
    }

    /// `self * b`.
    #[inline(always)]
    pub(crate) fn times(self, b: f64) -> Self {
        let Self { high, low } = Self::product(self.high, b);
        Self::fast_sum(high, Lanes::mul_add(self.low, b, low))
    }

    /// `exp(self)` for arguments of at most about 700.
    #[inline(always)]
    pub(crate) fn exp(self) -> Self {
        if self.high.abs() < 0.05 {
            // Against one the rounding errors of the rest are too small to be seen, and the series ends soon.
            let r = self.high;
            let square = r * r;
            let rest =
                Lanes::mul_add(r * square, r.polynomial(&TAYLOR), Lanes::mul_add(square, 0.5, self.low));
            return Self::fast_sum(1.0, r + rest);
        }
        if self.high.abs() < 0.34 {
            let small = self.exp_m1_small();
            let one = Self::fast_sum(1.0, small.high);
            return Self::fast_sum(one.high, one.low + small.low);
        }
        let n = (self.high * std::f64::consts::LOG2_E + crate::lanes::MAGIC) - crate::lanes::MAGIC;
        let small = self.reduced(n);
        let fraction = small.exp_m1_small();
        let scale = |x: f64| x * power_of_two(n);
        let one = Self::fast_sum(1.0, fraction.high);
        let sum = Self::fast_sum(one.high, one.low + fraction.low);
        Self { high: scale(sum.high), low: scale(sum.low) }
    }

    /// `exp(self) - 1`, relatively accurate down to zero.
    #[inline(always)]
    pub(crate) fn exp_m1(self) -> Self {
        if self.high.abs() < 0.34 {
            return self.exp_m1_small();
        }
        let exp = self.exp();
        let sum = Self::sum(exp.high, -1.0);
        Self::fast_sum(sum.high, sum.low + exp.low)
    }

    /// `self - n ln 2`.
    #[inline(always)]
    fn reduced(self, n: f64) -> Self {
        let first = Lanes::neg_mul_add(n, LN2[0], self.high);
        let second = Self::product(-n, LN2[1]);
        let sum = Self::sum(first, second.high);
        Self::fast_sum(sum.high, sum.low + Lanes::neg_mul_add(n, LN2[2], second.low + self.low))
    }

    /// `r + r^2/2 + ...` for `|r| <= ln(2)/2`.
    #[inline(always)]
    fn exp_m1_small(self) -> Self {
        let r = self.high;
        let square = Self::product(r, r);
        // r^2/2 is added with its rounding error; what follows is small enough for plain arithmetic.
        let rest = r * square.high * r.polynomial(&EXP_CUBIC);
        let sum = Self::sum(r, 0.5 * square.high);
        Self::fast_sum(
            sum.high,
            sum.low + (Lanes::mul_add(self.low, r, self.low) + (0.5 * square.low + rest)),
        )
    }
}

/// `2^n` for an integer `n` of at most about 1000 in size.
#[inline(always)]
pub(crate) fn power_of_two(n: f64) -> f64 {
    1.0_f64.add_exponent(n + crate::lanes::MAGIC)
}
