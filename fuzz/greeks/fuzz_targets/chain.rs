//! Arbitrary bit patterns into a chain: no panic, no NaN labelled ok, the same bits on every path and in single calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use option_greeks::{
    AllColumns, Chain, Engine, OptionInputs, OptionKind, ParityQuote, Path, PricingModel, SmilePoint, Status, VolatilityChain,
    fit_parity, fit_smile, implied_forward,
};

fuzz_target!(|data: &[u8]| {
    let Some((&flags, rest)) = data.split_first() else { return };
    let mut numbers = rest.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let mut next = || numbers.next();
    let (Some(underlying), Some(dividend_yield), Some(rate), Some(years_to_expiry)) = (next(), next(), next(), next()) else {
        return;
    };
    let model = if flags & 1 == 0 {
        PricingModel::Black76 { forward: underlying }
    } else {
        PricingModel::BlackScholesMerton { spot: underlying, dividend_yield }
    };
    let (mut strikes, mut kinds, mut quotes) = (Vec::new(), Vec::new(), Vec::new());
    while let (Some(strike), Some(quote)) = (next(), next()) {
        kinds.push(if strikes.len() % 2 == 0 { OptionKind::Call } else { OptionKind::Put });
        strikes.push(strike);
        quotes.push(quote);
    }
    let (strikes, kinds) = (&strikes[..], &kinds[..]);
    let mut expected: Option<(Answer, Answer)> = None;
    for engine in Path::ALL.into_iter().filter_map(Engine::on) {
        let solved = run(strikes.len(), |out| {
            engine.implied_all(&Chain { model, rate, years_to_expiry, strikes, kinds, prices: &quotes }, out);
        });
        let valued = run(strikes.len(), |out| {
            engine.all_at(&VolatilityChain { model, rate, years_to_expiry, strikes, kinds, volatilities: &quotes }, out);
        });
        let answer = (solved, valued);
        match &expected {
            None => expected = Some(answer),
            Some(expected) => assert!(*expected == answer, "{} differs", engine.path().as_str()),
        }
    }
    let Some((solved, valued)) = expected else { return };
    for (i, (strike, kind)) in strikes.iter().zip(kinds).enumerate() {
        let option = OptionInputs { model, kind: *kind, strike: *strike, rate, years_to_expiry };
        single_calls_agree(&option, quotes[i], (&solved, &valued), i);
    }
    if flags & 2 != 0 {
        slow_paths(strikes, &quotes, rate, years_to_expiry);
    }
});

/// All numbers as bits, NaN made one, column after column; and the statuses.
type Answer = (Vec<u64>, Vec<Status>);

/// An option on its own gets what it gets in the chain.
fn single_calls_agree(option: &OptionInputs, quote: f64, (solved, valued): (&Answer, &Answer), i: usize) {
    let engine = Engine::best();
    match engine.implied_volatility(option, quote) {
        Ok(volatility) => assert!(solved.1[i] == Status::Ok && volatility.to_bits() == solved.0[i], "{option:?} {quote}"),
        Err(error) => assert!(solved.1[i].implied_vol_error() == Some(error), "{option:?} {quote}"),
    }
    match engine.greeks(option, quote) {
        Ok(greeks) => assert!(greeks.price.to_bits() == valued.0[i], "{option:?} {quote}"),
        Err(error) => assert!(valued.1[i].pricing_error() == Some(error), "{option:?} {quote}"),
    }
}

fn run(n: usize, call: impl FnOnce(&mut AllColumns<'_>)) -> Answer {
    let mut numbers = vec![0.0; 10 * n.max(1)];
    let mut status = vec![Status::Ok; n];
    let mut columns = numbers.chunks_exact_mut(n.max(1)).map(|column| &mut column[..n]);
    let [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] =
        std::array::from_fn(|_| columns.next().unwrap_or_default());
    let out = &mut AllColumns { first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed, status: &mut status };
    call(out);
    for (i, class) in status.iter().enumerate() {
        let ok = *class == Status::Ok;
        assert!(!ok || numbers.iter().skip(i).step_by(n.max(1)).all(|x| !x.is_nan()), "NaN labelled ok");
    }
    let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    (numbers.into_iter().map(bits).collect(), status)
}

/// What works on several quotes at once.
fn slow_paths(strikes: &[f64], quotes: &[f64], rate: f64, years: f64) {
    let parity: Vec<ParityQuote> = strikes
        .iter()
        .zip(quotes.windows(4))
        .map(|(strike, q)| ParityQuote { strike: *strike, call_bid: q[0], call_ask: q[1], put_bid: q[2], put_ask: q[3] })
        .collect();
    if let Ok(implied) = implied_forward(&parity, rate, years, quotes.first().copied()) {
        assert!(!implied.forward.is_nan() && implied.strikes_used > 0, "{implied:?}");
    }
    let _ = fit_parity(&parity);
    let points: Vec<SmilePoint> = strikes
        .iter()
        .zip(quotes)
        .take(16)
        .map(|(k, volatility)| SmilePoint { log_moneyness: *k, volatility: *volatility, weight: 1.0 })
        .collect();
    if let Ok(fit) = fit_smile(&points, years) {
        assert!(fit.butterfly_margin > 0.0, "{fit:?}");
    }
}
