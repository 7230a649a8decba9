//! Several options side by side: the arithmetic every kernel is written in, once for all instruction sets.
//!
//! A kernel is generic over [`Lanes`] and runs one option at a time (`f64`), four (AVX2) or eight (AVX-512). All
//! operations are correctly rounded IEEE 754 ones and each lane is independent, so the results have the same bits
//! whichever width computed them. There is no horizontal operation except asking a [`Mask`] about all its lanes.

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

mod single;

use std::ops::{Add, BitAnd, BitOr, Div, IndexMut, Mul, Neg, Not, Sub};

/// A few doubles. A value also stands for the right to use its instruction set, so constants and loads are made
/// from an existing value; the first one comes from the dispatcher.
pub(crate) trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
{
    /// How many.
    const WIDTH: usize;
    /// Vectors per block: enough to fill the pipelines, few enough that short chains do not pay for them.
    const VECTORS: usize;
    /// One truth value per lane.
    type Mask: Mask;
    /// Something for each vector of a block.
    type Block<T: Copy>: IndexMut<usize, Output = T>;

    /// The same for each vector of a block.
    fn block<T: Copy>(value: T) -> Self::Block<T>;
    /// `x` in every lane.
    fn splat(self, x: f64) -> Self;
    /// The first `WIDTH` numbers of a slice, which must be that long.
    fn load_all(self, from: &[f64]) -> Self;
    /// Writes the first `WIDTH` numbers of a slice, which must be that long.
    fn store_all(self, to: &mut [f64]);
    /// Asks the cache for the number at `i`, which may be beyond the end: a hint and nothing more.
    #[inline(always)]
    fn prefetch(self, _from: &[f64], _i: usize) {}
    /// +1 where the byte is 0, -1 where it is 1.
    fn signs(self, bytes: [u8; WIDEST]) -> Self;
    /// `self * b + c` with one rounding.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `c - self * b` with one rounding.
    fn neg_mul_add(self, b: Self, c: Self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    /// `self` where greater, else `b`; `b` also where either is NaN.
    fn max(self, b: Self) -> Self;
    /// `self` where less, else `b`; `b` also where either is NaN.
    fn min(self, b: Self) -> Self;
    /// Negated where `sign` is negative.
    fn flip_by(self, sign: Self) -> Self;
    fn lt(self, b: Self) -> Self::Mask;
    fn le(self, b: Self) -> Self::Mask;
    fn eq(self, b: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `self * 2^n` by adding to the exponent, where `n + MAGIC` is given; both ends must be normal numbers.
    fn add_exponent(self, n_plus_magic: Self) -> Self;
    /// `self = 2^e m` with `m` in [sqrt(1/2), sqrt(2)), for positive normal numbers.
    fn split(self) -> (Self, Self);

    /// The first numbers of a slice; ones where it is too short.
    #[inline(always)]
    fn load(self, from: &[f64]) -> Self {
        if from.len() >= Self::WIDTH {
            return self.load_all(from);
        }
        let mut padded = [1.0; WIDEST];
        padded[..from.len()].copy_from_slice(from);
        self.load_all(&padded)
    }

    /// Writes as many numbers as the slice has room for.
    #[inline(always)]
    fn store(self, to: &mut [f64]) {
        if to.len() >= Self::WIDTH {
            return self.store_all(to);
        }
        let mut padded = [0.0; WIDEST];
        self.store_all(&mut padded);
        to.copy_from_slice(&padded[..to.len()]);
    }

    /// The first lane.
    #[inline(always)]
    fn first(self) -> f64 {
        let mut all = [0.0; WIDEST];
        self.store_all(&mut all);
        all[0]
    }

    /// `c[0] + c[1] x + ...`. A short one goes pair by pair, a long one is dealt to four chains, which run side by side.
    #[inline(always)]
    fn polynomial<const N: usize>(self, c: &[f64; N]) -> Self {
        let x2 = self * self;
        if N <= SHORT {
            // No closures here: they do not inherit the instruction set and may stay calls.
            let mut i = (N - 1) / 2 * 2;
            let mut sum = self.splat(c[i]);
            if N.is_multiple_of(2) {
                sum = self.mul_add(self.splat(c[i + 1]), sum);
            }
            while i > 0 {
                i -= 2;
                let pair = self.mul_add(self.splat(c[i + 1]), self.splat(c[i]));
                sum = sum.mul_add(x2, pair);
            }
            return sum;
        }
        let x4 = x2 * x2;
        let (c0, c1) = (self.strided(c, 0, 4, x4), self.strided(c, 1, 4, x4));
        let (c2, c3) = (self.strided(c, 2, 4, x4), self.strided(c, 3, 4, x4));
        c3.mul_add(self, c2).mul_add(x2, c1.mul_add(self, c0))
    }

    /// Four polynomials at once.
    #[inline(always)]
    fn polynomials<const A: usize, const B: usize, const C: usize, const D: usize>(
        self,
        a: &[f64; A],
        b: &[f64; B],
        c: &[f64; C],
        d: &[f64; D],
    ) -> [Self; 4] {
        [self.polynomial(a), self.polynomial(b), self.polynomial(c), self.polynomial(d)]
    }

    /// Every `step`th coefficient from `first`, by Horner's rule in `x` to the power of `step`.
    #[inline(always)]
    fn strided<const N: usize>(self, c: &[f64; N], first: usize, step: usize, power: Self) -> Self {
        let mut i = first + (N - 1 - first) / step * step;
        let mut sum = self.splat(c[i]);
        while i > first {
            i -= step;
            sum = sum.mul_add(power, self.splat(c[i]));
        }
        sum
    }
}

/// One truth value per lane.
pub(crate) trait Mask:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    /// How many.
    const WIDTH: usize;

    /// True in every lane.
    fn all(self) -> bool;
    /// True in no lane.
    #[inline(always)]
    fn none(self) -> bool {
        self.bits() == 0
    }
    /// Lane `i` in bit `i`.
    fn bits(self) -> u32;
}

/// A computation written for any width. It is inlined into a function compiled for the instruction set.
pub(crate) trait Kernel {
    /// What it answers, apart from what it writes.
    type Answer;
    /// Does the work; `lane` is the first value, from which all others are made.
    fn run<V: Lanes>(self, lane: V) -> Self::Answer;
}

/// The most coefficients of a polynomial that goes pair by pair.
pub(crate) const SHORT: usize = 8;

/// The most lanes of any width.
pub(crate) const WIDEST: usize = 8;

/// Adding this rounds to an integer, which then sits in the low bits: 1.5 * 2^52.
pub(crate) const MAGIC: f64 = 6_755_399_441_055_744.0;
