//! Enrichment against the closed form.

use std::time::Duration;

use market_model::OptionSide;

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
    bench.pass(Duration::from_millis(300));
    let greeks = known(&bench, 251, OptionSide::Call);
    assert_eq!((greeks.forward_source, greeks.forward), (ForwardSource::Future, 25_031.0));
}
