//! The budget of a sink's queue is in bytes that are really there.
#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use market_model::{
    Depth, FullTick, InstrumentCatalog, InstrumentSlot, InstrumentToken, Price, Tick, TickBody, UnixNanos,
};
use tick_pipeline::{
    Fanout, GreeksState, OverflowPolicy, QueueConfig, SinkQueue, Snapshot, SnapshotBatch, SnapshotCause,
    Topic, TopicKind,
};

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TOPICS: usize = 20;
const BUDGET: usize = 4 << 20;

struct Source {
    topics: Vec<Arc<Topic>>,
    name: Arc<str>,
    catalog: Arc<InstrumentCatalog>,
    seqs: [u64; TOPICS],
    totals: [u64; TOPICS],
}

impl Source {
    fn new() -> Self {
        let topic = |number: usize| {
            let (underlying, kind) = (format!("U{number}").into(), TopicKind::Options);
            Arc::new(Topic { exchange: "NFO".into(), underlying, kind })
        };
        let topics = (0..TOPICS).map(topic).collect();
        let (seqs, totals) = ([0; TOPICS], [0; TOPICS]);
        Self { topics, name: "acct".into(), catalog: Arc::default(), seqs, totals }
    }

    fn batch(&mut self, topic: usize, slots: impl Iterator<Item = u32>) -> Arc<SnapshotBatch> {
        let body = TickBody::Full(FullTick { depth: Depth::default(), ..FullTick::default() });
        let tick = Tick { token: InstrumentToken(2), last_price: Price::from_paise(5), body };
        let snapshot = |slot| Snapshot {
            slot: InstrumentSlot(slot),
            tick,
            ts_recv: UnixNanos(1),
            ts_event: None,
            greeks: GreeksState::NotAnOption,
            stale: None,
            cause: SnapshotCause::Tick,
            tick_count: 1,
        };
        let snapshots: Vec<_> = slots.map(snapshot).collect();
        let tick_count = snapshots.len() as u64;
        self.seqs[topic] += 1;
        self.totals[topic] += tick_count;
        Arc::new(SnapshotBatch {
            topic: self.topics[topic].clone(),
            source: self.name.clone(),
            seq: self.seqs[topic],
            tick_count,
            tick_total: self.totals[topic],
            ts_publish: UnixNanos(1),
            sim: true,
            catalog: self.catalog.clone(),
            snapshots,
        })
    }
}

fn queue(overflow: OverflowPolicy, patience: Duration) -> (Fanout, SinkQueue) {
    let mut fanout = Fanout::new();
    let config = QueueConfig { max_bytes: BUDGET, overflow, patience, ..QueueConfig::default() };
    let queue = fanout.add_sink("test", config);
    (fanout, queue)
}

/// Pushes for a while and compares what is said to wait with what is really held.
#[track_caller]
fn check(overflow: OverflowPolicy, patience: Duration, instruments: u32) {
    let mut source = Source::new();
    let (fanout, queue) = queue(overflow, patience);
    let before = HELD.with(Cell::get);
    let mut highest = 0;
    for round in 0..3000u32 {
        let first = round * 7 % instruments;
        let batch = source.batch(round as usize % TOPICS, (0..10).map(|slot| (first + slot) % instruments));
        fanout.publish(&batch);
        drop(batch);
        let held = HELD.with(Cell::get) - before;
        highest = highest.max(held);
        let said = queue.counts().waiting_bytes as isize;
        let off = held - said;
        // Lines, turns and tables of lines stand beside what waits.
        assert!(off.abs() <= said / 20 + 64 * 1024, "{overflow:?} round {round}: {held} held, {said} said");
    }
    assert!(highest <= (BUDGET + BUDGET / 8) as isize, "{highest} bytes held with a budget of {BUDGET}");
    assert!(highest >= (BUDGET / 2) as isize, "the budget was never put to use: {highest}");
    assert!(queue.counts().is_balanced());
}

#[test]
fn what_is_said_to_wait_is_what_is_held() {
    let late = Duration::ZERO;
    let never = Duration::from_secs(3600);
    // Everything ever other instruments: folding saves nothing and the heaviest give way.
    check(OverflowPolicy::Conflate, late, 1_000_000);
    check(OverflowPolicy::Conflate, never, 1_000_000);
    check(OverflowPolicy::DropOldest, never, 1_000_000);
    // The same instruments again and again: folding saves nearly everything.
    check(OverflowPolicy::Conflate, never, 500);
}
