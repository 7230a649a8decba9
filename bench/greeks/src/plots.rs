//! The figures of `docs/greeks/`, drawn from what this machine measures.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path as FilePath;

use cpu_time::ThreadTime;
use option_greeks::{Chain, Engine, GreeksColumns, Path, PricingModel, Status, greeks, implied_volatility};

use crate::reference::{Row, rows};
use crate::workload;

const COLOURS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"];

/// Writes all figures into a folder.
pub fn write(folder: &FilePath, reference: &FilePath) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let rows = rows(reference);
    std::fs::write(folder.join("volatility-error.svg"), volatility_error(&rows))?;
    std::fs::write(folder.join("greeks-error.svg"), greeks_error(&rows))?;
    std::fs::write(folder.join("speed-by-length.svg"), speed_by_length())
}

/// Deviations from the money of a row.
fn deviations(row: &Row) -> f64 {
    let option = row.inputs;
    let carry = match option.model {
        PricingModel::Black76 { .. } => 0.0,
        PricingModel::BlackScholesMerton { dividend_yield, .. } => {
            (option.rate - dividend_yield) * option.years_to_expiry
        }
    };
    ((option.model.underlying() / option.strike).ln() + carry).abs()
        / (row.sigma * option.years_to_expiry.sqrt())
}

fn volatility_error(rows: &[Row]) -> String {
    let errors = |model: &'static str| {
        rows.iter()
            .filter(move |row| row.model == model && row.iv_status == Status::Ok && row.margin >= 16.0)
            .filter(move |row| model == "black76" || row.inputs.years_to_expiry <= 1.0)
            .filter_map(|row| {
                let iv = implied_volatility(&row.inputs, row.price_in).ok()?;
                let error = row.iv.relative_error(iv) / (f64::EPSILON * (1.0 + row.cond_price));
                Some((deviations(row), error))
            })
    };
    let series = [
        ("Black-76, worst", worst_by_bin(errors("black76"))),
        ("spot, T up to a year, worst", worst_by_bin(errors("bsm"))),
    ];
    chart(
        "Error of the implied volatility",
        "deviations from the money, |x|/s",
        "roundings of the price (rhoJ)",
        &series,
        false,
    )
}

fn greeks_error(rows: &[Row]) -> String {
    let errors = |greek: usize| {
        rows.iter().filter(|row| row.forward_status == Status::Ok).filter_map(move |row| {
            let values = greeks(&row.inputs, row.sigma).ok()?;
            let value = [values.price, values.delta, values.gamma, values.vega][greek];
            let exact = row.greeks[greek].filter(crate::reference::Exact::is_scored)?;
            let (terms, factor) = row.scales();
            Some((deviations(row), exact.absolute_error(value) / (f64::EPSILON * terms[greek] * factor)))
        })
    };
    let series = [
        ("price", worst_by_bin(errors(0))),
        ("delta", worst_by_bin(errors(1))),
        ("gamma", worst_by_bin(errors(2))),
        ("vega", worst_by_bin(errors(3))),
    ];
    chart(
        "Worst error of price and Greeks",
        "deviations from the money, |x|/s",
        "normalised error",
        &series,
        false,
    )
}

/// The worst error in each unit of deviations, up to twenty.
fn worst_by_bin(errors: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut bins = vec![0.0_f64; 40];
    for (z, error) in errors {
        if let Some(bin) = bins.get_mut((2.0 * z) as usize) {
            *bin = bin.max(error);
        }
    }
    bins.into_iter().enumerate().filter(|(_, e)| *e > 0.0).map(|(i, e)| (0.5 * i as f64 + 0.25, e)).collect()
}

fn speed_by_length() -> String {
    let mut expiries = workload::chain();
    let expiry = expiries.swap_remove(4);
    let mut series = Vec::new();
    for engine in Path::ALL.into_iter().filter_map(Engine::on) {
        let mut points = Vec::new();
        for n in [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256] {
            if n > expiry.strikes.len() {
                break;
            }
            let chain = Chain {
                model: PricingModel::Black76 { forward: expiry.forward },
                rate: expiry.rate,
                years_to_expiry: expiry.years,
                strikes: &expiry.strikes[..n],
                kinds: &expiry.kinds[..n],
                prices: &expiry.prices[..n],
            };
            let mut numbers = vec![vec![0.0; n]; 6];
            let mut status = vec![Status::Ok; n];
            let mut times: Vec<f64> = (0..15)
                .map(|_| {
                    let passes = 20_000 / n;
                    let start = ThreadTime::now();
                    for _ in 0..passes {
                        let [iv, delta, gamma, vega, theta, rho] = &mut numbers[..] else { continue };
                        let status = &mut status[..];
                        engine.implied_greeks(
                            black_box(&chain),
                            &mut GreeksColumns { iv, delta, gamma, vega, theta, rho, status },
                        );
                        black_box(&numbers);
                    }
                    start.elapsed().as_nanos() as f64 / (passes * n) as f64
                })
                .collect();
            times.sort_by(f64::total_cmp);
            points.push((n as f64, times[times.len() / 2]));
        }
        series.push((engine.path().as_str(), points));
    }
    chart("Implied volatility and five Greeks", "options per call", "ns per option", &series, true)
}

/// A line chart; both axes logarithmic when asked.
fn chart(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[(&str, Vec<(f64, f64)>)],
    logarithmic: bool,
) -> String {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 400.0;
    const LEFT: f64 = 60.0;
    const BOTTOM: f64 = 50.0;
    const TOP: f64 = 40.0;
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let map = |v: f64| if logarithmic { v.ln() } else { v };
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x0, x1) = range(&mut all().map(|p| map(p.0)));
    let (y0, y1) = range(&mut all().map(|p| map(p.1)));
    let (x0, y0) = if logarithmic { (x0, y0) } else { (0.0_f64.min(x0), 0.0) };
    let place = |p: (f64, f64)| {
        let x = LEFT + (map(p.0) - x0) / (x1 - x0) * (WIDTH - LEFT - 20.0);
        let y = HEIGHT - BOTTOM - (map(p.1) - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP);
        (x, y)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n"
    );
    let ticks = |low: f64, high: f64| -> Vec<f64> {
        if logarithmic {
            let steps = (low / 10.0_f64.ln()).floor() as i32..=(high / 10.0_f64.ln()).ceil() as i32;
            let marks = steps.flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10.0_f64.powi(e)));
            return marks.filter(|v| v.ln() >= low - 1e-9 && v.ln() <= high + 1e-9).collect();
        }
        let step = 10.0_f64.powf(((high - low) / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * step)
            .into_iter()
            .find(|s| (high - low) / s <= 8.0)
            .unwrap_or(step);
        (0..=8).map(|i| low + f64::from(i) * step).filter(|v| *v <= high).collect()
    };
    for x in ticks(x0, x1) {
        let at = LEFT + (map(x) - x0) / (x1 - x0) * (WIDTH - LEFT - 20.0);
        let (foot, text) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 16.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{foot}\" stroke=\"#eee\"/><text x=\"{at:.1}\" y=\"{text}\" text-anchor=\"middle\">{}</text>",
            tick_text(x)
        );
    }
    for y in ticks(y0, y1) {
        let at = HEIGHT - BOTTOM - (map(y) - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP);
        let (end, text, base) = (WIDTH - 20.0, LEFT - 6.0, at + 4.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#ddd\"/><text x=\"{text}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>",
            tick_text(y)
        );
    }
    let (middle, foot) = (WIDTH / 2.0, HEIGHT - 12.0);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">{x_label}</text>");
    let _ = writeln!(
        svg,
        "<text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>",
        HEIGHT / 2.0
    );
    for (i, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let line: Vec<String> =
            points.iter().map(|p| place(*p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        let y = TOP + 4.0 + 18.0 * i as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
            WIDTH - 26.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// At most two decimals, without trailing zeros.
fn tick_text(v: f64) -> String {
    let text = format!("{v:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
