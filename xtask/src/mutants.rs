//! `cargo xtask mutants`: small breaks in the code whose faults cost most, and which of them no test notices.

use std::path::Path;
use std::process::Command;

use crate::process::{Outcome, root, run, work_dir};
use crate::provision;

/// What is broken: validator, batcher, breaker, and the state a ticker keeps.
const BROKEN: [&str; 9] = [
    "crates/tick-pipeline/src/validate.rs",
    "crates/tick-pipeline/src/batch.rs",
    "crates/resilience/src/breaker.rs",
    "crates/resilience/src/breaker/*.rs",
    "crates/kite-client/src/ticker/ledger.rs",
    "crates/kite-client/src/ticker/liveness.rs",
    "crates/kite-client/src/ticker/gate.rs",
    "crates/kite-client/src/ticker/merge.rs",
    "crates/kite-client/src/ticker/plan.rs",
];

/// Runs every mutant against its crate's tests. `more` goes to cargo-mutants (`--list`, `--shard 0/4`, ...).
pub(crate) fn mutants(more: &[&str]) -> Outcome {
    let program = provision::cargo_mutants()?;
    let folder = work_dir().join("mutants");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut command = Command::new(program);
    command.arg("mutants").current_dir(root()).arg("--output").arg(&folder);
    command.args(["--no-shuffle", "--colors=never", "--baseline=skip", "--timeout=120"]);
    for file in BROKEN {
        command.args(["--file", file]);
    }
    let outcome = run(command.args(more));
    show("missed", &folder.join("mutants.out/missed.txt"));
    show("timed out", &folder.join("mutants.out/timeout.txt"));
    // What survives is answered in docs/mutation.md; a survivor that is not answered there is a finding.
    outcome.or_else(|problem| match answered(&folder.join("mutants.out/missed.txt")) {
        true => Ok(()),
        false => Err(problem),
    })
}

fn show(title: &str, list: &Path) {
    let text = std::fs::read_to_string(list).unwrap_or_default();
    println!("{title}: {}", text.lines().count());
    text.lines().for_each(|line| println!("  {line}"));
}

/// Whether docs/mutation.md has an answer to every survivor.
fn answered(missed: &Path) -> bool {
    let (Ok(missed), Ok(page)) =
        (std::fs::read_to_string(missed), std::fs::read_to_string(root().join("docs/mutation.md")))
    else {
        return false;
    };
    missed.lines().all(|line| page.contains(without_place(line)))
}

/// `file:12:5: replace ...` without the numbers, which move with every edit.
fn without_place(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, what)| what)
}
