//! Where a dump comes from: chunks in through a bounded channel, read on a thread that carries no ticks.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use market_model::Instrument;
use tokio::sync::mpsc;

/// Chunks on their way to the parser: with the usual 16-64 KiB each this is less than a megabyte.
const CHUNKS: usize = 8;

/// Gets dumps and knows how they are written. The gateway has one for the broker.
pub trait DumpSource: Send + Sync + 'static {
    /// Downloads the dump and hands it on chunk by chunk, decompressed.
    ///
    /// # Errors
    /// A text that says why there is no dump.
    ///
    /// # Cancel safety
    /// Dropping the future ends the download; the parser sees a dump that is cut off.
    fn fetch(&self, into: &mut DumpWriter) -> impl Future<Output = Result<(), String>> + Send;

    /// Reads the rows. Called on a thread that may block; expiries need no instant, the registry asks its calendar.
    ///
    /// # Errors
    /// A text that says why this is no dump; the same for a row.
    fn rows(dump: DumpReader) -> Result<impl Iterator<Item = Result<Instrument, String>>, String>;
}

/// Takes a dump chunk by chunk.
#[derive(Debug)]
pub struct DumpWriter {
    chunks: mpsc::Sender<Bytes>,
    seen: Arc<Seen>,
    most_bytes: u64,
}

/// Whoever reads the dump has given up, and will say why: stop the download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dump is not wanted any more")]
pub struct DumpRefused;

/// Reads a dump while it is being downloaded. Blocks, so not for async code.
#[derive(Debug)]
pub struct DumpReader {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
    seen: Arc<Seen>,
}

/// What passed through, for whoever judges the dump afterwards.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    bytes: AtomicU64,
    last: AtomicU8,
    finished: AtomicBool,
    too_large: AtomicBool,
    refused: AtomicBool,
}

pub(crate) fn dump_channel(most_bytes: u64) -> (DumpWriter, DumpReader, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let writer = DumpWriter { chunks: sender, seen: seen.clone(), most_bytes };
    (writer, DumpReader { chunks: receiver, current: Bytes::new(), seen: seen.clone() }, seen)
}

// === impl DumpWriter ===

impl DumpWriter {
    /// Hands on the next bytes of the dump; waits while the parser is behind.
    ///
    /// # Errors
    /// [`DumpRefused`] when the rest of the dump is of no use.
    ///
    /// # Cancel safety
    /// The chunk is handed on whole or not at all.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), DumpRefused> {
        let Some(last) = chunk.last().copied() else { return Ok(()) };
        let bytes = self.seen.bytes.load(Ordering::Relaxed) + chunk.len() as u64;
        if bytes > self.most_bytes {
            self.seen.too_large.store(true, Ordering::Release);
            return Err(DumpRefused);
        }
        self.seen.bytes.store(bytes, Ordering::Relaxed);
        self.seen.last.store(last, Ordering::Relaxed);
        self.chunks.send(chunk).await.map_err(|_| {
            self.seen.refused.store(true, Ordering::Release);
            DumpRefused
        })
    }

    /// The dump is complete. A writer that is dropped instead leaves a dump that is cut off.
    pub(crate) fn finish(self) {
        self.seen.finished.store(true, Ordering::Release);
    }
}

// === impl DumpReader ===

impl Read for DumpReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None if self.seen.finished.load(Ordering::Acquire) => return Ok(0),
                None => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download was broken off"));
                }
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all of it came, down to the end of its last line.
    pub(crate) fn is_whole(&self) -> bool {
        self.finished.load(Ordering::Acquire) && self.last.load(Ordering::Relaxed) == b'\n'
    }

    /// Whether the parser gave up before the end.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    pub(crate) fn was_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }
}
