//! What the gateway costs under a steady load.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::procfs::Usage;
use crate::report::Report;
use crate::scrape::Page;
use crate::services::{self, Load, Services};
use crate::wait;

/// Long enough for every subscription to be live and for buffers to find their size.
const WARM_UP: Duration = Duration::from_secs(15);

pub(crate) fn run(
    name: &'static str,
    load: Load,
    seconds: f64,
    json: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    println!("building the programs");
    services::build()?;
    let services = Services::start(load)?;
    let mut report = Report::begin(name);
    println!("{load:?}: full mode, to Redis with one subscriber; warming up");
    wait(WARM_UP);

    let (before, page_before, begun) = (Usage::of(services.gateway())?, services.metrics()?, Instant::now());
    let (redis_before, mut most_rss) = (Usage::of(services.redis())?, before.rss_bytes);
    while begun.elapsed().as_secs_f64() < seconds {
        wait(Duration::from_secs(1));
        most_rss = most_rss.max(Usage::of(services.gateway())?.rss_bytes);
        eprint!("\r{:3.0} of {seconds:.0} s", begun.elapsed().as_secs_f64());
    }
    eprintln!();
    let (after, page, elapsed) = (Usage::of(services.gateway())?, services.metrics()?, begun.elapsed());
    let redis_after = Usage::of(services.redis())?;

    let per_second = |name: &str| (page.sum(name) - page_before.sum(name)) / elapsed.as_secs_f64();
    let cpu = |from: &Usage, to: &Usage| 100.0 * (to.cpu - from.cpu).as_secs_f64() / elapsed.as_secs_f64();
    report.table();
    report.line("instruments subscribed", "", page.sum("websocket_pool_subscribed_tokens"));
    report.line("strikes solved", "1/s", per_second("greeks_strikes_solved_total"));
    report.line("ticks decoded", "1/s", per_second("ticker_ticks_total"));
    report.line("frames", "1/s", per_second("ticker_frames_total"));
    report.line("batches published", "1/s", per_second("redis_batches_published_total"));
    report.line("gateway CPU", "% of a core", cpu(&before, &after));
    report.line("redis-server CPU", "% of a core", cpu(&redis_before, &redis_after));
    report.line("gateway RSS, largest", "MiB", most_rss as f64 / f64::from(1 << 20));
    report.line("ticks dropped before the pipeline", "", page.sum("ticker_dropped_ticks_total"));
    for (name, label) in page.histograms() {
        for (word, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let bound = Page::percentile(&page, &page_before, &name, &label, share).unwrap_or(f64::NAN);
            report.line(format!("{name}{label} {word}, bucket bound"), "ms", bound * 1e3);
        }
    }
    let seen = services.subscriber().seen();
    report.line("ticks missed by the consumer", "", seen.missed as f64);
    report.line("batches out of order", "", seen.backwards as f64);
    println!("consumer: {}", services.subscriber().summary());
    report.finish(json)?;
    Ok(())
}
