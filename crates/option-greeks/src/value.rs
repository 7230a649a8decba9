//! Price and Greeks from volatility, in blocks as [`solve`](crate::solve) does.

use crate::block::{Progress, signs};
use crate::lanes::{Kernel, Lanes, Mask, WIDEST};
use crate::limits;
use crate::moneyness::{self, Moneyness};
use crate::near;
use crate::refused::Refused;
use crate::sensitivities::{Outside, Sensitivities, outside_local, sensitivities_at, whole_minus};
use crate::terms::{Terms, is_price};
use crate::wide;
use crate::{Greeks, OptionInputs, Status, VolatilityChain};

/// A chain to be priced, from an option on. `COLUMNS` is 6 for the price and five Greeks, 10 with all.
pub(crate) struct Value<'a, const COLUMNS: usize> {
    pub(crate) chain: VolatilityChain<'a>,
    pub(crate) columns: [&'a mut [f64]; COLUMNS],
    pub(crate) progress: Progress<'a>,
}

impl<const COLUMNS: usize> Kernel for Value<'_, COLUMNS> {
    type Answer = ();

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let VolatilityChain { model, rate, years_to_expiry, strikes, kinds, .. } = self.chain;
        match Terms::new(model, rate, years_to_expiry) {
            Ok(terms) if terms.is_spot => self.blocks::<V, true>(lane, &terms),
            Ok(terms) => self.blocks::<V, false>(lane, &terms),
            Err(class) => {
                let Self { mut columns, progress, .. } = self;
                for (i, (strike, kind)) in strikes.iter().zip(kinds).enumerate() {
                    let (class, greeks) = limits::without_terms(class, model, *strike, *kind);
                    progress.status[i] = class;
                    columns.iter_mut().zip(greeks.columns()).for_each(|(column, value)| column[i] = value);
                }
                *progress.start = strikes.len();
            }
        }
    }
}

/// What the stages of the fast kernel hand on.
struct Stages<V: Lanes> {
    a: V::Block<V>,
    above: V::Block<V::Mask>,
    s: V::Block<V>,
    root: V::Block<V>,
    parity: V::Block<V>,
    inverse: V::Block<V>,
    odd: V::Block<V>,
    weight: V::Block<V>,
    good: V::Block<V::Mask>,
}

impl<V: Lanes> Stages<V> {
    #[inline(always)]
    fn new(lane: V) -> Self {
        let never = lane.lt(lane);
        Self {
            a: V::block(lane),
            above: V::block(never),
            s: V::block(lane),
            root: V::block(lane),
            parity: V::block(lane),
            inverse: V::block(lane),
            odd: V::block(lane),
            weight: V::block(lane),
            good: V::block(never),
        }
    }
}

impl<const COLUMNS: usize> Value<'_, COLUMNS> {
    #[inline(always)]
    fn blocks<V: Lanes, const SPOT: bool>(mut self, lane: V, terms: &Terms) {
        let mut stages = Stages::new(lane);
        while let Some(block) = self.progress.next::<V>() {
            self.block::<V, SPOT>(lane, terms, block, &mut stages);
            self.progress.close::<V>(block, &stages.good);
        }
    }

    /// The fast kernel over a block, in stages. A vector without any option for it is left out.
    #[inline(always)]
    fn block<V: Lanes, const SPOT: bool>(
        &mut self,
        lane: V,
        terms: &Terms,
        (start, n, vectors): (usize, usize, usize),
        stages: &mut Stages<V>,
    ) {
        let range = start..start + n;
        let VolatilityChain { strikes, kinds, volatilities, .. } = self.chain;
        let (strikes, kinds, volatilities) =
            (&strikes[range.clone()], &kinds[range.clone()], &volatilities[range]);
        for j in 0..vectors {
            let i = j * V::WIDTH;
            let strike = lane.load(&strikes[i..]);
            lane.prefetch(strikes, i + V::WIDTH * V::VECTORS);
            lane.prefetch(volatilities, i + V::WIDTH * V::VECTORS);
            if moneyness::may_be_near(terms, strike).none() {
                stages.good[j] = lane.lt(lane);
                continue;
            }
            let m = moneyness::near::<V, SPOT, SPOT>(terms, strike);
            let (a, s, inside) =
                near::tame::<V, SPOT>(terms, &m, lane.load(&volatilities[i..]) * terms.root_t);
            stages.a[j] = a;
            stages.above[j] = m.above;
            stages.s[j] = s;
            stages.root[j] = m.root * terms.discount;
            stages.parity[j] = m.parity;
            stages.good[j] = inside;
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            (stages.inverse[j], stages.odd[j]) = near::odd_at(stages.a[j], stages.s[j]);
            let slope = near::slope(stages.a[j], stages.s[j], stages.inverse[j]);
            stages.weight[j] = slope * stages.root[j];
        }
        for j in 0..vectors {
            if stages.good[j].none() {
                continue;
            }
            let i = j * V::WIDTH;
            let (strike, sign) = (lane.load(&strikes[i..]), signs(lane, &kinds[i..]));
            let local = near::local_at(stages.a[j], stages.s[j], stages.inverse[j], stages.odd[j]);
            let above = stages.above[j];
            let values = near_values::<V, SPOT>(
                terms,
                above,
                stages.parity[j],
                strike,
                sign,
                &local,
                stages.weight[j],
            );
            values.price.store(&mut self.columns[0][start + i..start + n]);
            values.store_greeks(start + i..start + n, &mut self.columns);
        }
    }
}

/// The refused options of a chain, through the wide kernel. The first column is the price, the others as many Greeks as
/// there are.
pub(crate) struct ValueWide<'a, 'b> {
    pub(crate) chain: VolatilityChain<'a>,
    pub(crate) refused: &'a Refused,
    pub(crate) columns: &'a mut [&'b mut [f64]],
    pub(crate) status: &'a mut [Status],
}

impl Kernel for ValueWide<'_, '_> {
    type Answer = ();

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let VolatilityChain { model, rate, years_to_expiry, .. } = self.chain;
        match Terms::new(model, rate, years_to_expiry) {
            Ok(terms) if terms.is_spot => self.value::<V, true>(lane, &terms),
            Ok(terms) => self.value::<V, false>(lane, &terms),
            Err(_) => {}
        }
    }
}

impl ValueWide<'_, '_> {
    #[inline(always)]
    fn value<V: Lanes, const SPOT: bool>(self, lane: V, terms: &Terms) {
        let VolatilityChain { strikes, kinds, volatilities, .. } = self.chain;
        let mut results = [[0.0; WIDEST]; 10];
        for places in self.refused.places().chunks(V::WIDTH) {
            let mut numbers = [[1.0; WIDEST]; 3];
            for (lane, place) in places.iter().enumerate() {
                numbers[0][lane] = strikes[*place];
                numbers[1][lane] = kinds[*place].sign();
                numbers[2][lane] = volatilities[*place];
            }
            let [strike, sign, volatility] = &numbers;
            let s = lane.load_all(volatility) * terms.root_t;
            let values = wide_lanes::<V, SPOT>(terms, lane.load_all(strike), lane.load_all(sign), s);
            let mut columns = results.each_mut().map(|column| &mut column[..]);
            values.price.store(columns[0]);
            values.store_greeks(0..WIDEST, &mut columns);
            for (lane, place) in places.iter().enumerate() {
                let status = status(terms, strike[lane], volatility[lane], results[0][lane]);
                self.status[*place] = status;
                let values = match status {
                    Status::Ok => results.map(|column| column[lane]),
                    Status::ZeroVol => limits::zero_volatility(terms, strike[lane], sign[lane]).columns(),
                    _ => [f64::NAN; 10],
                };
                for (column, value) in self.columns.iter_mut().zip(values) {
                    column[*place] = value;
                }
            }
        }
    }
}

/// Whether an option has a price, apart from what the call shares.
fn status(terms: &Terms, strike: f64, volatility: f64, price: f64) -> Status {
    if !is_price(strike) {
        Status::BadStrike
    } else if !(0.0..f64::INFINITY).contains(&volatility) {
        Status::BadSigma
    } else if volatility * terms.root_t == 0.0 {
        Status::ZeroVol
    } else if price.is_finite() {
        Status::Ok
    } else {
        // A leg of the option leaves the range of numbers when it is discounted.
        Status::BadRate
    }
}

/// The fast kernel's last stage.
#[inline(always)]
fn near_values<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    above: V::Mask,
    parity: V,
    strike: V,
    sign: V,
    local: &near::Local<V>,
    weight: V,
) -> Sensitivities<V> {
    let outside = outside_local(local, whole_minus(terms, above, strike), weight, weight * local.ratio);
    sensitivities_at::<V, SPOT>(terms, above, parity, strike, sign, &outside)
}

/// The fast kernel in one piece: values, and where they hold.
#[inline(always)]
fn near_lanes<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    sign: V,
    s: V,
) -> (Sensitivities<V>, V::Mask) {
    let m = moneyness::near::<V, SPOT, SPOT>(terms, strike);
    let (a, s, inside) = near::tame::<V, SPOT>(terms, &m, s);
    let (inverse, odd) = near::odd_at(a, s);
    let weight = near::slope(a, s, inverse) * (m.root * terms.discount);
    let local = near::local_at(a, s, inverse, odd);
    (near_values::<V, SPOT>(terms, m.above, m.parity, strike, sign, &local, weight), inside)
}

/// The wide kernel.
#[inline(always)]
fn wide_lanes<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, s: V) -> Sensitivities<V> {
    let m: Moneyness<V> = moneyness::wide::<V, SPOT>(terms, strike);
    let outside: Outside<V> = wide::outside(terms, &m, strike, s);
    sensitivities_at::<V, SPOT>(terms, m.above, m.parity, strike, sign, &outside).numbers()
}

/// One option, through the same stages one lane wide.
pub(crate) struct ValueOne<'a> {
    pub(crate) option: &'a OptionInputs,
    pub(crate) volatility: f64,
}

impl Kernel for ValueOne<'_> {
    type Answer = (Status, Greeks);

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) -> Self::Answer {
        let Self { option: OptionInputs { model, kind, strike, rate, years_to_expiry }, volatility } = self;
        match Terms::new(*model, *rate, *years_to_expiry) {
            Ok(terms) if terms.is_spot => one::<V, true>(lane, &terms, *strike, kind.sign(), volatility),
            Ok(terms) => one::<V, false>(lane, &terms, *strike, kind.sign(), volatility),
            Err(status) => limits::without_terms(status, *model, *strike, *kind),
        }
    }
}

#[inline(always)]
fn one<V: Lanes, const SPOT: bool>(
    lane: V,
    terms: &Terms,
    strike: f64,
    sign: f64,
    volatility: f64,
) -> (Status, Greeks) {
    let (k, th, s) = (lane.splat(strike), lane.splat(sign), lane.splat(volatility) * terms.root_t);
    let (values, inside) = near_lanes::<V, SPOT>(terms, k, th, s);
    if inside.all() {
        return (Status::Ok, values.first());
    }
    let values = wide_lanes::<V, SPOT>(terms, k, th, s).first();
    match status(terms, strike, volatility, values.price) {
        Status::Ok => (Status::Ok, values),
        Status::ZeroVol => (Status::ZeroVol, limits::zero_volatility(terms, strike, sign)),
        status => (status, limits::NAN_GREEKS),
    }
}

impl<V: Lanes> Sensitivities<V> {
    /// The first lane.
    #[inline(always)]
    fn first(&self) -> Greeks {
        let Self { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed } = *self;
        let values = [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed];
        let [price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed] = values.map(V::first);
        Greeks { price, delta, gamma, vega, theta, rho, vanna, volga, charm, speed }
    }
}
