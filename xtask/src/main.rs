//! The repository's own chores. `cargo xtask` alone lists them.

#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod bench;
mod chores;
mod coverage;
mod mutants;
mod process;
mod provision;
mod simulate;
mod suite;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <chore>

  test             everything CI runs: fmt, tidy, clippy, deny, docs, every test with real services
  test --only STEP one step of it: fmt | tidy | clippy | deny | doc | tests
  docs             write the generated pages in docs/ anew
  bench NAME       a race against other crates and the physical limit: decode | encode | socket | redis | pipeline
                   (--json FILE), greeks; the shipped programs under load: steady | market | accounts | overload | soak
  bench compare BEFORE.json AFTER.json
                   how two results differ
  coverage         lines of each crate that the tests run; with --files each file's
  mutants          break validator, batcher, breaker and ticker state in small ways; list what no test notices
  simulate --seeds N [--from S]  feed, faults and virtual time: N seeds, each checked
  simulate --seed S [--story]    one of them again, exactly
  fuzz TARGET [S]  fuzz TARGET for S seconds (default 60); needs the nightly toolchain
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] | ["ci"] => suite::run_steps(None),
        ["test", "--only", step] => suite::run_steps(Some(step)),
        ["docs"] => chores::docs(),
        ["bench", name, rest @ ..] => bench::bench(name, rest),
        ["coverage"] => coverage::coverage(false),
        ["coverage", "--files"] => coverage::coverage(true),
        ["mutants", rest @ ..] => mutants::mutants(rest),
        ["simulate", rest @ ..] => simulate::simulate(rest),
        ["fuzz", target] => chores::fuzz(target, "60"),
        ["fuzz", target, seconds] => chores::fuzz(target, seconds),
        _ => {
            print!("{USAGE}");
            return if words.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(64) };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
