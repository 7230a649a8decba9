//! What the simulated prices are made from, for tests that check what a consumer computed.

use market_model::OptionSide;
use serde_json::{Value, json};

use crate::clock::ist_text;
use crate::listing::Kind;
use crate::market::{Basis, Moment, option_price};

/// Spot, forwards, volatilities and fair prices of `underlying` (the name its derivatives carry) at `moment`;
/// `None` when there is no such underlying.
///
/// `t_years` is time to the end of the contract in years of 365 days, `iv` a fraction, prices are in rupees and not
/// rounded to the price grid.
pub(crate) fn of(basis: &Basis, moment: &Moment, underlying: &str) -> Option<Value> {
    let index =
        basis.model.indices().position(|spec| spec.name == underlying || spec.symbol == underlying)?;
    let mut strikes: Vec<Vec<i64>> = vec![Vec::new(); basis.listing.expiries[index].len()];
    for listed in &basis.listing.instruments {
        if let Kind::Option { index: of, expiry, strike, side: OptionSide::Call } = listed.kind
            && of == index
        {
            strikes[expiry].push(strike as i64);
        }
    }
    let expiries: Vec<Value> = basis.listing.expiries[index]
        .iter()
        .enumerate()
        .map(|(at, expiry)| {
            let curve = moment.curve(index, at);
            let strikes: Vec<Value> = strikes[at]
                .iter()
                .map(|strike| {
                    let level = *strike as f64;
                    json!({
                        "strike": strike,
                        "iv": curve.volatility(level),
                        "call_fair": option_price(curve, level, OptionSide::Call),
                        "put_fair": option_price(curve, level, OptionSide::Put),
                    })
                })
                .collect();
            json!({
                "date": expiry.date.to_string(),
                "forward": curve.forward,
                "t_years": curve.years,
                "rate": curve.rate,
                "strikes": strikes,
            })
        })
        .collect();
    Some(json!({
        "sim": true,
        "underlying": underlying,
        "time": ist_text(moment.derivatives_at),
        "timestamp_ns": moment.derivatives_at.0,
        "spot": moment.spot(index),
        "expiries": expiries,
    }))
}
