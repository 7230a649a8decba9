//! Volatility from price for the options that the fast kernel refuses: sorted by kind, each kind through its own kernel.

use crate::block::signs;
use crate::lanes::{Kernel, Lanes, Mask, WIDEST};
use crate::moneyness::{self, Moneyness};
use crate::refused::{ROOM, Refused};
use crate::sensitivities::{Sensitivities, sensitivities};
use crate::solve::volatility;
use crate::terms::{Terms, is_price};
use crate::wide::{self, AsClose, AsFar, AsLower, AsMixed, AsUpper, Kind, Kinds, Target};
use crate::{Chain, Status};

/// Vectors per step of a kernel.
const VECTORS: usize = 6;
/// Options per step at the greatest width.
const LARGEST: usize = VECTORS * WIDEST;

/// The refused options of a chain. The first column is the volatility, the others as many Greeks as there are.
pub(crate) struct SolveWide<'a, 'b> {
    pub(crate) chain: Chain<'a>,
    pub(crate) refused: &'a Refused,
    pub(crate) columns: &'a mut [&'b mut [f64]],
    pub(crate) status: &'a mut [Status],
}

impl Kernel for SolveWide<'_, '_> {
    type Answer = ();

    #[inline(always)]
    fn run<V: Lanes>(self, lane: V) {
        let Chain { model, rate, years_to_expiry, .. } = self.chain;
        match Terms::new(model, rate, years_to_expiry) {
            Ok(terms) if terms.is_spot => self.solve::<V, true>(lane, &terms),
            Ok(terms) => self.solve::<V, false>(lane, &terms),
            Err(_) => {}
        }
    }
}

/// Targets by the order of refusal. A solution takes the place of its moneyness, so that all stay in the first-level cache.
struct Targets {
    /// Moneyness, then the guess of the total volatility.
    a: [f64; ROOM],
    /// What it lost by rounding, then the relative correction of the guess.
    a_low: [f64; ROOM],
    /// Negative where the complement of the price is matched.
    amount: [f64; ROOM],
    exponent: [f64; ROOM],
}

/// Which targets are of a kind.
struct List {
    items: [u16; ROOM],
    count: usize,
}

impl SolveWide<'_, '_> {
    #[inline(always)]
    fn solve<V: Lanes, const SPOT: bool>(mut self, lane: V, terms: &Terms) {
        let mut targets = Targets::new();
        // The last list is of those without a volatility.
        let mut lists = [List::new(), List::new(), List::new(), List::new(), List::new(), List::new()];
        let places = self.refused.places();
        for (j, places) in places.chunks(V::WIDTH).enumerate() {
            let i = j * V::WIDTH;
            let (strike, sign, price) = self.load(lane, places);
            let (target, time_value, room) = prepare::<V, SPOT>(terms, strike, sign, price);
            target.a.store_all(&mut targets.a[i..]);
            target.a_low.store_all(&mut targets.a_low[i..]);
            V::select(target.lower, target.amount, -target.amount).store_all(&mut targets.amount[i..]);
            target.exponent.store_all(&mut targets.exponent[i..]);
            let zero = lane.splat(0.0);
            let solvable =
                (zero.lt(time_value) & zero.lt(room)) & (zero.lt(strike) & strike.le(lane.splat(f64::MAX)));
            let (solvable, [close, lower, far, upper]) = (solvable.bits(), target.kinds());
            let kinds = [close.bits(), lower.bits(), far.bits(), upper.bits()];
            for lane in 0..places.len() {
                let bit = |bits: u32| (bits >> lane) & 1;
                let kind = bit(kinds[0]) + 2 * bit(kinds[1]) + 3 * bit(kinds[2]) + 4 * bit(kinds[3]);
                lists[(5 - (5 - kind) * bit(solvable)) as usize].push(i + lane);
            }
            if solvable & ((1 << places.len()) - 1) != (1 << places.len()) - 1 {
                self.refuse(terms, places, time_value, room);
            }
        }
        let [mixed, close, lower, far, upper, without] = &lists;
        targets.solve::<V, AsMixed>(lane, mixed);
        targets.solve::<V, AsClose>(lane, close);
        targets.solve::<V, AsLower>(lane, lower);
        targets.solve::<V, AsFar>(lane, far);
        targets.solve::<V, AsUpper>(lane, upper);
        self.finish::<V, SPOT>(lane, terms, &targets, without.count == 0);
    }

    /// The statuses of a vector in which an option has no volatility.
    #[inline(always)]
    fn refuse<V: Lanes>(&mut self, terms: &Terms, places: &[usize], time_value: V, room: V) {
        let (mut values, mut rooms) = ([0.0; WIDEST], [0.0; WIDEST]);
        time_value.store_all(&mut values);
        room.store_all(&mut rooms);
        for (lane, place) in places.iter().enumerate() {
            let (strike, price) = (self.chain.strikes[*place], self.chain.prices[*place]);
            self.status[*place] = refusal(terms, strike, price, values[lane], rooms[lane]);
        }
    }

    #[inline(always)]
    fn load<V: Lanes>(&self, lane: V, places: &[usize]) -> (V, V, V) {
        let Chain { strikes, kinds, prices, .. } = self.chain;
        if let Some(first) = side_by_side::<V>(places) {
            let (strike, price) = (lane.load_all(&strikes[first..]), lane.load_all(&prices[first..]));
            return (strike, signs(lane, &kinds[first..]), price);
        }
        let mut numbers = [[1.0; WIDEST]; 3];
        for (lane, place) in places.iter().enumerate() {
            numbers[0][lane] = strikes[*place];
            numbers[1][lane] = kinds[*place].sign();
            numbers[2][lane] = prices[*place];
        }
        let [strike, sign, price] = &numbers;
        (lane.load_all(strike), lane.load_all(sign), lane.load_all(price))
    }

    /// Volatilities and Greeks into the columns. `all_solvable` if no option was refused for good.
    #[inline(always)]
    fn finish<V: Lanes, const SPOT: bool>(
        self,
        lane: V,
        terms: &Terms,
        targets: &Targets,
        all_solvable: bool,
    ) {
        let mut results = [[0.0; WIDEST]; 10];
        for (j, places) in self.refused.places().chunks(V::WIDTH).enumerate() {
            let i = j * V::WIDTH;
            let (guess, correction) = (lane.load_all(&targets.a[i..]), lane.load_all(&targets.a_low[i..]));
            let volatility = volatility(terms, guess, correction);
            volatility.store_all(&mut results[0]);
            if self.columns.len() > 1 {
                let (strike, sign, price) = self.load(lane, places);
                let total = guess.mul_add(correction, guess);
                let mut columns = results.each_mut().map(|column| &mut column[..]);
                greeks::<V, SPOT>(terms, strike, sign, price, total).store_greeks(0..WIDEST, &mut columns);
            }
            let solved = lane.splat(0.0).lt(volatility) & volatility.lt(lane.splat(f64::INFINITY));
            if let (true, Some(first)) = (all_solvable && solved.all(), side_by_side::<V>(places)) {
                for (column, result) in self.columns.iter_mut().zip(&results) {
                    lane.load_all(result).store_all(&mut column[first..]);
                }
                continue;
            }
            for (lane, place) in places.iter().enumerate() {
                let status = &mut self.status[*place];
                if *status == Status::Ok && !is_price(results[0][lane]) {
                    // The amounts left the range of doubles on the way.
                    *status = Status::BadPrice;
                }
                let refused = *status != Status::Ok;
                for (column, result) in self.columns.iter_mut().zip(&results) {
                    column[*place] = if refused { f64::NAN } else { result[lane] };
                }
            }
        }
    }
}

// === impl Targets, List ===

impl Targets {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [0.0; ROOM];
        Self { a: zeros, a_low: zeros, amount: zeros, exponent: zeros }
    }

    /// Solves the targets of one kind.
    #[inline(always)]
    fn solve<V: Lanes, K: Kinds>(&mut self, lane: V, list: &List) {
        let mut numbers = [[0.0; LARGEST]; 4];
        let (mut guesses, mut corrections) = ([0.0; LARGEST], [0.0; LARGEST]);
        for items in list.items[..list.count].chunks(VECTORS * V::WIDTH) {
            // The last vector is filled with its first item.
            let full = items.len().div_ceil(V::WIDTH) * V::WIDTH;
            for i in 0..full {
                let item = usize::from(items[if i < items.len() { i } else { full - V::WIDTH }]);
                numbers[0][i] = self.a[item];
                numbers[1][i] = self.a_low[item];
                numbers[2][i] = self.amount[item];
                // The other kinds do not lift the price.
                if K::KIND == Kind::Mixed {
                    numbers[3][i] = self.exponent[item];
                }
            }
            let gathered = Gathered(&numbers);
            for i in (0..full).step_by(V::WIDTH) {
                gathered.target(lane, i).seed::<K>().store_all(&mut guesses[i..]);
            }
            if K::KIND != Kind::Far {
                for i in (0..full).step_by(V::WIDTH) {
                    let guess = lane.load_all(&guesses[i..]);
                    gathered.target(lane, i).improve::<K>(guess).store_all(&mut guesses[i..]);
                }
            }
            for i in (0..full).step_by(V::WIDTH) {
                let (guess, correction) = gathered.target(lane, i).settle::<K>(lane.load_all(&guesses[i..]));
                guess.store_all(&mut guesses[i..]);
                correction.store_all(&mut corrections[i..]);
            }
            for (i, item) in items.iter().enumerate() {
                self.a[usize::from(*item)] = guesses[i];
                self.a_low[usize::from(*item)] = corrections[i];
            }
        }
    }
}

/// Targets of one kind side by side.
struct Gathered<'a>(&'a [[f64; LARGEST]; 4]);

impl Gathered<'_> {
    #[inline(always)]
    fn target<V: Lanes>(&self, lane: V, i: usize) -> Target<V> {
        let [a, a_low, amount, exponent] = self.0;
        let amount = lane.load_all(&amount[i..]);
        Target {
            a: lane.load_all(&a[i..]),
            a_low: lane.load_all(&a_low[i..]),
            amount: amount.abs(),
            exponent: lane.load_all(&exponent[i..]),
            lower: lane.splat(0.0).lt(amount),
        }
    }
}

impl List {
    #[inline(always)]
    fn new() -> Self {
        Self { items: [0; ROOM], count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, item: usize) {
        self.items[self.count] = item as u16;
        self.count += 1;
    }
}

/// The first of a full vector of places without a gap, as most are.
#[inline(always)]
fn side_by_side<V: Lanes>(places: &[usize]) -> Option<usize> {
    let [first, .., last] = places else { return None };
    (places.len() == V::WIDTH && last - first == V::WIDTH - 1).then_some(*first)
}

/// Moneyness and the amount to match, with the time value and what the price lacks to its maximum.
#[inline(always)]
fn prepare<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, price: V) -> (Target<V>, V, V) {
    let m: Moneyness<V> = moneyness::wide::<V, SPOT>(terms, strike);
    let time_value = m.time_value::<true>(terms, sign, price);
    let room = m.room::<SPOT>(terms, strike, sign, price);
    (Target::new(&m, time_value, room), time_value, room)
}

#[inline(always)]
fn greeks<V: Lanes, const SPOT: bool>(
    terms: &Terms,
    strike: V,
    sign: V,
    price: V,
    total: V,
) -> Sensitivities<V> {
    let m: Moneyness<V> = moneyness::wide::<V, SPOT>(terms, strike);
    let outside = wide::outside(terms, &m, strike, total);
    sensitivities::<V, SPOT>(terms, m.above, strike, sign, &outside, price).numbers()
}

/// Why an option has no volatility, in the order of the checks; `Ok` when nothing stands against one.
///
/// Time value or room are no numbers where money left the range of doubles on the way: the discounted strike, so that the
/// put's intrinsic value is beyond every price, or the price in kernel money, which is then beyond every forward.
#[inline(always)]
fn refusal(terms: &Terms, strike: f64, price: f64, time_value: f64, room: f64) -> Status {
    let unmeasured = time_value.is_nan() || room.is_nan();
    if !is_price(strike) {
        Status::BadStrike
    } else if !price.is_finite() {
        Status::BadPrice
    } else if price < 0.0 || time_value < 0.0 || (unmeasured && terms.is_spot) {
        Status::BelowIntrinsic
    } else if time_value == 0.0 {
        Status::AtIntrinsic
    } else if room < 0.0 || unmeasured {
        Status::AboveMaximum
    } else if room == 0.0 {
        Status::AtMaximum
    } else {
        Status::Ok
    }
}

/// One option, by the kernel of its kind. `lane` functions see it in every lane.
#[inline(always)]
pub(crate) fn one<V: Lanes, const SPOT: bool>(terms: &Terms, strike: V, sign: V, price: V) -> (f64, Status) {
    let (target, time_value, room) = prepare::<V, SPOT>(terms, strike, sign, price);
    let status = refusal(terms, strike.first(), price.first(), time_value.first(), room.first());
    if status != Status::Ok {
        return (f64::NAN, status);
    }
    let [close, lower, far, upper] = target.kinds();
    let (guess, correction) = if close.bits() & 1 != 0 {
        one_of::<V, AsClose>(&target)
    } else if lower.bits() & 1 != 0 {
        one_of::<V, AsLower>(&target)
    } else if far.bits() & 1 != 0 {
        one_of::<V, AsFar>(&target)
    } else if upper.bits() & 1 != 0 {
        one_of::<V, AsUpper>(&target)
    } else {
        one_of::<V, AsMixed>(&target)
    };
    let volatility = volatility(terms, guess, correction).first();
    if is_price(volatility) { (volatility, Status::Ok) } else { (f64::NAN, Status::BadPrice) }
}

#[inline(always)]
fn one_of<V: Lanes, K: Kinds>(target: &Target<V>) -> (V, V) {
    let seed = target.seed::<K>();
    target.settle::<K>(if K::KIND == Kind::Far { seed } else { target.improve::<K>(seed) })
}
