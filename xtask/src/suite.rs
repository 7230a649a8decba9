//! `cargo xtask test`: the same steps on a laptop and in CI.

use std::time::Instant;

use crate::process::{Outcome, cargo, run};
use crate::provision::{self, Tools};

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

const STEPS: [Step; 6] = [
    Step { name: "fmt", run: fmt },
    Step { name: "tidy", run: crate::tidy::check },
    Step { name: "clippy", run: clippy },
    Step { name: "deny", run: deny },
    Step { name: "doc", run: doc },
    Step { name: "tests", run: tests },
];

/// Runs every step, or only the one named.
pub(crate) fn run_steps(only: Option<&str>) -> Outcome {
    let steps: Vec<_> = STEPS.iter().filter(|step| only.is_none_or(|wanted| wanted == step.name)).collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no such step; the steps are {}", names.join(", ")));
    }
    let begun = Instant::now();
    for (at, Step { name, run }) in steps.iter().enumerate() {
        println!("[{}/{}] {name}", at + 1, steps.len());
        let step_begun = Instant::now();
        run().map_err(|problem| format!("step {name}: {problem}"))?;
        println!("[{}/{}] {name}: ok in {:.0} s", at + 1, steps.len(), step_begun.elapsed().as_secs_f64());
    }
    println!("all {} steps passed in {:.0} s", steps.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

fn fmt() -> Outcome {
    run_cargo(&["fmt", "--all", "--check"])
}

fn clippy() -> Outcome {
    run_cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
}

fn deny() -> Outcome {
    run_deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
}

fn doc() -> Outcome {
    let mut command = cargo();
    command
        .args(["doc", "--quiet", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    run(&mut command)
}

fn tests() -> Outcome {
    let tools = provision::test_tools()?;
    let mut command = cargo();
    // One run tells of everything that is broken.
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    tell_tests(&mut command, &tools);
    run(&mut command)
}

/// The variables through which tests learn where the real services and clients are. With
/// `KITE_TEST_REQUIRE_SERVICES` a test that lacks one fails instead of skipping.
pub(crate) fn tell_tests(command: &mut std::process::Command, tools: &Tools) {
    command
        .env("KITE_TEST_REQUIRE_SERVICES", "1")
        .env("KITE_TEST_REDIS_SERVER", &tools.redis_server)
        .env("KITE_TEST_POSTGRES_BIN", &tools.postgres_bin)
        .env("KITE_TEST_PGBOUNCER", &tools.pgbouncer)
        .env("KITE_TEST_PYTHON", &tools.python)
        .env("KITE_TEST_NODE", &tools.node)
        .env("KITE_TEST_NODE_MODULES", &tools.node_modules)
        .env("KITE_TEST_CHROMIUM", &tools.chromium);
}

fn run_cargo(arguments: &[&str]) -> Outcome {
    run(cargo().args(arguments))
}

fn run_deny(arguments: &[&str]) -> Outcome {
    let program = provision::cargo_deny()?;
    run(std::process::Command::new(program).args(arguments).current_dir(crate::process::root()))
}
