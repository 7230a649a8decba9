//! Seeded random options: as a market quotes them, from the corners of the domain, and arbitrary bit patterns.

use option_greeks::{OptionInputs, OptionKind, PricingModel, price};

/// Splitmix: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
pub(crate) struct Random(u64);

/// The arguments of one chain call.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) model: PricingModel,
    pub(crate) rate: f64,
    pub(crate) years_to_expiry: f64,
    pub(crate) strikes: Vec<f64>,
    pub(crate) kinds: Vec<OptionKind>,
    pub(crate) prices: Vec<f64>,
    pub(crate) volatilities: Vec<f64>,
}

/// The side outside the money, by the forward.
pub(crate) fn outside(option: &OptionInputs) -> OptionKind {
    let forward = match option.model {
        PricingModel::Black76 { forward } => forward,
        PricingModel::BlackScholesMerton { spot, dividend_yield } => {
            spot * ((option.rate - dividend_yield) * option.years_to_expiry).exp()
        }
    };
    if option.strike > forward { OptionKind::Call } else { OptionKind::Put }
}

impl Batch {
    pub(crate) fn option(&self, i: usize) -> OptionInputs {
        let Self { model, rate, years_to_expiry, .. } = *self;
        OptionInputs { model, kind: self.kinds[i], strike: self.strikes[i], rate, years_to_expiry }
    }
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform between two bounds.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Uniform in the logarithm.
    fn scale(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    fn kind(&mut self) -> OptionKind {
        if self.bits() & 1 == 0 { OptionKind::Call } else { OptionKind::Put }
    }

    fn model(&mut self, underlying: f64) -> PricingModel {
        if self.bits() & 1 == 0 {
            PricingModel::Black76 { forward: underlying }
        } else {
            PricingModel::BlackScholesMerton { spot: underlying, dividend_yield: self.between(-0.01, 0.03) }
        }
    }

    /// An index option from minutes to a year, within six deviations of the money.
    pub(crate) fn market_option(&mut self) -> (OptionInputs, f64) {
        let underlying = self.between(15_000.0, 62_000.0);
        let years_to_expiry = self.scale(5.0 / 525_600.0, 1.0);
        let volatility = self.scale(0.05, 1.0);
        let z = self.between(-6.0, 6.0);
        let strike = underlying * (z * volatility * years_to_expiry.sqrt()).exp();
        let (model, kind) = (self.model(underlying), self.kind());
        (OptionInputs { model, kind, strike, rate: self.between(0.0, 0.1), years_to_expiry }, volatility)
    }

    /// One expiry: strikes around the money, prices on the tick or exact, now and then an impossible one.
    pub(crate) fn market_batch(&mut self) -> Batch {
        let (first, volatility) = self.market_option();
        self.fill(first, volatility, 0.02)
    }

    /// One expiry anywhere in the domain.
    pub(crate) fn wild_batch(&mut self) -> Batch {
        let model = {
            let underlying = self.scale(1e-3, 1e7);
            self.model(underlying)
        };
        let (rate, years_to_expiry) = (self.between(-0.05, 0.2), self.scale(1e-6, 30.0));
        let volatility = self.scale(1e-5, 27.0) / years_to_expiry.sqrt();
        let first = OptionInputs { model, kind: OptionKind::Call, strike: 1.0, rate, years_to_expiry };
        self.fill(first, volatility, 0.1)
    }

    fn fill(&mut self, first: OptionInputs, volatility: f64, odd: f64) -> Batch {
        let OptionInputs { model, rate, years_to_expiry, .. } = first;
        let (strikes, kinds, prices, volatilities) = Default::default();
        let mut batch = Batch { model, rate, years_to_expiry, strikes, kinds, prices, volatilities };
        for _ in 0..1 + self.below(200) {
            let deviations = self.between(-9.0, 9.0);
            let strike = model.underlying()
                * (deviations * volatility * years_to_expiry.sqrt()).clamp(-14.0, 14.0).exp();
            let (kind, volatility) = (self.kind(), volatility * self.between(0.7, 1.4));
            let option = OptionInputs { kind, strike, ..first };
            let value = price(&option, volatility).unwrap_or(f64::NAN);
            let quoted = match self.bits() % 3 {
                0 => (value / 0.05).round().max(1.0) * 0.05,
                _ => value,
            };
            let spoilt = self.between(0.0, 1.0) < odd;
            batch.strikes.push(if spoilt && self.bits() & 3 == 0 {
                f64::from_bits(self.bits())
            } else {
                strike
            });
            batch.kinds.push(kind);
            batch.prices.push(if spoilt { quoted * self.between(-0.5, 2.0) } else { quoted });
            batch.volatilities.push(if spoilt && self.bits() & 3 == 0 { 0.0 } else { volatility });
        }
        batch
    }

    /// A number of any kind: uniform bits, a special value, or something near one.
    fn any(&mut self) -> f64 {
        const SPECIAL: [f64; 12] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            5e-324,
            f64::MAX,
            1e-300,
            1e300,
        ];
        match self.bits() % 8 {
            0 | 1 => f64::from_bits(self.bits()),
            2 => SPECIAL[self.below(SPECIAL.len())],
            3 => self.scale(1e-320, 1e308),
            _ => self.scale(1e-3, 1e3),
        }
    }

    /// Arbitrary bit patterns everywhere.
    pub(crate) fn bit_batch(&mut self) -> Batch {
        let underlying = self.any();
        let model = if self.bits() & 1 == 0 {
            PricingModel::Black76 { forward: underlying }
        } else {
            PricingModel::BlackScholesMerton { spot: underlying, dividend_yield: self.any() / 100.0 }
        };
        let (rate, years_to_expiry) = (self.any() / 100.0, self.any());
        let (strikes, kinds, prices, volatilities) = Default::default();
        let mut batch = Batch { model, rate, years_to_expiry, strikes, kinds, prices, volatilities };
        for _ in 0..1 + self.below(20) {
            batch.strikes.push(self.any());
            batch.kinds.push(self.kind());
            batch.prices.push(self.any());
            batch.volatilities.push(self.any());
        }
        batch
    }
}
