//! Implied volatility and Greeks of European options: Black-76 and Black-Scholes-Merton, whole chains at a time.
//!
//! This crate refuses to know where prices come from, what day it is, what an exchange is and how results travel.
//! Numbers go in, numbers and a [`Status`] per option come out; no input panics and NaN is never labelled ok.
//!
//! ```
//! use option_greeks::{OptionInputs, OptionKind, PricingModel, greeks, implied_volatility};
//!
//! let option = OptionInputs {
//!     model: PricingModel::Black76 { forward: 24_512.35 },
//!     kind: OptionKind::Call,
//!     strike: 24_600.0,
//!     rate: 0.065,
//!     years_to_expiry: 3.0 * 1440.0 / 525_600.0, // three days, in calendar minutes
//! };
//! let volatility = implied_volatility(&option, 84.35)?;
//! assert!((volatility - 0.1388).abs() < 1e-4, "{volatility}");
//! let greeks = greeks(&option, volatility)?;
//! assert!((greeks.price - 84.35).abs() < 1e-10);
//! assert!((greeks.delta - 0.388).abs() < 1e-2, "{}", greeks.delta);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod chain;
mod coefficients;
mod double_double;
mod elementary;
mod engine;
mod expiry;
mod forward;
mod greeks;
mod inputs;
mod lanes;
mod limits;
mod moneyness;
mod near;
mod refused;
mod sensitivities;
mod smile;
mod solve;
mod solve_wide;
mod status;
mod terms;
mod value;
mod wide;

pub use chain::{AllColumns, Chain, GreeksColumns, PriceColumns, VolatilityChain};
pub use engine::{Engine, Path};
pub use expiry::{MINUTES_PER_YEAR, calendar_years, settlement_forward, variance_years};
pub use forward::{
    ForwardError, ImpliedForward, OutsideQuote, ParityFit, ParityQuote, fit_parity, implied_forward,
    outside_quotes,
};
pub use greeks::{CALENDAR_DAYS_PER_YEAR, Greeks};
pub use inputs::{OptionInputs, OptionKind, PricingModel};
pub use smile::{Smile, SmileError, SmileFit, SmilePoint, fit_smile};
pub use status::{ImpliedVolError, PricingError, Status};

/// Discounted value of an option at a volatility (per 1.00, so 0.2 is 20 %).
///
/// # Errors
///
/// The first input that is out of its domain, in the order of [`Status`].
pub fn price(option: &OptionInputs, volatility: f64) -> Result<f64, PricingError> {
    Engine::for_one().price(option, volatility)
}

/// Value and all Greeks of an option at a volatility (per 1.00, so 0.2 is 20 %).
///
/// An expired option has its intrinsic value and a delta of -1, 0 or 1; zero volatility gives the limits.
///
/// # Errors
///
/// The first input that is out of its domain, in the order of [`Status`].
pub fn greeks(option: &OptionInputs, volatility: f64) -> Result<Greeks, PricingError> {
    Engine::for_one().greeks(option, volatility)
}

/// The volatility (per 1.00) at which the model returns this price.
///
/// # Errors
///
/// The first input that is out of its domain or the bound the price violates, in the order of [`Status`]. There is
/// no made-up answer: never zero, never NaN.
pub fn implied_volatility(option: &OptionInputs, price: f64) -> Result<f64, ImpliedVolError> {
    Engine::for_one().implied_volatility(option, price)
}

/// Implied volatility and five Greeks of every option of a chain. Nothing is allocated.
///
/// Where the status is not [`Status::Ok`] the numbers are NaN.
///
/// # Panics
///
/// When the slices differ in length.
pub fn implied_greeks(chain: &Chain<'_>, out: &mut GreeksColumns<'_>) {
    Engine::best().implied_greeks(chain, out);
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
    Engine::best().greeks_at(chain, out);
}
