//! Our side: the dump goes through a refresher into a registry, as in the gateway.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use exchange_calendar::Calendar;
use instrument_registry::*;
use market_model::{Instrument, SystemClock};
use resilience::TaskExit;
use tokio_util::sync::CancellationToken;

use super::{LOOKUPS, SEARCHES, dump::Dice, median, memory, per, row};

struct File(PathBuf);

impl DumpSource for File {
    async fn fetch(&self, into: &mut DumpWriter) -> Result<(), String> {
        let mut file = std::fs::File::open(&self.0).map_err(|error| error.to_string())?;
        loop {
            let mut chunk = vec![0; 64 << 10];
            let length = file.read(&mut chunk).map_err(|error| error.to_string())?;
            if length == 0 {
                return Ok(());
            }
            chunk.truncate(length);
            into.write(Bytes::from(chunk)).await.map_err(|error| error.to_string())?;
        }
    }

    fn rows(dump: DumpReader) -> Result<impl Iterator<Item = Result<Instrument, String>>, String> {
        let rows = kite_wire::parse_instruments(dump).map_err(|error| error.to_string())?;
        Ok(rows.map(|row| row.map(|row| row.into_instrument(None)).map_err(|error| error.to_string())))
    }
}

#[tokio::main]
pub(super) async fn run(file: &Path, rounds: usize) {
    let (before, _) = memory();
    println!("instrument-registry");
    parts(file, rounds);
    let (registry, requests) = Registry::new();
    let refresher = Refresher::new(RefresherParts {
        registry: registry.clone(),
        requests,
        source: File(file.to_owned()),
        history: MemoryHistory::default(),
        clock: SystemClock,
        calendar: Calendar::builtin(),
        config: RefreshConfig::default(),
        metrics: RegistryMetrics::noop(),
    });
    let stop = CancellationToken::new();
    let work = async {
        let _ = registry.subscribe().changed().await;
        let (first, _) = memory();
        let mut times = Vec::new();
        for _ in 0..rounds {
            let start = Instant::now();
            registry.refresh().await.unwrap();
            times.push(start.elapsed());
        }
        stop.cancel();
        row("download from a file, parse, diff, swap, keep", format!("{:.0} ms", ms(median(times))));
        let (now, peak) = memory();
        row(
            "memory, after the first dump / now / peak",
            format!("{:.0} / {:.0} / {peak:.0} MB", first - before, now - before),
        );
    };
    let (exit, ()) = tokio::join!(refresher.run(stop.clone()), work);
    assert_eq!(exit, TaskExit::Cancelled);
    lookups(&registry.current(), rounds);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The steps of a refresh one by one.
fn parts(file: &Path, rounds: usize) {
    let calendar = Calendar::builtin();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let start = Instant::now();
        let rows = kite_wire::parse_instruments(std::fs::File::open(file).unwrap()).unwrap();
        let rows: Vec<Instrument> = rows.map(|row| row.unwrap().into_instrument(None)).collect();
        times[0].push(start.elapsed());
        let copy = rows.clone();
        let start = Instant::now();
        let catalog = market_model::InstrumentCatalog::new(copy, |name| calendar.index_symbol(name)).unwrap();
        times[1].push(start.elapsed());
        drop(black_box(catalog));
        let start = Instant::now();
        let listing = Listing::of_rows(super::DAY, market_model::UnixNanos(0), rows, &calendar).unwrap();
        times[2].push(start.elapsed());
        let bytes = listing.index_bytes();
        if times[2].len() == rounds {
            let [parse, catalog, listing] = times.each_ref().map(|times| ms(median(times.clone())));
            row("parse alone", format!("{parse:.0} ms"));
            row("catalog of the rows alone", format!("{catalog:.0} ms"));
            row("listing of the rows: catalog, search, spellings", format!("{listing:.0} ms"));
            row(
                "search index / spelling table",
                format!("{:.1} / {:.1} MB", bytes.search as f64 / 1e6, bytes.spellings as f64 / 1e6),
            );
        }
    }
}

fn lookups(listing: &Listing, rounds: usize) {
    let rows = listing.catalog().instruments();
    let mut dice = Dice::new(1);
    let picked: Vec<usize> = (0..LOOKUPS).map(|_| dice.below(rows.len() as u64) as usize).collect();
    let spelled: Vec<(String, String)> = picked
        .iter()
        .map(|at| {
            let (exchange, symbol) = listing.openalgo(market_model::InstrumentSlot(*at as u32));
            (exchange.to_owned(), symbol)
        })
        .collect();
    let names: Vec<String> = picked.iter().map(|at| rows[*at].tradingsymbol.to_string()).collect();
    let time = |lookup: &dyn Fn(usize)| {
        let round = |_| {
            let start = Instant::now();
            (0..LOOKUPS).for_each(lookup);
            start.elapsed()
        };
        per(median((0..rounds).map(round).collect()), LOOKUPS)
    };
    row(
        "by token",
        time(&|at| {
            black_box(listing.by_token(rows[picked[at]].token));
        }),
    );
    row(
        "by symbol",
        time(&|at| {
            black_box(listing.by_symbol(&rows[picked[at]].exchange, &names[at]));
        }),
    );
    row(
        "by OpenAlgo spelling",
        time(&|at| {
            black_box(listing.by_openalgo(&spelled[at].0, &spelled[at].1));
        }),
    );
    for text in SEARCHES {
        let round = |_| {
            let start = Instant::now();
            black_box(listing.search(text, None, 20));
            start.elapsed()
        };
        let times = (0..rounds.max(101)).map(round).collect();
        let hits = listing.search(text, None, 20).len();
        row(&format!("search {text:?}"), format!("{:.0} us, {hits} hits", median(times).as_secs_f64() * 1e6));
    }
}
