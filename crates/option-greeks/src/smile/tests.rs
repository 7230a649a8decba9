use super::*;
use crate::{OptionInputs, OptionKind, PricingModel, implied_volatility, price};

const YEARS: f64 = 14.0 / 365.0;

fn smile() -> Smile {
    Smile { a: 0.0002, b: 0.012, rho: -0.35, m: 0.01, sigma: 0.04, years: YEARS }
}

fn points(smile: &Smile) -> Vec<SmilePoint> {
    (-12..=12)
        .map(|i| {
            let log_moneyness = 0.01 * f64::from(i);
            SmilePoint { log_moneyness, volatility: smile.volatility(log_moneyness), weight: 1.0 }
        })
        .collect()
}

#[test]
fn an_exact_smile_comes_back() {
    let fit = fit_smile(&points(&smile()), YEARS).unwrap();
    assert!(fit.worst < 1e-6, "{fit:?}");
    assert!(fit.butterfly_margin > 0.0);
    for k in [-0.2, -0.05, 0.0, 0.03, 0.2] {
        assert!((fit.smile.volatility(k) - smile().volatility(k)).abs() < 1e-5, "{k}: {fit:?}");
    }
}

#[test]
fn price_smile_price_round_trip() {
    let forward = 24_500.0;
    let option = |k: f64| OptionInputs {
        model: PricingModel::Black76 { forward },
        kind: if k >= 0.0 { OptionKind::Call } else { OptionKind::Put },
        strike: forward * k.exp(),
        rate: 0.065,
        years_to_expiry: YEARS,
    };
    // Prices on the tick, as the market quotes them.
    let quoted = |k: f64| (price(&option(k), smile().volatility(k)).unwrap() / 0.05).round() * 0.05;
    let points: Vec<SmilePoint> = (-10..=10)
        .map(|i| 0.008 * f64::from(i))
        .map(|k| SmilePoint {
            log_moneyness: k,
            volatility: implied_volatility(&option(k), quoted(k)).unwrap(),
            weight: 1.0,
        })
        .collect();
    let fit = fit_smile(&points, YEARS).unwrap();
    for point in &points {
        let k = point.log_moneyness;
        let again = price(&option(k), fit.smile.volatility(k)).unwrap();
        assert!((again - quoted(k)).abs() < 0.15, "{k}: {again} for {}", quoted(k));
    }
}

#[test]
fn noise_is_smoothed_without_arbitrage() {
    let mut noisy = points(&smile());
    for (i, point) in noisy.iter_mut().enumerate() {
        point.volatility *= if i % 2 == 0 { 1.01 } else { 0.99 };
    }
    let fit = fit_smile(&noisy, YEARS).unwrap();
    assert!(fit.rms > 1e-4 && fit.worst < 0.01, "{fit:?}");
    assert!(fit.smile.butterfly_margin() > 0.0);
}

#[test]
fn arbitrage_is_seen() {
    // The example of Axel Vogt in Gatheral and Jacquier (2014): a negative density near k = 0.8.
    let vogt = Smile { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153, years: 1.0 };
    assert!(vogt.butterfly_margin() < 0.0);
    assert!(vogt.butterfly(0.8) < 0.0 && vogt.butterfly(0.0) > 0.0);
    assert!(smile().butterfly_margin() > 0.0);
}

#[test]
fn calendar_arbitrage_is_seen() {
    let later = Smile { a: 0.0005, years: 2.0 * YEARS, ..smile() };
    assert!(smile().is_below(&later));
    assert!(!later.is_below(&smile()));
}

#[test]
fn refusals() {
    let few = &points(&smile())[..4];
    assert_eq!(fit_smile(few, YEARS), Err(SmileError::TooFewPoints));
    let useless = [SmilePoint { log_moneyness: f64::NAN, volatility: 0.1, weight: 1.0 }; 9];
    assert_eq!(fit_smile(&useless, YEARS), Err(SmileError::TooFewPoints));
    assert_eq!(fit_smile(&points(&smile()), 0.0), Err(SmileError::BadExpiry));
}
