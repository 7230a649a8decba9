//! One option per call where AVX2 and FMA are at hand: the operations of plain `f64`, except where vector instructions
//! shorten the wait.
//!
//! A single option is a chain of dependent operations that the processor overlaps with the next call as far as its queues
//! reach, so fewer instructions are as good as faster ones. The four chains of a long polynomial run in one register, and
//! a number is split without a detour through integer registers.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::super::{Lanes, SHORT, WIDEST};
use super::{LIFT, ROOT_HALF, TWO_52};

/// One double. Only [`Avx2::run_one`](super::Avx2::run_one) makes the first one.
#[derive(Clone, Copy)]
pub(crate) struct F64x1(pub(super) f64);

/// Beyond the end zero: a sum that starts from zero later has the same bits.
#[inline(always)]
fn coefficient<const N: usize>(c: &[f64; N], i: usize) -> f64 {
    if i < N { c[i] } else { 0.0 }
}

/// Four coefficients from the `i`th on, for the chains of coefficients 0, 2, 1 and 3 from the low lane up.
///
/// # Safety
///
/// The processor has AVX2. No closure does this, as closures do not inherit the instruction set and may stay calls.
#[inline(always)]
unsafe fn chains<const N: usize>(c: &[f64; N], i: usize) -> __m256d {
    // SAFETY: the caller's.
    unsafe {
        _mm256_set_pd(coefficient(c, i + 3), coefficient(c, i + 1), coefficient(c, i + 2), coefficient(c, i))
    }
}

/// The `i`th coefficients of four polynomials, the first in the low lane.
///
/// # Safety
///
/// The processor has AVX2.
#[inline(always)]
unsafe fn side_by_side<const A: usize, const B: usize, const C: usize, const D: usize>(
    a: &[f64; A],
    b: &[f64; B],
    c: &[f64; C],
    d: &[f64; D],
    i: usize,
) -> __m256d {
    // SAFETY: the caller's.
    unsafe { _mm256_set_pd(coefficient(d, i), coefficient(c, i), coefficient(b, i), coefficient(a, i)) }
}

/// Operators of `f64`, between two numbers of this type and with a plain one on the right.
macro_rules! operators {
    ($($operator:ident $method:ident),*) => {
        $(
            impl $operator for F64x1 {
                type Output = Self;
                #[inline(always)]
                fn $method(self, b: Self) -> Self {
                    Self(self.0.$method(b.0))
                }
            }
            impl $operator<f64> for F64x1 {
                type Output = Self;
                #[inline(always)]
                fn $method(self, b: f64) -> Self {
                    Self(self.0.$method(b))
                }
            }
        )*
    };
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for F64x1 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// Methods of the lane `f64`, by what they take and give.
macro_rules! as_f64 {
    ($($method:ident($($b:ident),*)),*; $($test:ident),*) => {
        $(
            #[inline(always)]
            fn $method(self, $($b: Self),*) -> Self {
                Self(Lanes::$method(self.0, $($b.0),*))
            }
        )*
        $(
            #[inline(always)]
            fn $test(self, b: Self) -> bool {
                Lanes::$test(self.0, b.0)
            }
        )*
    };
}

impl Lanes for F64x1 {
    const WIDTH: usize = 1;
    const VECTORS: usize = f64::VECTORS;
    type Mask = bool;
    type Block<T: Copy> = <f64 as Lanes>::Block<T>;

    as_f64!(mul_add(b, c), neg_mul_add(b, c), sqrt(), abs(), max(b), min(b); lt, le, eq);

    #[inline(always)]
    fn block<T: Copy>(value: T) -> Self::Block<T> {
        f64::block(value)
    }
    #[inline(always)]
    fn splat(self, x: f64) -> Self {
        Self(x)
    }
    #[inline(always)]
    fn load_all(self, from: &[f64]) -> Self {
        Self(from[0])
    }
    #[inline(always)]
    fn store_all(self, to: &mut [f64]) {
        to[0] = self.0;
    }
    #[inline(always)]
    fn signs(self, bytes: [u8; WIDEST]) -> Self {
        Self(self.0.signs(bytes))
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn flip_by(self, sign: Self) -> Self {
        // SAFETY: a value exists, so the processor has AVX2 and FMA; see the head of `lanes/x86.rs`.
        unsafe {
            let sign = _mm_and_pd(_mm_set_sd(sign.0), _mm_set_sd(-0.0));
            Self(_mm_cvtsd_f64(_mm_xor_pd(_mm_set_sd(self.0), sign)))
        }
    }
    #[inline(always)]
    fn add_exponent(self, n_plus_magic: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let shift = _mm_slli_epi64::<52>(_mm_castpd_si128(_mm_set_sd(n_plus_magic.0)));
            let sum = _mm_add_epi64(_mm_castpd_si128(_mm_set_sd(self.0)), shift);
            Self(_mm_cvtsd_f64(_mm_castsi128_pd(sum)))
        }
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let bits = _mm_castpd_si128(_mm_set_sd(self.0));
            let lifted = _mm_sub_epi64(bits, _mm_set1_epi64x(ROOT_HALF - (LIFT << 52)));
            let exponent = _mm_srli_epi64::<52>(lifted);
            let back = _mm_sub_epi64(_mm_slli_epi64::<52>(exponent), _mm_set1_epi64x(LIFT << 52));
            let mantissa = _mm_castsi128_pd(_mm_sub_epi64(bits, back));
            let number = _mm_castsi128_pd(_mm_or_si128(exponent, _mm_castpd_si128(_mm_set1_pd(TWO_52))));
            (Self(_mm_cvtsd_f64(number) - (TWO_52 + LIFT as f64)), Self(_mm_cvtsd_f64(mantissa)))
        }
    }
    #[inline(always)]
    fn first(self) -> f64 {
        self.0
    }

    #[inline(always)]
    fn polynomial<const N: usize>(self, c: &[f64; N]) -> Self {
        if N <= SHORT {
            return Self(self.0.polynomial(c));
        }
        let x2 = self.0 * self.0;
        // SAFETY: as above.
        unsafe {
            let power = _mm256_set1_pd(x2 * x2);
            let mut i = (N - 1) / 4 * 4;
            let mut sum = chains(c, i);
            while i > 0 {
                i -= 4;
                sum = _mm256_fmadd_pd(sum, power, chains(c, i));
            }
            let (low, high) = (_mm256_castpd256_pd128(sum), _mm256_extractf128_pd::<1>(sum));
            let pair = _mm_fmadd_pd(high, _mm_set1_pd(self.0), low);
            let upper = _mm_cvtsd_f64(_mm_unpackhi_pd(pair, pair));
            Self(upper.mul_add(x2, _mm_cvtsd_f64(pair)))
        }
    }

    /// Short ones pair by pair, each in a lane of its own.
    #[inline(always)]
    fn polynomials<const A: usize, const B: usize, const C: usize, const D: usize>(
        self,
        a: &[f64; A],
        b: &[f64; B],
        c: &[f64; C],
        d: &[f64; D],
    ) -> [Self; 4] {
        let longest = A.max(B).max(C).max(D);
        if longest > SHORT {
            return [self.polynomial(a), self.polynomial(b), self.polynomial(c), self.polynomial(d)];
        }
        // SAFETY: as above.
        unsafe {
            let x = _mm256_set1_pd(self.0);
            let x2 = _mm256_mul_pd(x, x);
            let mut i = (longest - 1) / 2 * 2;
            let mut sum = _mm256_fmadd_pd(x, side_by_side(a, b, c, d, i + 1), side_by_side(a, b, c, d, i));
            while i > 0 {
                i -= 2;
                let pair = _mm256_fmadd_pd(x, side_by_side(a, b, c, d, i + 1), side_by_side(a, b, c, d, i));
                sum = _mm256_fmadd_pd(sum, x2, pair);
            }
            let (low, high) = (_mm256_castpd256_pd128(sum), _mm256_extractf128_pd::<1>(sum));
            let (second, fourth) = (_mm_unpackhi_pd(low, low), _mm_unpackhi_pd(high, high));
            [
                Self(_mm_cvtsd_f64(low)),
                Self(_mm_cvtsd_f64(second)),
                Self(_mm_cvtsd_f64(high)),
                Self(_mm_cvtsd_f64(fourth)),
            ]
        }
    }
}
