//! The naive side: everything is a string in a map.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use super::{LOOKUPS, SEARCHES, dump::Dice, each, memory, row, told};

type Row = HashMap<String, String>;
type Map = HashMap<String, HashMap<String, Row>>;

pub(super) fn run(file: &Path, rounds: usize) {
    let (before, _) = memory();
    let mut built = Vec::new();
    let mut map = Map::new();
    for _ in 0..rounds.min(3) {
        drop(std::mem::take(&mut map));
        let start = Instant::now();
        map = read(file);
        built.push(start.elapsed());
    }
    let (now, peak) = memory();
    println!("naive map of maps of strings");
    row("parse and build", told(built, 1e3, "ms"));
    row("memory, with one dump / peak", format!("{:.0} / {:.0} MB", now - before, peak));
    let all: Vec<(String, String, String)> = map
        .iter()
        .flat_map(|(exchange, rows)| {
            rows.iter()
                .map(move |(symbol, row)| (exchange.clone(), symbol.clone(), row["instrument_token"].clone()))
        })
        .collect();
    let mut dice = Dice::new(1);
    let picked: Vec<usize> = (0..LOOKUPS).map(|_| dice.below(all.len() as u64) as usize).collect();
    let by_token: HashMap<&str, &Row> =
        map.values().flat_map(HashMap::values).map(|row| (row["instrument_token"].as_str(), row)).collect();
    let rounds_of = |lookup: &dyn Fn(usize)| {
        let time = |_| {
            let start = Instant::now();
            picked.iter().for_each(|at| lookup(*at));
            start.elapsed()
        };
        each((0..rounds).map(time).collect())
    };
    row(
        "by token",
        rounds_of(&|at| {
            black_box(by_token.get(all[at].2.as_str()));
        }),
    );
    row(
        "by symbol",
        rounds_of(&|at| {
            black_box(map.get(&all[at].0).and_then(|rows| rows.get(&all[at].1)));
        }),
    );
    for text in SEARCHES {
        let time = |_| {
            let start = Instant::now();
            black_box(search(&map, &text.to_uppercase()));
            start.elapsed()
        };
        let times = (0..rounds.min(5)).map(time).collect();
        let hits = search(&map, &text.to_uppercase());
        row(&format!("search {text:?}"), format!("{}, {hits} hits", told(times, 1e6, "us")));
    }
}

fn read(file: &Path) -> Map {
    let mut map = Map::new();
    let mut lines = std::io::BufReader::new(std::fs::File::open(file).unwrap()).lines();
    let names: Vec<String> = lines.next().unwrap().unwrap().trim().split(',').map(str::to_owned).collect();
    for line in lines {
        let line = line.unwrap();
        let row: Row = names.iter().cloned().zip(line.trim().split(',').map(str::to_owned)).collect();
        map.entry(row["exchange"].clone()).or_default().insert(row["tradingsymbol"].clone(), row);
    }
    map
}

/// All rows of which every word is somewhere in the symbol or the name; unranked.
fn search(map: &Map, text: &str) -> usize {
    let words: Vec<&str> = text.split_whitespace().collect();
    let fits = |row: &&Row| {
        words.iter().all(|word| row["tradingsymbol"].contains(word) || row["name"].contains(word))
    };
    map.values().flat_map(HashMap::values).filter(fits).count().min(20)
}
