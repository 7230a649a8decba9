//! The operating system's randomness, replaced by the seed's.
//!
//! Tokio's `select!` and the standard library's hash maps draw on it, and neither can be told a seed. This program
//! answers instead of the C library, so that the first simulation of a process is a function of its seed alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// State of a Weyl sequence: the process's own, as the operating system's randomness is.
static STATE: AtomicU64 = AtomicU64::new(0);

/// From now on randomness comes from `seed`. Call it before anything else.
pub(crate) fn begin(seed: u64) {
    STATE.store(mix(seed), Ordering::Relaxed);
}

/// What the C library's function of this name does, without the randomness.
#[expect(unsafe_code, reason = "std and its users ask the C library for randomness by this name only")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    for at in 0..len {
        let word = mix(STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
        // SAFETY: the caller gives `len` bytes that may be written, as the C library's function demands.
        unsafe { buffer.add(at).write(word as u8) };
    }
    len as isize
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
