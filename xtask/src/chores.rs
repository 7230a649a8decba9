//! Chores that no test run needs: generated pages, fuzzing.

use std::process::Command;

use crate::process::{Outcome, cargo, root, run};

/// Rewrites the pages that tests hold against the code.
pub(crate) fn docs() -> Outcome {
    run(cargo().args(["test", "--quiet", "--workspace", "--test", "docs"]).env("UPDATE_DOCS", "1"))
}

/// Fuzzes one target for a while.
pub(crate) fn fuzz(target: &str, seconds: &str) -> Outcome {
    if seconds.parse::<u32>().is_err() {
        return Err(format!("`{seconds}` is not a number of seconds"));
    }
    let folder = ["fuzz", "fuzz/greeks"]
        .into_iter()
        .find(|folder| root().join(folder).join("fuzz_targets").join(format!("{target}.rs")).is_file())
        .ok_or_else(|| format!("no fuzz target `{target}`; fuzz/README.md lists them"))?;
    // Not through `cargo()`: that is the pinned toolchain's cargo, and the fuzzer needs nightly's.
    let mut command = Command::new("cargo");
    command.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    // What the fuzzer finds goes into the first folder; the seeds of the second are only read.
    let folders = ["corpus", "seeds"].map(|kind| root().join("fuzz").join(kind).join(target));
    for folder in &folders {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    command.args(["+nightly", "fuzz", "run", "--fuzz-dir", folder, target]).args(&folders);
    command.args(["--", &format!("-max_total_time={seconds}")]);
    run(&mut command).map_err(|problem| format!("{problem}; see fuzz/README.md for what it needs"))
}
