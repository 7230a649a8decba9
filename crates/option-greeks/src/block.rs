//! What both directions share: how many options a block holds, and how those the fast kernel refused are gathered.

use crate::OptionKind;
use crate::lanes::{Lanes, Mask, WIDEST};

/// Vectors per block: enough to fill the pipelines, few enough to stay in the first-level cache.
pub(crate) const VECTORS: usize = 12;
/// Options per block at the greatest width.
pub(crate) const LARGEST_BLOCK: usize = VECTORS * WIDEST;

/// The options of a block that the fast kernel refused, side by side.
pub(crate) struct Refused {
    pub(crate) place: [u8; LARGEST_BLOCK],
    pub(crate) strike: [f64; LARGEST_BLOCK],
    pub(crate) sign: [f64; LARGEST_BLOCK],
    /// Price, or volatility when pricing.
    pub(crate) number: [f64; LARGEST_BLOCK],
}

impl Default for Refused {
    fn default() -> Self {
        const ZEROS: [f64; LARGEST_BLOCK] = [0.0; LARGEST_BLOCK];
        Self { place: [0; LARGEST_BLOCK], strike: ZEROS, sign: ZEROS, number: ZEROS }
    }
}

impl Refused {
    /// Copies the options outside the masks; answers how many there are.
    #[inline(always)]
    pub(crate) fn gather<M: Mask>(
        &mut self,
        good: &[M],
        strikes: &[f64],
        kinds: &[OptionKind],
        numbers: &[f64],
    ) -> usize {
        let mut count = 0;
        for (j, mask) in good.iter().enumerate() {
            let i = j * M::WIDTH;
            let mut set = !mask.bits() & ((1 << (strikes.len() - i).min(M::WIDTH)) - 1);
            while set != 0 {
                let at = i + set.trailing_zeros() as usize;
                self.place[count] = at as u8;
                self.strike[count] = strikes[at];
                self.sign[count] = kinds[at].sign();
                self.number[count] = numbers[at];
                set &= set - 1;
                count += 1;
            }
        }
        count
    }
}

/// +1 for calls and -1 for puts, from the first of the kinds.
#[inline(always)]
pub(crate) fn signs<V: Lanes>(lane: V, kinds: &[OptionKind]) -> V {
    let mut bytes = [0; WIDEST];
    match kinds.first_chunk::<WIDEST>() {
        Some(kinds) => {
            for i in 0..WIDEST {
                bytes[i] = kinds[i] as u8;
            }
        }
        None => {
            for (byte, kind) in bytes.iter_mut().zip(kinds) {
                *byte = *kind as u8;
            }
        }
    }
    lane.signs(bytes)
}
