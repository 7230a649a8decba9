//! Records gathered into one block, and read back out of it.
//!
//! A block stands alone: it names its connections itself and its times begin from nothing, so that any block can be
//! read without the others.

use std::sync::Arc;

use market_model::{ConnectionId, FeedEvent, UnixNanos};

use crate::event;
use crate::number::{put, put_bytes, put_signed, take, take_bytes, take_signed};

/// What sort of websocket frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Ticks, or a heartbeat.
    Binary,
    /// Order updates and messages.
    Text,
}

/// Why something is missing in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoleCause {
    /// The recorder did not keep up and its memory was full.
    Overrun,
    /// Files could not be written: the disk was full or failed.
    Disk,
}

/// What the recorder was given and could not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Of which connection; `None` for events that concern no connection alone.
    pub connection: Option<ConnectionId>,
    /// Time of the first thing lost.
    pub from: UnixNanos,
    /// Time of the last thing lost.
    pub to: UnixNanos,
    /// Why.
    pub cause: HoleCause,
    /// Frames lost.
    pub frames: u64,
    /// Tick packets that those frames declared.
    pub ticks: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// Events lost.
    pub events: u64,
}

const CONNECTION: u8 = 0;
const BINARY: u8 = 1;
const TEXT: u8 = 2;
const EVENT: u8 = 3;
const HOLE: u8 = 4;

/// How many tick packets a binary frame declares, never more than it has room for.
pub(crate) fn declared_packets(frame: &[u8]) -> u32 {
    const SMALLEST: usize = 2 + 8;
    match frame.split_first_chunk() {
        Some((count, packets)) => {
            u32::from(u16::from_be_bytes(*count)).min((packets.len() / SMALLEST) as u32)
        }
        None => 0,
    }
}

/// A block that is being filled.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    raw: Vec<u8>,
    connections: Vec<ConnectionId>,
    previous: i64,
    span: Option<(UnixNanos, UnixNanos)>,
    records: u32,
    frames: u32,
    ticks: u32,
    events: u32,
    /// Bytes of the frames.
    frame_bytes: u64,
}

/// What a reader finds in a block, in the order it was recorded.
#[derive(Debug)]
pub(crate) enum Entry<'b> {
    Frame {
        connection: usize,
        ts: UnixNanos,
        kind: FrameKind,
        bytes: &'b [u8],
    },
    /// `None` is an event of a later version.
    Event {
        ts: UnixNanos,
        event: Option<FeedEvent>,
    },
    Hole(Hole),
}

/// Reads the records of one unpacked block.
#[derive(Debug)]
pub(crate) struct BlockReader {
    connections: Vec<ConnectionId>,
    previous: i64,
    at: usize,
}

// === impl BlockBuilder ===

impl BlockBuilder {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            raw: Vec::with_capacity(bytes),
            connections: Vec::new(),
            previous: 0,
            span: None,
            records: 0,
            frames: 0,
            ticks: 0,
            events: 0,
            frame_bytes: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.raw.clear();
        self.connections.clear();
        (self.previous, self.span) = (0, None);
        (self.records, self.frames, self.ticks) = (0, 0, 0);
        (self.events, self.frame_bytes) = (0, 0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Earliest and latest time; zero in an empty block.
    pub(crate) fn span(&self) -> (UnixNanos, UnixNanos) {
        self.span.unwrap_or_default()
    }

    /// Records, frames among them, packets in those.
    pub(crate) fn counts(&self) -> (u32, u32, u32) {
        (self.records, self.frames, self.ticks)
    }

    /// Events, and bytes of frames.
    pub(crate) fn events_and_bytes(&self) -> (u32, u64) {
        (self.events, self.frame_bytes)
    }

    pub(crate) fn frame(&mut self, connection: &ConnectionId, ts: UnixNanos, kind: FrameKind, bytes: &[u8]) {
        let connection = self.connection(connection);
        self.raw.push(match kind {
            FrameKind::Binary => BINARY,
            FrameKind::Text => TEXT,
        });
        self.time(ts);
        put(&mut self.raw, connection as u64);
        put_bytes(&mut self.raw, bytes);
        self.records += 1;
        self.frames += 1;
        self.frame_bytes += bytes.len() as u64;
        if kind == FrameKind::Binary {
            self.ticks += declared_packets(bytes);
        }
    }

    /// `event` is in the form of the module `event`.
    pub(crate) fn event(&mut self, ts: UnixNanos, event: &[u8]) {
        self.raw.push(EVENT);
        self.time(ts);
        put_bytes(&mut self.raw, event);
        self.records += 1;
        self.events += 1;
    }

    pub(crate) fn hole(&mut self, hole: &Hole) {
        let connection = match &hole.connection {
            None => 0,
            Some(connection) => 1 + self.connection(connection),
        };
        self.raw.push(HOLE);
        self.time(hole.from);
        self.time(hole.to);
        put(&mut self.raw, connection as u64);
        self.raw.push(match hole.cause {
            HoleCause::Overrun => 0,
            HoleCause::Disk => 1,
        });
        for count in [hole.frames, hole.ticks, hole.bytes, hole.events] {
            put(&mut self.raw, count);
        }
        self.records += 1;
    }

    /// The connection's number in this block; introduces it when it is new here.
    fn connection(&mut self, id: &ConnectionId) -> usize {
        let known = |known: &ConnectionId| {
            known.index == id.index
                && (Arc::ptr_eq(&known.account, &id.account) || known.account == id.account)
        };
        if let Some(at) = self.connections.iter().position(known) {
            return at;
        }
        self.raw.push(CONNECTION);
        put_bytes(&mut self.raw, id.account.as_bytes());
        self.raw.push(id.index);
        self.connections.push(id.clone());
        self.connections.len() - 1
    }

    fn time(&mut self, ts: UnixNanos) {
        put_signed(&mut self.raw, ts.0.wrapping_sub(self.previous));
        self.previous = ts.0;
        let (first, last) = self.span.get_or_insert((ts, ts));
        *first = (*first).min(ts);
        *last = (*last).max(ts);
    }
}

// === impl BlockReader ===

impl BlockReader {
    pub(crate) fn new() -> Self {
        Self { connections: Vec::new(), previous: 0, at: 0 }
    }

    /// Starts at the beginning of another block.
    pub(crate) fn restart(&mut self) {
        self.connections.clear();
        (self.previous, self.at) = (0, 0);
    }

    pub(crate) fn connection(&self, at: usize) -> &ConnectionId {
        &self.connections[at]
    }

    /// The next record of `raw`, which must be the same block at every call until a restart.
    ///
    /// # Errors
    /// What is malformed; nothing more can be read from the block then.
    pub(crate) fn next<'b>(&mut self, raw: &'b [u8]) -> Result<Option<Entry<'b>>, &'static str> {
        let mut rest = raw.get(self.at..).unwrap_or_default();
        let entry = self.entry(&mut rest);
        self.at = raw.len() - rest.len();
        entry
    }

    fn entry<'b>(&mut self, rest: &mut &'b [u8]) -> Result<Option<Entry<'b>>, &'static str> {
        loop {
            let Some((&tag, after)) = rest.split_first() else {
                return Ok(None);
            };
            *rest = after;
            return match tag {
                CONNECTION => {
                    self.introduce(rest).ok_or("a connection's name is cut off")?;
                    continue;
                }
                BINARY => self.frame(FrameKind::Binary, rest).map(Some).ok_or("a frame is cut off"),
                TEXT => self.frame(FrameKind::Text, rest).map(Some).ok_or("a frame is cut off"),
                EVENT => self.event(rest).map(Some).ok_or("an event is cut off"),
                HOLE => self.hole(rest).map(Some).ok_or("a hole is cut off"),
                _ => Err("a record is of no known kind"),
            };
        }
    }

    fn introduce(&mut self, rest: &mut &[u8]) -> Option<()> {
        let account = std::str::from_utf8(take_bytes(rest)?).ok()?.into();
        let [index] = crate::format::take(rest)?;
        self.connections.push(ConnectionId { account, index });
        Some(())
    }

    fn time(&mut self, rest: &mut &[u8]) -> Option<UnixNanos> {
        self.previous = self.previous.wrapping_add(take_signed(rest)?);
        Some(UnixNanos(self.previous))
    }

    fn frame<'b>(&mut self, kind: FrameKind, rest: &mut &'b [u8]) -> Option<Entry<'b>> {
        let ts = self.time(rest)?;
        let connection = usize::try_from(take(rest)?).ok().filter(|at| *at < self.connections.len())?;
        Some(Entry::Frame { connection, ts, kind, bytes: take_bytes(rest)? })
    }

    fn event<'b>(&mut self, rest: &mut &'b [u8]) -> Option<Entry<'b>> {
        let ts = self.time(rest)?;
        Some(Entry::Event { ts, event: event::decode(take_bytes(rest)?) })
    }

    fn hole<'b>(&mut self, rest: &mut &'b [u8]) -> Option<Entry<'b>> {
        let (from, to) = (self.time(rest)?, self.time(rest)?);
        let connection = match usize::try_from(take(rest)?).ok()? {
            0 => None,
            at => Some(self.connections.get(at - 1)?.clone()),
        };
        let cause = match crate::format::take(rest)? {
            [0] => HoleCause::Overrun,
            [_] => HoleCause::Disk,
        };
        let mut count = || take(rest);
        let (frames, ticks, bytes, events) = (count()?, count()?, count()?, count()?);
        Some(Entry::Hole(Hole { connection, from, to, cause, frames, ticks, bytes, events }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(account: &str, index: u8) -> ConnectionId {
        ConnectionId { account: account.into(), index }
    }

    #[test]
    fn records_come_back_in_order_with_their_connections() {
        let (alpha, beta) = (connection("alpha", 0), connection("beta", 2));
        let hole = Hole {
            connection: Some(beta.clone()),
            from: UnixNanos(11),
            to: UnixNanos(99),
            cause: HoleCause::Disk,
            frames: 3,
            ticks: 300,
            bytes: 1 << 40,
            events: 1,
        };
        let event = FeedEvent::Connected { connection: alpha.clone(), at: UnixNanos(5) };
        let mut bytes = Vec::new();
        assert!(event::encode(&event, &mut bytes));
        let mut block = BlockBuilder::with_capacity(64);
        for round in 0..2 {
            block.clear();
            block.frame(&alpha, UnixNanos(10), FrameKind::Binary, &[0, 2, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
            block.frame(&beta, UnixNanos(7), FrameKind::Text, b"{}");
            block.event(UnixNanos(12), &bytes);
            block.hole(&hole);
            block.frame(&connection("alpha", 0), UnixNanos(100), FrameKind::Binary, &[0]);
            assert_eq!(block.counts(), (5, 3, 1), "round {round}");
            assert_eq!(block.span(), (UnixNanos(7), UnixNanos(100)));
        }
        let mut reader = BlockReader::new();
        let mut seen = Vec::new();
        while let Some(entry) = reader.next(block.raw()).unwrap() {
            seen.push(match entry {
                Entry::Frame { connection, ts, kind, bytes } => {
                    format!("{} {} {kind:?} {}", reader.connection(connection), ts.0, bytes.len())
                }
                Entry::Event { ts, event: seen } => format!("{} {}", ts.0, seen.as_ref() == Some(&event)),
                Entry::Hole(seen) => format!("hole {}", seen == hole),
            });
        }
        let wanted =
            ["alpha/0 10 Binary 12", "beta/2 7 Text 2", "12 true", "hole true", "alpha/0 100 Binary 1"];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_malformed_block_is_an_error_never_a_panic() {
        let mut block = BlockBuilder::with_capacity(64);
        block.frame(&connection("alpha", 0), UnixNanos(10), FrameKind::Binary, &[1, 2, 3]);
        for length in 1..block.len() {
            assert!(BlockReader::new().next(&block.raw()[..length]).is_err() || length == 8, "{length}");
        }
        assert!(BlockReader::new().next(&[9]).is_err());
        assert!(BlockReader::new().next(&[BINARY, 0, 0, 0]).is_err(), "a connection nobody introduced");
    }
}
