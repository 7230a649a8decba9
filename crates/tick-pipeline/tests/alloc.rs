//! In the steady state a frame of ticks costs no allocation but the batches it becomes.
#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use market_model::{
    Clock, ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument,
    InstrumentCatalog, InstrumentKind, InstrumentToken, ManualClock, OptionSide, Price, Segment, Tick,
    TickBody, TickFrame, UnixNanos,
};
use tick_pipeline::{GreeksState, Output, Pipeline, PipelineConfig, PipelineMetrics};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: UnixNanos = UnixNanos::from_secs(1_795_147_200);

fn catalog() -> Arc<InstrumentCatalog> {
    let expiry = Expiry {
        date: jiff::civil::date(2026, 11, 24),
        instant: Some(START + Duration::from_secs(4 * 86_400)),
    };
    let option = |number: u32| {
        let side = if number.is_multiple_of(2) { OptionSide::Call } else { OptionSide::Put };
        let strike = Price::from_paise((24_000 + 50 * i64::from(number / 2)) * 100);
        Instrument {
            token: InstrumentToken(number << 8 | 2),
            exchange: Exchange::Nfo,
            segment: Segment::NfoOptions,
            tradingsymbol: format!("NIFTY{number}").into(),
            name: "NIFTY".into(),
            kind: InstrumentKind::Option { expiry, strike, side },
            lot_size: 65,
            tick_size: Price::from_paise(5),
        }
    };
    Arc::new(InstrumentCatalog::new((0..100).map(option).collect(), |_| None).unwrap_or_default())
}

/// Every option of the chain, quoted around intrinsic value plus some time value.
fn frame(catalog: &InstrumentCatalog, forward: f64, at: UnixNanos) -> FeedEvent {
    let quote = |row: &Instrument| {
        let InstrumentKind::Option { strike, side, .. } = &row.kind else { unreachable!() };
        let sign = if *side == OptionSide::Call { 1.0 } else { -1.0 };
        let away = forward - strike.to_f64();
        let value = (sign * away).max(0.0) + 200.0 * (-away.abs() / 400.0).exp();
        let level = |price: f64| DepthLevel {
            price: Price::from_f64(price).unwrap_or_default(),
            quantity: 65,
            orders: 1,
        };
        let mut depth = Depth::default();
        depth.buy[0] = level(value * 0.999);
        depth.sell[0] = level(value * 1.001);
        let body = TickBody::Full(FullTick { depth, exchange_timestamp: Some(at), ..FullTick::default() });
        Tick { token: row.token, last_price: Price::from_f64(value).unwrap_or_default(), body }
    };
    let connection = ConnectionId { account: "acct".into(), index: 0 };
    FeedEvent::Ticks(TickFrame {
        connection,
        ts_recv: at,
        ticks: catalog.instruments().iter().map(quote).collect(),
    })
}

#[test]
fn a_frame_of_a_hundred_ticks_allocates_only_its_batches() {
    let (catalog, clock) = (catalog(), Arc::new(ManualClock::new(START)));
    let config = PipelineConfig { status_interval: Duration::from_secs(3600), ..PipelineConfig::default() };
    let metrics = PipelineMetrics::noop();
    let mut pipeline = Pipeline::new(config, "acct".into(), true, catalog.clone(), clock.clone(), metrics);
    let mut now = Instant::now();
    for round in 0..50 {
        clock.advance(Duration::from_millis(300));
        now += Duration::from_millis(300);
        let event = frame(&catalog, 25_000.0 + f64::from(round), clock.now());
        let before = ALLOCATIONS.with(Cell::get);
        pipeline.push(event, now);
        let pushing = ALLOCATIONS.with(Cell::get) - before;
        pipeline.poll(now + Duration::from_millis(5));
        pipeline.poll(now + Duration::from_millis(10));
        let (mut batches, mut snapshots) = (0, 0);
        while let Some(Output::Batch(batch)) = pipeline.next_output() {
            batches += 1;
            snapshots += batch.snapshots.len();
            assert!(batch.snapshots.iter().all(|one| matches!(one.greeks, GreeksState::Known(_))));
        }
        let allocations = ALLOCATIONS.with(Cell::get) - before;
        assert_eq!(snapshots, 100, "round {round}");
        // The snapshots and the shared batch around them, once sizes have settled.
        if round >= 5 {
            assert_eq!(pushing, 0, "round {round}");
            assert!(allocations == 2 * batches, "round {round}: {allocations} for {batches} batches");
        }
    }
}
