//! The byte layout of a recording file; `docs/recording.md` describes it. All integers are little-endian.

use std::sync::Arc;

use market_model::UnixNanos;

/// The version of the layout that this crate writes, and the highest it reads.
pub const FORMAT_VERSION: u16 = 1;

/// The ending of a recording file's name.
pub const FILE_ENDING: &str = "kgr";

/// As PNG does it: a byte that is no text, the name, and a line end that a text transfer would change.
pub(crate) const MAGIC: [u8; 8] = *b"\x89KGREC\r\n";
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"KGBK";
pub(crate) const END_MAGIC: [u8; 8] = *b"KGRECEND";

/// Magic, version, flags, length of the body, checksum.
pub(crate) const FILE_HEAD: usize = 20;
pub(crate) const BLOCK_HEAD: usize = 56;
/// Offset of the index, its checksum, magic.
pub(crate) const TRAILER: usize = 20;

/// No block unpacks to more: a damaged length must not ask for all the memory there is.
pub(crate) const MAX_RAW: usize = 64 << 20;
const MAX_BODY: usize = 1 << 20;

/// An account whose feed is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAccount {
    /// Its name in the configuration; never an API key.
    pub name: Arc<str>,
    /// Whether its prices are simulated.
    pub simulated: bool,
}

/// What every recording file begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    /// The version of the layout.
    pub version: u16,
    /// When the file was begun.
    pub start: UnixNanos,
    /// When the first file of the same run was begun; it names the run.
    pub run: UnixNanos,
    /// Which file of the run this is, from 0.
    pub number: u32,
    /// The program that wrote it, with its version.
    pub writer: Arc<str>,
    /// The accounts it was told of.
    pub accounts: Vec<RecordedAccount>,
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockKind {
    /// Frames, events and holes.
    Records,
    /// The instruments that are valid from here on.
    Instruments,
    /// Where the blocks of the file stand; the last block of a file that was closed.
    Index,
}

/// What can be known about a block without unpacking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it holds.
    pub kind: BlockKind,
    /// Whether the payload is compressed with zstd.
    pub compressed: bool,
    /// Bytes of the payload in the file.
    pub stored: u32,
    /// Bytes of the payload when unpacked.
    pub raw: u32,
    /// Records in it.
    pub records: u32,
    /// Websocket frames among them.
    pub frames: u32,
    /// Tick packets that those frames declare.
    pub ticks: u32,
    /// Its place in the file, from 0.
    pub number: u32,
    /// The earliest time in it.
    pub first: UnixNanos,
    /// The latest time in it.
    pub last: UnixNanos,
    /// CRC-32 of the payload as it stands in the file.
    pub checksum: u32,
}

/// A block's place in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where its header begins.
    pub offset: u64,
    /// Its header.
    pub header: BlockHeader,
}

/// CRC-32 as in gzip and PNG, so that any language's standard library can check a file.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

// === impl FileHeader ===

impl FileHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.start.0.to_le_bytes());
        body.extend_from_slice(&self.run.0.to_le_bytes());
        body.extend_from_slice(&self.number.to_le_bytes());
        put_text(&mut body, &self.writer);
        body.extend_from_slice(&(self.accounts.len().min(usize::from(u16::MAX)) as u16).to_le_bytes());
        for account in self.accounts.iter().take(usize::from(u16::MAX)) {
            body.push(u8::from(account.simulated));
            put_text(&mut body, &account.name);
        }
        let simulated = self.accounts.iter().any(|account| account.simulated);
        let mut head = Vec::with_capacity(FILE_HEAD + body.len());
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&self.version.to_le_bytes());
        head.extend_from_slice(&u16::from(simulated).to_le_bytes());
        head.extend_from_slice(&(body.len() as u32).to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[8..]);
        crc.update(&body);
        head.extend_from_slice(&crc.finalize().to_le_bytes());
        head.extend_from_slice(&body);
        head
    }

    /// How long the whole header is, from its first [`FILE_HEAD`] bytes.
    pub(crate) fn length(head: &[u8; FILE_HEAD]) -> Result<usize, HeaderProblem> {
        if head[..8] != MAGIC {
            return Err(HeaderProblem::Not("it does not begin with a recording's magic bytes"));
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version == 0 || version > FORMAT_VERSION {
            return Err(HeaderProblem::Version(version));
        }
        let body = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
        if body > MAX_BODY {
            return Err(HeaderProblem::Not("its header is damaged"));
        }
        Ok(FILE_HEAD + body)
    }

    /// Reads a header of exactly the [`length`](Self::length) it declares.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderProblem> {
        let damaged = HeaderProblem::Not("its header is damaged");
        let (head, body) = bytes.split_first_chunk::<FILE_HEAD>().ok_or(damaged)?;
        if Self::length(head)? != bytes.len() {
            return Err(damaged);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[8..16]);
        crc.update(body);
        if crc.finalize().to_le_bytes() != head[16..20] {
            return Err(damaged);
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        Self::body(version, body).ok_or(damaged)
    }

    fn body(version: u16, mut body: &[u8]) -> Option<Self> {
        let body = &mut body;
        let start = UnixNanos(i64::from_le_bytes(take(body)?));
        let run = UnixNanos(i64::from_le_bytes(take(body)?));
        let number = u32::from_le_bytes(take(body)?);
        let writer = take_text(body)?;
        let count = u16::from_le_bytes(take(body)?);
        let account = |_| {
            let [simulated] = take(body)?;
            Some(RecordedAccount { simulated: simulated != 0, name: take_text(body)? })
        };
        let accounts = (0..count).map(account).collect::<Option<_>>()?;
        Some(Self { version, start, run, number, writer, accounts })
    }
}

/// What is wrong with the first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    Not(&'static str),
    Version(u16),
}

// === impl BlockHeader ===

impl BlockHeader {
    pub(crate) fn encode(&self) -> [u8; BLOCK_HEAD] {
        let mut out = [0; BLOCK_HEAD];
        out[..4].copy_from_slice(&BLOCK_MAGIC);
        out[4] = self.kind.byte();
        out[5] = u8::from(self.compressed);
        let counts = [self.stored, self.raw, self.records, self.frames, self.ticks, self.number];
        for (place, count) in out[8..32].chunks_exact_mut(4).zip(counts) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        out[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.last.0.to_le_bytes());
        out[48..52].copy_from_slice(&self.checksum.to_le_bytes());
        let own = checksum(&out[..52]);
        out[52..].copy_from_slice(&own.to_le_bytes());
        out
    }

    /// `None` when the bytes are not a block header of this version, whole and undamaged.
    pub(crate) fn decode(bytes: &[u8; BLOCK_HEAD]) -> Option<Self> {
        let mut rest = &bytes[8..];
        let rest = &mut rest;
        if bytes[..4] != BLOCK_MAGIC || checksum(&bytes[..52]).to_le_bytes() != bytes[52..] || bytes[5] > 1 {
            return None;
        }
        let kind = BlockKind::from_byte(bytes[4])?;
        let mut count = || take(rest).map(u32::from_le_bytes);
        let (stored, raw, records) = (count()?, count()?, count()?);
        let (frames, ticks, number) = (count()?, count()?, count()?);
        let first = UnixNanos(i64::from_le_bytes(take(rest)?));
        let last = UnixNanos(i64::from_le_bytes(take(rest)?));
        let checksum = u32::from_le_bytes(take(rest)?);
        let compressed = bytes[5] == 1;
        let header =
            Self { kind, compressed, stored, raw, records, frames, ticks, number, first, last, checksum };
        (raw as usize <= MAX_RAW).then_some(header)
    }
}

// === impl BlockKind ===

impl BlockKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Instruments => 2,
            Self::Index => 3,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Records,
            2 => Self::Instruments,
            3 => Self::Index,
            _ => return None,
        })
    }
}

// === impl BlockEntry ===

impl BlockEntry {
    /// Before the first block was read.
    pub(crate) const NONE: Self = Self {
        offset: 0,
        header: BlockHeader {
            kind: BlockKind::Records,
            compressed: false,
            stored: 0,
            raw: 0,
            records: 0,
            frames: 0,
            ticks: 0,
            number: 0,
            first: UnixNanos(0),
            last: UnixNanos(0),
            checksum: 0,
        },
    };

    /// Where the next block begins.
    pub fn end(&self) -> u64 {
        self.offset + BLOCK_HEAD as u64 + u64::from(self.header.stored)
    }
}

/// The payload of an index block: for each block its offset and its header as it stands there.
pub(crate) fn encode_index(blocks: &[BlockEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() * (8 + BLOCK_HEAD));
    for block in blocks {
        out.extend_from_slice(&block.offset.to_le_bytes());
        out.extend_from_slice(&block.header.encode());
    }
    out
}

pub(crate) fn decode_index(mut bytes: &[u8]) -> Option<Vec<BlockEntry>> {
    let mut blocks = Vec::with_capacity(bytes.len() / (8 + BLOCK_HEAD));
    while !bytes.is_empty() {
        let offset = u64::from_le_bytes(take(&mut bytes)?);
        blocks.push(BlockEntry { offset, header: BlockHeader::decode(&take(&mut bytes)?)? });
    }
    Some(blocks)
}

/// The last bytes of a file that was closed: where its index stands.
pub(crate) fn encode_trailer(index: u64) -> [u8; TRAILER] {
    let mut out = [0; TRAILER];
    out[..8].copy_from_slice(&index.to_le_bytes());
    out[8..12].copy_from_slice(&checksum(&index.to_le_bytes()).to_le_bytes());
    out[12..].copy_from_slice(&END_MAGIC);
    out
}

pub(crate) fn decode_trailer(bytes: &[u8; TRAILER]) -> Option<u64> {
    let (offset, rest) = bytes.split_first_chunk::<8>()?;
    let whole = rest[4..] == END_MAGIC && checksum(offset).to_le_bytes() == rest[..4];
    whole.then(|| u64::from_le_bytes(*offset))
}

// === bytes ===

/// Takes `N` bytes off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // A longer one would be no name; it is cut where a character begins.
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<Arc<str>> {
    let len = usize::from(u16::from_le_bytes(take(bytes)?));
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        let account = |name: &str, simulated| RecordedAccount { name: name.into(), simulated };
        FileHeader {
            version: FORMAT_VERSION,
            start: UnixNanos::from_secs(1_800_000_000),
            run: UnixNanos::from_secs(1_799_999_000),
            number: 3,
            writer: "test 1.0".into(),
            accounts: vec![account("alpha", false), account("βeta", true)],
        }
    }

    #[test]
    fn a_file_header_comes_back_and_every_flipped_bit_is_found() {
        let bytes = header().encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header()));
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(FileHeader::decode(&damaged).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(FileHeader::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(FileHeader::decode(&bytes), Err(HeaderProblem::Version(2)));
    }

    #[test]
    fn a_block_header_comes_back_and_every_flipped_bit_is_found() {
        let header = BlockHeader {
            kind: BlockKind::Records,
            compressed: true,
            stored: 1,
            raw: 2,
            records: 3,
            frames: 4,
            ticks: 5,
            number: 6,
            first: UnixNanos(-7),
            last: UnixNanos(8),
            checksum: 9,
        };
        let bytes = header.encode();
        assert_eq!(BlockHeader::decode(&bytes), Some(header));
        for at in 0..BLOCK_HEAD * 8 {
            let mut damaged = bytes;
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(BlockHeader::decode(&damaged), None, "bit {at}");
        }
        let index = encode_index(&[BlockEntry { offset: 77, header }]);
        assert_eq!(decode_index(&index), Some(vec![BlockEntry { offset: 77, header }]));
        assert_eq!(decode_index(&index[1..]), None);
        assert_eq!(decode_trailer(&encode_trailer(99)), Some(99));
    }
}
