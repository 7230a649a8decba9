//! The instrument dumps, piece by piece: a whole one need not fit into memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use flate2::write::GzDecoder;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kite_wire::api::{ApiRequest, RequestClass};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::body::{is_gzip, read_whole};
use super::error::RestError;
use super::metrics::RestMetrics;
use super::pace::PacePermit;
use super::pool::Lease;
use super::transport::send;
use super::{KiteRest, Pool};

/// So much is decompressed at once. Gzip grows by 1032 at most, so a piece has four million bytes at most.
const PACKED_PIECE: usize = 4096;

/// Pieces between the network and a reader on another thread.
const PIECES_AHEAD: usize = 4;

/// An instrument dump on its way. Dropping it closes the connection.
pub struct DumpStream {
    body: Incoming,
    unpack: Option<GzDecoder<Vec<u8>>>,
    packed: VecDeque<Bytes>,
    deadline: Instant,
    patience: std::time::Duration,
    limit: usize,
    taken: usize,
    lease: Option<Lease>,
    _permit: PacePermit,
    tally: Tally,
}

/// Counts the call once: as it ended, or as unreadable when whoever asked gave up before.
struct Tally {
    metrics: RestMetrics,
    class: RequestClass,
    begun: Instant,
    told: bool,
}

/// The end of a dump that a parser reads, on a thread that may block. Made by [`DumpStream::into_reader`].
#[derive(Debug)]
pub struct DumpReader {
    pieces: mpsc::Receiver<Result<Bytes, RestError>>,
    current: Bytes,
    ended: bool,
}

/// The end of a dump that fetches it for a [`DumpReader`].
pub struct DumpFeed {
    dump: DumpStream,
    pieces: mpsc::Sender<Result<Bytes, RestError>>,
}

// === impl DumpStream ===

impl DumpStream {
    pub(super) async fn begin(rest: &KiteRest, request: &ApiRequest) -> Result<Self, RestError> {
        rest.identity.check(request)?;
        let mut tally = Tally::new(rest.metrics.clone(), request.class);
        match Self::answered(rest, request).await {
            Ok((body, gzip, lease, deadline, permit)) => Ok(Self {
                body,
                unpack: gzip.then(|| GzDecoder::new(Vec::new())),
                packed: VecDeque::new(),
                deadline,
                patience: rest.config.dump_timeout,
                limit: rest.config.max_dump,
                taken: 0,
                lease: Some(lease),
                _permit: permit,
                tally,
            }),
            Err(error) => {
                tally.ended(error.outcome());
                Err(error)
            }
        }
    }

    /// Asks, and answers with a body that is a dump.
    async fn answered(
        rest: &KiteRest,
        request: &ApiRequest,
    ) -> Result<(Incoming, bool, Lease, Instant, PacePermit), RestError> {
        let patience = rest.config.dump_timeout;
        let deadline = Instant::now() + patience;
        let permit = rest.pace.acquire(request.class).await?;
        let begin = async {
            let lease = Pool::lease(&rest.read_pool).await?;
            send(&rest.read_pool, &rest.identity, lease, request).await
        };
        let begun = timeout_at(deadline, begin).await;
        let (lease, response) = begun.unwrap_or(Err(RestError::Timeout(patience)))?;
        let (head, body) = response.into_parts();
        let gzip = is_gzip(&head.headers)?;
        if head.status != StatusCode::OK {
            let whole = timeout_at(deadline, read_whole(body, gzip, rest.config.max_body)).await;
            let whole = whole.unwrap_or(Err(RestError::Timeout(patience)))?;
            lease.give_back();
            let refused = rest.identity.accept(head.status, &head.headers, whole);
            if refused.as_ref().is_err_and(RestError::is_too_fast) {
                rest.pace.too_fast(request.class);
            }
            return Err(refused.err().unwrap_or(RestError::NotKite { status: head.status.as_u16() }));
        }
        Ok((body, gzip, lease, deadline, permit))
    }

    /// The next piece of CSV text, at most four million bytes; `None` after the last. A dump that breaks off ends in an
    /// error, never in `None`.
    ///
    /// # Errors
    /// [`RestError`]; the dump cannot be continued after one.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RestError> {
        let piece = self.next_uncounted().await;
        match &piece {
            Ok(Some(_)) => {}
            Ok(None) => self.tally.ended("ok"),
            Err(error) => self.tally.ended(error.outcome()),
        }
        piece
    }

    async fn next_uncounted(&mut self) -> Result<Option<Bytes>, RestError> {
        loop {
            if let Some(piece) = self.unpacked()? {
                self.taken += piece.len();
                if self.taken > self.limit {
                    return Err(RestError::TooLarge { limit: self.limit });
                }
                return Ok(Some(piece));
            }
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            match frame.map_err(|_elapsed| RestError::Timeout(self.patience))? {
                Some(Ok(frame)) => self.packed.extend(frame.into_data().ok()),
                Some(Err(error)) => return Err(RestError::Broken(error.to_string())),
                None => return self.end(),
            }
        }
    }

    /// Splits it for a parser that blocks: run the feed on the runtime and the reader on a thread of its own, both at
    /// once. At most a few pieces are in memory.
    pub fn into_reader(self) -> (DumpFeed, DumpReader) {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let reader = DumpReader { pieces: receiver, current: Bytes::new(), ended: false };
        (DumpFeed { dump: self, pieces: sender }, reader)
    }

    /// What is in hand, decompressed; `None` when more is needed.
    fn unpacked(&mut self) -> Result<Option<Bytes>, RestError> {
        let Some(unpack) = &mut self.unpack else {
            return Ok(self.packed.pop_front().filter(|piece| !piece.is_empty()));
        };
        while let Some(front) = self.packed.front_mut() {
            let piece = front.split_to(front.len().min(PACKED_PIECE));
            if front.is_empty() {
                self.packed.pop_front();
            }
            unpack.write_all(&piece).map_err(|error| damaged(&error))?;
            if !unpack.get_ref().is_empty() {
                return Ok(Some(std::mem::take(unpack.get_mut()).into()));
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Bytes>, RestError> {
        if let Some(mut unpack) = self.unpack.take() {
            // Checks length and checksum, so a torn archive does not pass for a short dump.
            unpack.try_finish().map_err(|error| damaged(&error))?;
            let rest = std::mem::take(unpack.get_mut());
            if !rest.is_empty() {
                return Ok(Some(rest.into()));
            }
        }
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        Ok(None)
    }
}

fn damaged(error: &io::Error) -> RestError {
    RestError::Broken(format!("the compressed answer is damaged: {error}"))
}

// === impl Tally ===

impl Tally {
    fn new(metrics: RestMetrics, class: RequestClass) -> Self {
        Self { metrics, class, begun: Instant::now(), told: false }
    }

    /// The first end counts: what is asked after it says nothing new.
    fn ended(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.told, true) {
            self.metrics.ended(self.class, outcome, self.begun.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.ended("unreadable");
    }
}

// === impl DumpFeed ===

impl DumpFeed {
    /// Fetches until the end, an error, or until the reader is dropped. An error reaches the reader too.
    ///
    /// # Cancel safety
    /// Not safe: the reader sees the dump break off, as an error.
    pub async fn run(mut self) {
        loop {
            let piece = match self.dump.next().await {
                Ok(Some(piece)) => Ok(piece),
                // An empty piece says that this was all; a channel that just closes would look like that too.
                Ok(None) => Ok(Bytes::new()),
                Err(error) => Err(error),
            };
            let last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
            if self.pieces.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}

// === impl DumpReader ===

impl Read for DumpReader {
    /// Blocks until the feed has more; call it outside the runtime's own threads.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    self.current = piece;
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current[..count]);
        self.current.advance(count);
        Ok(count)
    }
}
