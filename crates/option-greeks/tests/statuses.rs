//! Every class of input, its order, and the values of options without diffusion.

use option_greeks::{
    Chain, Engine, Greeks, ImpliedVolError, OptionInputs, OptionKind, PricingError, PricingModel, Status,
    greeks, implied_volatility,
};

const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

fn option(forward: f64, strike: f64, years_to_expiry: f64, rate: f64) -> OptionInputs {
    let model = PricingModel::Black76 { forward };
    OptionInputs { model, kind: OptionKind::Call, strike, rate, years_to_expiry }
}

/// The inverse problem by a single call and by a chain.
fn check_price(option: OptionInputs, price: f64, expect: Status) {
    let got = implied_volatility(&option, price);
    assert_eq!(got.err(), expect.implied_vol_error(), "{option:?} at {price}");
    let OptionInputs { model, kind, strike, rate, years_to_expiry } = option;
    let (strikes, kinds, prices) = (&[strike; 3], &[kind; 3], &[price; 3]);
    let chain = Chain { model, rate, years_to_expiry, strikes, kinds, prices };
    let (mut iv, mut status) = ([0.0; 3], [Status::Ok; 3]);
    Engine::best().implied_volatilities(&chain, &mut iv, &mut status);
    assert_eq!(status, [expect; 3], "{option:?} at {price}");
    assert!(iv.iter().all(|iv| iv.is_nan() == (expect != Status::Ok)), "{option:?} at {price}: {iv:?}");
}

#[test]
fn the_first_defect_is_reported() {
    check_price(option(NAN, NAN, NAN, NAN), NAN, Status::BadUnderlying);
    check_price(option(-0.0, 100.0, 0.1, 0.0), 1.0, Status::BadUnderlying);
    check_price(option(100.0, NAN, -1.0, NAN), NAN, Status::BadStrike);
    check_price(option(100.0, 0.0, 0.0, 0.0), 1.0, Status::BadStrike);
    check_price(option(100.0, 100.0, -1e-9, NAN), NAN, Status::BadExpiry);
    check_price(option(100.0, 100.0, INFINITY, 0.0), 1.0, Status::BadExpiry);
    check_price(option(100.0, 100.0, -0.0, NAN), NAN, Status::Expired);
    check_price(option(100.0, 100.0, 0.1, INFINITY), NAN, Status::BadRate);
    check_price(option(100.0, 100.0, 0.1, 0.0), NAN, Status::BadPrice);
    check_price(option(100.0, 100.0, 0.1, 0.0), -1e-300, Status::BelowIntrinsic);
    check_price(option(100.0, 90.0, 0.1, 0.0), 9.999, Status::BelowIntrinsic);
    check_price(option(100.0, 100.0, 0.1, 0.0), 0.0, Status::AtIntrinsic);
    check_price(option(100.0, 90.0, 0.1, 0.0), 10.0, Status::AtIntrinsic);
    check_price(option(100.0, 100.0, 0.1, 0.0), 100.001, Status::AboveMaximum);
    check_price(option(100.0, 100.0, 0.1, 0.0), 100.0, Status::AtMaximum);
    check_price(option(100.0, 100.0, 0.1, 0.0), 5.0, Status::Ok);
}

/// Money that leaves the range of doubles on the way says as much as money that stays in it.
#[test]
fn a_bound_beyond_the_largest_double_is_a_bound() {
    for (spot, dividend_yield, strike, rate, years_to_expiry) in [
        (
            0.457_700_683_874_980_25,
            0.004_853_446_145_578_375,
            1.727_770_795_822_792e308,
            -0.008_154_153_696_985_897,
            7.375_452_349_055_283,
        ),
        (
            82.062_831_260_650_41,
            -0.002_215_602_998_782_330_4,
            7.437_940_726_253_611e307,
            -0.046_265_095_127_244_21,
            24.547_845_919_644_427,
        ),
    ] {
        let model = PricingModel::BlackScholesMerton { spot, dividend_yield };
        let call = OptionInputs { model, kind: OptionKind::Call, strike, rate, years_to_expiry };
        let put = OptionInputs { kind: OptionKind::Put, ..call };
        for price in [0.05, spot, f64::MAX] {
            check_price(put, price, Status::BelowIntrinsic);
        }
        check_price(call, 0.0, Status::AtIntrinsic);
        check_price(call, 2.0 * spot, Status::AboveMaximum);
        check_price(put, INFINITY, Status::BadPrice);
    }
    // The price times the growth factor overflows.
    check_price(option(100.0, 90.0, 10.0, 60.0), f64::MAX, Status::AboveMaximum);
    check_price(option(100.0, 90.0, 10.0, 60.0), -f64::MAX, Status::BelowIntrinsic);
}

#[test]
fn pricing_refuses_bad_volatilities() {
    let good = option(100.0, 100.0, 0.1, 0.0);
    for sigma in [NAN, INFINITY, -1e-300] {
        assert_eq!(greeks(&good, sigma), Err(PricingError::BadSigma), "{sigma}");
    }
    assert_eq!(greeks(&option(100.0, 100.0, 0.1, NAN), NAN), Err(PricingError::BadRate));
}

#[test]
fn an_expired_option_is_its_intrinsic_value() {
    let expired =
        |strike| greeks(&option(100.0, strike, 0.0, 0.05), 0.2).expect("expired options have a value");
    assert_eq!(expired(90.0), Greeks { price: 10.0, delta: 1.0, ..Greeks::default() });
    assert_eq!(expired(110.0), Greeks::default());
    let put = OptionInputs { kind: OptionKind::Put, ..option(100.0, 110.0, 0.0, 0.05) };
    assert_eq!(greeks(&put, 0.2), Ok(Greeks { price: 10.0, delta: -1.0, ..Greeks::default() }));
}

#[test]
fn no_volatility_is_the_limit_of_a_small_one() {
    for strike in [90.0, 110.0] {
        for kind in [OptionKind::Call, OptionKind::Put] {
            for model in [
                PricingModel::Black76 { forward: 100.0 },
                PricingModel::BlackScholesMerton { spot: 100.0, dividend_yield: 0.01 },
            ] {
                let option = OptionInputs { model, kind, strike, rate: 0.05, years_to_expiry: 0.5 };
                let limit = greeks(&option, 0.0).expect("a valid option");
                let small = greeks(&option, 1e-4).expect("a valid option");
                for (a, b) in [
                    (limit.price, small.price),
                    (limit.delta, small.delta),
                    (limit.theta, small.theta),
                    (limit.rho, small.rho),
                    (limit.charm, small.charm),
                ] {
                    assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{option:?}: {a} and {b}");
                }
                assert_eq!((limit.gamma, limit.vega), (0.0, 0.0));
            }
        }
    }
}

#[test]
fn units() {
    let greeks = Greeks { vega: 250.0, rho: 50.0, theta: -730.0, ..Greeks::default() };
    assert_eq!(greeks.vega_per_point(), 2.5);
    assert_eq!(greeks.rho_per_point(), 0.5);
    assert_eq!(greeks.theta_per_calendar_day(), -2.0);
    assert_eq!(greeks.theta_per_trading_day(365.0), -2.0);
}

#[test]
fn statuses_keep_their_numbers() {
    for (i, status) in Status::ALL.into_iter().enumerate() {
        assert_eq!(status as usize, i, "{}", status.as_str());
    }
    assert_eq!(Status::BelowIntrinsic.implied_vol_error(), Some(ImpliedVolError::BelowIntrinsic));
}
