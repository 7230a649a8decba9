//! The chain form: one underlying price, one expiry, many strikes, results into the caller's columns.

use crate::{OptionKind, PricingModel, Status};

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

/// Where [`implied_greeks`](crate::implied_greeks) writes. Units are those of [`Greeks`](crate::Greeks).
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

/// Where the calls for all Greeks write. `first` holds the volatility or the price, whichever was asked for.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct AllColumns<'a> {
    pub first: &'a mut [f64],
    pub delta: &'a mut [f64],
    pub gamma: &'a mut [f64],
    pub vega: &'a mut [f64],
    pub theta: &'a mut [f64],
    pub rho: &'a mut [f64],
    pub vanna: &'a mut [f64],
    pub volga: &'a mut [f64],
    pub charm: &'a mut [f64],
    pub speed: &'a mut [f64],
    pub status: &'a mut [Status],
}

/// Where [`greeks_at`](crate::greeks_at) writes. Units are those of [`Greeks`](crate::Greeks).
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
