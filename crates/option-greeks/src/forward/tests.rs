use super::*;
use crate::{OptionInputs, PricingModel, price};

const FORWARD: f64 = 24_537.4;
const RATE: f64 = 0.065;
const YEARS: f64 = 7.0 / 365.0;

/// Quotes around exact prices, a strike every 50, half a spread of `half` on each side.
fn chain(half: f64) -> Vec<ParityQuote> {
    (-20..=20)
        .map(|i| {
            let strike = 24_500.0 + 50.0 * f64::from(i);
            let value = |kind| {
                let model = PricingModel::Black76 { forward: FORWARD };
                price(&OptionInputs { model, kind, strike, rate: RATE, years_to_expiry: YEARS }, 0.12)
                    .unwrap()
            };
            let (call, put) = (value(OptionKind::Call), value(OptionKind::Put));
            ParityQuote {
                strike,
                call_bid: call - half,
                call_ask: call + half,
                put_bid: put - half,
                put_ask: put + half,
            }
        })
        .collect()
}

#[test]
fn clean_quotes_give_the_forward() {
    let implied = implied_forward(&chain(0.5), RATE, YEARS, None).unwrap();
    assert!((implied.forward - FORWARD).abs() < 1e-6, "{implied:?}");
    assert_eq!(implied.strikes_used, 9);
    assert!(implied.std_error > 0.1 && implied.std_error < 0.3, "{implied:?}");
    let guessed = implied_forward(&chain(0.5), RATE, YEARS, Some(24_400.0)).unwrap();
    assert!((guessed.forward - FORWARD).abs() < 1e-6);
}

#[test]
fn bad_quotes_do_not_move_it() {
    let mut quotes = chain(0.5);
    quotes[19].call_bid += 40.0; // stale: everything 40 points too high
    quotes[19].call_ask += 40.0;
    quotes[20].put_bid = quotes[20].put_ask + 1.0; // crossed
    quotes[21].call_ask = f64::NAN;
    quotes[22].put_ask += 400.0; // wide
    let implied = implied_forward(&quotes, RATE, YEARS, None).unwrap();
    assert!((implied.forward - FORWARD).abs() < 1e-6, "{implied:?}");
    assert_eq!(implied.strikes_used, 8, "nine nearest of the usable ones, less the stale one");
}

#[test]
fn disagreement_widens_the_error() {
    let mut quotes = chain(0.05);
    for (i, quote) in quotes.iter_mut().enumerate() {
        let shift = if i % 2 == 0 { 0.5 } else { -0.5 };
        quote.call_bid += shift;
        quote.call_ask += shift;
    }
    let implied = implied_forward(&quotes, RATE, YEARS, None).unwrap();
    assert!((implied.forward - FORWARD).abs() < 0.6);
    assert!(implied.std_error > 0.1, "{implied:?}");
}

#[test]
fn nothing_usable_is_an_error() {
    let none = ParityQuote { strike: 100.0, call_bid: f64::NAN, call_ask: 1.0, put_bid: 1.0, put_ask: 1.0 };
    assert_eq!(implied_forward(&[none], RATE, YEARS, None), Err(ForwardError::NoUsableQuote));
    assert_eq!(implied_forward(&[], RATE, YEARS, Some(1.0)), Err(ForwardError::NoUsableQuote));
    assert_eq!(implied_forward(&chain(0.5), f64::NAN, YEARS, None), Err(ForwardError::BadRate));
    assert_eq!(implied_forward(&chain(0.5), RATE, -1.0, None), Err(ForwardError::BadExpiry));
}

#[test]
fn discount_factor_comes_from_the_slope() {
    let fit = fit_parity(&chain(0.5)).unwrap();
    let discount = (-RATE * YEARS).exp();
    assert!((fit.forward - FORWARD).abs() < 1e-6, "{fit:?}");
    assert!((fit.discount - discount).abs() < 1e-9, "{fit:?}");
    assert_eq!(fit.strikes_used, 41);
    assert_eq!(fit_parity(&[]), Err(ForwardError::NoUsableQuote));
    assert_eq!(fit_parity(&chain(0.5)[20..21]), Err(ForwardError::NoDiscount));
    assert_eq!(fit_parity(&chain(0.5)[20..22]), Err(ForwardError::NoDiscount));
    let mut quotes = chain(0.5);
    quotes[3].call_bid += 25.0;
    quotes[3].call_ask += 25.0;
    let fit = fit_parity(&quotes).unwrap();
    assert_eq!(fit.strikes_used, 40);
    assert!((fit.discount - discount).abs() < 1e-9, "{fit:?}");
}

#[test]
fn outside_side_changes_at_the_forward() {
    let quotes = chain(0.5);
    for quote in outside_quotes(&quotes, FORWARD) {
        assert_eq!(quote.kind == OptionKind::Call, quote.strike >= FORWARD);
        assert!(quote.bid > 0.0 && quote.ask >= quote.bid);
    }
    assert!(outside_quotes(&quotes, FORWARD).count() > 30);
}
