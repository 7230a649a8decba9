//! Every stage of the tick path beside its best published peer and its physical limit, all in one run.
//!
//! `cargo xtask bench decode|encode|socket|redis|pipeline [--json FILE]` and
//! `cargo xtask bench compare BEFORE.json AFTER.json`. Candidates take turns, a round each; the medians count. Read
//! the ratios: the machine may be busy with something else.

mod compare;
mod decode;
mod encode;
mod market;
mod pipeline;
mod redis_server;
mod redis_writers;
mod report;
mod rival;
mod rounds;
mod sample;
mod socket;
mod socket_server;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use report::Report;

const USAGE: &str = "bench-peers decode|encode|socket|redis|pipeline [--json FILE]
bench-peers compare BEFORE.json AFTER.json";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["compare", before, after] => compare::run(before.as_ref(), after.as_ref()),
        [name] => measure(name, default_file(name)),
        [name, "--json", file] => measure(name, PathBuf::from(file)),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(name: &str, file: PathBuf) -> Result<(), Box<dyn Error>> {
    let mut report = Report::begin(name);
    match name {
        "decode" => decode::run(&mut report)?,
        "encode" => encode::run(&mut report)?,
        "socket" => socket::run(&mut report)?,
        "redis" => redis_writers::run(&mut report)?,
        "pipeline" => pipeline::run(&mut report)?,
        _ => return Err(USAGE.into()),
    }
    report.finish(&file)
}

fn default_file(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("target/bench").join(format!("{name}.json"))
}
