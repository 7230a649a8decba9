//! Options that have a value but no diffusion left: expired, or without volatility.

use std::f64::consts::PI;

use crate::moneyness;
use crate::terms::{Terms, is_price};
use crate::{Greeks, OptionKind, PricingModel, Status};

/// What a refused option gets.
pub(crate) const NAN_GREEKS: Greeks = Greeks {
    price: f64::NAN,
    delta: f64::NAN,
    gamma: f64::NAN,
    vega: f64::NAN,
    theta: f64::NAN,
    rho: f64::NAN,
    vanna: f64::NAN,
    volga: f64::NAN,
    charm: f64::NAN,
    speed: f64::NAN,
};

impl Greeks {
    /// The fields in their order.
    pub(crate) const fn columns(&self) -> [f64; 10] {
        let Self { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed } = *self;
        [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed]
    }
}

/// At expiry only the intrinsic value is left.
pub(crate) fn expired(underlying: f64, strike: f64, kind: OptionKind) -> Greeks {
    let parity = kind.sign() * (underlying - strike);
    let delta = if parity > 0.0 { kind.sign() } else { 0.0 };
    Greeks { price: parity.max(0.0), delta, ..Greeks::default() }
}

/// Without volatility the option is its discounted intrinsic value. Exactly at the money each leg counts half, gamma is
/// infinite, and the other Greeks are those of a vanishing volatility.
pub(crate) fn zero_volatility(terms: &Terms, strike: f64, sign: f64) -> Greeks {
    let parity = if terms.is_spot {
        moneyness::wide::<f64, true>(terms, strike).parity
    } else {
        moneyness::wide::<f64, false>(terms, strike).parity
    };
    let f = &terms.factors;
    let price = (sign * parity).max(0.0) * terms.discount;
    let share = if parity == 0.0 {
        0.5
    } else if sign * parity > 0.0 {
        1.0
    } else {
        0.0
    };
    let spot_leg = sign * share * terms.underlying * terms.spot_discount;
    let strike_leg = sign * share * strike * terms.strike_discount;
    let delta = sign * share * terms.spot_discount;
    let vega =
        if parity == 0.0 { (spot_leg + spot_leg).abs() * terms.root_t / (2.0 * PI).sqrt() } else { 0.0 };
    let (theta, rho) = if terms.is_spot {
        (f.leg_yield * spot_leg - f.rate * strike_leg, f.years * strike_leg)
    } else {
        (f.rate * price, -f.years * price)
    };
    Greeks {
        price,
        delta,
        gamma: if parity == 0.0 { f64::INFINITY } else { 0.0 },
        vega,
        theta,
        rho,
        charm: f.leg_yield * delta,
        ..Greeks::default()
    }
}

/// Status and value of an option whose call has no terms: the strike is checked right after the underlying.
pub(crate) fn without_terms(
    status: Status,
    model: PricingModel,
    strike: f64,
    kind: OptionKind,
) -> (Status, Greeks) {
    if status == Status::BadUnderlying {
        (status, NAN_GREEKS)
    } else if !is_price(strike) {
        (Status::BadStrike, NAN_GREEKS)
    } else if status == Status::Expired {
        (status, expired(model.underlying(), strike, kind))
    } else {
        (status, NAN_GREEKS)
    }
}
