//! The options that the fast kernel refuses, on their way to the wide one.

use crate::lanes::Mask;

/// How many may wait: enough that classes of them fill whole vectors, few enough for the first-level cache.
pub(crate) const ROOM: usize = 384;

/// Places in the chain, in order.
pub(crate) struct Refused {
    places: [usize; ROOM],
    count: usize,
}

impl Refused {
    pub(crate) const fn new() -> Self {
        Self { places: [0; ROOM], count: 0 }
    }

    /// Whether a block of `n` options fits, were all of them refused.
    #[inline(always)]
    pub(crate) fn has_room_for(&self, n: usize) -> bool {
        self.count + n <= ROOM
    }

    /// Adds the options outside the mask: the first `n` of a vector that begins at `start`.
    #[inline(always)]
    pub(crate) fn add<M: Mask>(&mut self, good: M, start: usize, n: usize) {
        let mut set = !good.bits() & ((1 << n.min(M::WIDTH)) - 1);
        while set != 0 {
            self.places[self.count] = start + set.trailing_zeros() as usize;
            self.count += 1;
            set &= set - 1;
        }
    }

    pub(crate) fn places(&self) -> &[usize] {
        &self.places[..self.count]
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }
}
