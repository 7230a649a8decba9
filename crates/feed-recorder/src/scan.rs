//! Finds the blocks of a file: by its index when it was closed, else by walking from block to block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use market_model::UnixNanos;

use crate::error::RecordingError;
use crate::format::{
    self, BLOCK_HEAD, BLOCK_MAGIC, BlockEntry, BlockHeader, BlockKind, FILE_HEAD, FileHeader, HeaderProblem,
    TRAILER,
};

/// One file of a recording, its blocks known and nothing unpacked.
#[derive(Debug, Clone)]
pub struct RecordingFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it begins.
    pub header: FileHeader,
    /// Its size.
    pub bytes: u64,
    /// Its whole blocks in the order they stand in it, without the index.
    pub blocks: Vec<BlockEntry>,
    /// Whether it was closed: it ends with an index. One that is being written, or whose writer was killed, does not.
    pub closed: bool,
    /// Bytes that belong to no whole block.
    pub damage: Vec<Damage>,
}

/// Bytes that belong to no whole block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
    /// Whether they are the end of the file: a block that was being written when the writer ended.
    pub torn_tail: bool,
}

// === impl RecordingFile ===

impl RecordingFile {
    /// Reads header and blocks' places.
    ///
    /// # Errors
    /// When the file cannot be read or does not begin as a recording. Whatever is damaged behind the header is in
    /// [`damage`](Self::damage), and costs only itself.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let file = File::open(path).map_err(RecordingError::io("open", path))?;
        let io = |error| RecordingError::io("read", path)(error);
        let bytes = file.metadata().map_err(io)?.len();
        let (header, start) = header_of(&file, path)?;
        let (blocks, damage, closed) = match by_index(&file, bytes).map_err(io)? {
            Some(blocks) => (blocks, Vec::new(), true),
            None => {
                let (blocks, damage) = by_walking(&file, start, bytes).map_err(io)?;
                (blocks, damage, false)
            }
        };
        Ok(Self { path: path.to_owned(), header, bytes, blocks, closed, damage })
    }

    /// The earliest and latest time in it; both its start when it holds nothing.
    pub fn span(&self) -> (UnixNanos, UnixNanos) {
        let records = || self.blocks.iter().filter(|block| block.header.kind == BlockKind::Records);
        let first = records().map(|block| block.header.first).min();
        let last = records().map(|block| block.header.last).max();
        (first.unwrap_or(self.header.start), last.unwrap_or(self.header.start))
    }
}

/// The header of the file at `path`.
pub(crate) fn read_header(path: &Path) -> Result<FileHeader, RecordingError> {
    let file = File::open(path).map_err(RecordingError::io("open", path))?;
    header_of(&file, path).map(|(header, _)| header)
}

fn header_of(file: &File, path: &Path) -> Result<(FileHeader, u64), RecordingError> {
    let not = |problem| RecordingError::NotARecording { path: path.to_owned(), problem };
    let problem = |problem| match problem {
        HeaderProblem::Not(problem) => not(problem),
        HeaderProblem::Version(found) => RecordingError::Version { path: path.to_owned(), found },
    };
    let read = |bytes: &mut [u8]| match file.read_exact_at(bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(not("it ends inside its header")),
        other => other.map_err(RecordingError::io("read", path)),
    };
    let mut head = [0; FILE_HEAD];
    read(&mut head)?;
    let mut whole = vec![0; FileHeader::length(&head).map_err(problem)?];
    read(&mut whole)?;
    Ok((FileHeader::decode(&whole).map_err(problem)?, whole.len() as u64))
}

/// The blocks as the index at the end of the file lists them; `None` when there is no sound one.
fn by_index(file: &File, bytes: u64) -> io::Result<Option<Vec<BlockEntry>>> {
    let Some(at) = bytes.checked_sub(TRAILER as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, at)?;
    let Some(offset) = format::decode_trailer(&trailer) else {
        return Ok(None);
    };
    let Some(entry) = block_at(file, offset, at)? else {
        return Ok(None);
    };
    if entry.header.kind != BlockKind::Index || entry.end() != at {
        return Ok(None);
    }
    let mut unpacker = Unpacker::new()?;
    let listed = match unpacker.unpack(file, &entry)? {
        Ok(payload) => format::decode_index(payload),
        Err(_) => None,
    };
    // Every block must stand before the index, or the index is of another file.
    Ok(listed.filter(|blocks| blocks.iter().all(|block| block.end() <= offset)))
}

/// The blocks found one behind the other. Where none begins, the next sound header is searched.
fn by_walking(file: &File, start: u64, bytes: u64) -> io::Result<(Vec<BlockEntry>, Vec<Damage>)> {
    let (mut blocks, mut damage) = (Vec::new(), Vec::new());
    let mut at = start;
    while at < bytes {
        let (entry, from) = match block_at(file, at, bytes)? {
            Some(entry) => (Some(entry), at),
            None => (search(file, at + 1, bytes)?, at),
        };
        let Some(entry) = entry else {
            damage.push(Damage { offset: from, bytes: bytes - from, torn_tail: true });
            break;
        };
        if entry.offset > from {
            damage.push(Damage { offset: from, bytes: entry.offset - from, torn_tail: false });
        }
        at = entry.end();
        if entry.header.kind != BlockKind::Index {
            blocks.push(entry);
        }
    }
    Ok((blocks, damage))
}

/// The block that begins at `offset` and ends before `end`. Its payload is checked when it is read.
fn block_at(file: &File, offset: u64, end: u64) -> io::Result<Option<BlockEntry>> {
    if offset.saturating_add(BLOCK_HEAD as u64) > end {
        return Ok(None);
    }
    let mut head = [0; BLOCK_HEAD];
    file.read_exact_at(&mut head, offset)?;
    let entry = BlockHeader::decode(&head).map(|header| BlockEntry { offset, header });
    Ok(entry.filter(|entry| entry.end() <= end))
}

fn search(file: &File, from: u64, end: u64) -> io::Result<Option<BlockEntry>> {
    const PIECE: usize = 1 << 20;
    let mut piece = vec![0; PIECE];
    let mut at = from;
    while at < end {
        let length = PIECE.min(usize::try_from(end - at).unwrap_or(PIECE));
        file.read_exact_at(&mut piece[..length], at)?;
        for (place, window) in piece[..length].windows(BLOCK_MAGIC.len()).enumerate() {
            if window == BLOCK_MAGIC
                && let Some(entry) = block_at(file, at + place as u64, end)?
            {
                return Ok(Some(entry));
            }
        }
        // A magic may stand across the border of two pieces.
        at += (length.saturating_sub(BLOCK_MAGIC.len() - 1)).max(1) as u64;
    }
    Ok(None)
}

/// Reads and unpacks blocks through reused buffers.
pub(crate) struct Unpacker {
    decompressor: zstd::bulk::Decompressor<'static>,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

// === impl Unpacker ===

impl Unpacker {
    pub(crate) fn new() -> io::Result<Self> {
        let decompressor = zstd::bulk::Decompressor::new()?;
        Ok(Self { decompressor, stored: Vec::new(), raw: Vec::new() })
    }

    /// Gives the buffer of a block that is done with back, so that the next one needs no memory.
    pub(crate) fn reuse(&mut self, raw: Vec<u8>) {
        self.raw = raw;
    }

    /// Takes the block that was unpacked last.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }

    /// The payload of a block, checked; the inner error says how it is damaged.
    pub(crate) fn unpack(
        &mut self,
        file: &File,
        entry: &BlockEntry,
    ) -> io::Result<Result<&[u8], &'static str>> {
        let header = &entry.header;
        self.stored.resize(header.stored as usize, 0);
        file.read_exact_at(&mut self.stored, entry.offset + BLOCK_HEAD as u64)?;
        if format::checksum(&self.stored) != header.checksum {
            return Ok(Err("its checksum does not match"));
        }
        self.raw.clear();
        if !header.compressed {
            self.raw.extend_from_slice(&self.stored);
        } else {
            self.raw.reserve(header.raw as usize);
            if self.decompressor.decompress_to_buffer(&self.stored, &mut self.raw).is_err() {
                return Ok(Err("it cannot be unpacked"));
            }
        }
        match self.raw.len() == header.raw as usize {
            true => Ok(Ok(&self.raw)),
            false => Ok(Err("it unpacks to another length")),
        }
    }
}
