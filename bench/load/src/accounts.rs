//! What an account costs: the same few instruments on each of 1, 3, 10, ... accounts, so that what grows is the number of
//! accounts and what they tick, and little else.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::procfs::Usage;
use crate::report::Report;
use crate::services::{self, Load, Services};
use crate::wait;

/// Small, so that a hundred accounts and the simulator fit on a small machine.
const INSTRUMENTS_EACH: u32 = 100;
/// For every subscription to be live.
const PATIENCE: Duration = Duration::from_secs(120);
/// For buffers to find their size.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures each number of accounts for so many seconds, first at rest (a tick of each instrument every 10 s), then with
/// a tick of each instrument a second.
pub(crate) fn run(accounts: &[u32], seconds: f64, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    println!("building the programs");
    services::build()?;
    let mut report = Report::begin("accounts");
    report.table();
    for &accounts in accounts {
        let instruments = INSTRUMENTS_EACH * accounts;
        for (what, ticks_per_second) in [("at rest", instruments / 10), ("ticking", instruments)] {
            let load = Load {
                instruments,
                ticks_per_second,
                accounts,
                tls: false,
                last_values: true,
                payload: "json",
            };
            measure(load, what, seconds, &mut report)?;
        }
    }
    report.finish(json)?;
    Ok(())
}

fn measure(load: Load, what: &str, seconds: f64, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let services = Services::start(load)?;
    let wanted = f64::from(load.instruments);
    while services.metrics()?.sum("websocket_pool_subscribed_tokens") < wanted {
        if started.elapsed() > PATIENCE {
            return Err(format!("not all of {wanted} instruments are subscribed after {PATIENCE:?}").into());
        }
        wait(Duration::from_millis(100));
    }
    let live = started.elapsed();
    wait(SETTLE);

    let (before, page_before, begun) = (Usage::of(services.gateway())?, services.metrics()?, Instant::now());
    wait(Duration::from_secs_f64(seconds));
    let (after, page, elapsed) = (Usage::of(services.gateway())?, services.metrics()?, begun.elapsed());
    let cpu = 100.0 * (after.cpu - before.cpu).as_secs_f64() / elapsed.as_secs_f64();
    let mib = after.rss_bytes as f64 / f64::from(1 << 20);
    let ticks =
        (page.sum("ticker_ticks_total") - page_before.sum("ticker_ticks_total")) / elapsed.as_secs_f64();
    let Load { accounts, .. } = load;
    let mut line =
        |measure: &str, unit, value| report.line(format!("{accounts} {what}: {measure}"), unit, value);
    line("sockets", "", page.sum("websocket_pool_connections"));
    line("ticks", "1/s", ticks);
    line("all subscribed after", "s", live.as_secs_f64());
    line("gateway CPU", "% of a core", cpu);
    line("gateway RSS", "MiB", mib);
    line("descriptors", "", after.descriptors as f64);
    line("ticks dropped", "", page.sum("ticker_dropped_ticks_total"));
    line("ticks missed by the consumer", "", services.subscriber().seen().missed as f64);
    Ok(())
}
