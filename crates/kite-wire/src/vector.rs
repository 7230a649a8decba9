//! Prices in rows: the order book and other neighbours, one by one or with the vector instructions of x86-64.

use market_model::{Depth, DepthLevel, Price};

use crate::packet::{price, word};

#[cfg(target_arch = "x86_64")]
mod x86;

/// Bytes of ten levels.
pub(crate) const DEPTH: usize = 10 * LEVEL;

/// Quantity, price, orders as two bytes, then two bytes of padding.
const LEVEL: usize = 12;

/// How rows of prices are read. Every way reads the same values.
pub(crate) trait PriceReader: Copy {
    /// Five bids and five offers.
    fn depth(self, bytes: &[u8; DEPTH], unit: i64, depth: &mut Depth);
    /// Four prices.
    fn four(self, bytes: &[u8; 16], unit: i64) -> [Price; 4];
}

/// A piece of work that is compiled once for each kind of processor. `run` must be `#[inline(always)]`.
pub(crate) trait WithPrices {
    /// Does the work.
    fn run<P: PriceReader>(self, prices: P);
}

/// Does `work` in the fastest way this processor has. Asking it costs a load and a branch.
#[inline]
pub(crate) fn with_vectors(work: impl WithPrices) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return avx2.run(work);
    }
    work.run(OneByOne);
}

/// Plain integers, on every processor.
#[derive(Clone, Copy)]
pub(crate) struct OneByOne;

// === impl OneByOne ===

impl PriceReader for OneByOne {
    #[inline(always)]
    fn depth(self, bytes: &[u8; DEPTH], unit: i64, depth: &mut Depth) {
        for (at, level) in depth.buy.iter_mut().chain(&mut depth.sell).enumerate() {
            let at = LEVEL * at;
            *level = DepthLevel {
                quantity: word(bytes, at),
                price: price(bytes, at + 4, unit),
                orders: u16::from_be_bytes([bytes[at + 8], bytes[at + 9]]),
            };
        }
    }

    #[inline(always)]
    fn four(self, bytes: &[u8; 16], unit: i64) -> [Price; 4] {
        [0, 4, 8, 12].map(|at| price(bytes, at, unit))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Reads a book and its first four words as prices, over what was in `depth`.
    struct Read<'a> {
        bytes: &'a [u8; DEPTH],
        unit: i64,
        depth: &'a mut Depth,
        prices: &'a mut [Price; 4],
    }

    impl WithPrices for Read<'_> {
        #[inline(always)]
        fn run<P: PriceReader>(self, prices: P) {
            prices.depth(self.bytes, self.unit, self.depth);
            *self.prices = prices.four(self.bytes.first_chunk().unwrap(), self.unit);
        }
    }

    proptest! {
        #[test]
        fn every_way_reads_the_same(bytes in vec(any::<u8>(), DEPTH), divisor in 0..8u32) {
            let bytes = bytes.as_slice().try_into().unwrap();
            let unit = 10i64.pow(divisor);
            let (mut plain, mut fast) = (Depth::default(), Depth::default());
            let (mut plain_prices, mut fast_prices) = ([Price::ZERO; 4], [Price::ZERO; 4]);
            Read { bytes, unit, depth: &mut plain, prices: &mut plain_prices }.run(OneByOne);
            with_vectors(Read { bytes, unit, depth: &mut fast, prices: &mut fast_prices });
            prop_assert_eq!(plain, fast);
            prop_assert_eq!(plain_prices, fast_prices);
        }
    }
}
