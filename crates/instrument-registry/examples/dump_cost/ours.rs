//! Our side: the dump goes through a refresher into a registry, as in the gateway.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use exchange_calendar::Calendar;
use instrument_registry::*;
use market_model::{Instrument, SystemClock};
use resilience::TaskExit;
use tokio_util::sync::CancellationToken;

use super::{LOOKUPS, SEARCHES, dump::Dice, each, memory, row, told};

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
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("instruments.db").display());
    let config = sql_store::DatabaseConfig::from_url(&url).unwrap();
    let database = sql_store::Database::open(config, sql_store::StoreMetrics::noop()).await.unwrap();
    sql_store::migrate(&database, &[SCHEMA]).await.unwrap();
    let (registry, requests) = Registry::new();
    let refresher = Refresher::new(RefresherParts {
        registry: registry.clone(),
        requests,
        source: File(file.to_owned()),
        history: SqlHistory::new(database),
        clock: SystemClock,
        calendar: Calendar::builtin(),
        config: RefreshConfig::default(),
        metrics: RegistryMetrics::noop(),
    });
    let stop = CancellationToken::new();
    let start = Instant::now();
    let work = async {
        let _ = registry.subscribe().changed().await;
        row("start to the first listing", told(vec![start.elapsed()], 1e3, "ms"));
        let published = Instant::now();
        registry.watch_status().wait_for(|status| status.stored.is_some()).await.unwrap();
        row("the first day into an embedded file", told(vec![published.elapsed()], 1e3, "ms"));
        let (_, peak) = memory();
        let mut times = Vec::new();
        for _ in 0..rounds {
            let start = Instant::now();
            registry.refresh().await.unwrap();
            times.push(start.elapsed());
        }
        stop.cancel();
        row("refresh: read, parse, index, diff, swap, store", told(times, 1e3, "ms"));
        row(
            "peak memory: first day / refreshes",
            format!("{:.0} / {:.0} MB", peak - before, memory().1 - before),
        );
    };
    let (exit, ()) = tokio::join!(refresher.run(stop.clone()), work);
    assert_eq!(exit, TaskExit::Cancelled);
    lookups(&registry.current(), rounds);
    drop(registry);
    parts(file, rounds);
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
            let [parse, catalog, listing] = times.each_ref().map(|times| told(times.clone(), 1e3, "ms"));
            row("parse alone", parse);
            row("catalog of the rows alone", catalog);
            row("listing of the rows: catalog, search, spelling", listing);
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
        each((0..rounds).map(round).collect())
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
        row(&format!("search {text:?}"), format!("{}, {hits} hits", told(times, 1e6, "us")));
    }
}
