//! A recording as the feed it was: the events a ticker would have sent, with the times they had.

use std::collections::VecDeque;
use std::sync::Arc;

use kite_wire::{Frame, decode_frame};
use market_model::{
    ConnectionId, DisconnectReason, FeedEvent, Gap, GapCause, InstrumentCatalog, TickFrame, UnixNanos,
};

use crate::block::FrameKind;
use crate::error::RecordingError;
use crate::reader::{Record, RecordFilter, Recording, Records};

/// What was recorded, decoded again, in the order it was recorded.
#[derive(Debug)]
pub struct Replay {
    records: Records,
    now: UnixNanos,
    run: Option<UnixNanos>,
    /// Connections seen in this run.
    connections: Vec<ConnectionId>,
    /// What follows from the last record, before the next one.
    waiting: VecDeque<Step>,
    damaged: usize,
    counts: ReplayCounts,
}

/// One step of a replay.
#[derive(Debug)]
pub struct ReplayStep {
    /// When it happened. Never earlier than the step before it, also when the recorder's clock was set back.
    pub at: UnixNanos,
    /// What happened.
    pub what: Step,
}

/// What happens in one step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// These instruments are valid from here on.
    Instruments(Arc<InstrumentCatalog>),
    /// The feed said something.
    Event(FeedEvent),
}

/// What a replay has read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayCounts {
    /// Websocket frames, heartbeats and texts included.
    pub frames: u64,
    /// Frames of text: they hold no ticks and are passed over.
    pub texts: u64,
    /// Packets decoded.
    pub ticks: u64,
    /// Packets that could not be decoded. The ticker's own report of them was recorded too.
    pub undecodable: u64,
    /// Connection events.
    pub events: u64,
    /// Holes that the recorder left, and blocks that were damaged; each becomes a gap.
    pub holes: u64,
}

// === impl Replay ===

impl Replay {
    /// Replays what `filter` lets through.
    ///
    /// # Errors
    /// As [`Recording::records`].
    pub fn new(recording: &Recording, filter: RecordFilter) -> Result<Self, RecordingError> {
        Ok(Self {
            records: recording.records(filter)?,
            now: UnixNanos(i64::MIN),
            run: None,
            connections: Vec::new(),
            waiting: VecDeque::new(),
            damaged: 0,
            counts: ReplayCounts::default(),
        })
    }

    /// What was read so far.
    pub fn counts(&self) -> ReplayCounts {
        self.counts
    }

    /// The next step; `None` at the end.
    ///
    /// What is missing in the recording is said as a ticker says it: a hole, or a damaged block, is a
    /// [`FeedEvent::Gap`]; where another run of the recorder begins, the former connections are
    /// [`FeedEvent::Disconnected`].
    ///
    /// # Errors
    /// As [`Records::next_record`].
    pub fn next_step(&mut self) -> Result<Option<ReplayStep>, RecordingError> {
        loop {
            if let Some(what) = self.waiting.pop_front() {
                return Ok(Some(ReplayStep { at: self.now, what }));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads one record into `waiting`; `false` at the end.
    fn read(&mut self) -> Result<bool, RecordingError> {
        let Self { records, waiting, counts, connections, .. } = self;
        let (at, what, seen) = match records.next_record()? {
            None => return Ok(false),
            Some(Record::Frame { connection, ts, kind, bytes }) => {
                counts.frames += 1;
                let known = connections.iter().any(|known| known == connection);
                let seen = (!known).then(|| connection.clone());
                (ts, decode(connection, ts, kind, bytes, counts), seen)
            }
            Some(Record::Event { ts, event }) => {
                counts.events += 1;
                (ts, Some(Step::Event(event)), None)
            }
            Some(Record::Hole(hole)) => {
                counts.holes += 1;
                let (from, to, lost) = (hole.from, hole.to, Some(hole.ticks));
                (to, hole.connection.map(|connection| gap(connection, from, to, lost)), None)
            }
            Some(Record::Instruments { ts, catalog }) => (ts, Some(Step::Instruments(catalog)), None),
        };
        self.now = self.now.max(at);
        let run = records.run();
        if self.run.replace(run).is_some_and(|before| before != run) {
            for connection in connections.drain(..) {
                let reason = DisconnectReason::TaskFailed;
                waiting.push_back(Step::Event(FeedEvent::Disconnected { connection, at: self.now, reason }));
            }
        }
        for block in &records.damaged()[self.damaged..] {
            counts.holes += 1;
            let (first, last) = (block.entry.header.first, block.entry.header.last);
            waiting.extend(connections.iter().map(|connection| gap(connection.clone(), first, last, None)));
        }
        self.damaged = records.damaged().len();
        connections.extend(seen);
        waiting.extend(what);
        Ok(true)
    }
}

fn gap(connection: ConnectionId, from: UnixNanos, to: UnixNanos, lost_ticks: Option<u64>) -> Step {
    Step::Event(FeedEvent::Gap(Gap {
        connection,
        from,
        to,
        cause: GapCause::Overrun,
        tokens: None,
        lost_ticks,
    }))
}

/// The ticks of a frame, when it has any.
fn decode(
    connection: &ConnectionId,
    ts_recv: UnixNanos,
    kind: FrameKind,
    bytes: &[u8],
    counts: &mut ReplayCounts,
) -> Option<Step> {
    if kind == FrameKind::Text {
        counts.texts += 1;
        return None;
    }
    let Frame::Ticks(packets) = decode_frame(bytes) else {
        return None;
    };
    let mut ticks = Vec::new();
    packets.decode_into(&mut ticks, |error| counts.undecodable += u64::from(error.lost_packets()));
    counts.ticks += ticks.len() as u64;
    let connection = connection.clone();
    (!ticks.is_empty()).then_some(Step::Event(FeedEvent::Ticks(TickFrame { connection, ts_recv, ticks })))
}
