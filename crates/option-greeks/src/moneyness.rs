//! From underlying, strike and price to the two numbers that decide: `x = ln(U/K)` and the time value.
//!
//! Both are formed with what rounding takes away carried along, so that near the money and near expiry they keep all
//! their digits: `ln(S/K) = 2 atanh((S-K)/(S+K))`, and differences are exact or corrected (Dekker 1971).

use crate::coefficients::{ATANH, INVERSE_ROOT, ROOT};
use crate::double_double::DoubleDouble;
use crate::elementary::{LN2_HIGH, LN2_LOW, THIRD, THIRD_LOW};
use crate::lanes::Lanes;
use crate::terms::Terms;

/// Strikes outside these, over the underlying, have a `y` above [`Terms::largest_y`].
const LEAST_STRIKE: f64 = 0.65;
const LARGEST_STRIKE: f64 = 1.54;

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
    /// The square root of the product of both legs, over `sqrt(2 pi)`, and its reciprocal.
    pub(crate) root: V,
    pub(crate) inverse_root: V,
    /// `(S-K)/(S+K)` squared, NaN where sums left the range of numbers.
    pub(crate) y: V,
}

/// `ln(u/k)` as `2 atanh((u-k)/(u+k))`, with what the roots of the legs need.
struct LogRatio<V> {
    high: V,
    low: V,
    /// `(u-k)/(u+k)` squared.
    y: V,
    difference: V,
    sum: V,
    sum_low: V,
    inverse_sum: V,
    /// What the reciprocal of the sum lacks, relative to it.
    lost: V,
    /// [`INVERSE_ROOT`] and [`ROOT`] at `y`.
    inverse_root: V,
    root: V,
}

/// The logarithm of `u/k` for numbers within a factor of two of each other: their difference is exact (Sterbenz 1974).
///
/// Without `LOW` nothing carries what its rounding lost, which is enough to price from a volatility.
#[inline(always)]
fn log_ratio<V: Lanes, const EXACT: bool, const LOW: bool>(u: V, k: V) -> LogRatio<V> {
    let (sum, difference) = (u + k, u - k);
    if !LOW {
        let (q, zero) = (difference / sum, sum.splat(0.0));
        let y = q * q;
        let [series, inverse_root, root, _] = y.polynomials(&ATANH, &INVERSE_ROOT, &ROOT, &[0.0]);
        let half = (q * y).mul_add(y.mul_add(series, q.splat(THIRD)), q);
        let (high, inverse_sum) = (half + half, sum.splat(1.0) / sum);
        return LogRatio {
            high,
            low: zero,
            y,
            difference,
            sum,
            sum_low: zero,
            inverse_sum,
            lost: zero,
            inverse_root,
            root,
        };
    }
    let shadow = sum - u;
    let sum_low = (u - (sum - shadow)) + (k - shadow);
    let inverse_sum = sum.splat(1.0) / sum;
    let lost = inverse_sum.neg_mul_add(sum_low, inverse_sum.neg_mul_add(sum, sum.splat(1.0)));
    let q = difference * inverse_sum;
    let correction = q.mul_add(lost, difference.mul_add(inverse_sum, -q));
    let y = q * q;
    let [series, inverse_root, root, _] = y.polynomials(&ATANH, &INVERSE_ROOT, &ROOT, &[0.0]);
    let (high, low) = if EXACT {
        // The cubic term with its rounding errors: carry may cancel all but the last digits of the logarithm.
        let y_low = (q + q).mul_add(correction, q.mul_add(q, -y));
        let cube = q * y;
        let cube_low = q.mul_add(y, -cube) + q.mul_add(y_low, correction * y);
        let third = q.splat(THIRD);
        let main = cube * third;
        let main_low = cube.mul_add(third, -main) + (cube * THIRD_LOW + cube_low * third);
        let sum = q + main;
        let low = (main - (sum - q)) + ((cube * y).mul_add(series, main_low) + correction);
        let half = sum + low;
        let half_low = low - (half - sum);
        (half + half, half_low + half_low)
    } else {
        // Doubled before the end, as nothing is lost by it but time.
        let (q, correction) = (q + q, correction + correction);
        let tail = (q * y).mul_add(y.mul_add(series, q.splat(THIRD)), correction);
        let high = q + tail;
        (high, tail - (high - q))
    };
    LogRatio { high, low, y, difference, sum, sum_low, inverse_sum, lost, inverse_root, root }
}

/// Where strikes may be within the reach of [`near`]: cheap, and never false where they are.
#[inline(always)]
pub(crate) fn may_be_near<V: Lanes>(terms: &Terms, strike: V) -> V::Mask {
    let u = terms.underlying;
    strike.splat(u * LEAST_STRIKE).lt(strike) & strike.lt(strike.splat(u * LARGEST_STRIKE))
}

/// Moneyness for strikes within a factor of 1.5 of the underlying; elsewhere `y` is above 0.0435 or NaN. `LOW` as for
/// [`log_ratio`]; a spot needs it.
#[inline(always)]
pub(crate) fn near<V: Lanes, const SPOT: bool, const LOW: bool>(terms: &Terms, strike: V) -> Moneyness<V> {
    let ratio = log_ratio::<V, SPOT, LOW>(strike.splat(terms.underlying), strike);
    let LogRatio { y, difference, sum, sum_low, inverse_sum, lost, .. } = ratio;
    // The geometric mean of the legs from their sum: `uk = ((u+k)/2)^2 (1-y)`. No root and no further division.
    let root =
        if LOW { sum.mul_add(y * ratio.root, sum_low) + sum } else { sum.mul_add(y * ratio.root, sum) };
    let scaled = inverse_sum * terms.inverse_half_root;
    let inverse_root = scaled.mul_add(y.mul_add(ratio.inverse_root, lost), scaled);
    let roots = (root * terms.half_root, inverse_root);
    finish::<V, SPOT>(terms, strike, (ratio.high, ratio.low), y, (difference, y.splat(0.0)), roots)
}

/// Moneyness for any positive strike.
#[inline(always)]
pub(crate) fn wide<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V) -> Moneyness<V> {
    let u = strike.splat(terms.underlying);
    let ((e_u, m_u), (e_k, m_k)) = (split_any(u), split_any(strike));
    // Bring the two mantissas within a factor of sqrt 2 of each other.
    let wide = (m_k * std::f64::consts::SQRT_2).lt(m_u);
    let narrow = (m_u * std::f64::consts::SQRT_2).lt(m_k);
    let zero = u.splat(0.0);
    let shift = V::select(wide, zero + 1.0, V::select(narrow, zero - 1.0, zero));
    let factor = V::select(wide, zero + 2.0, V::select(narrow, zero + 0.5, zero + 1.0));
    let n = (e_u - e_k) + shift;
    let ratio = log_ratio::<V, SPOT, true>(m_u, m_k * factor);
    let (high, low) = sum_of_two(n * LN2_HIGH, ratio.high);
    let log = fast_sum(high, low + n.mul_add(u.splat(LN2_LOW), ratio.low));
    let root = strike.sqrt() * terms.root::<SPOT>();
    finish::<V, SPOT>(terms, strike, log, ratio.y, sum_of_two(u, -strike), (root, u.splat(1.0) / root))
}

/// [`Lanes::split`] for subnormal numbers too.
#[inline(always)]
fn split_any<V: Lanes>(x: V) -> (V, V) {
    const LIFT: f64 = 18_014_398_509_481_984.0; // 2^54
    let tiny = x.lt(x.splat(f64::MIN_POSITIVE));
    let (e, m) = V::select(tiny, x * LIFT, x).split();
    (V::select(tiny, e - 54.0, e), m)
}

/// Adds the carry. `log` and `difference` are those of underlying and strike, `roots` the mean of the legs and its
/// reciprocal.
#[inline(always)]
fn finish<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    log: (V, V),
    y: V,
    difference: (V, V),
    (root, inverse_root): (V, V),
) -> Moneyness<V> {
    let u = strike.splat(terms.underlying);
    if !SPOT {
        let ((x, x_low), (parity, parity_low)) = (log, difference);
        let (a, a_low, above) = (x.abs(), x_low.flip_by(x), strike.lt(u));
        return Moneyness { a, a_low, above, parity, parity_low, root, inverse_root, y };
    }
    let number = |n: DoubleDouble| (u.splat(n.high), u.splat(n.low));
    let (x, x_low) = add(log, number(terms.carry));
    let shift = strike * terms.strike_shift.high;
    let shift_low =
        strike.mul_add(u.splat(terms.strike_shift.high), -shift) + strike * terms.strike_shift.low;
    let parity = add(difference, number(terms.spot_shift));
    let (parity, parity_low) = add(parity, (-shift, -shift_low));
    let (a, a_low, above) = (x.abs(), x_low.flip_by(x), u.splat(0.0).lt(x));
    Moneyness { a, a_low, above, parity, parity_low, root, inverse_root, y }
}

/// `a + b` with its rounding error, whatever their sizes (Knuth).
#[inline(always)]
fn sum_of_two<V: Lanes>(a: V, b: V) -> (V, V) {
    let sum = a + b;
    let shadow = sum - a;
    (sum, (a - (sum - shadow)) + (b - shadow))
}

/// `a + b` with its rounding error, where `b` is the smaller (Dekker).
#[inline(always)]
fn fast_sum<V: Lanes>(a: V, b: V) -> (V, V) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// The sum of two numbers given with their low parts.
#[inline(always)]
fn add<V: Lanes>((a, a_low): (V, V), (b, b_low): (V, V)) -> (V, V) {
    let (sum, low) = sum_of_two(a, b);
    fast_sum(sum, low + (a_low + b_low))
}

impl<V: Lanes> Moneyness<V> {
    /// Price less intrinsic value, in kernel money. `sign` is +1 for calls and -1 for puts. Where parity has no low
    /// part, `EXACT` need not be asked for.
    #[inline(always)]
    pub(crate) fn time_value<const EXACT: bool>(&self, terms: &Terms, sign: V, price: V) -> V {
        let (zero, growth) = (sign.splat(0.0), terms.growth);
        let signed = self.parity.flip_by(sign);
        let above = price.mul_add(sign.splat(growth.high), -signed.max(zero));
        if !EXACT {
            return price.mul_add(sign.splat(growth.low), above);
        }
        let low = V::select(zero.lt(signed), self.parity_low.flip_by(sign), zero);
        above + price.mul_add(sign.splat(growth.low), -low)
    }

    /// The dearest the option can be, less its price, in kernel money.
    #[inline(always)]
    pub(crate) fn room<const SPOT: bool>(&self, terms: &Terms, strike: V, sign: V, price: V) -> V {
        let call = sign.splat(0.0).lt(sign);
        let (put_maximum, put_low) = if SPOT {
            let shift = strike * terms.strike_shift.high;
            let shift_low = strike.mul_add(strike.splat(terms.strike_shift.high), -shift)
                + strike * terms.strike_shift.low;
            let (sum, low) = sum_of_two(strike, shift);
            (sum, low + shift_low)
        } else {
            (strike, sign.splat(0.0))
        };
        let maximum = V::select(call, sign.splat(terms.call_maximum.high), put_maximum);
        let low = V::select(call, sign.splat(terms.call_maximum.low), put_low);
        price.neg_mul_add(sign.splat(terms.growth.high), maximum)
            + price.neg_mul_add(sign.splat(terms.growth.low), low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PricingModel;

    /// Deep in the money the time value is a 2,700th of the price, so half a rounding of the growth factor would be a
    /// thousand roundings of it.
    #[test]
    fn time_value_keeps_the_low_word_of_growth() {
        let model = PricingModel::Black76 { forward: 24_512.35 };
        let terms = Terms::new(model, 0.065, 0.2853).expect("valid terms");
        let price = 3_449.065_455_290_898;
        // From 50 digits.
        let exact = 1.273_396_896_363_208;
        let near = near::<f64, false, true>(&terms, 21_000.0).time_value::<false>(&terms, 1.0, price);
        let wide = wide::<f64, false>(&terms, 21_000.0).time_value::<true>(&terms, 1.0, price);
        assert!((near - exact).abs() < 2e-14, "{near}");
        assert!((wide - exact).abs() < 2e-14, "{wide}");
    }
}
