//! What lies between the feed and the disk: a bounded number of bytes, already in the form they are written in.
//!
//! The feed's side copies a frame into the open block under a lock that nobody holds for longer than such a copy;
//! so what waits is exactly as large as it looks, and no network buffer is kept alive by it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use market_model::{ConnectionId, InstrumentCatalog, UnixNanos};
use tokio::sync::Notify;

use crate::block::{BlockBuilder, FrameKind, Hole, HoleCause, declared_packets};
use crate::format::RecordedAccount;
use crate::metrics::RecorderMetrics;
use crate::status::RecorderCounts;

/// Events are few and matter most: they may use this much more than frames.
const EVENT_RESERVE: usize = 1 << 20;

/// How a record is led in: kind, time, connection, length, and a connection's name when it is new.
const MOST_OVERHEAD: usize = 64;

/// Catalogs that may wait. The newest is what counts; older ones give way.
const MOST_CATALOGS: usize = 4;

/// The next thing to write.
#[derive(Debug)]
pub(crate) enum Work {
    Block(BlockBuilder),
    Instruments { catalog: Arc<InstrumentCatalog>, ts: UnixNanos },
    Accounts(Vec<RecordedAccount>),
}

#[derive(Debug)]
pub(crate) struct Queue {
    block_bytes: usize,
    queue_bytes: usize,
    state: Mutex<State>,
    pub(crate) wake: Notify,
    pub(crate) metrics: RecorderMetrics,
}

#[derive(Debug)]
struct State {
    open: BlockBuilder,
    ready: VecDeque<Work>,
    /// Bytes of the blocks in `ready` and of the one being written.
    waiting: usize,
    spare: Vec<BlockBuilder>,
    holes: Vec<Hole>,
    failing: bool,
    closed: bool,
    counts: RecorderCounts,
}

// === impl Queue: the feed's side ===

impl Queue {
    pub(crate) fn new(block_bytes: usize, queue_bytes: usize, metrics: RecorderMetrics) -> Self {
        let block_bytes = block_bytes.clamp(1 << 12, crate::format::MAX_RAW / 4);
        Self {
            block_bytes,
            // Less than two blocks would lose frames while one is written.
            queue_bytes: queue_bytes.max(2 * block_bytes),
            state: Mutex::new(State {
                open: BlockBuilder::with_capacity(block_bytes),
                ready: VecDeque::new(),
                waiting: 0,
                spare: Vec::new(),
                holes: Vec::new(),
                failing: false,
                closed: false,
                counts: RecorderCounts::default(),
            }),
            wake: Notify::new(),
            metrics,
        }
    }

    pub(crate) fn frame(&self, connection: &ConnectionId, ts: UnixNanos, kind: FrameKind, bytes: &[u8]) {
        let ticks = match kind {
            FrameKind::Binary => u64::from(declared_packets(bytes)),
            FrameKind::Text => 0,
        };
        let size = bytes.len() + MOST_OVERHEAD + connection.account.len();
        let mut state = self.lock();
        state.counts.frames_offered += 1;
        // A frame that fits no block cannot be: Kite's largest is half a megabyte, and a block has room for 16.
        let fits = size <= crate::format::MAX_RAW / 2 && self.room(&mut state, size, 0);
        if fits {
            self.write_holes(&mut state);
            state.open.frame(connection, ts, kind, bytes);
            state.counts.frames += 1;
            state.counts.ticks += ticks;
            state.counts.bytes += bytes.len() as u64;
        } else {
            state.counts.frames_lost += 1;
            state.counts.ticks_lost += ticks;
            let hole = state.hole(Some(connection), ts);
            hole.frames += 1;
            hole.ticks += ticks;
            hole.bytes += bytes.len() as u64;
        }
        let cause = state.cause();
        drop(state);
        if fits {
            self.metrics.frames.increment(1);
            self.metrics.bytes.increment(bytes.len() as u64);
        } else {
            self.metrics.lost(cause).increment(1);
        }
    }

    /// `event` is in the form of the module `event`.
    pub(crate) fn event(&self, connection: Option<&ConnectionId>, ts: UnixNanos, event: &[u8]) {
        let mut state = self.lock();
        state.counts.events_offered += 1;
        if self.room(&mut state, event.len() + MOST_OVERHEAD, EVENT_RESERVE) {
            self.write_holes(&mut state);
            state.open.event(ts, event);
            state.counts.events += 1;
            drop(state);
            self.metrics.events.increment(1);
        } else {
            state.counts.events_lost += 1;
            state.hole(connection, ts).events += 1;
        }
    }

    pub(crate) fn instruments(&self, catalog: Arc<InstrumentCatalog>, ts: UnixNanos) {
        let mut state = self.lock();
        state.seal();
        let is_catalog = |work: &Work| matches!(work, Work::Instruments { .. });
        if state.ready.iter().filter(|work| is_catalog(work)).count() >= MOST_CATALOGS
            && let Some(oldest) = state.ready.iter().position(is_catalog)
        {
            state.ready.remove(oldest);
        }
        state.ready.push_back(Work::Instruments { catalog, ts });
        drop(state);
        self.wake.notify_one();
    }

    /// Before anything of them: these accounts are recorded too.
    pub(crate) fn accounts(&self, accounts: Vec<RecordedAccount>) {
        let mut state = self.lock();
        let waiting = state.ready.iter_mut().find_map(|work| match work {
            Work::Accounts(accounts) => Some(accounts),
            _ => None,
        });
        match waiting {
            // One that waits is enough: an account may be named before its first frame.
            Some(waiting) => {
                waiting.retain(|known| accounts.iter().all(|account| account.name != known.name));
                waiting.extend(accounts);
            }
            None => {
                state.seal();
                state.ready.push_back(Work::Accounts(accounts));
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Whether `size` more bytes may wait. Closes the open block when they do not fit into it.
    fn room(&self, state: &mut State, size: usize, reserve: usize) -> bool {
        if state.waiting + state.open.len() + size > self.queue_bytes + reserve {
            return false;
        }
        if !state.open.is_empty() && state.open.len() + size > self.block_bytes {
            state.seal();
            self.wake.notify_one();
        }
        true
    }

    /// What was lost stands before what comes after it.
    fn write_holes(&self, state: &mut State) {
        if !state.holes.is_empty() {
            for hole in std::mem::take(&mut state.holes) {
                state.open.hole(&hole);
                state.counts.holes += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Queue: the writer's side ===

impl Queue {
    /// The next thing to write: a full block, or with `flush` also one that is not full.
    pub(crate) fn take(&self, flush: bool) -> Option<Work> {
        let mut state = self.lock();
        if state.ready.is_empty() && (flush || state.closed) {
            self.write_holes(&mut state);
            state.seal();
        }
        state.ready.pop_front()
    }

    /// A block is given up: what it holds was taken, and is lost after all.
    pub(crate) fn give_up(&self, block: BlockBuilder) {
        let ((_, frames, ticks), (events, bytes)) = (block.counts(), block.events_and_bytes());
        let mut state = self.lock();
        let counts = &mut state.counts;
        counts.frames -= u64::from(frames);
        counts.frames_lost += u64::from(frames);
        counts.ticks -= u64::from(ticks);
        counts.ticks_lost += u64::from(ticks);
        counts.events -= u64::from(events);
        counts.events_lost += u64::from(events);
        counts.bytes -= bytes;
        drop(state);
        self.metrics.lost(HoleCause::Disk).increment(u64::from(frames));
        self.done(block);
    }

    /// A block was written: its memory is free again.
    pub(crate) fn done(&self, mut block: BlockBuilder) {
        let mut state = self.lock();
        state.waiting = state.waiting.saturating_sub(block.len());
        // One to fill and one to write are always in use; a third one smooths bursts, more would be kept for nothing.
        if state.spare.len() < 2 {
            block.clear();
            state.spare.push(block);
        }
    }

    /// From now on what finds no room is lost because of the disk, or no longer so.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.lock().failing = failing;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What was counted, and the bytes that wait.
    pub(crate) fn counts(&self) -> (RecorderCounts, usize) {
        let state = self.lock();
        (state.counts, state.waiting + state.open.len())
    }
}

// === impl State ===

impl State {
    fn seal(&mut self) {
        if !self.open.is_empty() {
            let next = self.spare.pop().unwrap_or_else(|| BlockBuilder::with_capacity(self.open.len()));
            let full = std::mem::replace(&mut self.open, next);
            self.waiting += full.len();
            self.ready.push_back(Work::Block(full));
        }
    }

    fn cause(&self) -> HoleCause {
        match self.failing {
            true => HoleCause::Disk,
            false => HoleCause::Overrun,
        }
    }

    /// The hole that is open for `connection`, made to reach to `ts`. There are no more of them than connections.
    fn hole(&mut self, connection: Option<&ConnectionId>, ts: UnixNanos) -> &mut Hole {
        let cause = self.cause();
        let same = |hole: &Hole| hole.connection.as_ref() == connection && hole.cause == cause;
        let at = self.holes.iter().position(same).unwrap_or_else(|| {
            let connection = connection.cloned();
            self.holes.push(Hole {
                connection,
                from: ts,
                to: ts,
                cause,
                frames: 0,
                ticks: 0,
                bytes: 0,
                events: 0,
            });
            self.holes.len() - 1
        });
        let hole = &mut self.holes[at];
        hole.from = hole.from.min(ts);
        hole.to = hole.to.max(ts);
        hole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(index: u8) -> ConnectionId {
        ConnectionId { account: "alpha".into(), index }
    }

    fn queue(block: usize, total: usize) -> Queue {
        Queue::new(block, total, RecorderMetrics::noop())
    }

    #[test]
    fn memory_is_bounded_and_what_finds_no_room_is_a_hole_before_what_follows() {
        let queue = queue(4096, 16_384);
        let frame = [&[0, 1, 0, 8][..], &[7; 996]].concat();
        for at in 0..100 {
            queue.frame(&connection(at % 2), UnixNanos(i64::from(at)), FrameKind::Binary, &frame);
            assert!(queue.counts().1 <= 16_384);
        }
        let counts = queue.counts().0;
        assert_eq!((counts.frames_offered, counts.frames + counts.frames_lost), (100, 100));
        assert_eq!((counts.ticks, counts.ticks_lost), (counts.frames, counts.frames_lost));
        assert!(counts.frames >= 10 && counts.frames_lost > 80, "{counts:?}");

        // An event still finds room: there is a reserve for them.
        queue.event(None, UnixNanos(100), &[1]);
        assert_eq!((queue.counts().0.events, queue.counts().0.holes), (1, 2));

        while let Some(Work::Block(block)) = queue.take(false) {
            queue.done(block);
        }
        queue.frame(&connection(0), UnixNanos(200), FrameKind::Binary, &frame);
        let Some(Work::Block(block)) = queue.take(true) else { panic!("a block that is not full") };
        queue.done(block);
        assert_eq!(queue.counts().1, 0);
        assert!(queue.take(true).is_none());
    }

    #[test]
    fn catalogs_that_wait_give_way_to_newer_ones() {
        let queue = queue(4096, 16_384);
        let catalog = Arc::new(InstrumentCatalog::default());
        (0..10).for_each(|at| queue.instruments(catalog.clone(), UnixNanos(at)));
        let mut seen = Vec::new();
        while let Some(Work::Instruments { ts, .. }) = queue.take(true) {
            seen.push(ts.0);
        }
        assert_eq!(seen, [6, 7, 8, 9]);
    }
}
