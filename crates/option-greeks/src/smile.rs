//! The smile of one expiry: raw SVI fitted to total variances, checked for arbitrage.
//!
//! `w(k) = a + b (rho (k-m) + sqrt((k-m)^2 + sigma^2))`, with `k = ln(K/F)` and `w = volatility^2 T`: J. Gatheral, "A
//! parsimonious arbitrage-free implied volatility parameterization" (2004). Given `m` and `sigma` the other three enter
//! linearly and are solved for directly; the two are searched by a simplex: S. De Marco and C. Martini, "Quasi-explicit
//! calibration of Gatheral's SVI model" (Zeliade, 2009). The butterfly condition is `g(k) >= 0` of J. Gatheral and A. Jacquier,
//! "Arbitrage-free SVI volatility surfaces", Quant. Finance 14 (2014), with the wings bounded by R. Lee (2004).

mod fit;

use thiserror::Error;

pub use fit::fit_smile;

/// One volatility of the smile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmilePoint {
    /// `ln(strike / forward)`.
    pub log_moneyness: f64,
    /// Volatility per 1.00.
    pub volatility: f64,
    /// How much it counts, for example vega over the spread. Zero leaves it out of the fit.
    pub weight: f64,
}

/// Raw SVI of one expiry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smile {
    /// Level of total variance.
    pub a: f64,
    /// Slope of the wings.
    pub b: f64,
    /// Skew, between -1 and 1.
    pub rho: f64,
    /// Log-moneyness of the vertex.
    pub m: f64,
    /// Roundness of the vertex.
    pub sigma: f64,
    /// Years to expiry, which turn total variance into volatility.
    pub years: f64,
}

/// A fitted smile and how good it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmileFit {
    /// The smile.
    pub smile: Smile,
    /// Weighted root mean square of the residuals, in volatility (0.01 is one point).
    pub rms: f64,
    /// Largest residual in size, in volatility.
    pub worst: f64,
    /// Least value of the butterfly condition over the range checked; positive means no arbitrage.
    pub butterfly_margin: f64,
}

/// Why no smile could be fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SmileError {
    /// The time to expiry is not a positive finite number.
    #[error("time to expiry is not a positive finite number")]
    BadExpiry,
    /// Fewer than five usable points: five parameters need as many.
    #[error("fewer than five usable points, quote more strikes or show the points themselves")]
    TooFewPoints,
    /// No smile without arbitrage comes near the points.
    #[error("no smile without arbitrage fits the points, look for stale quotes among them")]
    Arbitrage,
}

/// The check goes this many at-the-money deviations beyond the strikes, in steps of a twentieth.
const CHECKED_DEVIATIONS: f64 = 8.0;
const CHECKS: u32 = 320;

// === impl Smile ===

impl Smile {
    /// Total variance at `k = ln(strike / forward)`.
    #[must_use]
    pub fn total_variance(&self, k: f64) -> f64 {
        let x = k - self.m;
        self.a + self.b * (self.rho * x + x.hypot(self.sigma))
    }

    /// Volatility per 1.00 at `k = ln(strike / forward)`.
    #[must_use]
    pub fn volatility(&self, k: f64) -> f64 {
        (self.total_variance(k) / self.years).sqrt()
    }

    /// The butterfly condition: the risk-neutral density at `k` has the sign of this.
    #[must_use]
    pub fn butterfly(&self, k: f64) -> f64 {
        let x = k - self.m;
        let root = x.hypot(self.sigma);
        let w = self.total_variance(k);
        let slope = self.b * (self.rho + x / root);
        let curvature = self.b * (self.sigma / root).powi(2) / root;
        let first = 1.0 - k * slope / (2.0 * w);
        first * first - slope * slope / 4.0 * (1.0 / w + 0.25) + curvature / 2.0
    }

    /// Least value of [`Self::butterfly`] within eight at-the-money deviations around the forward, or a negative number when
    /// variance gets negative or a wing is steeper than 2.
    #[must_use]
    pub fn butterfly_margin(&self) -> f64 {
        let least = self.a + self.b * self.sigma * (1.0 - self.rho * self.rho).max(0.0).sqrt();
        let steepest = self.b * (1.0 + self.rho.abs());
        if !(least > 0.0 && steepest < 2.0 && self.b >= 0.0 && self.sigma > 0.0) {
            return -1.0;
        }
        self.grid().map(|k| self.butterfly(k)).fold(f64::INFINITY, f64::min)
    }

    /// Whether total variance grows from this expiry to a later one at every moneyness checked: no calendar arbitrage.
    #[must_use]
    pub fn is_below(&self, later: &Self) -> bool {
        self.grid().chain(later.grid()).all(|k| self.total_variance(k) <= later.total_variance(k))
    }

    fn grid(&self) -> impl Iterator<Item = f64> + use<> {
        let reach = CHECKED_DEVIATIONS * self.total_variance(0.0).max(0.0).sqrt();
        (0..=CHECKS).map(move |i| reach * (2.0 * f64::from(i) / f64::from(CHECKS) - 1.0))
    }
}

#[cfg(test)]
mod tests;
