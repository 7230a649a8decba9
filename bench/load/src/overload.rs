//! Ten times the load while Redis stands still every few seconds: memory stays flat, values stay fresh.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::procfs::Usage;
use crate::report::Report;
use crate::services::{self, Load, Services};
use crate::wait;

/// Ten times what the instruments of one API key usually tick.
const TENFOLD: Load = Load {
    instruments: 9000,
    ticks_per_second: 180_000,
    accounts: 1,
    tls: true,
    last_values: true,
    payload: "json",
};
const WARM_UP: Duration = Duration::from_secs(15);

pub(crate) fn run(time: Duration, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    println!("building the programs");
    services::build()?;
    let services = Services::start(TENFOLD)?;
    let mut report = Report::begin("overload");
    println!("about 180,000 ticks/s; of every six seconds Redis stands still for four; warming up");
    wait(WARM_UP);
    let before = Usage::of(services.gateway())?;
    let (begun, mut most_rss) = (Instant::now(), 0);
    let mut ages = Vec::new();
    while begun.elapsed() < time {
        services.signal_redis("STOP")?;
        wait(Duration::from_secs(4));
        most_rss = most_rss.max(Usage::of(services.gateway())?.rss_bytes);
        services.signal_redis("CONT")?;
        wait(Duration::from_millis(1000));
        // What piled up in the sockets has passed; from here on only fresh values may come.
        services.subscriber().take_age();
        wait(Duration::from_millis(1000));
        ages.push(services.subscriber().take_age());
        eprint!("\r{:3.0} of {:.0} s", begun.elapsed().as_secs_f64(), time.as_secs_f64());
    }
    eprintln!();
    let (after, page) = (Usage::of(services.gateway())?, services.metrics()?);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report.table();
    let decoded = page.sum("ticker_ticks_total") / (begun.elapsed() + WARM_UP).as_secs_f64();
    report.line("ticks decoded", "1/s", decoded);
    report.line("RSS before", "MiB", mib(before.rss_bytes));
    report.line("RSS, largest", "MiB", mib(most_rss));
    report.line("RSS after", "MiB", mib(after.rss_bytes));
    let age = ages.iter().max().unwrap_or(&Duration::ZERO).as_secs_f64();
    report.line("age of values one second after each stall, largest", "s", age);
    let balanced = services.health()?.contains("\"conservation\":{\"balanced\":true");
    report.line("conservation balanced", "", f64::from(u8::from(balanced)));
    println!("consumer: {}", services.subscriber().summary());
    report.finish(json)?;
    Ok(())
}
