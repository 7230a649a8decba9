//! The forward implied by put-call parity, from the quotes of several strikes near the money.

use thiserror::Error;

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
    // 1.4826 turns a median deviation into a standard deviation of normal errors.
    let spread = 1.4826 * deviations[deviations.len() / 2];
    // The true price is anywhere between bid and ask: a uniform error has deviation half-width / sqrt 3. A locked
    // quote still leaves the tick, for which 1e-9 of the price stands in so that weights stay finite.
    let sigma = |sample: &Sample| (sample.half_width / 3.0_f64.sqrt()).max(1e-9 * median);
    let near = |sample: &&Sample| (sample.forward - median).abs() <= OUTLIER * spread.max(sigma(sample));
    let (mut weights, mut weighted, mut used) = (0.0, 0.0, 0_usize);
    for sample in samples.iter().filter(near) {
        let weight = sigma(sample).powi(-2);
        weights += weight;
        weighted += weight * (sample.forward - median);
        used += 1;
    }
    let forward = median + weighted / weights;
    let chi_square: f64 =
        samples.iter().filter(near).map(|sample| ((sample.forward - forward) / sigma(sample)).powi(2)).sum();
    let disagreement = if used > 1 { (chi_square / (used - 1) as f64).sqrt().max(1.0) } else { 1.0 };
    Some(ImpliedForward { forward, std_error: disagreement / weights.sqrt(), strikes_used: used })
}
