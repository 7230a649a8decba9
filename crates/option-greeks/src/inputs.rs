//! What one European option is, as far as its value is concerned.

/// Call or put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OptionKind {
    /// The right to buy at the strike.
    Call,
    /// The right to sell at the strike.
    Put,
}

/// Which underlying price the option is written on, and how it is carried to expiry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PricingModel {
    /// Black (1976): the underlying is the futures or forward price of the same expiry. Derivatives are taken
    /// with respect to that forward, and the rate only discounts.
    Black76 {
        /// Price of the future, or the forward implied by the option chain.
        forward: f64,
    },
    /// Black and Scholes (1973), Merton (1973): the underlying is the spot price and pays a continuous yield.
    /// The forward is never formed, so short expiries lose no digits.
    BlackScholesMerton {
        /// Spot price of the underlying.
        spot: f64,
        /// Continuously compounded dividend yield, per year.
        dividend_yield: f64,
    },
}

/// One option: everything its price depends on except the volatility.
///
/// Any bit pattern may be stored here. Unusable values are reported as a [`Status`](crate::Status) or an error,
/// in the order of that enum; nothing is clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionInputs {
    /// Model and underlying price.
    pub model: PricingModel,
    /// Call or put.
    pub kind: OptionKind,
    /// Strike, in the unit of the underlying price.
    pub strike: f64,
    /// Continuously compounded risk-free rate, per year.
    pub rate: f64,
    /// Time to expiry in years. We suggest calendar minutes / 525600, never whole days.
    pub years_to_expiry: f64,
}

// === impl OptionKind ===

impl OptionKind {
    /// +1 for a call, -1 for a put: the factor in front of `F - K`.
    #[must_use]
    pub const fn sign(self) -> f64 {
        match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
        }
    }
}

// === impl PricingModel ===

impl PricingModel {
    /// The price the model is written on: the forward or the spot.
    #[must_use]
    pub const fn underlying(&self) -> f64 {
        match *self {
            Self::Black76 { forward } => forward,
            Self::BlackScholesMerton { spot, .. } => spot,
        }
    }
}
