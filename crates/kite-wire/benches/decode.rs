//! Nanoseconds per packet for decoding frames of 100 packets, beside a plain copy of the same bytes.
//!
//! `cargo bench -p kite-wire` prints a table; each figure is a median, and all
//! candidates take turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kite_wire::{Frame, FrameBuilder, Packets, decode_frame, parse_instruments};
use market_model::{
    Depth, DepthLevel, FullTick, InstrumentToken, Ohlc, Price, QuoteTick, Tick, TickBody, UnixNanos,
};

const PACKETS: usize = 100;
/// Short enough that most rounds run undisturbed on a busy machine.
const FRAMES_PER_ROUND: u32 = 100;
const ROUNDS: usize = 2_001;
const DUMPS: usize = 21;

fn full(token: u32) -> Tick {
    let level =
        |step: i64| DepthLevel { price: Price::from_paise(157_340 - 5 * step), quantity: 140, orders: 3 };
    let quote = QuoteTick {
        last_traded_quantity: 7,
        average_traded_price: Price::from_paise(157_037),
        volume_traded: 1_192_471,
        total_buy_quantity: 256_443,
        total_sell_quantity: 363_009,
        ohlc: ohlc(),
    };
    Tick {
        token: InstrumentToken(token << 8 | 2),
        last_price: Price::from_paise(157_370),
        body: TickBody::Full(FullTick {
            quote,
            last_trade_time: Some(UnixNanos::from_secs(1_625_461_887)),
            oi: 20_511,
            oi_day_high: 20_980,
            oi_day_low: 19_877,
            exchange_timestamp: Some(UnixNanos::from_secs(1_625_461_887)),
            depth: Depth { buy: [0, 1, 2, 3, 4].map(level), sell: [-1, -2, -3, -4, -5].map(level) },
        }),
    }
}

fn ohlc() -> Ohlc {
    Ohlc {
        open: Price::from_paise(156_915),
        high: Price::from_paise(157_500),
        low: Price::from_paise(156_105),
        close: Price::from_paise(156_780),
    }
}

fn quote(token: u32) -> Tick {
    let mut tick = full(token);
    if let TickBody::Full(full) = tick.body {
        tick.body = TickBody::Quote(full.quote);
    }
    tick
}

fn mixed(at: u32) -> Tick {
    let index =
        |body| Tick { token: InstrumentToken(at << 8 | 9), last_price: Price::from_paise(2_450_035), body };
    let (ohlc, change) = (ohlc(), Price::from_paise(7_035));
    match at {
        0..60 => full(at),
        60..80 => quote(at),
        80..90 => Tick { body: TickBody::Ltp, ..full(at) },
        90..95 => index(TickBody::IndexQuote { ohlc, change }),
        _ => index(TickBody::IndexFull {
            ohlc,
            change,
            exchange_timestamp: Some(UnixNanos::from_secs(1_625_461_887)),
        }),
    }
}

fn frame(tick: impl Fn(u32) -> Tick) -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    for at in 0..PACKETS as u32 {
        if let Err(error) = builder.push(&tick(at)) {
            panic!("the sample does not fit: {error}");
        }
    }
    builder.finish()
}

/// Median nanoseconds per packet of each candidate; they take turns in every round.
fn measure(mut candidates: [&mut dyn FnMut(); 5]) -> [f64; 5] {
    let mut rounds = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        for (candidate, times) in candidates.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..FRAMES_PER_ROUND {
                candidate();
            }
            times.push(start.elapsed());
        }
    }
    rounds.map(|times| median(times).as_secs_f64() * 1e9 / f64::from(FRAMES_PER_ROUND) / PACKETS as f64)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn packets(frame: &[u8]) -> Packets<'_> {
    match decode_frame(black_box(frame)) {
        Frame::Ticks(packets) => packets,
        Frame::Heartbeat => panic!("the sample has packets"),
    }
}

/// Median nanoseconds per row of a dump of 90 000.
fn instruments() -> f64 {
    const ROWS: usize = 90_000;
    let mut dump = String::from(
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\r\n",
    );
    let row = "12074242,47165,NIFTY25N2526000CE,NIFTY,182.25,2025-11-25,26000.0,0.05,75,CE,NFO-OPT,NFO\r\n";
    dump.extend([row; ROWS]);
    let runs = (0..DUMPS).map(|_| {
        let start = Instant::now();
        let rows = parse_instruments(dump.as_bytes()).map(|rows| rows.filter(Result::is_ok).count());
        assert_eq!(rows.ok(), Some(ROWS));
        start.elapsed()
    });
    median(runs.collect()).as_secs_f64() * 1e9 / ROWS as f64
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    println!("ns per packet       copy     view  to_tick  new vector  decode_into  / copy");
    for (name, frame) in [("100 full", frame(full)), ("100 quote", frame(quote)), ("mixed 100", frame(mixed))]
    {
        let mut copy = vec![0; frame.len()];
        let (mut collected, mut ticks) = (Vec::with_capacity(PACKETS), Vec::with_capacity(PACKETS));
        let [copied, viewed, one_by_one, fresh, decoded] = measure([
            &mut || {
                copy.copy_from_slice(black_box(&frame));
                black_box(&mut copy);
            },
            &mut || {
                for packet in packets(&frame).flatten() {
                    black_box((packet.token(), packet.last_price(), packet.mode()));
                }
            },
            &mut || {
                collected.clear();
                collected.extend(packets(&frame).flatten().map(|packet| packet.to_tick()));
                black_box(&mut collected);
            },
            &mut || {
                let mut ticks = Vec::with_capacity(PACKETS);
                packets(&frame).decode_into(&mut ticks, |error| panic!("{error}"));
                black_box(ticks);
            },
            &mut || {
                packets(&frame).decode_into(&mut ticks, |error| panic!("{error}"));
                black_box(&mut ticks);
            },
        ]);
        let ratio = decoded / copied;
        println!(
            "{name:<16} {copied:>7.1} {viewed:>8.1} {one_by_one:>8.1} {fresh:>11.1} {decoded:>12.1} {ratio:>7.1}"
        );
    }
    println!("instrument rows: {:.0} ns each", instruments());
    println!("size of a tick: {} bytes", size_of::<Tick>());
}
