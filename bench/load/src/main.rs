//! Load through the shipped programs: `kite-sim` in load mode, the gateway with Greeks, a real Redis with one
//! subscriber, each a process of its own on this machine (the subscriber is a thread of this one).
//!
//! - `cargo xtask bench steady [SECONDS]`: what the gateway costs at 18,000 full ticks a second of 9,000 instruments, over TLS.
//! - `cargo xtask bench market [SECONDS]`: the same for 240,000 ticks a second of 120,000 instruments on 14 accounts.
//! - `cargo xtask bench market-positional [SECONDS]`: that with payloads by position.
//! - `cargo xtask bench soak [SECONDS]`: 18,000 ticks a second with a fault every ten seconds; memory,
//!   descriptors and tasks must stay flat, and every tick must be accounted for.
//! - `cargo xtask bench accounts [SECONDS [COUNT...]]`: what an account costs, at 1, 3, 10, 30 and 99 accounts.
//! - `cargo xtask bench overload [SECONDS]`: Redis stands still while ten times the load arrives.
//!
//! Each takes `--json FILE`; `cargo xtask bench compare BEFORE.json AFTER.json` compares two.

mod accounts;
mod overload;
mod procfs;
mod report;
mod scrape;
mod services;
mod soak;
mod steady;
mod subscriber;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use services::Load;

/// One API key's worth of instruments.
const STEADY: Load = Load {
    instruments: 9000,
    ticks_per_second: 18_000,
    accounts: 1,
    tls: true,
    last_values: true,
    payload: "json",
};
/// Everything that is listed.
/// 240,000 hashes a second would be another load than ticks.
const MARKET: Load = Load {
    instruments: 120_000,
    ticks_per_second: 240_000,
    accounts: 14,
    tls: false,
    last_values: false,
    payload: "json",
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let json = match words.iter().position(|word| word == "--json") {
        Some(at) if at + 1 < words.len() => words.drain(at..at + 2).nth(1).map(PathBuf::from),
        Some(_) => return Err("--json wants a file".into()),
        None => None,
    };
    let json = json.as_deref();
    let (mode, numbers) = match words.split_first() {
        Some((mode, rest)) if mode.parse::<f64>().is_err() => (mode.as_str(), rest),
        _ => ("steady", words.as_slice()),
    };
    let number = |at: usize, default: f64| numbers.get(at).map_or(Ok(default), |word| word.parse());
    match mode {
        "steady" => steady::run("steady", STEADY, number(0, 60.0)?, json),
        "market" => steady::run("market", MARKET, number(0, 60.0)?, json),
        "market-positional" => {
            let load = Load { payload: "msgpack_positional", ..MARKET };
            steady::run("market-positional", load, number(0, 60.0)?, json)
        }
        "soak" => soak::run(Duration::from_secs_f64(number(0, 3600.0)?), json),
        "accounts" => {
            let counts: Result<Vec<u32>, _> = numbers.iter().skip(1).map(|word| word.parse()).collect();
            let counts = Some(counts?).filter(|counts| !counts.is_empty()).unwrap_or(vec![1, 3, 10, 30, 99]);
            accounts::run(&counts, number(0, 20.0)?, json)
        }
        "overload" => overload::run(Duration::from_secs_f64(number(0, 60.0)?), json),
        other => {
            Err(format!("no mode `{other}`: steady, market, market-positional, accounts, soak or overload")
                .into())
        }
    }
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}
