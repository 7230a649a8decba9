//! From the two legs of an option to its price and Greeks, for every kernel and both models.
//!
//! With `W = U exp(-yT) phi(d1)`, the out-of-the-money option's legs are `W M(z-t)` and `W M(z+t)`: the call's spot leg
//! `U exp(-yT) N(d1)` is the first, its strike leg `K exp(-rT) N(d2)` the second, and the put's are the other way round.
//! In-the-money legs follow by parity. Black-76 is Black-Scholes-Merton with the yield `y = r` but for its rho; see
//! E. G. Haug, *The Complete Guide to Option Pricing Formulas*, 2nd ed., chapters 1 and 2.

use std::ops::Range;

use crate::lanes::Lanes;
use crate::near;
use crate::terms::Terms;

/// The out-of-the-money option at a strike, in the option's money.
#[derive(Clone, Copy)]
pub(crate) struct Outside<V> {
    /// Total volatility, its reciprocal, and `|x|/s`.
    pub(crate) s: V,
    pub(crate) inverse_s: V,
    pub(crate) z: V,
    /// `W`, which is vega over `sqrt(T)`.
    pub(crate) weight: V,
    /// `W M(z-t)`, what it lacks to the whole leg of the underlying or strike, and `W M(z+t)`.
    pub(crate) leg_minus: V,
    pub(crate) rest_minus: V,
    pub(crate) leg_plus: V,
    /// Price of the option outside the money.
    pub(crate) price: V,
}

/// Price and Greeks, one lane per option. See [`Greeks`](crate::Greeks) for units.
#[derive(Clone, Copy)]
pub(crate) struct Sensitivities<V> {
    pub(crate) price: V,
    pub(crate) delta: V,
    pub(crate) gamma: V,
    pub(crate) vega: V,
    pub(crate) theta: V,
    pub(crate) rho: V,
    pub(crate) vanna: V,
    pub(crate) volga: V,
    pub(crate) charm: V,
    pub(crate) speed: V,
}

/// All sensitivities at a known price; what a caller does not store is not computed. `above` is the mask of
/// [`Moneyness`](crate::moneyness::Moneyness), `sign` is +1 for calls and -1 for puts.
#[inline(always)]
pub(crate) fn sensitivities<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    above: V::Mask,
    strike: V,
    sign: V,
    outside: &Outside<V>,
    price: V,
) -> Sensitivities<V> {
    let f = &terms.factors;
    let Outside { s, inverse_s, z, weight, leg_minus, rest_minus, leg_plus, .. } = *outside;
    let inside = is_inside(above, sign);
    let whole_plus = V::select(above, s.splat(terms.whole_spot), strike * terms.strike_discount);
    let minus = V::select(inside, rest_minus, leg_minus).flip_by(sign);
    let plus = V::select(inside, whole_plus - leg_plus, leg_plus).flip_by(sign);
    let spot_leg = V::select(above, plus, minus);
    let strike_leg = V::select(above, minus, plus);
    let delta = spot_leg * f.inverse_underlying;
    let density = weight * f.inverse_underlying;
    let gamma = density * inverse_s * f.inverse_underlying;
    let vega = weight * terms.root_t;
    let decay = weight * (s * f.half_inverse_years);
    let (theta, rho) = if SPOT {
        let carried = strike_leg.neg_mul_add(s.splat(f.rate), spot_leg * f.leg_yield);
        (carried - decay, strike_leg * f.years)
    } else {
        (price.mul_add(s.splat(f.rate), -decay), -(price * f.years))
    };
    let h = V::select(above, z, -z);
    let half = s * 0.5;
    let (d1, d2) = (h + half, h - half);
    let per_volatility = inverse_s * terms.root_t;
    let vanna = -(density * (d2 * per_volatility));
    let volga = vega * (d1 * (d2 * per_volatility));
    let drift = inverse_s.mul_add(s.splat(f.net_rate), -(d2 * f.half_inverse_years));
    let charm = delta.mul_add(s.splat(f.leg_yield), -(density * drift));
    let speed = -(gamma * f.inverse_underlying * d1.mul_add(inverse_s, s.splat(1.0)));
    Sensitivities { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed }
}

/// The same at the price of the outside option, plus parity where the option is inside.
#[inline(always)]
pub(crate) fn sensitivities_at<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    above: V::Mask,
    parity: V,
    strike: V,
    sign: V,
    outside: &Outside<V>,
) -> Sensitivities<V> {
    let intrinsic = parity.flip_by(sign) * terms.discount;
    let price = V::select(is_inside(above, sign), outside.price + intrinsic, outside.price);
    sensitivities::<V, SPOT>(terms, above, strike, sign, outside, price)
}

impl<V: Lanes> Sensitivities<V> {
    /// Writes the Greeks in the order of [`Greeks`](crate::Greeks) from the second column on, as many as there are.
    #[inline(always)]
    pub(crate) fn store_greeks<const COLUMNS: usize>(
        &self,
        at: Range<usize>,
        columns: &mut [&mut [f64]; COLUMNS],
    ) {
        let Self { delta, gamma, vega, theta, rho, vanna, volga, charm, speed, .. } = *self;
        let values = [delta, gamma, vega, theta, rho, vanna, volga, charm, speed];
        for (column, value) in columns[1..].iter_mut().zip(values) {
            value.store(&mut column[at.start..at.end]);
        }
    }

    /// Greeks that are not numbers become zero. It happens to options a thousand deviations from the money or with factors
    /// such as `1/T` beyond the range of doubles: nothing times infinity.
    #[inline(always)]
    pub(crate) fn numbers(self) -> Self {
        Self {
            price: self.price,
            delta: number(self.delta),
            gamma: number(self.gamma),
            vega: number(self.vega),
            theta: number(self.theta),
            rho: number(self.rho),
            vanna: number(self.vanna),
            volga: number(self.volga),
            charm: number(self.charm),
            speed: number(self.speed),
        }
    }
}

#[inline(always)]
fn number<V: Lanes>(x: V) -> V {
    V::select(x.eq(x), x, x.splat(0.0))
}

/// The legs of the outside option from the normalised problem and its weight.
#[inline(always)]
pub(crate) fn outside_local<V: Lanes>(
    local: &near::Local<V>,
    whole_minus: V,
    weight: V,
    price: V,
) -> Outside<V> {
    let leg_minus = weight * local.mills_minus;
    Outside {
        s: local.s,
        inverse_s: local.inverse_s,
        z: local.z,
        weight,
        leg_minus,
        rest_minus: whole_minus - leg_minus,
        leg_plus: leg_minus - price,
        price,
    }
}

/// The whole of the leg whose outside part is `W M(z-t)`: the spot for a call, the strike for a put.
#[inline(always)]
pub(crate) fn whole_minus<V: Lanes>(terms: &Terms, above: V::Mask, strike: V) -> V {
    V::select(above, strike * terms.strike_discount, strike.splat(terms.whole_spot))
}

/// In the money, so that the other side is the outside one. At `x = 0` that is the call.
#[inline(always)]
fn is_inside<V: Lanes>(above: V::Mask, sign: V) -> V::Mask {
    let call = sign.splat(0.0).lt(sign);
    (call & above) | (!call & !above)
}
