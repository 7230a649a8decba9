//! A thousand seeds hold, and a seed is all there is to know about a run.

use std::process::Command;

fn simulate(arguments: &[&str]) -> (bool, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate")).args(arguments).output();
    let output = ran.unwrap_or_else(|error| panic!("the simulation was not built: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_must_hold_holds_for_a_thousand_seeds() {
    let (passed, text) = simulate(&["--seeds", "1000"]);
    assert!(passed, "{text}");
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_line() {
    for seed in ["11", "12", "13"] {
        let (first, second) =
            (simulate(&["--seed", seed, "--story"]), simulate(&["--seed", seed, "--story"]));
        assert!(first.1.lines().count() > 100, "a story is told: {}", first.1);
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_run() {
    let trace = |seed| {
        let (_, text) = simulate(&["--seed", seed]);
        text.split("trace ").nth(1).unwrap()[..16].to_owned()
    };
    assert_ne!(trace("11"), trace("12"));
}
