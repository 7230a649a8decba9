//! The price of an option with its derivatives, and the units people quote them in.

/// Price and Greeks of one option.
///
/// Everything is per 1.00 of volatility (100 points), per 1.00 of rate (100 %) and per year. The methods convert
/// to the units shown on a screen. `u` is the forward for Black-76 and the spot for Black-Scholes-Merton.
///
/// | field | derivative | field | derivative |
/// | --- | --- | --- | --- |
/// | `delta` | dV/du | `vanna` | d²V/du dσ |
/// | `gamma` | d²V/du² | `volga` | d²V/dσ² |
/// | `vega` | dV/dσ | `charm` | -d²V/du dT |
/// | `theta` | -dV/dT | `speed` | d³V/du³ |
/// | `rho` | dV/dr | | |
///
/// Black-76 holds the forward fixed for `theta`, `rho` and `charm`; Black-Scholes-Merton holds the spot fixed.
/// Formulas: E. G. Haug, *The Complete Guide to Option Pricing Formulas*, 2nd ed., chapter 2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the table above says what each field is")]
pub struct Greeks {
    pub price: f64,
    pub delta: f64,
    pub gamma: f64,
    pub vega: f64,
    pub theta: f64,
    pub rho: f64,
    pub vanna: f64,
    pub volga: f64,
    pub charm: f64,
    pub speed: f64,
}

/// Days in the year of calendar-day theta, matching time to expiry as calendar minutes / 525600.
pub const CALENDAR_DAYS_PER_YEAR: f64 = 365.0;

// === impl Greeks ===

impl Greeks {
    /// Change in price for one point of volatility (12 % to 13 %).
    #[must_use]
    pub fn vega_per_point(&self) -> f64 {
        self.vega / 100.0
    }

    /// Change in price for one percentage point of rate.
    #[must_use]
    pub fn rho_per_point(&self) -> f64 {
        self.rho / 100.0
    }

    /// Change in price over one calendar day, to first order.
    #[must_use]
    pub fn theta_per_calendar_day(&self) -> f64 {
        self.theta / CALENDAR_DAYS_PER_YEAR
    }

    /// Change in price over one trading day, when a year has `trading_days_per_year` of them (252 is customary).
    #[must_use]
    pub fn theta_per_trading_day(&self, trading_days_per_year: f64) -> f64 {
        self.theta / trading_days_per_year
    }
}
