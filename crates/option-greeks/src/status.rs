//! What became of each option: solved, or the first reason why not.

use thiserror::Error;

/// Outcome for one option. Checks run in this order and the first that applies is reported.
///
/// Pricing never answers [`BadPrice`](Self::BadPrice) or what follows it; solving for a volatility never answers
/// [`BadSigma`](Self::BadSigma) or [`ZeroVol`](Self::ZeroVol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Solved: every number of this option is finite and right.
    Ok = 0,
    /// The underlying price is not a positive finite number.
    BadUnderlying = 1,
    /// The strike is not a positive finite number.
    BadStrike = 2,
    /// The time to expiry is negative, infinite or not a number.
    BadExpiry = 3,
    /// The time to expiry is zero. Pricing answers the intrinsic value and a delta of -1, 0 or 1.
    Expired = 4,
    /// The rate or the dividend yield is not finite, or discounts beyond the range of numbers.
    BadRate = 5,
    /// The volatility is negative, infinite or not a number.
    BadSigma = 6,
    /// The volatility is zero. Pricing answers the discounted intrinsic value and the limits of the Greeks.
    ZeroVol = 7,
    /// The option price is infinite or not a number.
    BadPrice = 8,
    /// The option price lies below the discounted intrinsic value, or is negative. Common deep in the money.
    BelowIntrinsic = 9,
    /// The option price equals the discounted intrinsic value: only a volatility of zero explains it.
    AtIntrinsic = 10,
    /// The option price lies above what any volatility can explain.
    AboveMaximum = 11,
    /// The option price equals its upper bound: only an infinite volatility explains it.
    AtMaximum = 12,
}

/// Why an option could not be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PricingError {
    /// See [`Status::BadUnderlying`].
    #[error("underlying price is not a positive finite number")]
    BadUnderlying,
    /// See [`Status::BadStrike`].
    #[error("strike is not a positive finite number")]
    BadStrike,
    /// See [`Status::BadExpiry`].
    #[error("time to expiry is negative or not finite")]
    BadExpiry,
    /// See [`Status::BadRate`].
    #[error("rate or dividend yield is not finite or discounts beyond the range of numbers")]
    BadRate,
    /// See [`Status::BadSigma`].
    #[error("volatility is negative or not finite")]
    BadSigma,
}

/// Why a price has no implied volatility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ImpliedVolError {
    /// See [`Status::BadUnderlying`].
    #[error("underlying price is not a positive finite number")]
    BadUnderlying,
    /// See [`Status::BadStrike`].
    #[error("strike is not a positive finite number")]
    BadStrike,
    /// See [`Status::BadExpiry`].
    #[error("time to expiry is negative or not finite")]
    BadExpiry,
    /// See [`Status::Expired`].
    #[error("option has expired, its price says nothing about volatility")]
    Expired,
    /// See [`Status::BadRate`].
    #[error("rate or dividend yield is not finite or discounts beyond the range of numbers")]
    BadRate,
    /// See [`Status::BadPrice`].
    #[error("option price is not finite")]
    BadPrice,
    /// See [`Status::BelowIntrinsic`].
    #[error("option price is below its discounted intrinsic value, use the out-of-the-money side")]
    BelowIntrinsic,
    /// See [`Status::AtIntrinsic`].
    #[error("option price equals its discounted intrinsic value, volatility would be zero")]
    AtIntrinsic,
    /// See [`Status::AboveMaximum`].
    #[error("option price is above what any volatility can explain")]
    AboveMaximum,
    /// See [`Status::AtMaximum`].
    #[error("option price equals its upper bound, volatility would be infinite")]
    AtMaximum,
}

// === impl Status ===

impl Status {
    /// Every status, in the order of the checks and of the discriminants.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::BadUnderlying,
        Self::BadStrike,
        Self::BadExpiry,
        Self::Expired,
        Self::BadRate,
        Self::BadSigma,
        Self::ZeroVol,
        Self::BadPrice,
        Self::BelowIntrinsic,
        Self::AtIntrinsic,
        Self::AboveMaximum,
        Self::AtMaximum,
    ];

    /// A short name, fit for a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadUnderlying => "bad_underlying",
            Self::BadStrike => "bad_strike",
            Self::BadExpiry => "bad_expiry",
            Self::Expired => "expired",
            Self::BadRate => "bad_rate",
            Self::BadSigma => "bad_sigma",
            Self::ZeroVol => "zero_vol",
            Self::BadPrice => "bad_price",
            Self::BelowIntrinsic => "below_intrinsic",
            Self::AtIntrinsic => "at_intrinsic",
            Self::AboveMaximum => "above_maximum",
            Self::AtMaximum => "at_maximum",
        }
    }

    /// The error a price stands for, or `None` when the option has an implied volatility.
    #[must_use]
    pub const fn implied_vol_error(self) -> Option<ImpliedVolError> {
        Some(match self {
            Self::Ok | Self::BadSigma | Self::ZeroVol => return None,
            Self::BadUnderlying => ImpliedVolError::BadUnderlying,
            Self::BadStrike => ImpliedVolError::BadStrike,
            Self::BadExpiry => ImpliedVolError::BadExpiry,
            Self::Expired => ImpliedVolError::Expired,
            Self::BadRate => ImpliedVolError::BadRate,
            Self::BadPrice => ImpliedVolError::BadPrice,
            Self::BelowIntrinsic => ImpliedVolError::BelowIntrinsic,
            Self::AtIntrinsic => ImpliedVolError::AtIntrinsic,
            Self::AboveMaximum => ImpliedVolError::AboveMaximum,
            Self::AtMaximum => ImpliedVolError::AtMaximum,
        })
    }

    /// The error pricing stands for. `Expired` and `ZeroVol` have values and are no errors.
    #[must_use]
    pub const fn pricing_error(self) -> Option<PricingError> {
        Some(match self {
            Self::BadUnderlying => PricingError::BadUnderlying,
            Self::BadStrike => PricingError::BadStrike,
            Self::BadExpiry => PricingError::BadExpiry,
            Self::BadRate => PricingError::BadRate,
            Self::BadSigma => PricingError::BadSigma,
            _ => return None,
        })
    }
}
