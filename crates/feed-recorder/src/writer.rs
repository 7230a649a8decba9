//! Writes blocks into rotated files and keeps the folder within its budget. Never waits for anything but the disk.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use market_model::{InstrumentCatalog, UnixNanos};

use crate::block::BlockBuilder;
use crate::config::RecorderConfig;
use crate::error::RecordingError;
use crate::format::{
    self, BLOCK_HEAD, BlockEntry, BlockHeader, BlockKind, FILE_ENDING, FORMAT_VERSION, FileHeader,
    RecordedAccount,
};
use crate::instruments;
use crate::volume::{StoredFile, Volume, VolumeFile};

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Written {
    pub(crate) blocks: u64,
    pub(crate) raw_bytes: u64,
    /// Bytes in files, headers and indexes included.
    pub(crate) file_bytes: u64,
    pub(crate) files: u64,
    pub(crate) deleted_files: u64,
    pub(crate) deleted_bytes: u64,
}

/// Writes one run.
pub(crate) struct Writer {
    config: RecorderConfig,
    volume: Box<dyn Volume>,
    compressor: zstd::bulk::Compressor<'static>,
    /// A block, header first, on its way to the file.
    buffer: Vec<u8>,
    run: Option<UnixNanos>,
    next_number: u32,
    /// The instruments' block payload, compressed, for the beginning of every file.
    instruments: Option<Payload>,
    open: Option<OpenFile>,
    /// Closed files, oldest first.
    stored: VecDeque<StoredFile>,
    listed: bool,
    written: Written,
}

struct OpenFile {
    path: PathBuf,
    file: Box<dyn VolumeFile>,
    start: UnixNanos,
    length: u64,
    blocks: Vec<BlockEntry>,
    synced: UnixNanos,
}

#[derive(Clone)]
struct Payload {
    bytes: Vec<u8>,
    compressed: bool,
    raw: u32,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(config: RecorderConfig, volume: Box<dyn Volume>) -> Result<Self, RecordingError> {
        let compressor = zstd::bulk::Compressor::new(config.compression)
            .map_err(RecordingError::io("prepare compression for", &config.folder))?;
        Ok(Self {
            config,
            volume,
            compressor,
            buffer: Vec::new(),
            run: None,
            next_number: 0,
            instruments: None,
            open: None,
            stored: VecDeque::new(),
            listed: false,
            written: Written::default(),
        })
    }

    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// The file being written.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| &*open.path)
    }

    /// Bytes of all recordings in the folder.
    pub(crate) fn total_bytes(&self) -> u64 {
        let stored: u64 = self.stored.iter().map(|file| file.bytes).sum();
        stored + self.open.as_ref().map_or(0, |open| open.length)
    }

    /// Appends a block of records. After an error the file ends with the block before it, and the call can be
    /// repeated.
    pub(crate) fn write_block(&mut self, block: &BlockBuilder, now: UnixNanos) -> Result<(), RecordingError> {
        let payload = self.compress(block.raw());
        let (records, frames, ticks) = block.counts();
        let (first, last) = block.span();
        let counts = Counts { records, frames, ticks, first, last };
        self.rotate_if_due(payload.bytes.len() as u64, now)?;
        self.ensure_open(now)?;
        self.append(BlockKind::Records, &payload, counts)?;
        self.written.raw_bytes += u64::from(payload.raw);
        self.buffer = payload.bytes;
        self.sync_if_due(now);
        Ok(())
    }

    /// From here on these instruments are valid: said at once, and at the beginning of every later file.
    pub(crate) fn write_instruments(
        &mut self,
        catalog: &InstrumentCatalog,
        now: UnixNanos,
    ) -> Result<(), RecordingError> {
        let payload = self.compress(&instruments::encode(catalog));
        let fresh = self.open.is_none();
        self.instruments = Some(payload.clone());
        self.ensure_open(now)?;
        if !fresh {
            self.append(BlockKind::Instruments, &payload, Counts::at(now))?;
        }
        Ok(())
    }

    /// These accounts are recorded too. A file that does not name them is closed.
    pub(crate) fn take_accounts(&mut self, accounts: &[RecordedAccount]) -> Result<(), RecordingError> {
        if accounts.iter().all(|account| self.config.accounts.contains(account)) {
            return Ok(());
        }
        self.finish()?;
        let known = &mut self.config.accounts;
        known.retain(|known| accounts.iter().all(|account| account.name != known.name));
        known.extend_from_slice(accounts);
        Ok(())
    }

    /// Closes the file with its index and makes it safe.
    pub(crate) fn finish(&mut self) -> Result<(), RecordingError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let (index, span) = (format::encode_index(&open.blocks), open.span());
        let payload = self.compress(&index);
        let counts = Counts { records: 0, frames: 0, ticks: 0, first: span.0, last: span.1 };
        self.append(BlockKind::Index, &payload, counts)?;
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let at = open.blocks.last().map_or(0, |index| index.offset);
        let trailer = format::encode_trailer(at);
        let ended = open.file.append(&trailer).and_then(|()| open.file.sync());
        self.written.file_bytes += trailer.len() as u64;
        let bytes = open.length + trailer.len() as u64;
        self.stored.push_back(StoredFile { path: open.path.clone(), bytes, start: open.start });
        // Without its trailer the file is still whole: its index is found by reading the blocks.
        ended.map_err(RecordingError::io("close", &open.path))
    }

    fn compress(&mut self, raw: &[u8]) -> Payload {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        bytes.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        let smaller = self.compressor.compress_to_buffer(raw, &mut bytes).is_ok_and(|len| len < raw.len());
        if !smaller {
            bytes.clear();
            bytes.extend_from_slice(raw);
        }
        Payload { bytes, compressed: smaller, raw: raw.len() as u32 }
    }

    fn rotate_if_due(&mut self, incoming: u64, now: UnixNanos) -> Result<(), RecordingError> {
        let largest = self.config.max_file_bytes.min(self.config.max_total_bytes / 4);
        let due = self.open.as_ref().is_some_and(|open| {
            let has_records = open.blocks.iter().any(|block| block.header.kind == BlockKind::Records);
            let too_large = open.length + incoming + BLOCK_HEAD as u64 > largest;
            has_records && (too_large || now.saturating_since(open.start) >= self.config.max_file_age)
        });
        if due { self.finish() } else { Ok(()) }
    }

    fn ensure_open(&mut self, now: UnixNanos) -> Result<(), RecordingError> {
        if !self.listed {
            let folder = self.config.folder.clone();
            let stored = self.volume.list(&folder).map_err(RecordingError::io("list", &folder))?;
            self.stored = stored.into();
            self.listed = true;
        }
        if self.open.is_none() {
            self.keep_within_budget(0, now)?;
            self.begin_file(now)?;
        }
        Ok(())
    }

    fn begin_file(&mut self, now: UnixNanos) -> Result<(), RecordingError> {
        let run = *self.run.get_or_insert(now);
        let header = FileHeader {
            version: FORMAT_VERSION,
            start: now,
            run,
            number: self.next_number,
            writer: self.config.writer.clone(),
            accounts: self.config.accounts.clone(),
        };
        let (path, file) = self.create(now)?;
        self.next_number += 1;
        self.written.files += 1;
        self.open = Some(OpenFile { path, file, start: now, length: 0, blocks: Vec::new(), synced: now });
        let begun = self.append_bytes(&header.encode()).and_then(|()| match self.instruments.clone() {
            Some(payload) => self.append(BlockKind::Instruments, &payload, Counts::at(now)),
            None => Ok(()),
        });
        if begun.is_err()
            && let Some(open) = self.open.take()
        {
            // A file without instruments, or with half a header, would only confuse.
            let _ = self.volume.remove(&open.path);
        }
        begun
    }

    /// A new file named after `now`; a number behind it when that name is taken.
    fn create(&mut self, now: UnixNanos) -> Result<(PathBuf, Box<dyn VolumeFile>), RecordingError> {
        let stamp = stamp(now);
        for number in 0..1000 {
            let name = match number {
                0 => format!("{stamp}.{FILE_ENDING}"),
                _ => format!("{stamp}-{number}.{FILE_ENDING}"),
            };
            let path = self.config.folder.join(name);
            match self.volume.create(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RecordingError::io("make", &path)(error)),
            }
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(RecordingError::io("make a file in", &self.config.folder)(taken))
    }

    fn append(&mut self, kind: BlockKind, payload: &Payload, counts: Counts) -> Result<(), RecordingError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let header = BlockHeader {
            kind,
            compressed: payload.compressed,
            stored: payload.bytes.len() as u32,
            raw: payload.raw,
            records: counts.records,
            frames: counts.frames,
            ticks: counts.ticks,
            number: open.blocks.len() as u32,
            first: counts.first,
            last: counts.last,
            checksum: format::checksum(&payload.bytes),
        };
        let entry = BlockEntry { offset: open.length, header };
        self.keep_within_budget(BLOCK_HEAD as u64 + payload.bytes.len() as u64, counts.last)?;
        let good = entry.offset;
        self.append_bytes(&header.encode())?;
        if let Err(error) = self.append_bytes(&payload.bytes) {
            self.forget_behind(good);
            return Err(error);
        }
        self.written.blocks += 1;
        if let Some(open) = &mut self.open {
            open.blocks.push(entry);
        }
        Ok(())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        match open.file.append(bytes) {
            Ok(()) => {
                open.length += bytes.len() as u64;
                self.written.file_bytes += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                let (error, good) = (RecordingError::io("write", &open.path)(error), open.length);
                self.forget_behind(good);
                Err(error)
            }
        }
    }

    /// After a failed write: the file ends at `good` again, or is given up when even that fails.
    fn forget_behind(&mut self, good: u64) {
        if let Some(mut open) = self.open.take() {
            self.written.file_bytes -= open.length - good;
            open.length = good;
            if open.file.truncate(good).is_ok() {
                self.open = Some(open);
            } else {
                self.stored.push_back(StoredFile { path: open.path, bytes: good, start: open.start });
            }
        }
    }

    /// Deletes the oldest closed files until `incoming` bytes fit into the budget and none is too old.
    fn keep_within_budget(&mut self, incoming: u64, now: UnixNanos) -> Result<(), RecordingError> {
        let too_old = |file: &StoredFile| {
            self.config.max_age.is_some_and(|age: Duration| now.saturating_since(file.start) > age)
        };
        while let Some(oldest) = self.stored.front()
            && (self.total_bytes() + incoming > self.config.max_total_bytes || too_old(oldest))
        {
            self.volume.remove(&oldest.path).map_err(RecordingError::io("delete", &oldest.path))?;
            self.written.deleted_files += 1;
            self.written.deleted_bytes += oldest.bytes;
            self.stored.pop_front();
        }
        Ok(())
    }

    fn sync_if_due(&mut self, now: UnixNanos) {
        if let Some(open) = &mut self.open
            && now.saturating_since(open.synced) >= self.config.sync_interval
        {
            open.synced = now;
            // The block is in the file all the same; writing it again would double it.
            if let Err(error) = open.file.sync() {
                tracing::warn!(path = %open.path.display(), %error, "recording could not be synced to disk");
            }
        }
    }
}

// === impl OpenFile ===

impl OpenFile {
    fn span(&self) -> (UnixNanos, UnixNanos) {
        let first = self.blocks.iter().map(|block| block.header.first).min();
        let last = self.blocks.iter().map(|block| block.header.last).max();
        (first.unwrap_or(self.start), last.unwrap_or(self.start))
    }
}

struct Counts {
    records: u32,
    frames: u32,
    ticks: u32,
    first: UnixNanos,
    last: UnixNanos,
}

impl Counts {
    /// One record, at one moment.
    fn at(now: UnixNanos) -> Self {
        Self { records: 1, frames: 0, ticks: 0, first: now, last: now }
    }
}

/// `now` for a file's name: sorts as text, has no character that a shell minds.
fn stamp(now: UnixNanos) -> String {
    let Ok(at) = jiff::Timestamp::from_nanosecond(i128::from(now.0)) else {
        return format!("{:020}", now.0);
    };
    at.strftime("%Y%m%dT%H%M%S%.3fZ").to_string().replace('.', "")
}
