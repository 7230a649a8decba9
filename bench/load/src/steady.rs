//! What the gateway costs under a steady load.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::procfs::Usage;
use crate::scrape::Page;
use crate::services::{self, Load, Services};
use crate::wait;

/// Long enough for every subscription to be live and for buffers to find their size.
const WARM_UP: Duration = Duration::from_secs(15);

pub(crate) fn run(load: Load, seconds: f64) -> Result<(), Box<dyn Error>> {
    println!("building the programs");
    services::build()?;
    let services = Services::start(load)?;
    println!("{load:?}: full mode, JSON to Redis with one subscriber; warming up");
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
    println!("| measure | figure |\n| --- | --- |");
    println!("| instruments subscribed | {:.0} |", page.sum("websocket_pool_subscribed_tokens"));
    println!("| strikes solved per second | {:.0} |", per_second("greeks_strikes_solved_total"));
    println!("| ticks decoded per second | {:.0} |", per_second("ticker_ticks_total"));
    println!("| frames per second | {:.0} |", per_second("ticker_frames_total"));
    println!("| gateway CPU, % of one core | {:.1} |", cpu(&before, &after));
    println!("| redis-server CPU, % of one core | {:.1} |", cpu(&redis_before, &redis_after));
    println!("| gateway RSS, largest, MiB | {:.0} |", most_rss as f64 / f64::from(1 << 20));
    println!("| ticks dropped before the pipeline | {:.0} |", page.sum("ticker_dropped_ticks_total"));
    for (name, label) in page.histograms() {
        let bounds =
            [0.5, 0.99, 0.999].map(|share| Page::percentile(&page, &page_before, &name, &label, share));
        let shown =
            bounds.map(|bound| bound.map_or("-".to_owned(), |seconds| format!("{:.3}", seconds * 1e3)));
        println!("| {name}{label} p50 / p99 / p99.9, ms (bucket bound) | {} |", shown.join(" / "));
    }
    println!("| consumer | {} |", services.subscriber().summary());
    Ok(())
}
