//! One option at a time, over the whole domain: normalise, evaluate by Mills ratios, iterate on a logarithm.

use std::f64::consts::PI;

use crate::{Greeks, OptionInputs, PricingModel, Status};

/// What a refused option gets.
pub(crate) const NAN_GREEKS: Greeks = Greeks {
    price: f64::NAN,
    delta: f64::NAN,
    gamma: f64::NAN,
    vega: f64::NAN,
    theta: f64::NAN,
    rho: f64::NAN,
    vanna: f64::NAN,
    volga: f64::NAN,
    charm: f64::NAN,
    speed: f64::NAN,
};

/// The option in the shape both models share: a spot `u` with yield `yield_` against a strike with rate `rate`.
/// Black-76 is the case `yield_ = rate`.
struct Problem {
    /// +1 call, -1 put.
    sign: f64,
    u: f64,
    k: f64,
    t: f64,
    rate: f64,
    yield_: f64,
    black76: bool,
    /// ln(forward / strike)
    x: f64,
    /// exp(-yield T), exp(-rate T)
    du: f64,
    dk: f64,
    /// Discounted `sign * (u du - k dk)`, formed without cancellation.
    parity: f64,
    /// sqrt(u du k dk)
    scale: f64,
}

fn problem(option: &OptionInputs) -> Result<Problem, Status> {
    let (u, k, t, rate) = (option.model.underlying(), option.strike, option.years_to_expiry, option.rate);
    let sign = option.kind.sign();
    let positive = |v: f64| v > 0.0 && v < f64::INFINITY;
    if !positive(u) {
        return Err(Status::BadUnderlying);
    }
    if !positive(k) {
        return Err(Status::BadStrike);
    }
    if !(0.0..f64::INFINITY).contains(&t) {
        return Err(Status::BadExpiry);
    }
    if t == 0.0 {
        return Err(Status::Expired);
    }
    let (yield_, black76) = match option.model {
        PricingModel::Black76 { .. } => (rate, true),
        PricingModel::BlackScholesMerton { dividend_yield, .. } => (dividend_yield, false),
    };
    let (du, dk) = ((-yield_ * t).exp(), (-rate * t).exp());
    if !(rate.is_finite() && yield_.is_finite() && positive(du) && positive(dk)) {
        return Err(Status::BadRate);
    }
    // ln(u/k): 2 atanh of the relative difference keeps all digits near the money.
    let q = (u - k) / (u + k);
    let log_moneyness = if q.abs() < 0.1 { 2.0 * q.atanh() } else { u.ln() - k.ln() };
    let (x, parity) = if black76 {
        (log_moneyness, dk * (u - k))
    } else {
        let carried = u * (-yield_ * t).exp_m1() - k * (-rate * t).exp_m1();
        (log_moneyness + (rate - yield_) * t, (u - k) + carried)
    };
    let scale = (u * du).sqrt() * (k * dk).sqrt();
    Ok(Problem { sign, u, k, t, rate, yield_, black76, x, du, dk, parity: sign * parity, scale })
}

/// Price and all Greeks. NaN unless the status is `Ok`, `Expired` or `ZeroVol`.
pub(crate) fn greeks(option: &OptionInputs, volatility: f64) -> (Status, Greeks) {
    let p = match problem(option) {
        Ok(p) => p,
        Err(Status::Expired) => return (Status::Expired, expired(option)),
        Err(status) => return (status, NAN_GREEKS),
    };
    if !(0.0..f64::INFINITY).contains(&volatility) {
        return (Status::BadSigma, NAN_GREEKS);
    }
    let s = volatility * p.t.sqrt();
    if s == 0.0 {
        return (Status::ZeroVol, zero_volatility(&p));
    }
    if !s.is_finite() {
        return (Status::BadSigma, NAN_GREEKS);
    }
    let (d1, d2) = (p.x / s + s / 2.0, p.x / s - s / 2.0);
    let a = p.x.abs();
    let otm_value = p.scale * normalised_log(a, s).exp();
    let price = otm_value + p.parity.max(0.0);
    // b' = phi(sqrt(z^2 + t^2)), phi(d1) = b' sqrt(K/F)
    let slope = normal_density((a / s).hypot(s / 2.0));
    let u_du_phi1 = p.scale * slope;
    let du_phi1 = u_du_phi1 / p.u;
    let (n1, n2) = (normal_cdf(p.sign * d1), normal_cdf(p.sign * d2));
    let delta = p.sign * p.du * n1;
    let vega = u_du_phi1 * p.t.sqrt();
    let decay = u_du_phi1 * s / (2.0 * p.t);
    let carry = p.rate - p.yield_;
    let (theta, rho) = if p.black76 {
        (p.rate * price - decay, -p.t * price)
    } else {
        let (spot_leg, strike_leg) = (p.sign * p.u * p.du * n1, p.sign * p.k * p.dk * n2);
        (p.yield_ * spot_leg - p.rate * strike_leg - decay, p.t * strike_leg)
    };
    let gamma = du_phi1 / (p.u * s);
    let greeks = Greeks {
        price,
        delta,
        gamma,
        vega,
        theta,
        rho,
        vanna: -du_phi1 * d2 * p.t.sqrt() / s,
        volga: vega * d1 * d2 * p.t.sqrt() / s,
        charm: p.yield_ * delta - du_phi1 * (carry / s - d2 / (2.0 * p.t)),
        speed: -gamma / p.u * (1.0 + d1 / s),
    };
    (Status::Ok, greeks)
}

/// The volatility that explains a price.
pub(crate) fn implied_volatility(option: &OptionInputs, price: f64) -> Result<f64, Status> {
    let p = problem(option)?;
    if !price.is_finite() {
        return Err(Status::BadPrice);
    }
    let maximum = if p.sign > 0.0 { p.u * p.du } else { p.k * p.dk };
    let (otm_value, room) = (price - p.parity.max(0.0), maximum - price);
    if otm_value < 0.0 {
        return Err(Status::BelowIntrinsic);
    }
    if otm_value == 0.0 {
        return Err(Status::AtIntrinsic);
    }
    if room < 0.0 {
        return Err(Status::AboveMaximum);
    }
    if room == 0.0 {
        return Err(Status::AtMaximum);
    }
    let a = p.x.abs();
    let s = if otm_value <= room {
        let target = otm_value.ln() - p.scale.ln();
        solve(|s| (normalised_log(a, s) - target, slope_ratio(a, s)))
    } else {
        let target = room.ln() - p.scale.ln();
        solve(|s| (target - complement_log(a, s), slope_ratio_complement(a, s)))
    };
    Ok(s / p.t.sqrt())
}

/// Root of an increasing function given with its derivative: Newton in `ln s`, fenced by a bracket.
fn solve(f: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut low, mut high) = (1e-12_f64, 200.0_f64);
    let mut s = 1.0_f64;
    for _ in 0..120 {
        let (value, slope) = f(s);
        if value < 0.0 {
            low = s;
        } else {
            high = s;
        }
        let newton = s * (-value / (slope * s)).clamp(-2.0, 2.0).exp();
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        if (next - s).abs() <= 1e-16 * s || next == s {
            return next;
        }
        s = next;
    }
    s
}

/// ln of the out-of-the-money value over sqrt(FK): b = b' (M(z-t) - M(z+t)).
fn normalised_log(a: f64, s: f64) -> f64 {
    let (z, t) = (a / s, s / 2.0);
    if z - t < -1.0 {
        return ((-a / 2.0).exp() - complement_log(a, s).exp()).ln();
    }
    -(z * z + t * t) / 2.0 + (mills_difference(z, t) / (2.0 * PI).sqrt()).ln()
}

/// ln of what is missing to the upper bound: c = b' (M(t-z) + M(t+z)).
fn complement_log(a: f64, s: f64) -> f64 {
    let (z, t) = (a / s, s / 2.0);
    -(z * z + t * t) / 2.0 + ((mills(t - z) + mills(t + z)) / (2.0 * PI).sqrt()).ln()
}

fn slope_ratio(a: f64, s: f64) -> f64 {
    1.0 / mills_difference(a / s, s / 2.0)
}

fn slope_ratio_complement(a: f64, s: f64) -> f64 {
    1.0 / (mills(s / 2.0 - a / s) + mills(s / 2.0 + a / s))
}

/// M(z-t) - M(z+t): for small t the Taylor series in t, whose terms follow M'' = z M' + M.
fn mills_difference(z: f64, t: f64) -> f64 {
    if t > 0.35 || z * t > 0.3 {
        return mills(z - t) - mills(z + t);
    }
    let mut even = mills(z);
    let mut odd = z * even - 1.0;
    let mut term = t;
    let mut sum = odd * t;
    for n in 1..11 {
        let n = f64::from(n);
        even = z * odd + (2.0 * n - 1.0) * even;
        odd = z * even + 2.0 * n * odd;
        term *= t * t / (2.0 * n * (2.0 * n + 1.0));
        sum += odd * term;
    }
    -2.0 * sum
}

/// Mills ratio (1 - N(z)) / phi(z).
fn mills(z: f64) -> f64 {
    const SERIES: [f64; 28] = [
        2.4367223896808263,
        -3.081940257979341,
        3.150561792224924,
        -2.587923693541104,
        1.6661728137107354,
        -0.7899415257463142,
        0.22852289206586343,
        -0.0016152377775705787,
        -0.030436531204901564,
        0.008979018685492755,
        0.002787561871306874,
        -0.001985784351395861,
        -0.00025705987781858396,
        0.0003887195231376834,
        3.8151026549953826e-05,
        -7.822768995142383e-05,
        -1.1578828137759267e-05,
        1.6003457273483356e-05,
        4.32690243532177e-06,
        -3.0710567951759133e-06,
        -1.464918523502914e-06,
        4.743315197022618e-07,
        3.9952225071313814e-07,
        -3.889424876867957e-08,
        -7.618493665148856e-08,
        -3.380142443288233e-09,
        7.416815083785114e-09,
        1.012050621271989e-09,
    ];
    if z < -1.0 {
        return (2.0 * PI).sqrt() * (z * z / 2.0).exp() - mills(-z);
    }
    let u = (z - 3.0) / (z + 5.0);
    SERIES.iter().rev().fold(0.0_f64, |sum, c| sum.mul_add(u, *c)) / (z + 5.0)
}

fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

fn normal_cdf(z: f64) -> f64 {
    if z < 0.0 { normal_density(z) * mills(-z) } else { 1.0 - normal_density(z) * mills(z) }
}

/// At expiry only the intrinsic value is left.
fn expired(option: &OptionInputs) -> Greeks {
    let parity = option.kind.sign() * (option.model.underlying() - option.strike);
    let delta = if parity > 0.0 { option.kind.sign() } else { 0.0 };
    Greeks { price: parity.max(0.0), delta, ..Greeks::default() }
}

/// Without volatility the option is its discounted intrinsic value; at the money the one-sided limits average.
fn zero_volatility(p: &Problem) -> Greeks {
    let n = if p.parity > 0.0 {
        1.0
    } else if p.parity < 0.0 {
        0.0
    } else {
        0.5
    };
    let price = p.parity.max(0.0);
    let at_the_money = p.parity == 0.0;
    let (spot_leg, strike_leg) = (p.sign * p.u * p.du * n, p.sign * p.k * p.dk * n);
    let (theta, rho) = if p.black76 {
        (p.rate * price, -p.t * price)
    } else {
        (p.yield_ * spot_leg - p.rate * strike_leg, p.t * strike_leg)
    };
    let delta = p.sign * p.du * n;
    Greeks {
        price,
        delta,
        gamma: if at_the_money { f64::INFINITY } else { 0.0 },
        vega: if at_the_money { p.u * p.du * (p.t / (2.0 * PI)).sqrt() } else { 0.0 },
        theta,
        rho,
        charm: p.yield_ * delta,
        ..Greeks::default()
    }
}
