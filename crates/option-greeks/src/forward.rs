//! The forward implied by put-call parity, from the quotes of several strikes near the money.

use thiserror::Error;

use crate::OptionKind;

/// Call and put quotes of one strike. A missing side is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct ParityQuote {
    pub strike: f64,
    pub call_bid: f64,
    pub call_ask: f64,
    pub put_bid: f64,
    pub put_ask: f64,
}

/// The forward price with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImpliedForward {
    /// Forward price for the expiry of the quotes.
    pub forward: f64,
    /// One standard error of `forward`, in price units: from the spreads, widened when the strikes disagree by more.
    pub std_error: f64,
    /// How many strikes entered the mean.
    pub strikes_used: usize,
}

/// Forward and discount factor fitted together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParityFit {
    /// Forward price for the expiry of the quotes.
    pub forward: f64,
    /// One standard error of `forward`, in price units.
    pub forward_error: f64,
    /// Discount factor to the expiry of the quotes.
    pub discount: f64,
    /// One standard error of `discount`.
    pub discount_error: f64,
    /// How many strikes entered the fit.
    pub strikes_used: usize,
}

/// The option outside the money at one strike.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct OutsideQuote {
    pub strike: f64,
    pub kind: OptionKind,
    pub bid: f64,
    pub ask: f64,
}

/// Why no forward could be implied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The time to expiry is negative or not finite.
    #[error("time to expiry is negative or not finite")]
    BadExpiry,
    /// The rate is not finite, or discounts beyond the range of numbers.
    #[error("rate is not finite or discounts beyond the range of numbers")]
    BadRate,
    /// No strike had four usable quotes: all were missing, crossed or too wide.
    #[error("no strike has a usable call and put quote, wait for both sides or keep the last forward")]
    NoUsableQuote,
    /// A discount factor needs three strikes that differ, and one that comes out between 0 and 2.
    #[error("the strikes do not determine a discount factor, give the rate and imply the forward alone")]
    NoDiscount,
}

/// Strikes looked at: enough to average the spreads out, all close enough to the money to be liquid.
const NEAREST: usize = 9;
/// A spread wider than this share of the combined mid price tells nothing about parity.
const WIDEST: f64 = 0.25;
/// A strike further than this many robust deviations from the median is a stale quote.
const OUTLIER: f64 = 4.0;

/// One strike's answer: the forward, and half the width of the interval the quotes allow.
#[derive(Clone, Copy)]
struct Sample {
    strike: f64,
    forward: f64,
    half_width: f64,
}

/// The forward that put-call parity `C - P = exp(-rT) (F - K)` implies.
///
/// Takes the strikes nearest the money, drops crossed, missing and wide quotes, drops strikes far from the median
/// (stale quotes), and averages the rest weighted by spread. `guess` says where the money is; without it the strike
/// at which call and put mids are closest does. Works on the stack, in time linear in the number of quotes.
///
/// # Errors
///
/// [`ForwardError::NoUsableQuote`] when no strike is left; bad rates and expiries are refused.
pub fn implied_forward(
    quotes: &[ParityQuote],
    rate: f64,
    years_to_expiry: f64,
    guess: Option<f64>,
) -> Result<ImpliedForward, ForwardError> {
    if !(0.0..f64::INFINITY).contains(&years_to_expiry) {
        return Err(ForwardError::BadExpiry);
    }
    let growth = (rate * years_to_expiry).exp();
    if !(growth > 0.0 && growth < f64::INFINITY) {
        return Err(ForwardError::BadRate);
    }
    let usable = || quotes.iter().filter_map(|quote| sample(quote, growth));
    let centre = match guess.filter(|guess| guess.is_finite() && *guess > 0.0) {
        Some(guess) => guess,
        None => {
            let distance = |sample: &Sample| (sample.forward - sample.strike).abs();
            usable()
                .min_by(|a, b| distance(a).total_cmp(&distance(b)))
                .ok_or(ForwardError::NoUsableQuote)?
                .forward
        }
    };
    let (mut nearest, mut count) = ([Sample { strike: 0.0, forward: 0.0, half_width: 0.0 }; NEAREST], 0);
    for sample in usable() {
        let distance = |sample: &Sample| (sample.strike - centre).abs();
        let place = nearest[..count].partition_point(|kept| distance(kept) <= distance(&sample));
        if place < NEAREST {
            count = (count + 1).min(NEAREST);
            nearest[place..count].rotate_right(1);
            nearest[place] = sample;
        }
    }
    robust_mean(&mut nearest[..count]).ok_or(ForwardError::NoUsableQuote)
}

/// Forward and discount factor from the line `C - P = D F - D K` through the quotes of all usable strikes.
///
/// The line is fitted by weighted least squares, then once more without the strikes that lie further from it than their
/// spreads explain. The rate is `-ln(discount) / T`. Needs a wide range of strikes to say anything: over 2 % of moneyness
/// and spreads of a tick the error of the rate at a week is several percent.
///
/// # Errors
///
/// [`ForwardError::NoUsableQuote`] and [`ForwardError::NoDiscount`].
pub fn fit_parity(quotes: &[ParityQuote]) -> Result<ParityFit, ForwardError> {
    let usable = || quotes.iter().filter_map(|quote| sample(quote, 1.0));
    let first = line(usable(), |_| true).ok_or(ForwardError::NoUsableQuote)?;
    let fit = line(usable(), |sample| {
        let miss = (sample.forward - sample.strike) - first.at(sample.strike);
        miss.abs() <= OUTLIER * deviation(sample) * first.disagreement
    })
    .filter(|fit| fit.used >= 3 && fit.slope < 0.0 && fit.slope > -2.0)
    .ok_or(ForwardError::NoDiscount)?;
    let forward = fit.centre - fit.level / fit.slope;
    let lever = (forward - fit.centre) * fit.slope_error;
    Ok(ParityFit {
        forward,
        forward_error: fit.level_error.hypot(lever) / -fit.slope,
        discount: -fit.slope,
        discount_error: fit.slope_error,
        strikes_used: fit.used,
    })
}

/// The options outside the money, one per strike: calls from the forward up, puts below. They carry the volatility of the
/// strike; the inside ones are illiquid and may trade below their intrinsic value. Crossed and missing quotes are left out.
pub fn outside_quotes(quotes: &[ParityQuote], forward: f64) -> impl Iterator<Item = OutsideQuote> + '_ {
    quotes.iter().filter_map(move |quote| {
        let (kind, bid, ask) = if quote.strike >= forward {
            (OptionKind::Call, quote.call_bid, quote.call_ask)
        } else {
            (OptionKind::Put, quote.put_bid, quote.put_ask)
        };
        let sane = quote.strike > 0.0 && bid > 0.0 && ask >= bid && ask < f64::INFINITY;
        sane.then_some(OutsideQuote { strike: quote.strike, kind, bid, ask })
    })
}

/// A weighted straight line `level + slope (strike - centre)`.
struct Line {
    centre: f64,
    level: f64,
    slope: f64,
    level_error: f64,
    slope_error: f64,
    /// How much larger the misses are than the spreads explain, at least one.
    disagreement: f64,
    used: usize,
}

impl Line {
    fn at(&self, strike: f64) -> f64 {
        self.level + self.slope * (strike - self.centre)
    }
}

/// The line through call less put of the samples that pass, or nothing without any. One strike leaves the slope open: NaN or wild.
fn line(samples: impl Iterator<Item = Sample> + Clone, pass: impl Fn(&Sample) -> bool) -> Option<Line> {
    let passing = || samples.clone().filter(|sample| pass(sample)).map(|s| (deviation(&s).powi(-2), s));
    let (mut weights, mut strikes, mut used) = (0.0, 0.0, 0);
    for (weight, sample) in passing() {
        weights += weight;
        strikes += weight * sample.strike;
        used += 1;
    }
    let centre = strikes / weights;
    let (mut level, mut square, mut product) = (0.0, 0.0, 0.0);
    for (weight, sample) in passing() {
        let (x, y) = (sample.strike - centre, sample.forward - sample.strike);
        level += weight * y;
        square += weight * x * x;
        product += weight * x * y;
    }
    if used == 0 {
        return None;
    }
    let (level, slope) = (level / weights, product / square);
    let chi_square: f64 = passing()
        .map(|(weight, s)| weight * ((s.forward - s.strike) - (level + slope * (s.strike - centre))).powi(2))
        .sum();
    let disagreement = if used > 2 { (chi_square / f64::from(used - 2)).sqrt().max(1.0) } else { 1.0 };
    Some(Line {
        centre,
        level,
        slope,
        level_error: disagreement / weights.sqrt(),
        slope_error: disagreement / square.sqrt(),
        disagreement,
        used: used as usize,
    })
}

/// The true price is anywhere between bid and ask: a uniform error has deviation half-width / sqrt 3. A locked quote still
/// leaves the tick, for which 1e-9 of the price stands in so that weights stay finite.
fn deviation(sample: &Sample) -> f64 {
    (sample.half_width / 3.0_f64.sqrt()).max(1e-9 * sample.forward)
}

/// What one strike says, or nothing when a side is missing, crossed or too wide.
fn sample(quote: &ParityQuote, growth: f64) -> Option<Sample> {
    let ParityQuote { strike, call_bid, call_ask, put_bid, put_ask } = *quote;
    let sane = |bid: f64, ask: f64| bid > 0.0 && ask >= bid && ask < f64::INFINITY;
    if !(strike > 0.0 && strike < f64::INFINITY && sane(call_bid, call_ask) && sane(put_bid, put_ask)) {
        return None;
    }
    let half_spread = ((call_ask - call_bid) + (put_ask - put_bid)) / 2.0;
    let (call, put) = ((call_bid + call_ask) / 2.0, (put_bid + put_ask) / 2.0);
    if half_spread > WIDEST * (call + put) {
        return None;
    }
    let forward = strike + growth * (call - put);
    (forward > 0.0 && forward.is_finite()).then_some(Sample {
        strike,
        forward,
        half_width: growth * half_spread,
    })
}

/// Median, then the spread-weighted mean of what lies near it.
fn robust_mean(samples: &mut [Sample]) -> Option<ImpliedForward> {
    samples.sort_unstable_by(|a, b| a.forward.total_cmp(&b.forward));
    let median = samples.get(samples.len() / 2)?.forward;
    let mut deviations = [0.0; NEAREST];
    for (deviation, sample) in deviations.iter_mut().zip(samples.iter()) {
        *deviation = (sample.forward - median).abs();
    }
    let deviations = &mut deviations[..samples.len()];
    deviations.sort_unstable_by(f64::total_cmp);
    // Of normal errors three in four are below 1.15 deviations; one stale strike in four does no harm.
    let spread = deviations[deviations.len() * 3 / 4] / 1.15;
    let near = |sample: &&Sample| (sample.forward - median).abs() <= OUTLIER * spread.max(deviation(sample));
    let (mut weights, mut weighted, mut used) = (0.0, 0.0, 0_usize);
    for sample in samples.iter().filter(near) {
        let weight = deviation(sample).powi(-2);
        weights += weight;
        weighted += weight * (sample.forward - median);
        used += 1;
    }
    let forward = median + weighted / weights;
    let chi_square: f64 = samples
        .iter()
        .filter(near)
        .map(|sample| ((sample.forward - forward) / deviation(sample)).powi(2))
        .sum();
    let disagreement = if used > 1 { (chi_square / (used - 1) as f64).sqrt().max(1.0) } else { 1.0 };
    // Prices near the ends of the range of numbers overflow the weights.
    let std_error = disagreement / weights.sqrt();
    (forward > 0.0 && std_error > 0.0).then_some(ImpliedForward { forward, std_error, strikes_used: used })
}

#[cfg(test)]
mod tests;
