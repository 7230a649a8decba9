//! Benchmark programs: packages of their own under `bench/`, outside the default build.

use std::path::Path;

use crate::process::{Outcome, cargo, root, run};

/// Stages of the tick path that `bench/peers` races against other crates and against the physical limit.
const STAGES: [&str; 5] = ["decode", "encode", "socket", "redis", "pipeline"];

/// Modes of `bench/load`, which runs the shipped programs.
const MODES: [&str; 6] = ["steady", "market", "market-positional", "accounts", "overload", "soak"];

/// Runs a benchmark by the name of its package, its stage or its mode; `compare` prints how two results differ.
pub(crate) fn bench(name: &str, arguments: &[&str]) -> Outcome {
    let named = |package| run_package(package, &[&[name], arguments].concat());
    match name {
        "compare" => named("peers"),
        _ if STAGES.contains(&name) => named("peers"),
        _ if MODES.contains(&name) => named("load"),
        _ => run_package(name, arguments),
    }
}

fn run_package(package: &str, arguments: &[&str]) -> Outcome {
    let folder = root().join("bench").join(package);
    if !folder.join("Cargo.toml").is_file() {
        return Err(format!("no benchmark `{package}`: there is no bench/{package}"));
    }
    let mut command = cargo();
    // In the package's own folder, so that its `.cargo/config.toml` holds.
    command.current_dir(&folder).args(["run", "--release", "--quiet", "--"]);
    run(command.args(arguments.iter().map(|argument| absolute(argument))))
}

/// A file is named from the folder of the caller, not from that of the package.
fn absolute(argument: &str) -> String {
    match std::env::current_dir() {
        Ok(here) if Path::new(argument).extension().is_some_and(|extension| extension == "json") => {
            here.join(argument).display().to_string()
        }
        _ => argument.to_owned(),
    }
}
