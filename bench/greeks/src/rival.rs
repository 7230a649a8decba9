//! What others do: the crate `implied-vol`, and the formulas of a textbook.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};
use option_greeks::OptionKind;

use crate::workload::Expiry;

/// The hybrid solver of `implied-vol`, on undiscounted prices, or NaN.
#[inline]
pub fn implied_vol(expiry: &Expiry, growth: f64, i: usize) -> f64 {
    ImpliedBlackVolatility::builder()
        .option_price(expiry.prices[i] * growth)
        .forward(expiry.forward)
        .strike(expiry.strikes[i])
        .expiry(expiry.years)
        .is_call(expiry.kinds[i] == OptionKind::Call)
        .build()
        .and_then(|option| option.calculate::<DefaultSpecialFn>())
        .unwrap_or(f64::NAN)
}

/// Price, delta, gamma, vega, theta and rho of Black-76 as a textbook writes them.
#[inline]
pub fn textbook(expiry: &Expiry, i: usize, volatility: f64) -> [f64; 6] {
    let (f, k, t, r) = (expiry.forward, expiry.strikes[i], expiry.years, expiry.rate);
    let sign = expiry.kinds[i].sign();
    let discount = (-r * t).exp();
    let s = volatility * t.sqrt();
    let d1 = ((f / k).ln() + 0.5 * s * s) / s;
    let d2 = d1 - s;
    let density = (-0.5 * d1 * d1).exp() / (2.0 * PI).sqrt();
    let normal = |z: f64| 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
    let (n1, n2) = (normal(sign * d1), normal(sign * d2));
    let price = discount * sign * (f * n1 - k * n2);
    let vega = discount * f * density * t.sqrt();
    [
        price,
        discount * sign * n1,
        discount * density / (f * s),
        vega,
        r * price - 0.5 * vega * volatility / t,
        -t * price,
    ]
}
