//! Bytes under construction, written into room that exists already.
//!
//! A growing vector asks at every write whether it must move, and the compiler must expect that it does. Here
//! a write that does not fit is left out and remembered; the caller grows the room once and writes its piece again.

/// A buffer with a write position.
#[derive(Debug, Default)]
pub(crate) struct Room {
    bytes: Vec<u8>,
    at: usize,
    is_short: bool,
}

// === impl Room ===

impl Room {
    /// Goes on after what `bytes` has.
    pub(crate) const fn after(bytes: Vec<u8>) -> Self {
        Self { at: bytes.len(), bytes, is_short: false }
    }

    /// Forgets what was written and keeps the room.
    pub(crate) const fn clear(&mut self) {
        self.at = 0;
    }

    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// The vector, without the room that was not used.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// Whether what was written since `start` did not fit. Then the room is larger now, the position is `start`
    /// again, and the same is to be written again.
    pub(crate) fn was_short(&mut self, start: usize) -> bool {
        if !self.is_short {
            return false;
        }
        self.is_short = false;
        self.at = start;
        self.bytes.resize((self.bytes.len() * 2).max(4096), 0);
        true
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.is_short = true,
        }
    }

    /// Writes all of `bytes` and keeps the first `used`: a store of known length is one instruction.
    #[inline(always)]
    pub(crate) fn put_padded<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        match self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
            Some(place) => {
                *place = bytes;
                self.at += used;
            }
            None => self.is_short = true,
        }
    }

    /// Changes what stands at `at`, if anything does.
    pub(crate) fn patch(&mut self, at: usize, bytes: [u8; 2]) {
        if let Some(place) = self.bytes.get_mut(at..at + 2) {
            place.copy_from_slice(&bytes);
        }
    }
}
