//! Where written bytes go: a vector that grows, or a page that fits the longest tick.
//!
//! A growing vector asks at every write whether it must move, and the compiler must expect that it does. The parts
//! of a tick have a known longest form (a test measures it), so they are written to a [`Page`] first, where
//! nothing is asked, and reach their vector in one piece.

/// Room for the longest tick without its names, twice. A power of two.
pub(crate) const PAGE: usize = 4096;

/// The most bytes of one write.
const LONGEST: usize = 144;

/// A short constant with room around it, so that it is written in one or two instructions whatever its length.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    bytes: [u8; 32],
    len: usize,
}

/// Takes pieces of text or binary, one after the other.
pub(crate) trait Target {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
    /// Appends the first `used` of `bytes`: a store of known length is one instruction.
    fn put_padded<const N: usize>(&mut self, bytes: [u8; N], used: usize);
    /// Appends a constant.
    fn put_piece(&mut self, piece: &Piece);
    /// Appends a short text that is no constant.
    fn put_word(&mut self, word: &str);
    /// How many bytes there are.
    fn position(&self) -> usize;
    /// Changes what stands at `at`, if anything does.
    fn patch(&mut self, at: usize, bytes: [u8; 2]);
}

/// Memory for one tick.
#[derive(Debug)]
pub(crate) struct Page(Box<[u8; PAGE + LONGEST]>);

/// Writes a tick into a [`Page`]. Only for pieces of at most [`LONGEST`] bytes.
///
/// Lives in a local variable: then the position is in a register, and no write waits for the one before.
pub(crate) struct Pen<'p> {
    page: &'p mut [u8; PAGE + LONGEST],
    at: usize,
}

// === impl Piece ===

impl Piece {
    /// At most 32 bytes of text.
    pub(crate) const fn text(text: &str) -> Self {
        Self::bytes(text.as_bytes())
    }

    /// At most 31 bytes as a MessagePack string.
    pub(crate) const fn packed(name: &str) -> Self {
        assert!(name.len() < 32);
        let mut packed = [0; 32];
        packed[0] = 0xa0 | name.len() as u8;
        let mut at = 0;
        while at < name.len() {
            packed[at + 1] = name.as_bytes()[at];
            at += 1;
        }
        Self { bytes: packed, len: name.len() + 1 }
    }

    const fn bytes(from: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let mut at = 0;
        while at < from.len() {
            bytes[at] = from[at];
            at += 1;
        }
        Self { bytes, len: from.len() }
    }
}

// === impl Target for Vec<u8> ===

impl Target for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_padded<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        self.extend_from_slice(bytes.get(..used).unwrap_or(&bytes));
    }

    fn put_piece(&mut self, piece: &Piece) {
        self.put_padded(piece.bytes, piece.len);
    }

    fn put_word(&mut self, word: &str) {
        self.put(word.as_bytes());
    }

    fn position(&self) -> usize {
        self.len()
    }

    fn patch(&mut self, at: usize, bytes: [u8; 2]) {
        if let Some(place) = self.get_mut(at..at + 2) {
            place.copy_from_slice(&bytes);
        }
    }
}

// === impl Page ===

impl Page {
    /// Begins a tick over whatever the page held.
    pub(crate) const fn pen(&mut self) -> Pen<'_> {
        Pen { page: &mut self.0, at: 0 }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self(Box::new([0; PAGE + LONGEST]))
    }
}

// === impl Pen ===

impl<'p> Pen<'p> {
    /// What was written.
    #[inline(always)]
    pub(crate) fn written(self) -> &'p [u8] {
        debug_assert!(self.at <= PAGE, "a tick is longer than its page");
        &self.page[..self.at % (PAGE + 1)]
    }

    /// The place of the next write. The position is below [`PAGE`] by far; saying so here takes the question
    /// whether the write fits out of the machine code.
    #[inline(always)]
    fn place(&mut self, len: usize) -> &mut [u8] {
        let at = self.at % PAGE;
        &mut self.page[at..at + len]
    }
}

impl Target for Pen<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= LONGEST);
        self.place(bytes.len()).copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline(always)]
    fn put_padded<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        const { assert!(N <= LONGEST) };
        self.place(N).copy_from_slice(&bytes);
        self.at += used;
    }

    #[inline(always)]
    fn put_piece(&mut self, piece: &Piece) {
        match piece.bytes.first_chunk::<16>() {
            Some(bytes) if piece.len <= 16 => self.put_padded(*bytes, piece.len),
            _ => self.put_padded(piece.bytes, piece.len),
        }
    }

    #[inline(always)]
    fn put_word(&mut self, word: &str) {
        let bytes = word.as_bytes();
        let place = self.place(16);
        // Two stores that overlap in the middle; a call for a few bytes costs more.
        match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) if bytes.len() <= 16 => {
                place[..8].copy_from_slice(first);
                place[bytes.len() - 8..bytes.len()].copy_from_slice(last);
                self.at += bytes.len();
            }
            _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(first), Some(last)) if bytes.len() < 8 => {
                    place[..4].copy_from_slice(first);
                    place[bytes.len() - 4..bytes.len()].copy_from_slice(last);
                    self.at += bytes.len();
                }
                _ => self.put(bytes),
            },
        }
    }

    #[inline(always)]
    fn position(&self) -> usize {
        self.at
    }

    #[inline(always)]
    fn patch(&mut self, at: usize, bytes: [u8; 2]) {
        let at = at % PAGE;
        self.page[at..at + 2].copy_from_slice(&bytes);
    }
}
