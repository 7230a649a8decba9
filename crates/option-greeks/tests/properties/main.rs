//! What must hold for every option: bits independent of path, place and batch; parity; symmetry; monotony; round trips.
//!
//! Seeded random options. `OPTION_GREEKS_BATCHES=100000 cargo test --release -p option-greeks --test properties` is the long
//! run; the default is short. `OPTION_GREEKS_SEED` draws other options.

#![expect(clippy::print_stdout, reason = "it says how much it tried")]

mod random;

use option_greeks::{
    AllColumns, Chain, Engine, OptionInputs, OptionKind, Path, PricingModel, Status, VolatilityChain, greeks,
    implied_volatility, price,
};
use random::{Batch, Random};

fn batches(default: usize) -> usize {
    std::env::var("OPTION_GREEKS_BATCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The generator of a test.
fn random(test: u64) -> Random {
    let seed: u64 = std::env::var("OPTION_GREEKS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    Random::new(test + (seed << 32))
}

/// Ten columns and the statuses of one call, as bits.
#[derive(PartialEq, Debug, Clone)]
struct Answer {
    columns: Vec<Vec<u64>>,
    status: Vec<Status>,
}

fn run(n: usize, call: impl FnOnce(&mut AllColumns<'_>)) -> Answer {
    let mut columns = vec![vec![0.0; n]; 10];
    let mut status = vec![Status::Ok; n];
    let [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] = &mut columns[..] else {
        return Answer { columns: Vec::new(), status };
    };
    let status_column = &mut status;
    call(&mut AllColumns {
        first,
        delta,
        gamma,
        vega,
        theta,
        rho,
        vanna,
        volga,
        charm,
        speed,
        status: status_column,
    });
    // Any NaN is as good as another.
    let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    Answer { columns: columns.into_iter().map(|c| c.into_iter().map(bits).collect()).collect(), status }
}

fn solve(engine: &Engine, batch: &Batch, range: std::ops::Range<usize>) -> Answer {
    let Batch { model, rate, years_to_expiry, .. } = *batch;
    let (strikes, kinds, prices) =
        (&batch.strikes[range.clone()], &batch.kinds[range.clone()], &batch.prices[range.clone()]);
    let chain = Chain { model, rate, years_to_expiry, strikes, kinds, prices };
    run(range.len(), |out| engine.implied_all(&chain, out))
}

fn value(engine: &Engine, batch: &Batch, range: std::ops::Range<usize>) -> Answer {
    let Batch { model, rate, years_to_expiry, .. } = *batch;
    let (strikes, kinds, volatilities) =
        (&batch.strikes[range.clone()], &batch.kinds[range.clone()], &batch.volatilities[range.clone()]);
    let chain = VolatilityChain { model, rate, years_to_expiry, strikes, kinds, volatilities };
    run(range.len(), |out| engine.all_at(&chain, out))
}

/// A part of an answer is the answer to the part.
fn part(answer: &Answer, range: std::ops::Range<usize>) -> Answer {
    Answer {
        columns: answer.columns.iter().map(|column| column[range.clone()].to_vec()).collect(),
        status: answer.status[range].to_vec(),
    }
}

/// All paths of this processor, the fastest first and the portable one last.
fn engines() -> Vec<Engine> {
    Path::ALL.into_iter().filter_map(Engine::on).chain([Engine::portable()]).collect()
}

#[test]
fn bits_do_not_depend_on_path_place_or_batch() {
    let engines = engines();
    let mut random = random(1);
    let (count, mut options) = (batches(300), 0);
    for round in 0..count {
        let batch = if round % 4 == 3 { random.wild_batch() } else { random.market_batch() };
        let n = batch.strikes.len();
        options += n;
        for task in [solve, value] {
            let whole = task(&engines[0], &batch, 0..n);
            // The portable path has no fused multiply-add instruction and is slow: it sees a few.
            let others = if round % 16 == 0 { &engines[1..] } else { &engines[1..engines.len() - 1] };
            for engine in others {
                assert_eq!(task(engine, &batch, 0..n), whole, "{:?} {batch:?}", engine.path());
            }
            let cut = random.below(n + 1);
            for range in [0..cut, cut..n] {
                assert_eq!(task(&engines[0], &batch, range.clone()), part(&whole, range), "{batch:?}");
            }
        }
        single_calls_agree(&batch, &solve(&engines[0], &batch, 0..n), &value(&engines[0], &batch, 0..n));
    }
    println!("{options} options, {} paths", engines.len());
}

fn single_calls_agree(batch: &Batch, solved: &Answer, valued: &Answer) {
    for i in 0..batch.strikes.len() {
        let option = batch.option(i);
        let single = implied_volatility(&option, batch.prices[i]);
        match single {
            Ok(iv) => {
                assert_eq!(
                    (iv.to_bits(), Status::Ok),
                    (solved.columns[0][i], solved.status[i]),
                    "{option:?}"
                );
            }
            Err(error) => assert_eq!(solved.status[i].implied_vol_error(), Some(error), "{option:?}"),
        }
        match greeks(&option, batch.volatilities[i]) {
            Ok(greeks) => {
                assert_eq!(greeks.price.to_bits(), valued.columns[0][i], "{option:?}");
                assert_eq!(greeks.charm.to_bits(), valued.columns[8][i], "{option:?}");
            }
            Err(error) => assert_eq!(valued.status[i].pricing_error(), Some(error), "{option:?}"),
        }
    }
}

#[test]
fn every_bit_pattern_has_an_answer_and_nan_is_never_ok() {
    let engines = engines();
    let mut random = random(2);
    for _ in 0..batches(3000) {
        let batch = random.bit_batch();
        let n = batch.strikes.len();
        let [solved, valued] = [solve, value].map(|task| {
            let answer = task(&engines[0], &batch, 0..n);
            for engine in &engines[1..] {
                assert_eq!(task(engine, &batch, 0..n), answer, "{:?} {batch:?}", engine.path());
            }
            for i in 0..n {
                let values = answer.columns.iter().map(|column| f64::from_bits(column[i]));
                match answer.status[i] {
                    Status::Ok => {
                        assert!(values.clone().all(|x| !x.is_nan()), "{:?} {values:?}", batch.option(i));
                    }
                    Status::Expired | Status::ZeroVol => {}
                    _ => assert!(values.clone().all(f64::is_nan), "{:?}", batch.option(i)),
                }
            }
            answer
        });
        single_calls_agree(&batch, &solved, &valued);
    }
}

#[test]
fn parity_holds() {
    let mut random = random(3);
    for _ in 0..batches(20_000) {
        let (option, volatility) = random.market_option();
        let call =
            greeks(&OptionInputs { kind: OptionKind::Call, ..option }, volatility).expect("a valid option");
        let put =
            greeks(&OptionInputs { kind: OptionKind::Put, ..option }, volatility).expect("a valid option");
        let discount = (-option.rate * option.years_to_expiry).exp();
        let (u, leg_discount) = match option.model {
            PricingModel::Black76 { forward } => (forward, discount),
            PricingModel::BlackScholesMerton { spot, dividend_yield } => {
                (spot, (-dividend_yield * option.years_to_expiry).exp())
            }
        };
        let parity = u * leg_discount - option.strike * discount;
        assert!(
            (call.price - put.price - parity).abs() <= 2e-15 * (u + option.strike),
            "{option:?} {volatility}"
        );
        assert!((call.delta - put.delta - leg_discount).abs() <= 2e-15, "{option:?} {volatility}");
        for (name, a, b) in [
            ("gamma", call.gamma, put.gamma),
            ("vega", call.vega, put.vega),
            ("vanna", call.vanna, put.vanna),
            ("volga", call.volga, put.volga),
            ("speed", call.speed, put.speed),
        ] {
            assert_eq!(a.to_bits(), b.to_bits(), "{name} of {option:?} at {volatility}");
        }
    }
}

#[test]
fn price_rises_with_volatility_and_volatility_with_price() {
    let mut random = random(4);
    for _ in 0..batches(20_000) {
        let (option, volatility) = random.market_option();
        let low = price(&option, volatility).expect("a valid option");
        let high = price(&option, volatility * (1.0 + 1e-9)).expect("a valid option");
        let noise = 4.0 * f64::EPSILON * (option.strike + option.model.underlying());
        assert!(high >= low - noise, "{option:?} {volatility}: {low} to {high}");
        let outside = OptionInputs { kind: random::outside(&option), ..option };
        let at = price(&outside, volatility).expect("a valid option");
        if at > 1e-12 {
            let below = implied_volatility(&outside, at * (1.0 - 1e-12)).expect("a price of the model");
            let above = implied_volatility(&outside, at * (1.0 + 1e-12)).expect("a price of the model");
            assert!(below < above, "{outside:?} {at}");
        }
    }
}

#[test]
fn price_to_volatility_to_price_is_the_last_rounding() {
    let mut random = random(5);
    let mut worst = 0.0_f64;
    for _ in 0..batches(20_000) {
        let (option, volatility) = random.market_option();
        let option = OptionInputs { kind: random::outside(&option), ..option };
        let first = price(&option, volatility).expect("a valid option");
        if first < 1e-12 {
            continue;
        }
        let iv = implied_volatility(&option, first).expect("a price of the model");
        let again = greeks(&option, iv).expect("a valid option");
        // Rounding the volatility moves the price by vega; the exponential multiplies roundings by 1 + d^2.
        let h =
            (option.model.underlying() / option.strike).ln() / (volatility * option.years_to_expiry.sqrt());
        let step = f64::EPSILON * (first * (1.0 + h * h) + again.vega * iv);
        worst = worst.max((again.price - first).abs() / step);
        assert!(
            (again.price - first).abs() <= 6.0 * step,
            "{option:?} {volatility}: {first} and {}",
            again.price
        );
    }
    println!("worst round trip: {worst:.2} roundings");
}

#[test]
fn prices_from_all_over_the_domain_come_back() {
    let mut random = random(6);
    let (mut worst, mut count) = (0.0_f64, 0);
    for _ in 0..batches(300) {
        let batch = random.wild_batch();
        for i in 0..batch.strikes.len() {
            let option = batch.option(i);
            let option = OptionInputs { kind: random::outside(&option), ..option };
            let Ok(first) = price(&option, batch.volatilities[i]) else { continue };
            let Ok(iv) = implied_volatility(&option, first) else { continue };
            let x = (option.model.underlying() / option.strike).ln();
            if first < 1e-290 || x.abs() > 14.0 {
                continue;
            }
            let again = greeks(&option, iv).expect("a valid option");
            let h = x / (iv * option.years_to_expiry.sqrt());
            let legs = if h.abs() < 1.0 { option.model.underlying().min(option.strike) } else { 0.0 };
            let step = f64::EPSILON * (first * (1.0 + h * h) + again.vega * iv + legs);
            worst = worst.max((again.price - first).abs() / step);
            count += 1;
            assert!(
                (again.price - first).abs() <= 8.0 * step,
                "{option:?} {}: {first} and {}",
                batch.volatilities[i],
                again.price
            );
        }
    }
    println!("{count} options, worst round trip: {worst:.2} roundings");
    assert!(count > 10_000);
}
