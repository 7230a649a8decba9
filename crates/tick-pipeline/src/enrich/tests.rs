//! Enrichment against the closed form.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use market_model::{
    Exchange, Expiry, Instrument, InstrumentCatalog, InstrumentKind, InstrumentToken, OptionSide, Price,
    QuoteTick, Segment, Tick, TickBody,
};
use option_greeks::{OptionInputs, OptionKind, PricingModel};
use proptest::prelude::*;

use crate::testing::{Bench, FUTURE, INDEX, STRIKES, full, ltp, near_chain, near_years, option, smile};
use crate::{ForwardSource, GreeksState, NoGreeks, OptionGreeks, PipelineConfig, Quality};

const SIDES: [OptionSide; 2] = [OptionSide::Call, OptionSide::Put];

fn bench() -> Bench {
    Bench::new(PipelineConfig::default())
}

fn known(bench: &Bench, strike: i64, side: OptionSide) -> OptionGreeks {
    match bench.state(option(true, strike, side)).greeks {
        GreeksState::Known(greeks) => greeks,
        other => panic!("{strike} {side:?}: {other:?}"),
    }
}

#[test]
fn a_chain_priced_from_a_smile_gives_the_smile_and_the_forward_back() {
    let mut bench = bench();
    let forward = 25_043.7;
    bench.push(near_chain(forward, bench.wall()));
    bench.pass(Duration::ZERO);
    for strike in STRIKES {
        for side in SIDES {
            let greeks = known(&bench, strike, side);
            assert_eq!((greeks.forward_source, greeks.quality), (ForwardSource::Parity, Quality::Good));
            assert!((greeks.forward - forward).abs() < 1e-6, "{}", greeks.forward);
            assert!((greeks.iv - smile(strike, forward)).abs() < 1e-7, "{strike}: {}", greeks.iv);
            assert!((greeks.t_years - near_years(bench.wall())).abs() < 1e-15);
        }
        let (call, put) = (known(&bench, strike, OptionSide::Call), known(&bench, strike, OptionSide::Put));
        let discount = (-call.rate * call.t_years).exp();
        assert!((call.delta - put.delta - discount).abs() < 1e-12);
        assert!((call.gamma - put.gamma).abs() < 1e-12);
    }
}

#[test]
fn without_quotes_the_future_then_the_spot_serve() {
    let mut bench = bench();
    let at = bench.wall();
    bench.push(vec![ltp(option(true, 251, OptionSide::Call), 200.0)]);
    bench.pass(Duration::from_millis(5));
    let state = bench.state(option(true, 251, OptionSide::Call));
    assert_eq!(state.greeks, GreeksState::Absent(NoGreeks::NoForward));

    bench.push(vec![ltp(INDEX, 25_000.0)]);
    bench.pass(Duration::from_millis(5));
    let greeks = known(&bench, 251, OptionSide::Call);
    assert_eq!((greeks.forward_source, greeks.quality), (ForwardSource::SpotCarry, Quality::LastPrice));
    let carried = 25_000.0 * ((0.065 - 0.012) * greeks.t_years).exp();
    assert!((greeks.forward - carried).abs() < 1e-9);

    bench.push(vec![full(FUTURE, 25_020.0, 25_030.0, 25_032.0, at)]);
    bench.pass(Duration::from_millis(500));
    let greeks = known(&bench, 251, OptionSide::Call);
    assert_eq!((greeks.forward_source, greeks.forward), (ForwardSource::Future, 25_031.0));
}

#[test]
fn how_far_to_rely_on_a_volatility_is_said() {
    let check = |call: Tick, put: Option<Tick>, expect: Quality| {
        let mut bench = bench();
        bench.push(vec![full(FUTURE, 25_000.0, 24_999.0, 25_001.0, bench.wall()), call]);
        bench.push(put.into_iter().collect());
        bench.pass(Duration::ZERO);
        assert_eq!(known(&bench, 255, OptionSide::Call).quality, expect);
    };
    let (call, put) = (option(true, 255, OptionSide::Call), option(true, 255, OptionSide::Put));
    let at = crate::testing::START;
    check(full(call, 60.0, 59.9, 60.1, at), None, Quality::Good);
    check(full(call, 60.0, 55.0, 65.0, at), None, Quality::Wide);
    check(full(call, 60.0, 20.0, 100.0, at), None, Quality::LastPrice);
    check(ltp(call, 60.0), Some(full(put, 560.0, 559.0, 561.0, at)), Quality::LastPrice);
    let no_price =
        Tick { last_price: Price::ZERO, body: TickBody::Quote(QuoteTick::default()), ..ltp(call, 1.0) };
    check(no_price, Some(full(put, 560.0, 559.0, 561.0, at)), Quality::InTheMoneySide);
}

#[test]
fn a_commodity_option_is_priced_on_the_first_future_that_outlives_it() {
    let end = |day| Expiry { date: date(2026, 11, day), instant: Some(crate::testing::near_expiry()) };
    let row = |token, kind| Instrument {
        token: InstrumentToken(token),
        exchange: Exchange::Mcx,
        segment: Segment::McxOptions,
        tradingsymbol: format!("CRUDEOIL{token}").into(),
        name: "CRUDEOIL".into(),
        kind,
        lot_size: 100,
        tick_size: Price::from_paise(5),
    };
    let strike = Price::from_paise(600_000);
    let rows = vec![
        row(1, InstrumentKind::Future { expiry: end(19) }),
        row(2, InstrumentKind::Future { expiry: end(27) }),
        row(3, InstrumentKind::Option { expiry: end(24), strike, side: OptionSide::Call }),
    ];
    let catalog = Arc::new(InstrumentCatalog::new(rows, |_| None).unwrap());
    let mut bench = Bench::with_market(PipelineConfig::default(), catalog.clone().into());
    bench.push(vec![
        ltp(InstrumentToken(1), 5900.0),
        ltp(InstrumentToken(2), 5950.0),
        ltp(InstrumentToken(3), 100.0),
    ]);
    bench.pass(Duration::ZERO);
    let option = bench.pipeline.snapshot(catalog.slot(InstrumentToken(3)).unwrap()).unwrap();
    let GreeksState::Known(greeks) = option.greeks else { panic!("{option:?}") };
    assert_eq!((greeks.forward_source, greeks.forward), (ForwardSource::Future, 5950.0));
}

#[test]
fn units_are_those_of_the_contract() {
    let mut bench = bench();
    bench.push(near_chain(25_000.0, bench.wall()));
    bench.pass(Duration::ZERO);
    let greeks = known(&bench, 252, OptionSide::Call);
    let value = |forward: f64, iv: f64, t: f64| crate::testing::fair(forward, 252, OptionSide::Call, iv, t);
    let (f, iv, t) = (greeks.forward, greeks.iv, greeks.t_years);
    let near = |got: f64, slope: f64| assert!((got / slope - 1.0).abs() < 1e-3, "{got} against {slope}");
    near(greeks.delta, (value(f + 0.5, iv, t) - value(f - 0.5, iv, t)) / 1.0);
    near(greeks.gamma, value(f + 1.0, iv, t) - 2.0 * value(f, iv, t) + value(f - 1.0, iv, t));
    near(greeks.vega, value(f, iv + 0.005, t) - value(f, iv - 0.005, t));
    let day = 1e-3 / 365.0;
    near(greeks.theta, (value(f, iv, t - day) - value(f, iv, t + day)) / 2e-3);
    near(greeks.rho, -t * value(f, iv, t) / 100.0);
}

#[test]
fn the_other_side_of_a_strike_has_the_values_of_the_closed_form() {
    let mut bench = bench();
    bench.push(near_chain(25_043.7, bench.wall()));
    bench.pass(Duration::ZERO);
    for strike in STRIKES {
        for (side, kind) in SIDES.into_iter().zip([OptionKind::Call, OptionKind::Put]) {
            let greeks = known(&bench, strike, side);
            let inputs = OptionInputs {
                model: PricingModel::Black76 { forward: greeks.forward },
                kind,
                strike: strike as f64 * 100.0,
                rate: greeks.rate,
                years_to_expiry: greeks.t_years,
            };
            let exact = option_greeks::greeks(&inputs, greeks.iv).unwrap();
            for (got, expect) in [
                (greeks.delta, exact.delta),
                (greeks.gamma, exact.gamma),
                (greeks.vega, exact.vega_per_point()),
                (greeks.theta, exact.theta_per_calendar_day()),
                (greeks.rho, exact.rho_per_point()),
            ] {
                let off = (got - expect).abs();
                assert!(off <= 1e-13 + 1e-12 * expect.abs(), "{strike} {side:?}: {got} for {expect}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the forward, the level of the smile and the time of day: what went in comes out.
    #[test]
    fn any_market_comes_back(forward in 24_300.0..25_700.0f64, level in 0.7..2.0f64, minutes in 0u64..5000) {
        let mut bench = bench();
        bench.clock.advance(Duration::from_secs(60 * minutes));
        let (now, years) = (bench.wall(), near_years(bench.wall()));
        let iv = |strike| level * smile(strike, forward);
        let mut ticks = Vec::new();
        for strike in STRIKES {
            for side in SIDES {
                let mid = crate::testing::fair(forward, strike, side, iv(strike), years);
                ticks.push(full(option(true, strike, side), mid.max(0.05), 0.999 * mid, 1.001 * mid, now));
            }
        }
        bench.push(ticks);
        bench.pass(Duration::ZERO);
        // Far strikes are worth too little for the price's seven decimals to carry a volatility.
        let out_of_the_money = |strike: i64| {
            let side = if strike as f64 * 100.0 >= forward { OptionSide::Call } else { OptionSide::Put };
            crate::testing::fair(forward, strike, side, iv(strike), years)
        };
        for strike in STRIKES.filter(|strike| out_of_the_money(*strike) > 0.01) {
            for side in SIDES {
                let greeks = known(&bench, strike, side);
                prop_assert!((greeks.forward - forward).abs() < 1e-3, "{}", greeks.forward);
                prop_assert!((greeks.iv - iv(strike)).abs() < 1e-4, "{} for {}", greeks.iv, iv(strike));
            }
        }
    }
}
