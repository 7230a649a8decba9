//! A chain goes to the lanes in blocks: which is next, and how the sides of its options get there.

use crate::lanes::{Lanes, WIDEST};
use crate::refused::Refused;
use crate::{OptionKind, Status};

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

/// How far a chain is done, one option after the other.
pub(crate) struct Progress<'a> {
    pub(crate) status: &'a mut [Status],
    /// The first option not yet seen.
    pub(crate) start: &'a mut usize,
    /// What is left to the wide kernel. When it is full the fast one stops.
    pub(crate) refused: &'a mut Refused,
}

impl Progress<'_> {
    /// The next block: its first option, how many options and how many vectors it has.
    #[inline(always)]
    pub(crate) fn next<V: Lanes>(&self) -> Option<(usize, usize, usize)> {
        let (start, total, block) = (*self.start, self.status.len(), V::WIDTH * V::VECTORS);
        if start >= total || !self.refused.has_room_for(block) {
            return None;
        }
        let n = (total - start).min(block);
        Some((start, n, n.div_ceil(V::WIDTH).min(V::VECTORS)))
    }

    /// Notes what became of a block. Options outside the masks are refused.
    #[inline(always)]
    pub(crate) fn close<V: Lanes>(
        &mut self,
        (start, n, vectors): (usize, usize, usize),
        good: &V::Block<V::Mask>,
    ) {
        self.status[start..start + n].fill(Status::Ok);
        for j in 0..vectors {
            let i = j * V::WIDTH;
            self.refused.add(good[j], start + i, n - i);
        }
        *self.start = start + n;
    }
}
