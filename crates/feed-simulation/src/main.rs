//! Runs simulations: one seed with its story, or many of them, each in a process of its own.

#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod entropy;

use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use feed_simulation::{Plan, Trace, run_plan};

const USAGE: &str = "\
simulate --seed S [--story]              run seed S and print how it went; with --story everything that happened
simulate --seeds N [--from S] [--jobs J] run N seeds from S (default 0), J at a time (default: one for each core)
";

/// A seed takes a few hundredths of a second. One that takes so long runs in circles.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the command line asks for.
#[derive(Debug, Default)]
struct Wishes {
    seed: Option<u64>,
    seeds: Option<u64>,
    from: u64,
    jobs: Option<u64>,
    story: bool,
}

fn main() -> ExitCode {
    match wishes() {
        Some(Wishes { seed: Some(seed), story, .. }) => one(seed, story),
        Some(Wishes { seeds: Some(seeds), from, jobs, .. }) => many(seeds, from, jobs),
        _ => {
            print!("{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn wishes() -> Option<Wishes> {
    let mut wishes = Wishes::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seed" => wishes.seed = Some(number()?),
            "--seeds" => wishes.seeds = Some(number()?),
            "--from" => wishes.from = number()?,
            "--jobs" => wishes.jobs = Some(number()?.max(1)),
            "--story" => wishes.story = true,
            _ => return None,
        }
    }
    Some(wishes)
}

/// Runs one seed in this process, which must not have run another one before.
fn one(seed: u64, story: bool) -> ExitCode {
    entropy::begin(seed);
    let (done, finished) = channel::<()>();
    let watchdog = thread::spawn(move || {
        if finished.recv_timeout(PATIENCE).is_err() {
            println!("seed {seed}: runs in circles\n  nothing more came within {PATIENCE:?}");
            let _ = std::io::stdout().flush();
            std::process::exit(3);
        }
    });
    let plan = Plan::new(seed);
    let trace = if story { Trace::keeping_all() } else { Trace::default() };
    let report = run_plan(&plan, &trace);
    let _ = done.send(());
    let _ = watchdog.join();
    if story || !report.violations.is_empty() {
        println!("{plan:#?}");
        for line in &report.last {
            println!("{line}");
        }
    }
    println!("{report}");
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs many seeds, each in a process of its own: only the first simulation of a process is exactly repeatable.
fn many(seeds: u64, from: u64, jobs: Option<u64>) -> ExitCode {
    let begun = Instant::now();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            println!("cannot find myself: {error}");
            return ExitCode::FAILURE;
        }
    };
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, |cores| cores.get() as u64));
    let next = AtomicU64::new(from);
    let (verdicts, results) = channel();
    let mut failed = Vec::new();
    let mut sums = Sums::default();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (verdicts, next, program) = (verdicts.clone(), &next, &program);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(seeds) {
                        return;
                    }
                    let ran = Command::new(program).args(["--seed", &seed.to_string()]).output();
                    if verdicts.send((seed, ran)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(verdicts);
        for (seed, ran) in results {
            let (passed, text) = match ran {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
                }
                Err(error) => (false, format!("seed {seed}: cannot be started: {error}")),
            };
            let from_verdict = text.rfind(&format!("seed {seed}:")).unwrap_or_default();
            if passed {
                sums.add(&text[from_verdict..]);
            } else {
                println!("{}", text[from_verdict..].trim_end());
                println!("  replay: cargo xtask simulate --seed {seed}");
                failed.push(seed);
            }
        }
    });
    println!(
        "{seeds} seeds from {from}: {} failed, {:.0} s virtual, {} ticks, {} dropped, {} undecodable, {} handshakes, {} rotations, in {:.1} s",
        failed.len(),
        sums.elapsed,
        sums.ticks,
        sums.dropped,
        sums.undecodable,
        sums.handshakes,
        sums.rotations,
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What many seeds add up to.
#[derive(Debug, Default)]
struct Sums {
    elapsed: f64,
    ticks: u64,
    dropped: u64,
    undecodable: u64,
    handshakes: u64,
    rotations: u64,
}

// === impl Sums ===

impl Sums {
    /// Adds what a verdict's first line says.
    fn add(&mut self, verdict: &str) {
        let words: Vec<&str> = verdict.split([' ', ',', '\n']).collect();
        let before = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words[..at].iter().rev().find(|word| !word.is_empty()).copied()
        };
        let number = |name| before(name).and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        self.elapsed += before("s").and_then(|word| word.parse::<f64>().ok()).unwrap_or_default();
        self.ticks += number("ticks");
        self.dropped += number("dropped");
        self.undecodable += number("undecodable");
        self.handshakes += number("handshakes");
        self.rotations += number("rotations");
    }
}
