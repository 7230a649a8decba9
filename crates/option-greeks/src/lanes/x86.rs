//! Four and eight options at a time: the vector instructions of x86-64, and with [`one`] all unsafe code of this crate.
//!
//! Two facts make it sound. A value of [`F64x4`], [`F64x8`] or [`F64x1`] can only be made from another one; the first is
//! made by [`Avx2::run`], [`Avx2::run_one`] or [`Avx512::run`], whose owners exist only after the processor was asked. So whoever holds a value may
//! run its instructions. And memory is touched only through slices whose length was checked.

#![allow(unsafe_code)]

mod one;

use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{Kernel, Lanes, Mask, WIDEST};
use one::F64x1;

/// Proof that this processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// Proof that this processor has AVX-512 F, DQ and VL, and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

/// Four doubles.
#[derive(Clone, Copy)]
pub(crate) struct F64x4(__m256d);

/// Four truth values: all bits of a double, or none.
#[derive(Clone, Copy)]
pub(crate) struct Mask4(__m256d);

/// Eight doubles.
#[derive(Clone, Copy)]
pub(crate) struct F64x8(__m512d);

/// Eight truth values.
#[derive(Clone, Copy)]
pub(crate) struct Mask8(__mmask8);

/// Bits of sqrt(1/2).
const ROOT_HALF: i64 = 0x3fe6_a09e_667f_3bcd;

/// AVX2 has no arithmetic shift of 64 bits: an exponent is made positive by this, shifted, and brought back after the
/// conversion through the mantissa of 2^52.
const LIFT: i64 = 1024;
const TWO_52: f64 = 4_503_599_627_370_496.0;

// === impl Avx2, Avx512 ===

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Runs a kernel four lanes wide.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Answer {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(kernel: K) -> K::Answer {
            kernel.run(F64x4(_mm256_setzero_pd()))
        }
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { compiled(kernel) }
    }

    /// Runs a kernel one lane wide, with the scalar instructions of the set: fused multiply-add is one of them.
    pub(crate) fn run_single<K: Kernel>(self, kernel: K) -> K::Answer {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(kernel: K) -> K::Answer {
            kernel.run(0.0_f64)
        }
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { compiled(kernel) }
    }

    /// Runs a kernel for one option, see [`one`].
    pub(crate) fn run_one<K: Kernel>(self, kernel: K) -> K::Answer {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(kernel: K) -> K::Answer {
            kernel.run(F64x1(0.0))
        }
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { compiled(kernel) }
    }
}

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs a kernel eight lanes wide.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Answer {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
        fn compiled<K: Kernel>(kernel: K) -> K::Answer {
            kernel.run(F64x8(_mm512_setzero_pd()))
        }
        // SAFETY: `self` proves that the processor has AVX-512 F, DQ and VL, and FMA; these imply AVX2.
        unsafe { compiled(kernel) }
    }
}

/// Asks for the cache line of a number that will be wanted soon.
#[inline(always)]
fn prefetch(from: &[f64], i: usize) {
    // SAFETY: every x86-64 has the instruction. It reads nothing the program can see and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(i).cast()) }
}

// === operators ===

/// Operators of one vector type, from its intrinsics.
macro_rules! operators {
    ($lanes:ident, $set:ident, $($operator:ident $method:ident $intrinsic:ident),*) => {
        $(
            impl $operator for $lanes {
                type Output = Self;
                #[inline(always)]
                fn $method(self, b: Self) -> Self {
                    // SAFETY: holding a value proves the instruction set; see the head of this file.
                    unsafe { Self($intrinsic(self.0, b.0)) }
                }
            }
        )*
        operators!(@number $lanes, $set, Add add, Sub sub, Mul mul);
    };
    (@number $lanes:ident, $set:ident, $($operator:ident $method:ident),*) => {
        $(
            impl $operator<f64> for $lanes {
                type Output = Self;
                #[inline(always)]
                fn $method(self, b: f64) -> Self {
                    self.$method(self.splat(b))
                }
            }
        )*
    };
}
operators!(F64x4, _mm256_set1_pd, Add add _mm256_add_pd, Sub sub _mm256_sub_pd, Mul mul _mm256_mul_pd, Div div _mm256_div_pd);
operators!(F64x8, _mm512_set1_pd, Add add _mm512_add_pd, Sub sub _mm512_sub_pd, Mul mul _mm512_mul_pd, Div div _mm512_div_pd);

impl Neg for F64x4 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: holding a value proves the instruction set.
        unsafe { Self(_mm256_xor_pd(self.0, _mm256_set1_pd(-0.0))) }
    }
}

impl Neg for F64x8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: holding a value proves the instruction set.
        unsafe { Self(_mm512_xor_pd(self.0, _mm512_set1_pd(-0.0))) }
    }
}

// === impl Lanes for F64x4 ===

impl Lanes for F64x4 {
    const WIDTH: usize = 4;
    const VECTORS: usize = 8;
    type Mask = Mask4;
    type Block<T: Copy> = [T; 8];

    #[inline(always)]
    fn block<T: Copy>(value: T) -> [T; 8] {
        [value; 8]
    }
    #[inline(always)]
    fn splat(self, x: f64) -> Self {
        // SAFETY: holding a value proves the instruction set.
        unsafe { Self(_mm256_set1_pd(x)) }
    }
    #[inline(always)]
    fn load_all(self, from: &[f64]) -> Self {
        let from = &from[..4];
        // SAFETY: `from` holds four doubles, and the load asks for no alignment.
        unsafe { Self(_mm256_loadu_pd(from.as_ptr())) }
    }
    #[inline(always)]
    fn prefetch(self, from: &[f64], i: usize) {
        prefetch(from, i);
    }
    #[inline(always)]
    fn store_all(self, to: &mut [f64]) {
        let to = &mut to[..4];
        // SAFETY: `to` holds four doubles, and the store asks for no alignment.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn signs(self, bytes: [u8; WIDEST]) -> Self {
        let packed = u64::from_le_bytes(bytes) as i32;
        // SAFETY: holding a value proves the instruction set; so in every method below.
        unsafe {
            let wide = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(packed));
            let sign = _mm256_castsi256_pd(_mm256_slli_epi64::<63>(wide));
            Self(_mm256_or_pd(sign, _mm256_set1_pd(1.0)))
        }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_fmadd_pd(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_fnmadd_pd(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_sqrt_pd(self.0)) }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_andnot_pd(_mm256_set1_pd(-0.0), self.0)) }
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_max_pd(self.0, b.0)) }
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_min_pd(self.0, b.0)) }
    }
    #[inline(always)]
    fn flip_by(self, sign: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_xor_pd(self.0, _mm256_and_pd(sign.0, _mm256_set1_pd(-0.0)))) }
    }
    #[inline(always)]
    fn lt(self, b: Self) -> Mask4 {
        // SAFETY: as above.
        unsafe { Mask4(_mm256_cmp_pd::<_CMP_LT_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn le(self, b: Self) -> Mask4 {
        // SAFETY: as above.
        unsafe { Mask4(_mm256_cmp_pd::<_CMP_LE_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn eq(self, b: Self) -> Mask4 {
        // SAFETY: as above.
        unsafe { Mask4(_mm256_cmp_pd::<_CMP_EQ_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn select(mask: Mask4, yes: Self, no: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_blendv_pd(no.0, yes.0, mask.0)) }
    }
    #[inline(always)]
    fn add_exponent(self, n_plus_magic: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let shift = _mm256_slli_epi64::<52>(_mm256_castpd_si256(n_plus_magic.0));
            Self(_mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(self.0), shift)))
        }
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_castpd_si256(self.0);
            let lifted = _mm256_sub_epi64(bits, _mm256_set1_epi64x(ROOT_HALF - (LIFT << 52)));
            let exponent = _mm256_srli_epi64::<52>(lifted);
            let back = _mm256_sub_epi64(_mm256_slli_epi64::<52>(exponent), _mm256_set1_epi64x(LIFT << 52));
            let mantissa = _mm256_sub_epi64(bits, back);
            let number = _mm256_or_si256(exponent, _mm256_castpd_si256(_mm256_set1_pd(TWO_52)));
            let exponent = _mm256_sub_pd(_mm256_castsi256_pd(number), _mm256_set1_pd(TWO_52 + LIFT as f64));
            (Self(exponent), Self(_mm256_castsi256_pd(mantissa)))
        }
    }
}

impl Mask for Mask4 {
    const WIDTH: usize = 4;

    #[inline(always)]
    fn all(self) -> bool {
        self.bits() == 0xf
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        // SAFETY: as above.
        unsafe { _mm256_movemask_pd(self.0) as u32 }
    }
}

impl BitAnd for Mask4 {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_and_pd(self.0, b.0)) }
    }
}

impl BitOr for Mask4 {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_or_pd(self.0, b.0)) }
    }
}

impl Not for Mask4 {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_xor_pd(self.0, _mm256_castsi256_pd(_mm256_set1_epi64x(-1)))) }
    }
}

// === impl Lanes for F64x8 ===

impl Lanes for F64x8 {
    const WIDTH: usize = 8;
    const VECTORS: usize = 6;
    type Mask = Mask8;
    type Block<T: Copy> = [T; 6];

    #[inline(always)]
    fn block<T: Copy>(value: T) -> [T; 6] {
        [value; 6]
    }
    #[inline(always)]
    fn splat(self, x: f64) -> Self {
        // SAFETY: holding a value proves the instruction set; so in every method below.
        unsafe { Self(_mm512_set1_pd(x)) }
    }
    #[inline(always)]
    fn load_all(self, from: &[f64]) -> Self {
        let from = &from[..8];
        // SAFETY: `from` holds eight doubles, and the load asks for no alignment.
        unsafe { Self(_mm512_loadu_pd(from.as_ptr())) }
    }
    #[inline(always)]
    fn prefetch(self, from: &[f64], i: usize) {
        prefetch(from, i);
    }
    #[inline(always)]
    fn store_all(self, to: &mut [f64]) {
        let to = &mut to[..8];
        // SAFETY: `to` holds eight doubles, and the store asks for no alignment.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn signs(self, bytes: [u8; WIDEST]) -> Self {
        let packed = u64::from_le_bytes(bytes) as i64;
        // SAFETY: as above.
        unsafe {
            let wide = _mm512_cvtepu8_epi64(_mm_cvtsi64_si128(packed));
            let sign = _mm512_castsi512_pd(_mm512_slli_epi64::<63>(wide));
            Self(_mm512_or_pd(sign, _mm512_set1_pd(1.0)))
        }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_fmadd_pd(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_fnmadd_pd(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_sqrt_pd(self.0)) }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_abs_pd(self.0)) }
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_max_pd(self.0, b.0)) }
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_min_pd(self.0, b.0)) }
    }
    #[inline(always)]
    fn flip_by(self, sign: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_xor_pd(self.0, _mm512_and_pd(sign.0, _mm512_set1_pd(-0.0)))) }
    }
    #[inline(always)]
    fn lt(self, b: Self) -> Mask8 {
        // SAFETY: as above.
        unsafe { Mask8(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn le(self, b: Self) -> Mask8 {
        // SAFETY: as above.
        unsafe { Mask8(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn eq(self, b: Self) -> Mask8 {
        // SAFETY: as above.
        unsafe { Mask8(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self.0, b.0)) }
    }
    #[inline(always)]
    fn select(mask: Mask8, yes: Self, no: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_mask_blend_pd(mask.0, no.0, yes.0)) }
    }
    #[inline(always)]
    fn add_exponent(self, n_plus_magic: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let shift = _mm512_slli_epi64::<52>(_mm512_castpd_si512(n_plus_magic.0));
            Self(_mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(self.0), shift)))
        }
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let bits = _mm512_castpd_si512(self.0);
            let exponent = _mm512_srai_epi64::<52>(_mm512_sub_epi64(bits, _mm512_set1_epi64(ROOT_HALF)));
            let mantissa = _mm512_sub_epi64(bits, _mm512_slli_epi64::<52>(exponent));
            (Self(_mm512_cvtepi64_pd(exponent)), Self(_mm512_castsi512_pd(mantissa)))
        }
    }
}

impl Mask for Mask8 {
    const WIDTH: usize = 8;

    #[inline(always)]
    fn all(self) -> bool {
        self.0 == 0xff
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl BitAnd for Mask8 {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, b: Self) -> Self {
        Self(self.0 & b.0)
    }
}

impl BitOr for Mask8 {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, b: Self) -> Self {
        Self(self.0 | b.0)
    }
}

impl Not for Mask8 {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(!self.0)
    }
}
