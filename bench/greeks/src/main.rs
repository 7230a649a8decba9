//! Speed of option-greeks on every path of this processor, against `implied-vol` and textbook formulas.
//!
//! `cargo run --release --manifest-path bench/greeks/Cargo.toml -- plots [FOLDER]` draws the figures of the documentation,
//! `cargo run --release --manifest-path bench/greeks/Cargo.toml [-- ROUNDS [chain|stress [CANDIDATE]]]`. All candidates take turns in every round and
//! the median round counts, so that a busy machine slows all alike; read the ratios.

mod plots;
#[path = "../../../crates/option-greeks/tests/score/reference.rs"]
#[expect(dead_code, reason = "the score test reads more columns")]
mod reference;
mod rival;
mod timing;
mod workload;

use option_greeks::{
    AllColumns, Chain, Engine, GreeksColumns, Path, PriceColumns, PricingModel, Status, VolatilityChain,
};
use timing::Bench;
use workload::Expiry;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "plots") {
        return draw(arguments.get(1).map_or("docs/greeks", String::as_str));
    }
    let rounds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(41);
    let workload = arguments.get(1).map(String::as_str);
    let only = arguments.get(2).map(String::as_str);
    println!("processor path: {}", Engine::best().path().as_str());
    if !cfg!(target_feature = "fma") {
        println!(
            "note: built for a baseline processor; RUSTFLAGS=-Ctarget-cpu=native gives the rivals fused multiply-add"
        );
    }
    for (name, expiries) in [("chain", workload::chain()), ("stress", workload::stress(7))] {
        if workload.is_none_or(|wanted| wanted == name) {
            measure(name, &expiries, rounds, only);
        }
    }
}

/// Draws the figures of the documentation.
fn draw(folder: &str) {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let large = here.join("../../../shared/greeks/reference.csv");
    let reference =
        if large.exists() { large } else { here.join("../../crates/option-greeks/testdata/options.csv") };
    if let Err(error) = plots::write(std::path::Path::new(folder), &reference) {
        eprintln!("{folder}: {error}");
        std::process::exit(1);
    }
}

fn engines() -> impl Iterator<Item = Engine> {
    Path::ALL.into_iter().filter_map(Engine::on)
}

/// Times everything on one workload and prints a table.
fn measure(name: &str, expiries: &[Expiry], rounds: usize, only: Option<&str>) {
    let options: usize = expiries.iter().map(|expiry| expiry.strikes.len()).sum();
    println!(
        "\n{name}: {options} options in {} calls; ns per option, and how many times faster than the rival",
        expiries.len()
    );
    let mut bench = Bench::new(options, only);
    let longest = expiries.iter().map(|expiry| expiry.strikes.len()).max().unwrap_or(0);
    let new_buffers = || Buffers::new(longest);
    bench.candidate("implied-vol 2.1.0", "iv", |sink| {
        for expiry in expiries {
            let growth = (expiry.rate * expiry.years).exp();
            for i in 0..expiry.strikes.len() {
                sink(rival::implied_vol(expiry, growth, i));
            }
        }
    });
    bench.candidate("implied-vol + textbook", "iv+5", |sink| {
        for expiry in expiries {
            let growth = (expiry.rate * expiry.years).exp();
            for i in 0..expiry.strikes.len() {
                let volatility = rival::implied_vol(expiry, growth, i);
                rival::textbook(expiry, i, volatility).into_iter().for_each(&mut *sink);
            }
        }
    });
    bench.candidate("textbook", "price+5", |sink| {
        for expiry in expiries {
            for i in 0..expiry.strikes.len() {
                rival::textbook(expiry, i, expiry.volatilities[i]).into_iter().for_each(&mut *sink);
            }
        }
    });
    for engine in engines() {
        let path = engine.path().as_str();
        let mut buffers = new_buffers();
        bench.candidate(path, "iv", move |sink| {
            let (numbers, status) = buffers.moved();
            for expiry in expiries {
                let n = expiry.strikes.len();
                engine.implied_volatilities(&chain(expiry), &mut numbers[..n], &mut status[..n]);
                sink(numbers[n - 1]);
            }
        });
        let mut buffers = new_buffers();
        bench.candidate(path, "iv+5", move |sink| {
            let (numbers, status) = buffers.moved();
            for expiry in expiries {
                let n = expiry.strikes.len();
                let [iv, delta, gamma, vega, theta, rho, ..] = split(numbers, n);
                let status = &mut status[..n];
                engine.implied_greeks(
                    &chain(expiry),
                    &mut GreeksColumns { iv, delta, gamma, vega, theta, rho, status },
                );
                sink(numbers[n - 1]);
            }
        });
        let mut buffers = new_buffers();
        bench.candidate(path, "iv+9", move |sink| {
            let (numbers, status) = buffers.moved();
            for expiry in expiries {
                let n = expiry.strikes.len();
                engine.implied_all(&chain(expiry), &mut all(numbers, status, n));
                sink(numbers[n - 1]);
            }
        });
        let mut buffers = new_buffers();
        bench.candidate(path, "price+5", move |sink| {
            let (numbers, status) = buffers.moved();
            for expiry in expiries {
                let n = expiry.strikes.len();
                let [price, delta, gamma, vega, theta, rho, ..] = split(numbers, n);
                let status = &mut status[..n];
                engine.greeks_at(
                    &at(expiry),
                    &mut PriceColumns { price, delta, gamma, vega, theta, rho, status },
                );
                sink(numbers[n - 1]);
            }
        });
        let mut buffers = new_buffers();
        bench.candidate(path, "price+9", move |sink| {
            let (numbers, status) = buffers.moved();
            for expiry in expiries {
                let n = expiry.strikes.len();
                engine.all_at(&at(expiry), &mut all(numbers, status, n));
                sink(numbers[n - 1]);
            }
        });
    }
    bench.candidate("one option per call", "iv", |sink| {
        for expiry in expiries {
            for i in 0..expiry.strikes.len() {
                let option = std::hint::black_box(expiry.option(i));
                sink(option_greeks::implied_volatility(&option, expiry.prices[i]).unwrap_or(f64::NAN));
            }
        }
    });
    bench.candidate("one option per call", "price+9", |sink| {
        for expiry in expiries {
            for i in 0..expiry.strikes.len() {
                let option = std::hint::black_box(expiry.option(i));
                sink(
                    option_greeks::greeks(&option, expiry.volatilities[i])
                        .map_or(f64::NAN, |greeks| greeks.delta),
                );
            }
        }
    });
    bench.run(rounds);
}

fn chain(expiry: &Expiry) -> Chain<'_> {
    let Expiry { forward, rate, years, strikes, kinds, prices, .. } = expiry;
    let model = PricingModel::Black76 { forward: *forward };
    Chain { model, rate: *rate, years_to_expiry: *years, strikes, kinds, prices }
}

fn at(expiry: &Expiry) -> VolatilityChain<'_> {
    let Expiry { forward, rate, years, strikes, kinds, volatilities, .. } = expiry;
    let model = PricingModel::Black76 { forward: *forward };
    VolatilityChain { model, rate: *rate, years_to_expiry: *years, strikes, kinds, volatilities }
}

/// Where candidates write. Every pass writes a cache line further on, through one page: where outputs happen to lie to the
/// inputs may cost a fifth, and is nothing of the kernel's.
struct Buffers {
    numbers: Vec<f64>,
    status: Vec<Status>,
    pass: usize,
}

impl Buffers {
    const LINE: usize = 8;
    const LINES: usize = 64;

    fn new(longest: usize) -> Self {
        let numbers = vec![0.0; longest * 10 + Self::LINE * Self::LINES];
        Self { numbers, status: vec![Status::Ok; longest], pass: 0 }
    }

    fn moved(&mut self) -> (&mut [f64], &mut [Status]) {
        self.pass += 1;
        (&mut self.numbers[Self::LINE * (self.pass % Self::LINES)..], &mut self.status)
    }
}

/// Ten columns of n numbers.
fn split(numbers: &mut [f64], n: usize) -> [&mut [f64]; 10] {
    let mut columns = numbers[..10 * n].chunks_exact_mut(n);
    std::array::from_fn(|_| columns.next().unwrap_or_default())
}

fn all<'a>(numbers: &'a mut [f64], status: &'a mut [Status], n: usize) -> AllColumns<'a> {
    let [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] = split(numbers, n);
    AllColumns { first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed, status: &mut status[..n] }
}
