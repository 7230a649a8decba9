//! Reads the reference rows: inputs as exact doubles, outputs with twice the digits of a double.

use std::path::Path;

use option_greeks::{OptionInputs, OptionKind, PricingModel, Status};

pub(crate) const GREEK_NAMES: [&str; 10] =
    ["price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "speed"];

/// A decimal as the unevaluated sum of two doubles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    high: f64,
    low: f64,
}

/// One option with everything known about it.
pub(crate) struct Row {
    pub(crate) line: String,
    pub(crate) model: &'static str,
    pub(crate) group: String,
    pub(crate) inputs: OptionInputs,
    pub(crate) sigma: f64,
    pub(crate) forward_status: Status,
    /// Absent where there is no value.
    pub(crate) greeks: [Option<Exact>; 10],
    pub(crate) price_in: f64,
    pub(crate) iv_status: Status,
    pub(crate) margin: f64,
    pub(crate) iv: Exact,
    pub(crate) cond_price: f64,
    pub(crate) cond_forward: f64,
}

/// Every row of a file in the format of `testdata/options.csv`; the columns `id` and `group` may be absent.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).expect("the reference file can be read");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header line").split(',').collect();
    lines.map(|line| row(&header, line)).collect()
}

fn row(header: &[&str], line: &str) -> Row {
    let fields: Vec<&str> = line.split(',').collect();
    let text = |name: &str| header.iter().position(|h| *h == name).map_or("", |i| fields[i]);
    let number = |name: &str| text(name).parse::<f64>().unwrap_or(f64::NAN);
    let (u, rate) = (number("u"), number("r"));
    let (model, name) = if text("model") == "bsm" {
        (PricingModel::BlackScholesMerton { spot: u, dividend_yield: number("q") }, "bsm")
    } else {
        (PricingModel::Black76 { forward: u }, "black76")
    };
    let kind = if text("flag") == "c" { OptionKind::Call } else { OptionKind::Put };
    Row {
        line: fields[..header.len().min(8)].join(","),
        model: name,
        group: text("group").to_owned(),
        inputs: OptionInputs { model, kind, strike: number("K"), rate, years_to_expiry: number("T") },
        sigma: number("sigma"),
        forward_status: status(text("fwd_class")),
        greeks: GREEK_NAMES.map(|greek| Exact::parse(text(greek))),
        price_in: number("price_in"),
        iv_status: status(text("iv_class")),
        margin: number("margin").max(if text("margin").is_empty() { f64::INFINITY } else { 0.0 }),
        iv: Exact::parse(text("iv")).unwrap_or(Exact { high: f64::NAN, low: 0.0 }),
        cond_price: number("cond_price"),
        cond_forward: number("cond_fwd"),
    }
}

fn status(name: &str) -> Status {
    Status::ALL.into_iter().find(|status| status.as_str() == name).expect("a known class name")
}

impl Row {
    /// The sum of the absolute terms of each output's formula, and the factor `1 + d1^2` of the exponential.
    pub(crate) fn scales(&self) -> ([f64; 10], f64) {
        let OptionInputs { model, kind, strike, rate, years_to_expiry: t } = self.inputs;
        let u = model.underlying();
        let (yield_, black76) = match model {
            PricingModel::Black76 { .. } => (rate, true),
            PricingModel::BlackScholesMerton { dividend_yield, .. } => (dividend_yield, false),
        };
        let exact = |i: usize| self.greeks[i].map_or(0.0, |v| v.high.abs());
        let (price, delta, gamma, vega) = (exact(0), exact(1), exact(2), exact(3));
        let s = self.sigma * t.sqrt();
        let h = ((u / strike).ln() + (rate - yield_) * t) / s;
        let d1 = h + s / 2.0;
        let spot_leg = u * delta;
        let strike_leg = (spot_leg - kind.sign() * price).abs();
        let decay = vega * self.sigma / (2.0 * t);
        let density = vega / (u * t.sqrt());
        let theta = if black76 {
            decay + (rate * price).abs()
        } else {
            decay + (yield_ * spot_leg).abs() + (rate * strike_leg).abs()
        };
        let carry = if black76 { 0.0 } else { density * ((rate - yield_) / s).abs() };
        let terms = [
            spot_leg + strike_leg,
            delta,
            gamma,
            vega,
            theta,
            exact(5),
            density * (h.abs() + s / 2.0) * t.sqrt() / s,
            vega * (h * h + s * s / 4.0) / self.sigma,
            (yield_ * delta).abs() + carry + density * (h.abs() + s / 2.0) / (2.0 * t),
            gamma / u * (1.0 + (h.abs() + s / 2.0) / s),
        ];
        (terms, 1.0 + d1 * d1)
    }
}

impl Exact {
    /// Digits, an optional point, an optional exponent; at most 38 digits.
    fn parse(text: &str) -> Option<Self> {
        let high: f64 = text.parse().ok()?;
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()? - fraction.len() as i32;
        let top = digits as f64;
        let mut value = Self { high: top, low: digits.wrapping_sub(top as u128) as i128 as f64 };
        for _ in 0..exponent.unsigned_abs() {
            value = if exponent > 0 { value.times_ten() } else { value.over_ten() };
        }
        if negative {
            value = Self { high: -value.high, low: -value.low };
        }
        // Near the smallest doubles the second half has no digits left.
        if high.abs() < 1e-280 || !value.low.is_finite() {
            value = Self { high, low: 0.0 };
        }
        Some(value)
    }

    fn times_ten(self) -> Self {
        let high = self.high * 10.0;
        Self::sum(high, self.high.mul_add(10.0, -high) + self.low * 10.0)
    }

    fn over_ten(self) -> Self {
        let high = self.high / 10.0;
        Self::sum(high, ((-high).mul_add(10.0, self.high) + self.low) / 10.0)
    }

    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: b - (high - a) }
    }

    /// A double, and the scale of its error, can hold it.
    pub(crate) fn is_scored(&self) -> bool {
        self.high.abs() > 1e-280
    }

    pub(crate) fn absolute_error(&self, value: f64) -> f64 {
        ((value - self.high) - self.low).abs()
    }

    pub(crate) fn relative_error(&self, value: f64) -> f64 {
        self.absolute_error(value) / self.high.abs()
    }
}
