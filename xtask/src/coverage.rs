//! `cargo xtask coverage`: how many lines of each crate the tests run, without the tests' own lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Outcome, cargo, output, root, run, target_dir};
use crate::provision;
use crate::suite::tell_tests;

/// What carries ticks: at least [`LEAST`] percent of each of these is run by tests.
const TICK_PATH: [&str; 7] = [
    "kite-client",
    "kite-wire",
    "market-model",
    "option-greeks",
    "redis-fanout",
    "snapshot-wire",
    "tick-pipeline",
];
const LEAST: f64 = 90.0;

/// Lines that could run, and those that did.
#[derive(Default, Clone, Copy)]
struct Lines {
    all: usize,
    run: usize,
}

/// Runs every test with instrumented code and prints a table by crate; `files` lists every file too.
pub(crate) fn coverage(files: bool) -> Outcome {
    let tools = provision::test_tools()?;
    let llvm = provision::llvm_tools(&llvm_version()?)?;
    let target = target_dir().join("coverage");
    let profiles = target.join("profiles");
    let _ = std::fs::remove_dir_all(&profiles);
    let instrumented = || {
        let mut command = cargo();
        command
            .args(["test", "--workspace", "--locked", "--lib", "--bins", "--tests"])
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_INCREMENTAL", "0")
            .env("RUSTFLAGS", "-C instrument-coverage")
            // `%4m`: processes of one program share four files instead of leaving one each.
            .env("LLVM_PROFILE_FILE", profiles.join("%4m.profraw"));
        command
    };
    let objects = executables(&mut instrumented())?;
    let mut tests = instrumented();
    tell_tests(&mut tests, &tools);
    run(&mut tests)?;
    let merged = target.join("merged.profdata");
    run(Command::new(&llvm.profdata)
        .args(["merge", "--sparse", "-o"])
        .arg(&merged)
        .args(profile_files(&profiles)?))?;
    let report = export(&llvm.cov, &merged, &objects)?;
    print_table(&by_crate(&report), files)
}

// === running ===

/// The LLVM that this compiler was built with, such as `22`.
fn llvm_version() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = output(Command::new(rustc).arg("-vV")).ok_or("cannot run `rustc -vV`")?;
    let version = said.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let major = version.and_then(|version| version.split('.').next());
    major.map(str::to_owned).ok_or_else(|| "rustc does not say which LLVM it has".to_owned())
}

/// Builds the tests and answers the programs that hold them.
fn executables(command: &mut Command) -> Outcome<BTreeSet<PathBuf>> {
    println!("  building instrumented tests");
    command.args(["--no-run", "--quiet", "--message-format=json"]);
    let built = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !built.status.success() {
        return Err("the instrumented tests do not build".to_owned());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    Ok(messages.lines().filter_map(executable).collect())
}

/// The program that one of cargo's messages speaks of.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    rest.split_once('"').map(|(path, _)| PathBuf::from(path))
}

fn profile_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("no profiles in {}: {error}", folder.display()))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
}

fn export(llvm_cov: &Path, merged: &Path, objects: &BTreeSet<PathBuf>) -> Outcome<String> {
    let mut command = Command::new(llvm_cov);
    command.args(["export", "--format=lcov", "--instr-profile"]).arg(merged);
    for object in objects {
        command.arg("--object").arg(object);
    }
    output(&mut command).ok_or_else(|| "llvm-cov cannot read the profiles".to_owned())
}

// === counting ===

/// Adds up an lcov report: crate, file, lines. Lines from `#[cfg(test)] mod` on are the tests' own.
fn by_crate(report: &str) -> BTreeMap<String, BTreeMap<String, Lines>> {
    let mut crates: BTreeMap<String, BTreeMap<String, Lines>> = BTreeMap::new();
    let crates_folder = root().join("crates");
    for record in report.split("end_of_record") {
        let Some(file) = record.lines().find_map(|line| line.strip_prefix("SF:")) else { continue };
        let Ok(inside) = Path::new(file).strip_prefix(&crates_folder) else { continue };
        let inside = inside.to_string_lossy().into_owned();
        let Some((name, path)) = inside.split_once('/') else { continue };
        if !path.starts_with("src/") || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        let first_test_line = first_test_line(Path::new(file));
        let lines = crates.entry(name.to_owned()).or_default().entry(path.to_owned()).or_default();
        let own = record.lines().filter_map(line_count).filter(|(line, _)| *line < first_test_line);
        for (_, count) in own {
            lines.all += 1;
            lines.run += usize::from(count > 0);
        }
    }
    crates
}

fn line_count(text: &str) -> Option<(usize, u64)> {
    let (line, count) = text.strip_prefix("DA:")?.split_once(',')?;
    Some((line.parse().ok()?, count.parse().ok()?))
}

fn first_test_line(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let opens =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(opens).map_or(usize::MAX, |at| at + 1)
}

fn print_table(crates: &BTreeMap<String, BTreeMap<String, Lines>>, files: bool) -> Outcome {
    println!("\n{:<28} {:>7} {:>7} {:>8}", "crate", "lines", "run", "percent");
    let mut short = Vec::new();
    for (name, by_file) in crates {
        let total = by_file.values().fold(Lines::default(), |sum, lines| Lines {
            all: sum.all + lines.all,
            run: sum.run + lines.run,
        });
        let on_tick_path = TICK_PATH.contains(&name.as_str());
        println!(
            "{:<28} {:>7} {:>7} {:>7.1}%{}",
            name,
            total.all,
            total.run,
            total.percent(),
            if on_tick_path { "  tick path" } else { "" }
        );
        if on_tick_path && total.percent() < LEAST {
            short.push(format!("{name} {:.1}%", total.percent()));
        }
        for (file, lines) in by_file.iter().filter(|_| files) {
            println!("  {file:<26} {:>7} {:>7} {:>7.1}%", lines.all, lines.run, lines.percent());
        }
    }
    if short.is_empty() {
        Ok(())
    } else {
        Err(format!("below {LEAST}% on the tick path: {}", short.join(", ")))
    }
}

impl Lines {
    fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { 100.0 * self.run as f64 / self.all as f64 }
    }
}
