//! Where written bytes go: a vector that grows, or the next page of a payload, which fits the longest tick.
//!
//! A growing vector asks at every write whether it must move, and the compiler must expect that it does. The parts
//! of a tick have a known longest form (a test measures it), so a [`Sheet`] makes room for that once, and a [`Pen`] then
//! writes without asking.

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

/// How much of the room of a [`Sheet`] is made at once.
const ROOM: usize = 4 * PAGE;

/// A payload under construction. Its memory is ahead of it, filled with zeros or with what an older payload left there.
#[derive(Debug)]
pub(crate) struct Sheet {
    memory: Vec<u8>,
    at: usize,
}

/// Writes a tick at the end of a [`Sheet`]. Only for pieces of at most [`LONGEST`] bytes.
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

// === impl Sheet ===

impl Sheet {
    /// Begins a payload over what stands in `memory`.
    pub(crate) const fn over(memory: Vec<u8>) -> Self {
        Self { memory, at: 0 }
    }

    /// How long the payload is.
    pub(crate) const fn len(&self) -> usize {
        self.at
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.memory[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Room for a tick; [`advance`](Self::advance) by what was written to it.
    #[inline(always)]
    pub(crate) fn pen(&mut self) -> Pen<'_> {
        self.make_room(PAGE + LONGEST);
        match self.memory[self.at..].first_chunk_mut() {
            Some(page) => Pen { page, at: 0 },
            None => unreachable!("there is room for a page"),
        }
    }

    pub(crate) const fn advance(&mut self, by: usize) {
        self.at += by;
    }

    /// To change what was written.
    pub(crate) const fn written(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// The payload.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.memory.truncate(self.at);
        self.memory
    }

    #[inline(always)]
    fn make_room(&mut self, bytes: usize) {
        if self.memory.len() < self.at + bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        // Not all of the capacity: what is never written need not be filled.
        self.memory.resize(self.at + bytes + ROOM, 0);
    }
}

// === impl Pen ===

impl Pen<'_> {
    /// How much was written.
    #[inline(always)]
    pub(crate) fn written(self) -> usize {
        debug_assert!(self.at <= PAGE, "a tick is longer than its page");
        self.at
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
