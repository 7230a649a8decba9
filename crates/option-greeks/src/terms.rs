//! What all options of one call share: discounting, carry and the factors of the Greeks.
//!
//! The kernels work in *kernel money*: undiscounted for Black-76, where the price is multiplied by `growth`, and today's
//! money for Black-Scholes-Merton. In kernel money every option is worth `sqrt(U K) b(|x|, s)` out of the money, with
//! `U` and `K` the prices of the two legs and `x = ln(U/K)`. The forward is never formed: for a spot the legs are
//! `S + S expm1(-qT)` and `K + K expm1(-rT)`, and `x = ln(S/K) + (r-q)T`, so nothing cancels when T is small.

use crate::double_double::DoubleDouble;
use crate::lanes::Lanes;
use crate::{PricingModel, Status};

/// Constants of a call. See the head of this file for kernel money.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The forward or spot as given.
    pub(crate) underlying: f64,
    /// True for Black-Scholes-Merton.
    pub(crate) is_spot: bool,
    /// Price in kernel money = price times this.
    pub(crate) growth: DoubleDouble,
    /// Price = price in kernel money times this.
    pub(crate) discount: f64,
    /// `(r-q)T`, what turns `ln(S/K)` into `x`; zero for Black-76.
    pub(crate) carry: DoubleDouble,
    /// `S expm1(-qT)`; zero for Black-76.
    pub(crate) spot_shift: DoubleDouble,
    /// `expm1(-rT)`; zero for Black-76.
    pub(crate) strike_shift: DoubleDouble,
    /// The dearest a call can be, in kernel money: the whole spot leg.
    pub(crate) call_maximum: DoubleDouble,
    /// Half the root of the discounting of both legs, over `sqrt(2 pi)`, and its reciprocal.
    pub(crate) half_root: f64,
    pub(crate) inverse_half_root: f64,
    /// `sqrt(T)` and its reciprocal.
    pub(crate) root_t: f64,
    pub(crate) inverse_root_t: DoubleDouble,
    /// Discounting of the two legs in the option's money.
    pub(crate) spot_discount: f64,
    /// The whole spot leg in the option's money.
    pub(crate) whole_spot: f64,
    pub(crate) strike_discount: f64,
    /// The fast kernel takes options with `((U-K)/(U+K))^2` below this: 0.0428 or, for inputs so extreme that a Greek may
    /// leave the range of numbers, nothing.
    pub(crate) largest_y: f64,
    /// Factors of the Greeks.
    pub(crate) factors: Factors,
}

/// Factors of the Greeks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    pub(crate) years: f64,
    pub(crate) half_inverse_years: f64,
    pub(crate) inverse_underlying: f64,
    pub(crate) rate: f64,
    /// The yield of the spot leg, which is the rate for Black-76.
    pub(crate) leg_yield: f64,
    /// Rate less that yield.
    pub(crate) net_rate: f64,
}

/// Largest `|rT|` and `|qT|`: beyond it the discount factor leaves the range of doubles.
const LARGEST_EXPONENT: f64 = 690.0;

/// `1 / (2 sqrt(2 pi))` and `2 sqrt(2 pi)`.
const HALF_ROOT: f64 = 0.199_471_140_200_716_35;
const INVERSE_HALF_ROOT: f64 = 5.013_256_549_262_001;

/// See [`Terms::largest_y`].
const LARGEST_Y: f64 = 0.0428;

/// No product of a few of these comes near the ends of the range of doubles: rates are then below 1e23. It is also all that most calls are asked.
#[inline(always)]
fn is_tame(underlying: f64, years: f64) -> bool {
    (1e-40..1e40).contains(&underlying) && (1e-20..1e20).contains(&years)
}

/// What is wrong with the underlying price or the time to expiry.
fn check(underlying: f64, years: f64) -> Result<(), Status> {
    if !is_price(underlying) {
        Err(Status::BadUnderlying)
    } else if !(0.0..f64::INFINITY).contains(&years) {
        Err(Status::BadExpiry)
    } else if years == 0.0 {
        Err(Status::Expired)
    } else {
        Ok(())
    }
}

/// A positive finite number.
pub(crate) fn is_price(x: f64) -> bool {
    x > 0.0 && x < f64::INFINITY
}

impl Terms {
    /// Checks what a call shares and prepares its constants.
    ///
    /// A bad strike comes before everything but a bad underlying in the order of statuses; the caller looks at strikes.
    #[inline(always)]
    pub(crate) fn new(model: PricingModel, rate: f64, years: f64) -> Result<Self, Status> {
        if is_tame(model.underlying(), years) {
            Self::checked::<true>(model, rate, years)
        } else {
            Self::untamed(model, rate, years)
        }
    }

    /// Apart and rare, so that a single option does not wait for what only extremes need.
    #[cold]
    #[inline(never)]
    fn untamed(model: PricingModel, rate: f64, years: f64) -> Result<Self, Status> {
        check(model.underlying(), years)?;
        Self::checked::<false>(model, rate, years)
    }

    #[inline(always)]
    fn checked<const TAME: bool>(model: PricingModel, rate: f64, years: f64) -> Result<Self, Status> {
        let underlying = model.underlying();
        // Years are positive here, so that a rate that is no number or infinite is out of range.
        let in_range = |rate: f64| (rate * years).abs() <= LARGEST_EXPONENT;
        let root_t = years.sqrt();
        let half_inverse_years = (0.5 / years).min(f64::MAX);
        let inverse_underlying = (1.0 / underlying).min(f64::MAX);
        if !in_range(rate) {
            return Err(Status::BadRate);
        }
        let shared = Self {
            underlying,
            is_spot: false,
            growth: DoubleDouble::ONE,
            discount: 1.0,
            carry: DoubleDouble::default(),
            spot_shift: DoubleDouble::default(),
            strike_shift: DoubleDouble::default(),
            call_maximum: DoubleDouble { high: underlying, low: 0.0 },
            half_root: HALF_ROOT,
            inverse_half_root: INVERSE_HALF_ROOT,
            root_t,
            inverse_root_t: inverse_root::<TAME>(years, root_t),
            spot_discount: 1.0,
            whole_spot: underlying,
            strike_discount: 1.0,
            largest_y: if TAME { LARGEST_Y } else { -1.0 },
            factors: Factors {
                years,
                half_inverse_years,
                inverse_underlying,
                rate,
                leg_yield: rate,
                net_rate: 0.0,
            },
        };
        match model {
            PricingModel::Black76 { .. } => {
                let growth = DoubleDouble::product(rate, years).exp();
                let discount = 1.0 / growth.high;
                Ok(Self {
                    growth,
                    discount,
                    spot_discount: discount,
                    whole_spot: underlying * discount,
                    strike_discount: discount,
                    ..shared
                })
            }
            PricingModel::BlackScholesMerton { dividend_yield, .. } if in_range(dividend_yield) => {
                let terms = shared.with_carry(rate, dividend_yield);
                if is_price(terms.call_maximum.high) { Ok(terms) } else { Err(Status::BadRate) }
            }
            PricingModel::BlackScholesMerton { .. } => Err(Status::BadRate),
        }
    }

    /// Black-Scholes-Merton: both legs are discounted separately, and the option price stays as it is.
    #[inline(always)]
    fn with_carry(self, rate: f64, dividend_yield: f64) -> Self {
        let (spot, years) = (self.underlying, self.factors.years);
        let yield_time = DoubleDouble::product(-dividend_yield, years);
        let rate_time = DoubleDouble::product(-rate, years);
        let spot_shift = yield_time.exp_m1().times(spot);
        let strike_shift = rate_time.exp_m1();
        let whole = DoubleDouble::sum(spot, spot_shift.high);
        let call_maximum = DoubleDouble::fast_sum(whole.high, whole.low + spot_shift.low);
        let net = DoubleDouble::sum(yield_time.high, -rate_time.high);
        // Years of high rates leave little of one: the low part counts.
        let strike_discount = (1.0 + strike_shift.high) + strike_shift.low;
        let spot_discount = call_maximum.high / spot;
        let discounts = (spot_discount * strike_discount).sqrt();
        Self {
            is_spot: true,
            carry: DoubleDouble::fast_sum(net.high, net.low + (yield_time.low - rate_time.low)),
            spot_shift,
            strike_shift,
            call_maximum,
            half_root: HALF_ROOT * discounts,
            inverse_half_root: INVERSE_HALF_ROOT / discounts,
            spot_discount,
            whole_spot: call_maximum.high,
            strike_discount,
            factors: Factors { leg_yield: dividend_yield, net_rate: rate - dividend_yield, ..self.factors },
            ..self
        }
    }
}

impl Terms {
    /// The square root of the spot leg times that of the discounting of the strike leg, over `sqrt(2 pi)`. Only the wide
    /// kernel asks, and a single call in the box should not wait for it.
    #[inline(always)]
    pub(crate) fn root<const SPOT: bool>(&self) -> f64 {
        let root = scaled_root(self.call_maximum.high);
        if SPOT { root * self.strike_discount.sqrt() } else { root }
    }
}

/// `sqrt(x / 2 pi)`, rounded once.
#[inline(always)]
fn scaled_root(x: f64) -> f64 {
    let inverse = DoubleDouble { high: 0.398_942_280_401_432_7, low: -2.492_327_202_277_73e-17 };
    let root = x.sqrt();
    let square = DoubleDouble::product(root, root);
    let low = ((x - square.high) - square.low) / (root + root);
    let scaled = inverse.times(root);
    scaled.high + (scaled.low + low * inverse.high)
}

/// `1/sqrt(t)` to twice the digits, from the rounded root and one Newton step.
#[inline(always)]
fn inverse_root<const TAME: bool>(t: f64, root: f64) -> DoubleDouble {
    let high = 1.0 / root;
    let DoubleDouble { high: near_root, low: rest } = DoubleDouble::product(t, high);
    let error = Lanes::neg_mul_add(rest, high, Lanes::neg_mul_add(near_root, high, 1.0));
    let low = (0.5 * high) * error;
    DoubleDouble { high, low: if TAME || low.abs() <= f64::MAX { low } else { 0.0 } }
}
