//! The chain form: one underlying price, one expiry, many strikes, results into the caller's columns.

use crate::scalar;
use crate::{OptionInputs, OptionKind, PricingModel, Status};

/// Prices of one expiry, to be solved for volatility.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Model and underlying price, shared by the chain.
    pub model: PricingModel,
    /// Continuously compounded risk-free rate, per year.
    pub rate: f64,
    /// Time to expiry in years.
    pub years_to_expiry: f64,
    /// Strike of each option.
    pub strikes: &'a [f64],
    /// Side of each option.
    pub kinds: &'a [OptionKind],
    /// Price of each option.
    pub prices: &'a [f64],
}

/// Volatilities of one expiry, to be priced.
#[derive(Clone, Copy, Debug)]
pub struct VolatilityChain<'a> {
    /// Model and underlying price, shared by the chain.
    pub model: PricingModel,
    /// Continuously compounded risk-free rate, per year.
    pub rate: f64,
    /// Time to expiry in years.
    pub years_to_expiry: f64,
    /// Strike of each option.
    pub strikes: &'a [f64],
    /// Side of each option.
    pub kinds: &'a [OptionKind],
    /// Volatility of each option, per 1.00.
    pub volatilities: &'a [f64],
}

/// Where [`implied_greeks`] writes. Units are those of [`Greeks`](crate::Greeks).
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct GreeksColumns<'a> {
    pub iv: &'a mut [f64],
    pub delta: &'a mut [f64],
    pub gamma: &'a mut [f64],
    pub vega: &'a mut [f64],
    pub theta: &'a mut [f64],
    pub rho: &'a mut [f64],
    pub status: &'a mut [Status],
}

/// Where [`greeks_at`] writes. Units are those of [`Greeks`](crate::Greeks).
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct PriceColumns<'a> {
    pub price: &'a mut [f64],
    pub delta: &'a mut [f64],
    pub gamma: &'a mut [f64],
    pub vega: &'a mut [f64],
    pub theta: &'a mut [f64],
    pub rho: &'a mut [f64],
    pub status: &'a mut [Status],
}

/// Implied volatility and five Greeks of every option of a chain. Nothing is allocated.
///
/// Where the status is not [`Status::Ok`] the numbers are NaN.
///
/// # Panics
///
/// When the slices differ in length.
pub fn implied_greeks(chain: &Chain<'_>, out: &mut GreeksColumns<'_>) {
    let n = chain.strikes.len();
    assert!(chain.kinds.len() == n && chain.prices.len() == n, "chain slices differ in length");
    assert!(
        [out.iv.len(), out.delta.len(), out.gamma.len(), out.vega.len(), out.theta.len(), out.rho.len()]
            .iter()
            .all(|len| *len == n)
            && out.status.len() == n,
        "output columns differ in length from the chain"
    );
    for i in 0..n {
        let inputs = OptionInputs {
            model: chain.model,
            kind: chain.kinds[i],
            strike: chain.strikes[i],
            rate: chain.rate,
            years_to_expiry: chain.years_to_expiry,
        };
        let (status, iv, greeks) = match scalar::implied_volatility(&inputs, chain.prices[i]) {
            Ok(iv) => (Status::Ok, iv, scalar::greeks(&inputs, iv).1),
            Err(status) => (status, f64::NAN, scalar::NAN_GREEKS),
        };
        out.status[i] = status;
        out.iv[i] = iv;
        out.delta[i] = greeks.delta;
        out.gamma[i] = greeks.gamma;
        out.vega[i] = greeks.vega;
        out.theta[i] = greeks.theta;
        out.rho[i] = greeks.rho;
    }
}

/// Price and five Greeks of every option of a chain at given volatilities. Nothing is allocated.
///
/// [`Status::Expired`] and [`Status::ZeroVol`] have values (the limits); at the other statuses than
/// [`Status::Ok`] the numbers are NaN.
///
/// # Panics
///
/// When the slices differ in length.
pub fn greeks_at(chain: &VolatilityChain<'_>, out: &mut PriceColumns<'_>) {
    let n = chain.strikes.len();
    assert!(chain.kinds.len() == n && chain.volatilities.len() == n, "chain slices differ in length");
    assert!(
        [out.price.len(), out.delta.len(), out.gamma.len(), out.vega.len(), out.theta.len(), out.rho.len()]
            .iter()
            .all(|len| *len == n)
            && out.status.len() == n,
        "output columns differ in length from the chain"
    );
    for i in 0..n {
        let inputs = OptionInputs {
            model: chain.model,
            kind: chain.kinds[i],
            strike: chain.strikes[i],
            rate: chain.rate,
            years_to_expiry: chain.years_to_expiry,
        };
        let (status, greeks) = scalar::greeks(&inputs, chain.volatilities[i]);
        out.status[i] = status;
        out.price[i] = greeks.price;
        out.delta[i] = greeks.delta;
        out.gamma[i] = greeks.gamma;
        out.vega[i] = greeks.vega;
        out.theta[i] = greeks.theta;
        out.rho[i] = greeks.rho;
    }
}
