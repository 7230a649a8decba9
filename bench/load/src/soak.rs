//! An hour at 18,000 ticks a second with a fault every ten seconds.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::procfs::Usage;
use crate::report::Report;
use crate::services::{self, Load, Services};
use crate::{STEADY, wait};

/// Without TLS, so that faults can be asked for plainly.
const SOAK: Load = Load { tls: false, ..STEADY };
const FAULT_EVERY: Duration = Duration::from_secs(10);
const REPORT_EVERY: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(30);
/// What a last fault needs to pass.
const SETTLE: Duration = Duration::from_secs(45);

/// In turn, over and over. What Redis suffers stands between what the broker does.
const FAULTS: [&str; 18] = [
    r#"{"fault":"mute","for":"7s"}"#,
    r#"{"fault":"reset"}"#,
    r#"{"fault":"truncated-frame","percent":5,"for":"5s"}"#,
    "redis:STOP",
    r#"{"fault":"close","code":1006}"#,
    r#"{"fault":"refuse","door":"handshake","status":503,"for":"3s"}"#,
    r#"{"fault":"drop"}"#,
    r#"{"fault":"unknown-packet","percent":10,"for":"5s"}"#,
    "redis:STOP",
    r#"{"fault":"half-open","for":"8s","present":true}"#,
    r#"{"fault":"wrong-length","percent":5,"for":"5s"}"#,
    r#"{"fault":"rate-collapse","percent":2.5,"for":"8s"}"#,
    "redis:STOP",
    r#"{"fault":"restart","down":"3s"}"#,
    r#"{"fault":"overlong","bytes":2000000,"for":"1s"}"#,
    r#"{"fault":"refuse","door":"handshake","status":429,"html":true,"for":"4s"}"#,
    r#"{"fault":"delay","door":"accept","by":"2s","for":"5s"}"#,
    r#"{"fault":"no-pong","for":"9s"}"#,
];

/// One line of the report.
#[derive(Clone, Copy)]
struct Sample {
    usage: Usage,
    tasks: usize,
    balanced: bool,
}

pub(crate) fn run(time: Duration, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    println!("building the programs");
    services::build()?;
    let services = Services::start(SOAK)?;
    println!("18,000 ticks/s, a fault every {FAULT_EVERY:?}, for {time:?}; warming up");
    wait(WARM_UP);
    let (begun, mut samples, mut next_report) = (Instant::now(), Vec::new(), Duration::ZERO);
    for fault in FAULTS.iter().cycle() {
        if begun.elapsed() >= time {
            break;
        }
        if begun.elapsed() >= next_report {
            next_report += REPORT_EVERY;
            samples.push(report(&services, begun)?);
        }
        match fault.strip_prefix("redis:") {
            Some(signal) => {
                services.signal_redis(signal)?;
                wait(Duration::from_secs(3));
                services.signal_redis("CONT")?;
                wait(FAULT_EVERY.saturating_sub(Duration::from_secs(3)));
            }
            None => {
                services.fault(fault)?;
                wait(FAULT_EVERY);
            }
        }
    }
    wait(SETTLE);
    samples.push(report(&services, begun)?);
    let mut results = Report::begin("soak");
    let verdict = verdict(&services, &samples, &mut results);
    results.finish(json)?;
    verdict
}

fn report(services: &Services, begun: Instant) -> Result<Sample, Box<dyn Error>> {
    let (usage, health) = (Usage::of(services.gateway())?, services.health()?);
    let balanced = health.contains("\"conservation\":{\"balanced\":true");
    let tasks = health.matches("\"panics\":").count();
    println!(
        "{:5.0} s  RSS {:5.1} MiB  {:3} descriptors  {:2} threads  {tasks} tasks  {}  consumer: {}",
        begun.elapsed().as_secs_f64(),
        usage.rss_bytes as f64 / f64::from(1 << 20),
        usage.descriptors,
        usage.threads,
        if balanced { "balanced" } else { "NOT BALANCED" },
        services.subscriber().summary(),
    );
    Ok(Sample { usage, tasks, balanced })
}

/// The second half against the first: what leaks grows.
fn verdict(services: &Services, samples: &[Sample], results: &mut Report) -> Result<(), Box<dyn Error>> {
    let (early, late) = samples.split_at(samples.len() / 2);
    let most = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
    let mut problems = Vec::new();
    for (name, of, slack) in [
        ("RSS", (|sample| sample.usage.rss_bytes) as fn(&Sample) -> u64, 16 << 20),
        ("descriptors", |sample| sample.usage.descriptors as u64, 4),
        ("threads", |sample| sample.usage.threads, 2),
        ("tasks", |sample| sample.tasks as u64, 0),
    ] {
        let (early, late) = (most(early, of), most(late, of));
        println!("{name}: at most {early} in the first half, {late} in the second");
        results.line(format!("{name}, most in the first half"), "", early as f64);
        results.line(format!("{name}, most in the second half"), "", late as f64);
        if late > early + slack {
            problems.push(format!("{name} grew from {early} to {late}"));
        }
    }
    if samples.iter().any(|sample| !sample.balanced) {
        problems.push("ticks were unaccounted for".to_owned());
    }
    let (page, seen) = (services.metrics()?, services.subscriber().seen());
    let outcome = |word: &str| {
        let outcome = format!("outcome=\"{word}\"");
        page.sum_where("conservation_sink_ticks_total", &["sink=\"redis\"", &outcome])
    };
    // What the sink handed over and Redis did not take, and what never came so far.
    let lost = outcome("overflowed")
        + outcome("closed")
        + page.sum("redis_ticks_failed_total")
        + page.sum("redis_ticks_dropped_total");
    println!(
        "not published by the gateway's own account: {lost:.0} ticks; missed by the consumer's: {}",
        seen.missed
    );
    results.line("ticks not published, by the gateway", "", lost);
    results.line("ticks missed, by the consumer", "", seen.missed as f64);
    results.line("batches out of order", "", seen.backwards as f64);
    // A batch that took too long counts as failed, and may have been published all the same.
    if seen.missed as f64 > lost {
        problems.push("the consumer misses more than the gateway says".to_owned());
    }
    if seen.backwards > 0 {
        problems.push(format!("{} batches out of order", seen.backwards));
    }
    match problems.as_slice() {
        [] => println!("flat and balanced"),
        _ => return Err(problems.join("; ").into()),
    }
    Ok(())
}
