//! Two levels and four prices at a time with AVX2, and all unsafe code of this crate.
//!
//! Unsafe are only the calls of functions that need a processor feature (their owner, [`Avx2`], exists only where
//! [`Avx2::detect`] found it) and the loads and stores, each inside an array whose size is checked at compile time.

#![allow(unsafe_code)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_shuffle_epi8, _mm256_blend_epi32, _mm256_castsi128_si256,
    _mm256_cvtepu32_epi64, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_mul_epi32, _mm256_set1_epi32,
    _mm256_shuffle_epi8, _mm256_storeu_si256,
};
use std::mem::offset_of;

use market_model::{Depth, DepthLevel, Price};

use super::{DEPTH, LEVEL, PriceReader, WithPrices};

/// Proof that this processor has AVX2 (and the instructions that came with it) and that the types of market-model
/// lie in memory as this module writes them.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Price, quantity, orders and two bytes of padding; bids before offers. The compiler may choose otherwise: then
/// nobody gets an [`Avx2`].
const AS_WRITTEN: bool = size_of::<Price>() == 8
    && size_of::<DepthLevel>() == 16
    && offset_of!(DepthLevel, price) == 0
    && offset_of!(DepthLevel, quantity) == 8
    && offset_of!(DepthLevel, orders) == 12
    && size_of::<Depth>() == 160
    && offset_of!(Depth, buy) == 0
    && offset_of!(Depth, sell) == 80;

// === impl Avx2 ===

impl Avx2 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = AS_WRITTEN
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("movbe");
        has.then_some(Self(()))
    }

    /// Does `work`, compiled for these instructions.
    #[inline]
    pub(super) fn run<W: WithPrices>(self, work: W) {
        #[target_feature(enable = "avx2,bmi2,movbe")]
        fn compiled<W: WithPrices>(avx2: Avx2, work: W) {
            work.run(avx2);
        }
        // SAFETY: `self` exists, so the processor has the features.
        unsafe { compiled(self, work) }
    }
}

impl PriceReader for Avx2 {
    #[inline(always)]
    fn depth(self, bytes: &[u8; DEPTH], unit: i64, depth: &mut Depth) {
        const { assert!(size_of::<Depth>() == 160 || !AS_WRITTEN) };
        // SAFETY: `self` exists, so the processor has the features and `depth` lies as it is written.
        unsafe { write_depth(bytes, unit, depth) }
    }

    #[inline(always)]
    fn four(self, bytes: &[u8; 16], unit: i64) -> [Price; 4] {
        // SAFETY: `self` exists, so the processor has the features.
        let prices = unsafe { four(bytes, unit) };
        prices.map(Price::from_raw)
    }
}

/// Where the bytes of a [`DepthLevel`] come from in 16 loaded bytes, when the level begins at `from` there.
const fn level_mask(from: i8) -> [i8; 16] {
    const ZERO: i8 = -1;
    let mut mask = [7, 6, 5, 4, ZERO, ZERO, ZERO, ZERO, 3, 2, 1, 0, 9, 8, ZERO, ZERO];
    let mut at = 0;
    while at < mask.len() {
        if mask[at] != ZERO {
            mask[at] += from;
        }
        at += 1;
    }
    mask
}

/// The same for four prices in a row.
const PRICES: [i8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

/// The last level has no 16 bytes from its beginning, so it is loaded from four bytes before.
const PAIR: [[i8; 16]; 2] = [level_mask(0), level_mask(0)];
const LAST_PAIR: [[i8; 16]; 2] = [level_mask(0), level_mask(4)];

#[target_feature(enable = "avx2")]
#[inline]
fn write_depth(bytes: &[u8; DEPTH], unit: i64, depth: &mut Depth) {
    let unit = _mm256_set1_epi32(unit as i32);
    let place = std::ptr::from_mut(depth).cast::<__m256i>();
    for pair in 0..5 {
        let (second, mask) = if pair == 4 { (104, &LAST_PAIR) } else { (2 * LEVEL * pair + LEVEL, &PAIR) };
        let (first, second) = (load(part(bytes, 2 * LEVEL * pair)), load(part(bytes, second)));
        let levels = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second);
        // Lanes of 64 bits: the price, then quantity and orders.
        let levels = _mm256_shuffle_epi8(levels, load_pair(mask));
        let levels = _mm256_blend_epi32::<0b0011_0011>(levels, _mm256_mul_epi32(levels, unit));
        // SAFETY: a `Depth` has room for five pairs (`AS_WRITTEN`), and every bit pattern is one of its values.
        unsafe { _mm256_storeu_si256(place.add(pair), levels) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn four(bytes: &[u8; 16], unit: i64) -> [i64; 4] {
    let words = _mm_shuffle_epi8(load(bytes), load(&PRICES.map(i8::cast_unsigned)));
    let products = _mm256_mul_epi32(_mm256_cvtepu32_epi64(words), _mm256_set1_epi32(unit as i32));
    let mut prices = [0; 4];
    // SAFETY: four integers of 64 bits are 32 bytes.
    unsafe { _mm256_storeu_si256(prices.as_mut_ptr().cast(), products) };
    prices
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the array has the 16 bytes that are loaded.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_pair(bytes: &[[i8; 16]; 2]) -> __m256i {
    // SAFETY: the arrays lie one after the other and have the 32 bytes that are loaded.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 16 bytes from `at`, which is a constant once the loop is unrolled.
#[inline(always)]
fn part(bytes: &[u8; DEPTH], at: usize) -> &[u8; 16] {
    bytes[at..].first_chunk().unwrap_or(&[0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_lie_as_written() {
        const { assert!(AS_WRITTEN) };
    }
}
