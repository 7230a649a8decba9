//! One option at a time: plain `f64`, without any unsafe code, on every architecture.

use super::{Lanes, Mask, WIDEST};

impl Mask for bool {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn all(self) -> bool {
        self
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self)
    }
}

/// Bits of sqrt(1/2).
const ROOT_HALF: i64 = 0x3fe6_a09e_667f_3bcd;

impl Lanes for f64 {
    const WIDTH: usize = 1;
    const VECTORS: usize = 16;
    type Mask = bool;
    type Block<T: Copy> = [T; 16];

    #[inline(always)]
    fn block<T: Copy>(value: T) -> [T; 16] {
        [value; 16]
    }
    #[inline(always)]
    fn splat(self, x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn load_all(self, from: &[f64]) -> Self {
        from[0]
    }
    #[inline(always)]
    fn store_all(self, to: &mut [f64]) {
        to[0] = self;
    }
    #[inline(always)]
    fn signs(self, bytes: [u8; WIDEST]) -> Self {
        1.0 - 2.0 * f64::from(bytes[0])
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        f64::mul_add(self, b, c)
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        f64::mul_add(-self, b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        if self > b { self } else { b }
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        if self < b { self } else { b }
    }
    #[inline(always)]
    fn flip_by(self, sign: Self) -> Self {
        f64::from_bits(self.to_bits() ^ (sign.to_bits() & (1 << 63)))
    }
    #[inline(always)]
    fn lt(self, b: Self) -> bool {
        self < b
    }
    #[inline(always)]
    fn le(self, b: Self) -> bool {
        self <= b
    }
    #[inline(always)]
    fn eq(self, b: Self) -> bool {
        self == b
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn add_exponent(self, n_plus_magic: Self) -> Self {
        f64::from_bits(self.to_bits().wrapping_add(n_plus_magic.to_bits() << 52))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = self.to_bits() as i64;
        let exponent = bits.wrapping_sub(ROOT_HALF) >> 52;
        (exponent as f64, f64::from_bits(bits.wrapping_sub(exponent << 52) as u64))
    }
}
