//! Opens recordings and hands out what they hold, record by record, in the order it was recorded.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use market_model::{ConnectionId, FeedEvent, InstrumentCatalog, UnixNanos};

use crate::ahead::ReadAhead;
use crate::block::{BlockReader, Entry, FrameKind, Hole};
use crate::error::RecordingError;
use crate::format::{BlockEntry, BlockKind};
use crate::instruments::{self, Problem};
use crate::scan::{RecordingFile, Unpacker};
use crate::volume;

/// A recording: one file, or all files of a folder in the order they were written.
#[derive(Debug, Clone)]
pub struct Recording {
    files: Vec<RecordingFile>,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Nothing recorded earlier; the instruments that were valid then are handed out all the same.
    pub from: Option<UnixNanos>,
    /// Nothing recorded later.
    pub to: Option<UnixNanos>,
    /// Only this account.
    pub account: Option<Arc<str>>,
    /// Only this connection of each account.
    pub connection: Option<u8>,
}

/// One thing a recording holds.
#[derive(Debug)]
#[non_exhaustive]
pub enum Record<'b> {
    /// A websocket frame as it left the socket.
    Frame {
        /// On which connection.
        connection: &'b ConnectionId,
        /// When it left the socket.
        ts: UnixNanos,
        /// Binary or text.
        kind: FrameKind,
        /// Its bytes.
        bytes: &'b [u8],
    },
    /// Something the feed said about itself.
    Event {
        /// When it was said.
        ts: UnixNanos,
        /// What.
        event: FeedEvent,
    },
    /// Something the recorder could not keep.
    Hole(Hole),
    /// These instruments are valid from here on.
    Instruments {
        /// Since when.
        ts: UnixNanos,
        /// The instruments.
        catalog: Arc<InstrumentCatalog>,
    },
}

/// Records on their way out of the files; see [`Recording::records`].
#[derive(Debug)]
pub struct Records {
    filter: RecordFilter,
    blocks: ReadAhead,
    /// The block that is being read.
    raw: Option<Vec<u8>>,
    place: Place,
    reader: BlockReader,
    /// The instruments handed out last, packed: a file begins with the same ones as the last ended with.
    known: Option<u64>,
    damaged: Vec<DamagedBlock>,
    unknown_events: u64,
}

/// A block that a reader had to leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBlock {
    /// In which file.
    pub path: Arc<Path>,
    /// Its place and header.
    pub entry: BlockEntry,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Where a block comes from.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: Arc<Path>,
    run: UnixNanos,
    entry: BlockEntry,
}

/// A block that was read.
#[derive(Debug)]
pub(crate) struct Unpacked {
    place: Place,
    raw: Result<Vec<u8>, &'static str>,
}

/// Which blocks of which files are read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) files: Vec<Blocks>,
}

/// Blocks of one file.
#[derive(Debug)]
pub(crate) struct Blocks {
    path: Arc<Path>,
    run: UnixNanos,
    entries: Vec<BlockEntry>,
}

// === impl Recording ===

impl Recording {
    /// Opens a recording file, or every one in a folder. Files that cannot be read as recordings are an error when
    /// named, and left out with a warning when found.
    ///
    /// # Errors
    /// When there is no file, or the one named cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(Self { files: vec![RecordingFile::open(path)?] });
        }
        let found = volume::list(path).map_err(RecordingError::io("list", path))?;
        let mut files = Vec::new();
        for file in found {
            match RecordingFile::open(&file.path) {
                Ok(file) => files.push(file),
                Err(error) => tracing::warn!(%error, "left out of the recording"),
            }
        }
        if files.is_empty() {
            return Err(RecordingError::NoFiles { path: path.to_owned() });
        }
        Ok(Self { files })
    }

    /// Its files, oldest first.
    pub fn files(&self) -> &[RecordingFile] {
        &self.files
    }

    /// From the earliest to the latest time in it.
    pub fn span(&self) -> RangeInclusive<UnixNanos> {
        let spans = || self.files.iter().map(RecordingFile::span);
        let first = spans().map(|span| span.0).min().unwrap_or_default();
        first..=spans().map(|span| span.1).max().unwrap_or_default()
    }

    /// The tick packets of the blocks that [`records`](Self::records) reads for `filter`, for showing progress.
    pub fn ticks(&self, filter: &RecordFilter) -> u64 {
        let plan = self.plan(filter);
        let blocks = plan.files.iter().flat_map(|file| &file.entries);
        blocks.map(|block| u64::from(block.header.ticks)).sum()
    }

    /// Reads what `filter` lets through. Blocks are read and unpacked ahead on a thread of their own, which ends
    /// with the records.
    ///
    /// # Errors
    /// When that thread cannot be started.
    pub fn records(&self, filter: RecordFilter) -> Result<Records, RecordingError> {
        let plan = self.plan(&filter);
        let nowhere = Place { path: Path::new("").into(), run: UnixNanos(0), entry: BlockEntry::NONE };
        Ok(Records {
            filter,
            blocks: ReadAhead::start(plan)?,
            raw: None,
            place: nowhere,
            reader: BlockReader::new(),
            known: None,
            damaged: Vec::new(),
            unknown_events: 0,
        })
    }

    /// The blocks whose time meets the filter's, and of the instruments before it the newest.
    fn plan(&self, filter: &RecordFilter) -> Plan {
        let mut plan = Plan { files: Vec::new() };
        let mut earlier: Option<Blocks> = None;
        for file in &self.files {
            let blocks = |entries| Blocks { path: file.path.as_path().into(), run: file.header.run, entries };
            let mut entries = Vec::new();
            for entry in &file.blocks {
                let header = &entry.header;
                if filter.to.is_some_and(|to| header.first > to) {
                    continue;
                }
                match header.kind {
                    BlockKind::Instruments if filter.from.is_some_and(|from| header.last < from) => {
                        earlier = Some(blocks(vec![*entry]));
                    }
                    BlockKind::Instruments => entries.push(*entry),
                    BlockKind::Records if filter.from.is_none_or(|from| header.last >= from) => {
                        entries.push(*entry);
                    }
                    _ => {}
                }
            }
            if !entries.is_empty() {
                plan.files.extend(earlier.take());
                plan.files.push(blocks(entries));
            }
        }
        plan
    }
}

// === impl Records ===

impl Records {
    /// The next record, `None` at the end. A damaged block is left out and listed in
    /// [`damaged`](Self::damaged).
    ///
    /// # Errors
    /// When a file cannot be read, or a block is malformed that is not damaged.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, RecordingError> {
        loop {
            if self.raw.is_none() && !self.next_block()? {
                return Ok(None);
            }
            if self.place.entry.header.kind == BlockKind::Instruments {
                match self.take_instruments()? {
                    None => continue,
                    some => return Ok(some),
                }
            }
            // The borrow checker cannot see that a record which is returned ends the loop, so the record is found
            // by its place first and borrowed at the end.
            match self.step()? {
                Step::EndOfBlock => {
                    if let Some(raw) = self.raw.take() {
                        self.blocks.give_back(raw);
                    }
                }
                Step::Skip => {}
                Step::Frame { connection, ts, kind, bytes } => {
                    let raw = self.raw.as_deref().unwrap_or_default();
                    let connection = self.reader.connection(connection);
                    return Ok(Some(Record::Frame { connection, ts, kind, bytes: &raw[bytes] }));
                }
                Step::Event { ts, event } => return Ok(Some(Record::Event { ts, event })),
                Step::Hole(hole) => return Ok(Some(Record::Hole(hole))),
            }
        }
    }

    /// The run that the last record is from; see [`FileHeader::run`](crate::FileHeader::run).
    pub fn run(&self) -> UnixNanos {
        self.place.run
    }

    /// Blocks that were left out so far.
    pub fn damaged(&self) -> &[DamagedBlock] {
        &self.damaged
    }

    /// Events of a later version that were left out so far.
    pub fn unknown_events(&self) -> u64 {
        self.unknown_events
    }

    fn next_block(&mut self) -> Result<bool, RecordingError> {
        while let Some(unpacked) = self.blocks.next()? {
            let Unpacked { place, raw } = unpacked;
            match raw {
                Ok(raw) => {
                    self.place = place;
                    self.raw = Some(raw);
                    self.reader.restart();
                    return Ok(true);
                }
                Err(problem) => {
                    let Place { path, entry, .. } = place;
                    tracing::warn!(path = %path.display(), block = entry.header.number, problem, "block left out");
                    self.damaged.push(DamagedBlock { path, entry, problem });
                }
            }
        }
        Ok(false)
    }

    fn take_instruments(&mut self) -> Result<Option<Record<'static>>, RecordingError> {
        let header = self.place.entry.header;
        let Some(raw) = self.raw.take() else {
            return Ok(None);
        };
        // The checksum is of the packed bytes; the length makes a chance equality yet less likely.
        let fingerprint = u64::from(header.checksum) << 32 | u64::from(header.raw);
        if self.known.replace(fingerprint) == Some(fingerprint) {
            return Ok(None);
        }
        let catalog = instruments::decode(&raw).map_err(|problem| match problem {
            Problem::Malformed(problem) => self.place.malformed(problem),
            Problem::Catalog(error) => RecordingError::Catalog(error),
        })?;
        Ok(Some(Record::Instruments { ts: header.first, catalog: Arc::new(catalog) }))
    }

    fn step(&mut self) -> Result<Step, RecordingError> {
        let raw = self.raw.as_deref().unwrap_or_default();
        let entry = self.reader.next(raw).map_err(|problem| self.place.malformed(problem))?;
        let filter = &self.filter;
        Ok(match entry {
            None => Step::EndOfBlock,
            Some(Entry::Frame { connection, ts, kind, bytes }) => {
                if filter.time(ts) && filter.connection(self.reader.connection(connection)) {
                    let start = bytes.as_ptr() as usize - raw.as_ptr() as usize;
                    Step::Frame { connection, ts, kind, bytes: start..start + bytes.len() }
                } else {
                    Step::Skip
                }
            }
            Some(Entry::Event { ts, event: Some(event) }) => match filter.time(ts) && filter.event(&event) {
                true => Step::Event { ts, event },
                false => Step::Skip,
            },
            Some(Entry::Event { event: None, .. }) => {
                self.unknown_events += 1;
                Step::Skip
            }
            Some(Entry::Hole(hole)) => {
                let concerns =
                    hole.connection.as_ref().is_none_or(|connection| filter.connection(connection));
                let early = filter.from.is_some_and(|from| hole.to < from);
                let late = filter.to.is_some_and(|to| hole.from > to);
                if concerns && !early && !late { Step::Hole(hole) } else { Step::Skip }
            }
        })
    }
}

enum Step {
    EndOfBlock,
    Skip,
    Frame { connection: usize, ts: UnixNanos, kind: FrameKind, bytes: std::ops::Range<usize> },
    Event { ts: UnixNanos, event: FeedEvent },
    Hole(Hole),
}

// === impl RecordFilter ===

impl RecordFilter {
    fn time(&self, ts: UnixNanos) -> bool {
        self.from.is_none_or(|from| ts >= from) && self.to.is_none_or(|to| ts <= to)
    }

    fn connection(&self, id: &ConnectionId) -> bool {
        self.account.as_ref().is_none_or(|account| *account == id.account)
            && self.connection.is_none_or(|index| index == id.index)
    }

    fn event(&self, event: &FeedEvent) -> bool {
        match concerned(event) {
            Concerned::Connection(id) => self.connection(id),
            Concerned::Account(name) => self.account.as_deref().is_none_or(|account| account == name),
        }
    }
}

/// Whom an event concerns.
pub(crate) enum Concerned<'e> {
    Connection(&'e ConnectionId),
    Account(&'e str),
}

/// Whom `event` concerns.
pub(crate) fn concerned(event: &FeedEvent) -> Concerned<'_> {
    match event {
        FeedEvent::Ticks(frame) => Concerned::Connection(&frame.connection),
        FeedEvent::Gap(gap) => Concerned::Connection(&gap.connection),
        FeedEvent::Silent(silence) => Concerned::Connection(&silence.connection),
        FeedEvent::RateCollapse(collapse) => Concerned::Connection(&collapse.connection),
        FeedEvent::Connected { connection, .. }
        | FeedEvent::Reconnecting { connection, .. }
        | FeedEvent::Reconnected { connection, .. }
        | FeedEvent::Disconnected { connection, .. }
        | FeedEvent::SilenceEnded { connection, .. }
        | FeedEvent::TokenGaps { connection, .. }
        | FeedEvent::RateRestored { connection, .. }
        | FeedEvent::Rotated { connection, .. }
        | FeedEvent::Subscriptions { connection, .. } => Concerned::Connection(connection),
        FeedEvent::TokenLost(loss) => Concerned::Account(&loss.account),
        FeedEvent::TokenRestored { account } => Concerned::Account(account),
        // One that this version cannot have read.
        _ => Concerned::Account(""),
    }
}

// === impl Place ===

impl Place {
    fn malformed(&self, problem: &'static str) -> RecordingError {
        let number = self.entry.header.number;
        RecordingError::Malformed { path: self.path.to_path_buf(), number, problem }
    }
}

// === impl Plan ===

impl Plan {
    /// Reads every block in order and hands it to `each` until that says to stop.
    pub(crate) fn read(
        self,
        mut reuse: impl FnMut() -> Option<Vec<u8>>,
        mut each: impl FnMut(Unpacked) -> bool,
    ) -> Result<(), RecordingError> {
        for Blocks { path, run, entries } in self.files {
            let file = File::open(&path).map_err(RecordingError::io("open", &path))?;
            let mut unpacker = Unpacker::new().map_err(RecordingError::io("prepare to unpack", &path))?;
            for entry in entries {
                if let Some(raw) = reuse() {
                    unpacker.reuse(raw);
                }
                let read = unpacker.unpack(&file, &entry).map_err(RecordingError::io("read", &path))?;
                let problem = read.err();
                let raw = problem.map_or_else(|| Ok(unpacker.take()), Err);
                if !each(Unpacked { place: Place { path: path.clone(), run, entry }, raw }) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
