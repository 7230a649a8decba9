//! From underlying, strike and price to the two numbers that decide: `x = ln(U/K)` and the time value.
//!
//! Both are formed with what rounding takes away carried along, so that near the money and near expiry they keep all
//! their digits: `ln(S/K) = 2 atanh((S-K)/(S+K))`, and differences are exact or corrected (Dekker 1971).

use crate::coefficients::ATANH;
use crate::elementary::{LN2_HIGH, LN2_LOW, THIRD, THIRD_LOW};
use crate::lanes::Lanes;
use crate::terms::Terms;

/// Where the strikes lie. Money is kernel money (see [`Terms`]).
#[derive(Clone, Copy)]
pub(crate) struct Moneyness<V: Lanes> {
    /// `|x|`, with what its rounding lost.
    pub(crate) a: V,
    pub(crate) a_low: V,
    /// `x > 0`: the underlying is above the strike at expiry, so the put is out of the money.
    pub(crate) above: V::Mask,
    /// What the call is worth more than the put, with what its rounding lost.
    pub(crate) parity: V,
    pub(crate) parity_low: V,
    /// The square root of the product of both legs, over `sqrt(2 pi)`.
    pub(crate) root: V,
    /// `(S-K)/(S+K)` squared, NaN where sums left the range of numbers.
    pub(crate) y: V,
}

/// `2 atanh(d/(u+k)) = ln(u/k)` with its square argument, for positive `u >= k` of about the same size.
struct LogRatio<V> {
    high: V,
    low: V,
    y: V,
}

/// The logarithm of `high / low` and their difference, for `high >= low`.
#[inline(always)]
fn log_ratio<V: Lanes, const EXACT: bool>(high: V, low: V) -> (LogRatio<V>, V, V) {
    let (sum, difference) = (high + low, high - low);
    let sum_low = low - (sum - high);
    let difference_low = (high - difference) - low;
    let inverse = sum.splat(1.0) / sum;
    let q = difference * inverse;
    let residual = q.neg_mul_add(sum, difference) + q.neg_mul_add(sum_low, difference_low);
    let correction = residual * inverse;
    let exact = q + correction;
    let y = exact * exact;
    let series = y.polynomial(&ATANH);
    let (half, half_low) = if EXACT {
        // The cubic term with its rounding errors: carry may cancel all but the last digits of the logarithm.
        let square = q * q;
        let square_low = q.mul_add(q, -square) + (q + q) * correction;
        let cube = q * square;
        let cube_low = q.mul_add(square, -cube) + q.mul_add(square_low, correction * square);
        let third = q.splat(THIRD);
        let main = cube * third;
        let main_low = cube.mul_add(third, -main) + (cube * THIRD_LOW + cube_low * third);
        let sum = q + main;
        let low = (main - (sum - q)) + ((cube * y).mul_add(series, main_low) + correction);
        let half = sum + low;
        (half, low - (half - sum))
    } else {
        let tail = (q * y).mul_add(y.mul_add(series, q.splat(THIRD)), correction);
        let half = q + tail;
        (half, tail - (half - q))
    };
    (LogRatio { high: half + half, low: half_low + half_low, y }, difference, difference_low)
}

/// Moneyness for strikes within a factor of 1.8 of the underlying; elsewhere `y` is above 0.0855 or NaN.
#[inline(always)]
pub(crate) fn near<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V) -> Moneyness<V> {
    let u = strike.splat(terms.underlying);
    let (ratio, difference, difference_low) = log_ratio::<V, SPOT>(u.max(strike), u.min(strike));
    finish::<V, SPOT>(terms, strike, ratio, difference, difference_low)
}

/// Moneyness for any positive strike.
#[inline(always)]
pub(crate) fn wide<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V) -> Moneyness<V> {
    let u = strike.splat(terms.underlying);
    let (above, below) = (u.max(strike), u.min(strike));
    let ((e_above, m_above), (e_below, m_below)) = (split_any(above), split_any(below));
    // Bring the two mantissas within a factor of sqrt 2 of each other.
    let wide = (m_below * std::f64::consts::SQRT_2).lt(m_above);
    let narrow = (m_above * std::f64::consts::SQRT_2).lt(m_below);
    let zero = u.splat(0.0);
    let shift = V::select(wide, zero + 1.0, V::select(narrow, zero - 1.0, zero));
    let factor = V::select(wide, zero + 2.0, V::select(narrow, zero + 0.5, zero + 1.0));
    let m_below = m_below * factor;
    let n = (e_above - e_below) + shift;
    let (ratio, _, _) = log_ratio::<V, SPOT>(m_above.max(m_below), m_above.min(m_below));
    // The exponents outweigh the mantissas, whose order may be the other way round.
    let sign = m_above - m_below;
    let (fine, fine_low) = (ratio.high.flip_by(sign), ratio.low.flip_by(sign));
    let coarse = n * LN2_HIGH;
    let high = coarse + fine;
    // Knuth's sum, as either may be the larger.
    let shadow = high - coarse;
    let low = (coarse - (high - shadow)) + (fine - shadow) + (n.mul_add(n.splat(LN2_LOW), fine_low));
    let sum = high + low;
    let ratio = LogRatio { high: sum, low: low - (sum - high), y: ratio.y };
    let difference = above - below;
    finish::<V, SPOT>(terms, strike, ratio, difference, (above - difference) - below)
}

/// [`Lanes::split`] for subnormal numbers too.
#[inline(always)]
fn split_any<V: Lanes>(x: V) -> (V, V) {
    const LIFT: f64 = 18_014_398_509_481_984.0; // 2^54
    let tiny = x.lt(x.splat(f64::MIN_POSITIVE));
    let (e, m) = V::select(tiny, x * LIFT, x).split();
    (V::select(tiny, e - 54.0, e), m)
}

/// Adds sign and carry. `ratio` and `difference` are those of the greater over the less of underlying and strike.
#[inline(always)]
fn finish<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    ratio: LogRatio<V>,
    difference: V,
    difference_low: V,
) -> Moneyness<V> {
    let u = strike.splat(terms.underlying);
    let sign = u - strike;
    let (parity, parity_low) = (difference.flip_by(sign), difference_low.flip_by(sign));
    let root = strike.sqrt() * terms.root;
    if !SPOT {
        let above = strike.lt(u);
        return Moneyness { a: ratio.high, a_low: ratio.low, above, parity, parity_low, root, y: ratio.y };
    }
    let (x, x_low) =
        add(ratio.high.flip_by(sign), ratio.low.flip_by(sign), terms.carry.high, terms.carry.low);
    let shift = strike * terms.strike_shift.high;
    let shift_low =
        strike.mul_add(u.splat(terms.strike_shift.high), -shift) + strike * terms.strike_shift.low;
    let (parity, parity_low) = add(parity, parity_low, terms.spot_shift.high, terms.spot_shift.low);
    let (parity, parity_low) = add_lanes(parity, parity_low, -shift, -shift_low);
    let above = u.splat(0.0).lt(x);
    Moneyness { a: x.abs(), a_low: x_low.flip_by(x), above, parity, parity_low, root, y: ratio.y }
}

#[inline(always)]
fn add<V: Lanes>(a: V, a_low: V, b: f64, b_low: f64) -> (V, V) {
    add_lanes(a, a_low, a.splat(b), a.splat(b_low))
}

/// The sum of two numbers given with their low parts.
#[inline(always)]
fn add_lanes<V: Lanes>(a: V, a_low: V, b: V, b_low: V) -> (V, V) {
    let sum = a + b;
    let shadow = sum - a;
    let low = ((a - (sum - shadow)) + (b - shadow)) + (a_low + b_low);
    let high = sum + low;
    (high, low - (high - sum))
}

impl<V: Lanes> Moneyness<V> {
    /// Price less intrinsic value, in kernel money. `sign` is +1 for calls and -1 for puts.
    #[inline(always)]
    pub(crate) fn time_value(&self, terms: &Terms, sign: V, price: V) -> V {
        let (intrinsic, intrinsic_low) = self.intrinsic(sign);
        price.mul_add(price.splat(terms.growth.high), -intrinsic)
            + price.mul_add(price.splat(terms.growth.low), -intrinsic_low)
    }

    /// The intrinsic value in kernel money, with what its rounding lost.
    #[inline(always)]
    pub(crate) fn intrinsic(&self, sign: V) -> (V, V) {
        let zero = sign.splat(0.0);
        let signed = self.parity.flip_by(sign);
        let inside = zero.lt(signed);
        (signed.max(zero), V::select(inside, self.parity_low.flip_by(sign), zero))
    }

    /// The dearest the option can be, less its price, in kernel money.
    #[inline(always)]
    pub(crate) fn room(&self, terms: &Terms, strike: V, sign: V, price: V) -> V {
        let call = sign.splat(0.0).lt(sign);
        let shift = sign.splat(terms.strike_shift.high);
        let put_maximum = strike.mul_add(shift, strike);
        let put_low = strike.mul_add(shift, strike - put_maximum) + strike * terms.strike_shift.low;
        let maximum = V::select(call, sign.splat(terms.call_maximum.high), put_maximum);
        let low = V::select(call, sign.splat(terms.call_maximum.low), put_low);
        price.neg_mul_add(sign.splat(terms.growth.high), maximum)
            + price.neg_mul_add(sign.splat(terms.growth.low), low)
    }
}
