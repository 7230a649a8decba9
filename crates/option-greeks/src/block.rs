//! How the sides of options reach the lanes.

use crate::OptionKind;
use crate::lanes::{Lanes, WIDEST};

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
