//! What a dump of 250,000 rows costs, beside a naive map: `cargo run --release -p instrument-registry --example dump_cost`.
//!
//! `dump_cost [ROWS] [ROUNDS]`. Each side runs in a process of its own, so that its memory can be told. The naive side is
//! what a script does: the columns of every row as strings in a map of maps, a search that walks all of them.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[path = "../../tests/support/dump.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod dump;
mod naive;
mod ours;

const SEED: u64 = 20_261_120;
const DAY: jiff::civil::Date = jiff::civil::date(2026, 11, 20);
const LOOKUPS: usize = 200_000;
/// What people type, with a word or two, a beginning, a contract, a letter, nothing that exists.
const SEARCHES: [&str; 8] =
    ["nifty", "nifty 25000 ce", "ba", "steel limited", "NIFTY27JAN25", "banknifty fut", "n", "nosuchthing"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [side, file, rounds] = arguments.as_slice()
        && side.starts_with("--")
    {
        let (file, rounds) = (Path::new(file), rounds.parse().unwrap());
        return if side == "--ours" { ours::run(file, rounds) } else { naive::run(file, rounds) };
    }
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |text| text.parse().unwrap());
    let (rows, rounds) = (number(0, 250_000), number(1, 11));
    let file = std::env::temp_dir().join(format!("dump_cost-{}.csv", std::process::id()));
    let made = dump::dump(SEED, rows, DAY);
    kite_wire::write_instruments(&made, std::io::BufWriter::new(std::fs::File::create(&file).unwrap()))
        .unwrap();
    println!("{} rows, {:.1} MB, {rounds} rounds, medians\n", made.len(), size_of(&file) as f64 / 1e6);
    drop(made);
    for side in ["--ours", "--naive"] {
        let program = std::env::current_exe().unwrap();
        let status = Command::new(program).arg(side).arg(&file).arg(rounds.to_string()).status().unwrap();
        assert!(status.success(), "{side} failed");
    }
    std::fs::remove_file(&file).unwrap();
}

fn size_of(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

/// Resident memory in MB: now, and the most there ever was.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// The median and the best, in `unit`s of a second: on a busy machine the best tells more.
fn told(mut times: Vec<Duration>, unit: f64, name: &str) -> String {
    times.sort_unstable();
    let of = |time: Duration| time.as_secs_f64() * unit;
    let (median, best) = (of(times[times.len() / 2]), of(times[0]));
    let digits = usize::from(best < 10.0);
    format!("{median:.digits$} {name} (best {best:.digits$})")
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("  {name:<44} {value}");
}

/// For one of [`LOOKUPS`].
fn each(times: Vec<Duration>) -> String {
    told(times, 1e9 / LOOKUPS as f64, "ns")
}
