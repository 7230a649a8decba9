//! Accuracy over reference data: the worst error per column and group, with the bounds we have reached.
//!
//! `cargo test -p option-greeks --test score -- --nocapture` prints the tables. The units are those of
//! `crates/option-greeks/testdata/README.md`: 1 means one rounding of the price (volatility), or one rounding of the
//! terms of the formula times the sensitivity of the exponential (Greeks).

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test program: it prints tables and fails loudly"
)]

mod reference;

use std::path::Path;

use option_greeks::{ImpliedVolError, Status, greeks, implied_volatility};
use reference::{GREEK_NAMES, Row, rows};

/// Worst errors allowed: volatility of Black-76, of spot options up to a year and of all; the ten outputs of pricing.
struct Bounds {
    iv_black76: f64,
    iv_spot_year: f64,
    iv_spot: f64,
    greeks: [f64; 10],
}

/// The rows beside this crate, made by `testdata/generate.py`.
#[test]
fn own_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/options.csv");
    let bounds = Bounds { iv_black76: 1.2, iv_spot_year: 1.2, iv_spot: 1.2, greeks: [4.0; 10] };
    assert_eq!(check(&path, &bounds), 60);
}

/// The large reference file, when it is there.
#[test]
fn reference_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/greeks/reference.csv");
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return;
    }
    let bounds = Bounds {
        iv_black76: 1.4,
        iv_spot_year: 1.2,
        iv_spot: 1.9,
        greeks: [1.9, 4.4, 2.9, 2.7, 2.4, 4.3, 3.4, 3.9, 2.2, 3.8],
    };
    assert!(check(&path, &bounds) > 4000);
}

/// Scores a file, prints the tables, compares with the bounds and answers the number of rows.
fn check(path: &Path, bounds: &Bounds) -> usize {
    let rows = rows(path);
    let (mut iv, mut forward) = (Table::default(), Table::default());
    let (mut wrong, mut worst, mut worst_greeks) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        score_volatility(row, &mut iv, &mut wrong, &mut worst);
        score_greeks(row, &mut forward, &mut wrong, &mut worst_greeks);
    }
    println!("\nimplied volatility, rhoJ (worst, 99.9 %, rows)");
    iv.print();
    println!("\npricing, normalised error (worst, 99.9 %, rows)");
    forward.print();
    for worst in [&mut worst, &mut worst_greeks] {
        println!("\nworst rows");
        worst.sort_by(|a: &(f64, String), b| b.0.total_cmp(&a.0));
        worst.iter().take(10).for_each(|(error, row)| println!("{error:10.3} {row}"));
    }
    assert!(wrong.is_empty(), "{} wrong statuses: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(iv.worst("black76") <= bounds.iv_black76, "black76 volatility: {}", iv.worst("black76"));
    let year = iv.worst("bsm up to a year");
    assert!(year <= bounds.iv_spot_year, "spot volatility up to a year: {year}");
    assert!(iv.worst("bsm") <= bounds.iv_spot, "spot volatility: {}", iv.worst("bsm"));
    for (name, bound) in GREEK_NAMES.iter().zip(bounds.greeks) {
        let reached = forward.worst(&format!("{name} all"));
        assert!(reached <= bound, "{name}: {reached}");
    }
    rows.len()
}

fn score_volatility(row: &Row, table: &mut Table, wrong: &mut Vec<String>, worst: &mut Vec<(f64, String)>) {
    let answer = implied_volatility(&row.inputs, row.price_in);
    // Closer to a bound than 16 roundings, a correct program may land on either side of it.
    if row.margin < 16.0 {
        return;
    }
    match answer {
        Ok(iv) if row.iv_status == Status::Ok => {
            let error = row.iv.relative_error(iv) / (f64::EPSILON * (1.0 + row.cond_price));
            table.add(row.model, error);
            if row.model == "bsm" && row.inputs.years_to_expiry <= 1.0 {
                table.add("bsm up to a year", error);
            }
            table.add(&format!("{} {}", row.model, row.group), error);
            table.add(
                &format!("{} rhoA", row.model),
                error * (1.0 + row.cond_price) / (1.0 + row.cond_price + row.cond_forward),
            );
            worst.push((error, format!("{} got {iv:e} cond {} {}", row.line, row.cond_price, row.group)));
        }
        answer => {
            let status = answer.err().map(status_of);
            if status != Some(row.iv_status) {
                wrong.push(format!("volatility {status:?} instead of {:?}: {}", row.iv_status, row.line));
            }
        }
    }
}

fn score_greeks(row: &Row, table: &mut Table, wrong: &mut Vec<String>, worst: &mut Vec<(f64, String)>) {
    let answer = greeks(&row.inputs, row.sigma);
    let has_value = matches!(row.forward_status, Status::Ok | Status::Expired | Status::ZeroVol);
    let Ok(answer) = answer else {
        if has_value {
            wrong.push(format!("pricing {answer:?}: {}", row.line));
        }
        return;
    };
    if !has_value {
        wrong.push(format!("pricing answered instead of {:?}: {}", row.forward_status, row.line));
    }
    if row.forward_status != Status::Ok {
        return;
    }
    let values = [
        answer.price,
        answer.delta,
        answer.gamma,
        answer.vega,
        answer.theta,
        answer.rho,
        answer.vanna,
        answer.volga,
        answer.charm,
        answer.speed,
    ];
    let (terms, factor) = row.scales();
    for (i, name) in GREEK_NAMES.iter().enumerate() {
        let Some(exact) = row.greeks[i].filter(reference::Exact::is_scored) else { continue };
        let error = exact.absolute_error(values[i]) / (f64::EPSILON * terms[i] * factor);
        table.add(&format!("{name} all"), error);
        table.add(&format!("{name} {}", row.group), error);
        worst.push((error, format!("{name} {} got {:e} for {exact:?} {}", row.line, values[i], row.group)));
    }
}

fn status_of(error: ImpliedVolError) -> Status {
    Status::ALL
        .into_iter()
        .find(|status| status.implied_vol_error() == Some(error))
        .expect("every error has its status")
}

/// Errors by name, in order of first appearance.
#[derive(Default)]
struct Table(Vec<(String, Vec<f64>)>);

impl Table {
    fn add(&mut self, name: &str, error: f64) {
        // A NaN counts as the worst of errors.
        let error = if error.is_nan() { f64::INFINITY } else { error };
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, errors)) => errors.push(error),
            None => self.0.push((name.to_owned(), vec![error])),
        }
    }

    fn worst(&self, name: &str) -> f64 {
        let errors = self.0.iter().find(|(known, _)| known == name).map(|(_, errors)| errors.as_slice());
        errors.unwrap_or_default().iter().copied().fold(0.0, f64::max)
    }

    fn print(&self) {
        for (name, errors) in &self.0 {
            let mut sorted = errors.clone();
            sorted.sort_by(f64::total_cmp);
            let at = ((sorted.len() as f64 * 0.999).ceil() as usize).clamp(1, sorted.len()) - 1;
            println!("  {name:28} {:9.3} {:9.3} {:6}", sorted[sorted.len() - 1], sorted[at], sorted.len());
        }
    }
}
