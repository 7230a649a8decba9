//! Decoding allocates nothing: proven by an allocator that counts.

#![expect(unsafe_code, reason = "an allocator cannot be written without it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use kite_wire::{Frame, FrameBuilder, decode_frame};
use market_model::{FullTick, InstrumentToken, Ohlc, Price, QuoteTick, Tick, TickBody, UnixNanos};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many times this thread allocates in `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn mixed(at: u32) -> Tick {
    let ohlc = Ohlc::default();
    let change = Price::from_paise(-150);
    let quote = QuoteTick { volume_traded: at, ..QuoteTick::default() };
    let (segment, body) = match at % 5 {
        0 => (1, TickBody::Ltp),
        1 => (9, TickBody::IndexQuote { ohlc, change }),
        2 => (
            9,
            TickBody::IndexFull {
                ohlc,
                change,
                exchange_timestamp: Some(UnixNanos::from_secs(1_625_461_887)),
            },
        ),
        3 => (2, TickBody::Quote(quote)),
        _ => (7, TickBody::Full(FullTick { quote, ..FullTick::default() })),
    };
    Tick { token: InstrumentToken(at << 8 | segment), last_price: Price::from_paise(157_315), body }
}

/// A hundred packets of every mode, one of unknown length among them, and a tail that does not belong.
fn frame() -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    for at in 0..100 {
        match at {
            50 => builder.push_raw(&[0; 7]).unwrap(),
            _ => builder.push(&mixed(at)).unwrap(),
        }
    }
    let mut frame = builder.finish();
    frame.push(0);
    frame
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(vec![1u8]))), 1);
}

#[test]
fn decoding_into_a_reused_vector_allocates_nothing() {
    let frame = frame();
    let mut ticks = Vec::with_capacity(100);
    let mut errors = 0;
    let count = allocations(|| {
        for _ in 0..10 {
            let Frame::Ticks(packets) = decode_frame(black_box(&frame)) else {
                panic!("not a heartbeat");
            };
            packets.decode_into(&mut ticks, |_| errors += 1);
        }
    });
    assert_eq!((count, ticks.len(), errors), (0, 99, 20));
    assert_eq!(ticks[98], mixed(99));
}

#[test]
fn reading_packet_by_packet_allocates_nothing() {
    let frame = frame();
    let (mut sum, mut errors) = (0, 0);
    let count = allocations(|| {
        let Frame::Ticks(packets) = decode_frame(black_box(&frame)) else {
            panic!("not a heartbeat");
        };
        for packet in packets {
            match packet {
                Ok(packet) => sum += packet.to_tick().last_price.raw(),
                Err(error) => errors += error.kind().as_str().len(),
            }
        }
    });
    assert_eq!(count, 0);
    assert_eq!(sum, 99 * Price::from_paise(157_315).raw());
    assert_eq!(errors, "packet_length".len() + "trailing_bytes".len());
}
