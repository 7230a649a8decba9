//! Simulations of the whole feed, seed by seed.

use crate::process::{Outcome, cargo, run};

/// Runs the simulation program, optimised: `--seeds N [--from S]`, or one `--seed S` with everything it says.
pub(crate) fn simulate(arguments: &[&str]) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "feed-simulation", "--bin", "simulate", "--"]);
    run(command.args(arguments))
}
