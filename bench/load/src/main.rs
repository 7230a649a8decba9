//! Load through the shipped programs: `kite-sim` in load mode, the gateway with Greeks, a real Redis with one
//! subscriber, each a process of its own on this machine (the subscriber is a thread of this one).
//!
//! - `cargo xtask bench load [steady] [INSTRUMENTS] [TICKS_PER_SECOND_EACH] [SECONDS]`: what the gateway costs.
//! - `cargo xtask bench load soak [SECONDS]`: 18,000 ticks a second with a fault every ten seconds; memory,
//!   descriptors and tasks must stay flat, and every tick must be accounted for.
//! - `cargo xtask bench load overload [SECONDS]`: Redis stands still while ten times the load arrives.

mod overload;
mod procfs;
mod scrape;
mod services;
mod soak;
mod steady;
mod subscriber;

use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mode, numbers) = match words.split_first() {
        Some((mode, rest)) if mode.parse::<f64>().is_err() => (mode.as_str(), rest),
        _ => ("steady", words.as_slice()),
    };
    let number = |at: usize, default: f64| numbers.get(at).map_or(Ok(default), |word| word.parse());
    match mode {
        "steady" => steady::run(number(0, 9000.0)?, number(1, 2.0)?, number(2, 60.0)?),
        "soak" => soak::run(Duration::from_secs_f64(number(0, 3600.0)?)),
        "overload" => overload::run(Duration::from_secs_f64(number(0, 60.0)?)),
        other => Err(format!("no mode `{other}`: steady, soak or overload").into()),
    }
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}
