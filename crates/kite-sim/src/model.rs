//! The price processes: everything is a pure function of the seed and the instant.

use market_model::UnixNanos;

use crate::config::MarketConfig;
use crate::listing::{EQUITIES, IndexSpec, indices};
use crate::random::{Path, Stream, YEAR_SECONDS};

/// Volatility of the factor that all prices share, per root of a year.
const COMMON_VOLATILITY: f64 = 0.12;
/// Relative move of implied volatility per move of the common factor: volatility rises when prices fall.
const LEVERAGE: f64 = -3.0;
/// Volatility of implied volatility itself, per root of a year.
const VOLATILITY_OF_VOLATILITY: f64 = 0.55;
/// Share of the index level by which a future wanders around its carry value.
const BASIS_NOISE: f64 = 0.000_15;
/// Periods of paths: 2^0 s to 2^23 s, which is a second to some three months.
const OCTAVES: (i32, i32) = (0, 23);

/// Names of the random streams of one market.
mod stream {
    pub(super) const COMMON: u64 = 1;
    pub(super) const INDEX: u64 = 2;
    pub(super) const VOLATILITY: u64 = 3;
    pub(super) const BASIS: u64 = 4;
    pub(super) const SKEW: u64 = 5;
    pub(super) const EQUITY: u64 = 6;
    pub(super) const SYNTHETIC: u64 = 7;
    pub(super) const INSTRUMENT: u64 = 8;
    pub(super) const LOAD: u64 = 9;
}

/// The seeded market without any listing: levels, forwards, smiles.
#[derive(Debug)]
pub(crate) struct Model {
    root: Stream,
    config: MarketConfig,
    common: Path,
    indices: Vec<IndexModel>,
    equities: Vec<Path>,
}

#[derive(Debug)]
struct IndexModel {
    spec: IndexSpec,
    own: Path,
    volatility: Path,
    basis: Stream,
    skew: Stream,
}

/// An index at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexLevel {
    /// Index value.
    pub(crate) spot: f64,
    /// What implied volatility is multiplied with at this instant.
    volatility_factor: f64,
}

/// Forward and smile of one expiry of one index at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    /// Fair value of the future.
    pub(crate) forward: f64,
    /// Time left in years of 365 days; zero at and after the end.
    pub(crate) years: f64,
    /// Interest rate.
    pub(crate) rate: f64,
    at_the_money: f64,
    slope: f64,
    bend: f64,
}

// === impl Model ===

impl Model {
    /// The market of `seed`.
    pub(crate) fn new(seed: u64, config: MarketConfig) -> Self {
        let root = Stream::new(seed, 0);
        let path = |stream: Stream, volatility| Path::new(stream, volatility, OCTAVES.0, OCTAVES.1);
        let index_models = indices()
            .into_iter()
            .zip(0u64..)
            .map(|(spec, at)| IndexModel {
                own: path(root.child(stream::INDEX).child(at), spec.own_volatility),
                volatility: Path::new(
                    root.child(stream::VOLATILITY).child(at),
                    VOLATILITY_OF_VOLATILITY,
                    6,
                    OCTAVES.1,
                ),
                basis: root.child(stream::BASIS).child(at),
                skew: root.child(stream::SKEW).child(at),
                spec,
            })
            .collect();
        let equities = EQUITIES
            .iter()
            .zip(0u64..)
            .map(|(spec, at)| path(root.child(stream::EQUITY).child(at), spec.own_volatility))
            .collect();
        Self {
            root,
            config,
            common: path(root.child(stream::COMMON), COMMON_VOLATILITY),
            indices: index_models,
            equities,
        }
    }

    /// The indices with derivatives, in the order of their numbers.
    pub(crate) fn indices(&self) -> impl Iterator<Item = &IndexSpec> {
        self.indices.iter().map(|index| &index.spec)
    }

    /// Random numbers that belong to one instrument, named by its token.
    pub(crate) fn instrument_stream(&self, token: u32) -> Stream {
        self.root.child(stream::INSTRUMENT).child(u64::from(token))
    }

    /// Random numbers that the instruments on share number `number` of a whole market have in common.
    pub(crate) fn load_stream(&self, number: u32) -> Stream {
        self.root.child(stream::LOAD).child(u64::from(number))
    }

    /// The factor that all prices share.
    pub(crate) fn common(&self, at: UnixNanos) -> f64 {
        let begun = self.config.moves.iter().filter(|planned| planned.at <= at);
        self.common.at(seconds(at)) + begun.map(|planned| planned.fraction.ln_1p()).sum::<f64>()
    }

    /// Level of index number `index`, given [`Model::common`] at the same instant.
    pub(crate) fn index(&self, index: usize, common: f64, at: UnixNanos) -> IndexLevel {
        let model = &self.indices[index];
        let t = seconds(at);
        IndexLevel {
            spot: model.spec.base * (model.spec.beta * common + model.own.at(t)).exp(),
            volatility_factor: (LEVERAGE * common + model.volatility.at(t)).exp(),
        }
    }

    /// Forward and smile of the contracts on index number `index` that end at `expiry`.
    pub(crate) fn curve(&self, index: usize, level: &IndexLevel, expiry: UnixNanos, at: UnixNanos) -> Curve {
        let model = &self.indices[index];
        let t = seconds(at);
        let years = expiry.saturating_since(at).as_secs_f64() / YEAR_SECONDS;
        let name = expiry.as_secs() as u64;
        let carry = (self.config.rate - self.config.dividend_yield) * years;
        // The basis closes at the end: nobody pays more than spot for a contract that settles on it.
        let closing = (years * 52.0).min(1.0);
        let basis = BASIS_NOISE * closing * model.basis.child(name).wave(t, 240.0);
        let term = 1.0 + 0.12 * (years * 4.0).min(1.0) + 0.1 * (-years * 52.0).exp();
        let skew = model.skew.child(name);
        Curve {
            forward: level.spot * (carry + basis).exp(),
            years,
            rate: self.config.rate,
            at_the_money: model.spec.implied_volatility * level.volatility_factor * term,
            slope: -0.05 - 0.01 * skew.wave(t, 5_400.0),
            bend: 0.012 + 0.001 * skew.child(1).wave(t, 7_200.0),
        }
    }

    /// Fair price of share number `equity`.
    pub(crate) fn equity(&self, equity: usize, common: f64, at: UnixNanos) -> f64 {
        let spec = &EQUITIES[equity];
        spec.base * (spec.beta * common + self.equities[equity].at(seconds(at))).exp()
    }

    /// Fair price of synthetic share number `number`: cheap to compute, because load tests have thousands.
    pub(crate) fn synthetic(&self, number: u32, common: f64, at: UnixNanos) -> f64 {
        let own = self.root.child(stream::SYNTHETIC).child(u64::from(number));
        let base = 100.0 + 4_900.0 * own.uniform(0);
        let t = seconds(at);
        let wave = 0.0004 * own.wave(t, 8.0) + 0.004 * own.wave(t, 900.0) + 0.03 * own.wave(t, 86_400.0);
        base * (common + wave).exp()
    }

    /// `INDIA VIX`: implied volatility at the money of the first index thirty days out, in points.
    pub(crate) fn vix(&self, level: &IndexLevel, at: UnixNanos) -> f64 {
        let expiry = UnixNanos(at.0.saturating_add(30 * 86_400_000_000_000));
        100.0 * self.curve(0, level, expiry, at).at_the_money
    }
}

// === impl Curve ===

impl Curve {
    /// Implied volatility at `strike`: a parabola in standardised log-moneyness that flattens far out.
    pub(crate) fn volatility(&self, strike: f64) -> f64 {
        let width = self.at_the_money * self.years.max(1e-7).sqrt();
        let z = (strike / self.forward).ln() / width;
        let z = z / (1.0 + (z / 10.0).powi(2)).sqrt();
        self.at_the_money * (1.0 + self.slope * z + self.bend * z * z)
    }
}

fn seconds(at: UnixNanos) -> f64 {
    at.0 as f64 * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixNanos = UnixNanos::from_secs(1_795_000_000);

    fn model(seed: u64) -> Model {
        Model::new(seed, MarketConfig::default())
    }

    #[test]
    fn one_seed_is_one_market() {
        let level = |seed| {
            let model = model(seed);
            model.index(0, model.common(AT), AT).spot
        };
        assert_eq!(level(1), level(1));
        assert_ne!(level(1), level(2));
    }

    #[test]
    fn a_planned_move_is_made_at_its_instant() {
        let fraction = -0.03;
        let moves = vec![crate::PlannedMove { at: AT, fraction }];
        let moved = Model::new(1, MarketConfig { moves, ..MarketConfig::default() });
        let before = UnixNanos::from_secs(AT.as_secs() - 1);
        assert_eq!(moved.common(before), model(1).common(before));
        let ratio = (moved.common(AT) - model(1).common(AT)).exp();
        assert!((ratio - (1.0 + fraction)).abs() < 1e-12, "{ratio}");
    }

    #[test]
    fn indices_move_together() {
        let model = model(3);
        let log_move = |index: usize, step: i64| {
            let spot = |at: UnixNanos| model.index(index, model.common(at), at).spot.ln();
            spot(UnixNanos::from_secs(AT.as_secs() + step * 300 + 300))
                - spot(UnixNanos::from_secs(AT.as_secs() + step * 300))
        };
        for other in [1, 2] {
            let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
            for step in 0..500 {
                let (x, y) = (log_move(0, step), log_move(other, step));
                xy += x * y;
                xx += x * x;
                yy += y * y;
            }
            let correlation = xy / (xx * yy).sqrt();
            assert!(correlation > 0.8, "{other}: {correlation}");
        }
    }

    #[test]
    fn the_future_converges_to_spot_and_the_smile_has_wings() {
        let model = model(5);
        let level = model.index(0, model.common(AT), AT);
        let month = model.curve(0, &level, AT + std::time::Duration::from_secs(30 * 86_400), AT);
        assert!((month.forward / level.spot - 1.0043).abs() < 0.002);
        let end = model.curve(0, &level, AT, AT);
        assert!((end.forward - level.spot).abs() < 1e-9);
        let volatility = |ratio: f64| month.volatility(month.forward * ratio);
        assert!(volatility(0.85) > volatility(0.95) && volatility(0.95) > volatility(1.0));
        assert!(volatility(1.15) > volatility(1.05));
    }
}
