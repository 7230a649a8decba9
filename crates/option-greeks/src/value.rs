//! Price and Greeks from volatility, in blocks as [`solve`](crate::solve) does.

use crate::lanes::{Kernel, Lanes, Mask};
use crate::limits;
use crate::moneyness::{self, Moneyness};
use crate::near;
use crate::sensitivities::{Outside, Sensitivities, sensitivities_at, whole_minus};
use crate::solve::{BLOCK, outside_local};
use crate::terms::{Terms, is_price};
use crate::wide;
use crate::{Greeks, OptionKind, Status};

/// A chain to be priced. `COLUMNS` is 6 for the price and five Greeks, 10 with all.
pub(crate) struct Value<'a, const COLUMNS: usize> {
    pub(crate) terms: &'a Terms,
    pub(crate) strikes: &'a [f64],
    pub(crate) kinds: &'a [OptionKind],
    pub(crate) volatilities: &'a [f64],
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) status: &'a mut [Status],
}

impl<const COLUMNS: usize> Kernel for Value<'_, COLUMNS> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        if self.terms.is_spot { self.blocks::<V, true>(lane) } else { self.blocks::<V, false>(lane) }
    }
}

/// One block of inputs, padded.
struct Inputs {
    strike: [f64; BLOCK],
    sign: [f64; BLOCK],
    volatility: [f64; BLOCK],
}

impl Inputs {
    const PADDING: Self = Self { strike: [1.0; BLOCK], sign: [1.0; BLOCK], volatility: [0.0; BLOCK] };
}

impl<const COLUMNS: usize> Value<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V) {
        let total = self.strikes.len();
        let mut results = [[0.0; BLOCK]; COLUMNS];
        let mut inputs = Inputs::PADDING;
        let mut start = 0;
        while start < total {
            let n = (total - start).min(BLOCK);
            let range = start..start + n;
            inputs.strike[..n].copy_from_slice(&self.strikes[range.clone()]);
            inputs.volatility[..n].copy_from_slice(&self.volatilities[range.clone()]);
            for (sign, kind) in inputs.sign[..n].iter_mut().zip(&self.kinds[range.clone()]) {
                *sign = kind.sign();
            }
            let mut good = 0_u64;
            let mut i = 0;
            while i < n {
                let (strike, sign) = (lane.load(&inputs.strike[i..]), lane.load(&inputs.sign[i..]));
                let s = lane.load(&inputs.volatility[i..]) * self.terms.root_t;
                let (values, inside) = near_lanes::<V, SPOT>(self.terms, strike, sign, s);
                values.store(values.price, i, &mut results);
                good |= u64::from(inside.bits()) << i;
                i += V::WIDTH;
            }
            for (column, result) in self.columns.iter_mut().zip(&results) {
                column[range.clone()].copy_from_slice(&result[..n]);
            }
            self.status[range].fill(Status::Ok);
            let refused = if n == BLOCK { !good } else { !good & ((1 << n) - 1) };
            if refused != 0 {
                self.wide_block::<V, SPOT>(lane, &inputs, start, refused);
            }
            start += n;
        }
    }

    /// The options of a block the fast kernel refused, as a bit set.
    #[inline(always)]
    fn wide_block<V: Lanes, const SPOT: bool>(&mut self, lane: V, all: &Inputs, start: usize, refused: u64) {
        let mut inputs = Inputs::PADDING;
        let mut place = [0_u8; BLOCK];
        let (mut left, mut n) = (refused, 0);
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            place[n] = i as u8;
            inputs.strike[n] = all.strike[i];
            inputs.sign[n] = all.sign[i];
            inputs.volatility[n] = all.volatility[i];
            left &= left - 1;
            n += 1;
        }
        let mut results = [[0.0; BLOCK]; COLUMNS];
        let mut i = 0;
        while i < n {
            let (strike, sign) = (lane.load(&inputs.strike[i..]), lane.load(&inputs.sign[i..]));
            let s = lane.load(&inputs.volatility[i..]) * self.terms.root_t;
            let values = wide_lanes::<V, SPOT>(self.terms, strike, sign, s);
            values.store(values.price, i, &mut results);
            i += V::WIDTH;
        }
        for j in 0..n {
            let at = start + usize::from(place[j]);
            let (strike, sign, volatility) = (inputs.strike[j], inputs.sign[j], inputs.volatility[j]);
            let status = status(self.terms, strike, volatility);
            self.status[at] = status;
            let limit =
                (status == Status::ZeroVol).then(|| limits::zero_volatility(self.terms, strike, sign));
            for (c, column) in self.columns.iter_mut().enumerate() {
                column[at] = match (status, &limit) {
                    (Status::Ok, _) => results[c][j],
                    (_, Some(limit)) => limit.columns()[c],
                    _ => f64::NAN,
                };
            }
        }
    }
}

/// Whether an option has a price, apart from what the call shares.
fn status(terms: &Terms, strike: f64, volatility: f64) -> Status {
    if !is_price(strike) {
        Status::BadStrike
    } else if !(0.0..f64::INFINITY).contains(&volatility) {
        Status::BadSigma
    } else if volatility * terms.root_t == 0.0 {
        Status::ZeroVol
    } else {
        Status::Ok
    }
}

/// The fast kernel: values, and where they hold.
#[inline(always)]
fn near_lanes<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    sign: V,
    s: V,
) -> (Sensitivities<V>, V::Mask) {
    let m = moneyness::near::<V, SPOT>(terms, strike);
    let (local, slope, inside) = near::at(&m, s);
    let weight = slope * (m.root * terms.discount);
    let outside = outside_local(&local, whole_minus(terms, m.above, strike), weight, weight * local.ratio);
    (sensitivities_at(terms, &m, strike, sign, &outside), inside)
}

/// The wide kernel.
#[inline(always)]
fn wide_lanes<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, s: V) -> Sensitivities<V> {
    let m: Moneyness<V> = moneyness::wide::<V, SPOT>(terms, strike);
    let outside: Outside<V> = wide::outside(terms, &m, strike, s);
    sensitivities_at(terms, &m, strike, sign, &outside)
}

/// One option, through the same stages one lane wide.
pub(crate) struct ValueOne<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) strike: f64,
    pub(crate) sign: f64,
    pub(crate) volatility: f64,
    pub(crate) answer: &'a mut (Status, Greeks),
}

impl Kernel for ValueOne<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        if self.terms.is_spot { self.value::<V, true>(lane) } else { self.value::<V, false>(lane) }
    }
}

impl ValueOne<'_> {
    #[inline(always)]
    fn value<V: Lanes, const SPOT: bool>(self, lane: V) {
        let Self { terms, strike, sign, volatility, answer } = self;
        let (k, th, s) = (lane.splat(strike), lane.splat(sign), lane.splat(volatility) * terms.root_t);
        let (values, inside) = near_lanes::<V, SPOT>(terms, k, th, s);
        *answer = if inside.all() {
            (Status::Ok, values.first())
        } else {
            match status(terms, strike, volatility) {
                Status::Ok => (Status::Ok, wide_lanes::<V, SPOT>(terms, k, th, s).first()),
                Status::ZeroVol => (Status::ZeroVol, limits::zero_volatility(terms, strike, sign)),
                status => (status, limits::NAN_GREEKS),
            }
        };
    }
}

impl<V: Lanes> Sensitivities<V> {
    /// The first lane.
    #[inline(always)]
    fn first(&self) -> Greeks {
        let mut columns = [[0.0; 8]; 10];
        self.store(self.price, 0, &mut columns);
        let [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] =
            columns.map(|column| column[0]);
        Greeks { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed }
    }
}
