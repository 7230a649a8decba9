//! What is measured: one NIFTY snapshot, and options from every corner of the domain.

use option_greeks::{OptionInputs, OptionKind, PricingModel, price};

/// The options of one call.
pub struct Expiry {
    pub forward: f64,
    pub rate: f64,
    pub years: f64,
    pub strikes: Vec<f64>,
    pub kinds: Vec<OptionKind>,
    pub volatilities: Vec<f64>,
    pub prices: Vec<f64>,
}

impl Expiry {
    fn new(forward: f64, rate: f64, years: f64) -> Self {
        let (strikes, kinds, volatilities, prices) = Default::default();
        Self { forward, rate, years, strikes, kinds, volatilities, prices }
    }

    pub fn option(&self, i: usize) -> OptionInputs {
        OptionInputs {
            model: PricingModel::Black76 { forward: self.forward },
            kind: self.kinds[i],
            strike: self.strikes[i],
            rate: self.rate,
            years_to_expiry: self.years,
        }
    }

    fn push(&mut self, strike: f64, kind: OptionKind, volatility: f64) {
        self.strikes.push(strike);
        self.kinds.push(kind);
        self.volatilities.push(volatility);
        self.prices.push(0.0);
        let last = self.prices.len() - 1;
        self.prices[last] = price(&self.option(last), volatility).unwrap_or(f64::NAN);
    }

    fn drop_where(&mut self, unwanted: impl Fn(&Self, usize) -> bool) {
        let keep: Vec<usize> = (0..self.strikes.len()).filter(|i| !unwanted(self, *i)).collect();
        self.strikes = keep.iter().map(|i| self.strikes[*i]).collect();
        self.kinds = keep.iter().map(|i| self.kinds[*i]).collect();
        self.volatilities = keep.iter().map(|i| self.volatilities[*i]).collect();
        self.prices = keep.iter().map(|i| self.prices[*i]).collect();
    }
}

/// One NIFTY snapshot: seven expiries from 6 hours to 90 days, strikes every 50 within 20 %, a smile, both sides.
pub fn chain() -> Vec<Expiry> {
    let forward = 24_512.35;
    [0.25, 1.25, 3.0, 7.0, 14.0, 30.0, 90.0]
        .into_iter()
        .map(|days: f64| {
            let years = days / 365.0;
            let mut expiry = Expiry::new(forward, 0.065, years);
            let mut strike = (forward * 0.8 / 50.0).floor() * 50.0;
            while strike < forward * 1.2 {
                let (x, months) = ((strike / forward).ln(), years * 12.0);
                let at_the_money = 0.115 + 0.01 * (-years * 50.0).exp();
                let smile = (at_the_money.powi(2) + (x * 0.9).powi(2) / months.max(0.05)).sqrt();
                let volatility = (smile - 0.35 * x * (0.1 / months.sqrt()).min(1.0)).clamp(0.06, 1.2);
                expiry.push(strike, OptionKind::Call, volatility);
                expiry.push(strike, OptionKind::Put, volatility);
                strike += 50.0;
            }
            // An option whose time value is below the tick has no market.
            expiry.drop_where(|expiry, i| {
                let intrinsic = (expiry.kinds[i].sign() * (expiry.forward - expiry.strikes[i])).max(0.0);
                expiry.prices[i] - (-expiry.rate * expiry.years).exp() * intrinsic < 0.04
            });
            expiry
        })
        .collect()
}

/// `|ln F/K|` up to 12, total volatility 0.01 to 8, out of the money, down to 30 standard deviations.
pub fn stress(seed: u64) -> Vec<Expiry> {
    let mut state = seed;
    let mut uniform = move || {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut expiry = Expiry::new(1000.0, 0.0, 1.0);
    // No power of two: columns that far apart would all want the same lines of the cache.
    while expiry.strikes.len() < 8100 {
        let x = 24.0 * uniform() - 12.0;
        let s = (0.01_f64.ln() + uniform() * 800.0_f64.ln()).exp();
        if x.abs() / s < 30.0 {
            expiry.push(1000.0 * (-x).exp(), if x < 0.0 { OptionKind::Call } else { OptionKind::Put }, s);
        }
    }
    vec![expiry]
}
