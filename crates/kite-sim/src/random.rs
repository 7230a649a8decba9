//! Numbers that look random and are a pure function of a seed and a position.
//!
//! Nothing here has state: the same seed, stream and position give the same number in any order of asking. That is what
//! lets the simulator answer for any instant, replay history that agrees with the live feed, and run at any speed.

/// One family of pseudo-random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The family `name` of `seed`.
    pub(crate) fn new(seed: u64, name: u64) -> Self {
        Self(mix(seed ^ mix(name)))
    }

    /// A family inside this one.
    pub(crate) fn child(self, name: u64) -> Self {
        Self(mix(self.0 ^ mix(name)))
    }

    /// 64 uniform bits at `position`.
    pub(crate) fn bits(self, position: i64) -> u64 {
        mix(self.0 ^ (position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Uniform in `[0, 1)` at `position`.
    pub(crate) fn uniform(self, position: i64) -> f64 {
        (self.bits(position) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal with mean 0 and deviation 1 at `position`: the sum of four uniforms, so never beyond 3.47.
    pub(crate) fn normal(self, position: i64) -> f64 {
        let bits = self.bits(position);
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        (sum as f64 / 65_536.0 - 2.0 + 4.0 / 131_072.0) * 3f64.sqrt()
    }

    /// A continuous curve through independent normals at the multiples of `period`, at time `t` (same unit).
    pub(crate) fn wave(self, t: f64, period: f64) -> f64 {
        let at = t / period;
        let left = at.floor();
        let part = at - left;
        let left = left as i64;
        self.normal(left) * (1.0 - part) + self.normal(left + 1) * part
    }
}

/// A mean-reverting path that moves like Brownian motion on scales from a second to some months.
///
/// It is a sum of [`Stream::wave`]s whose periods double and whose amplitudes grow with the root of the period, which
/// gives increments over `d` seconds a variance close to `d` times `per_second` squared.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    octaves: Vec<(Stream, f64, f64)>,
}

/// Makes the variance of increments come out right; see the test.
const OCTAVE_SCALE: f64 = 0.434;
/// Seconds of a year of 365 days.
pub(crate) const YEAR_SECONDS: f64 = 365.0 * 86_400.0;

impl Path {
    /// A path with `volatility` per root of a year, with periods of 2^`from` to 2^`to` seconds.
    pub(crate) fn new(stream: Stream, volatility: f64, from: i32, to: i32) -> Self {
        let per_second = volatility / YEAR_SECONDS.sqrt();
        let octaves = (from..=to)
            .map(|power| {
                let period = 2f64.powi(power);
                let name = u64::from(power.unsigned_abs());
                (stream.child(name), period, OCTAVE_SCALE * per_second * period.sqrt())
            })
            .collect();
        Self { octaves }
    }

    /// Value at `t` seconds.
    pub(crate) fn at(&self, t: f64) -> f64 {
        self.octaves.iter().map(|&(stream, period, amplitude)| amplitude * stream.wave(t, period)).sum()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let stream = Stream::new(7, 1);
        let values: Vec<f64> = (0..100_000).map(|at| stream.normal(at)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn a_path_is_as_volatile_as_asked_on_every_scale_and_comes_back() {
        let path = Path::new(Stream::new(7, 2), 0.13, 0, 23);
        for step in [4.0, 60.0, 900.0, 21_600.0] {
            let samples = 4_000;
            let variance = (0..samples)
                .map(|at| {
                    let t = 1.8e9 + f64::from(at) * step * 1.37;
                    (path.at(t + step) - path.at(t)).powi(2)
                })
                .sum::<f64>()
                / f64::from(samples);
            let volatility = (variance / step * YEAR_SECONDS).sqrt();
            assert!((0.09..0.17).contains(&volatility), "{step} s: {volatility}");
        }
        let far = (0..500).map(|day| path.at(f64::from(day) * 7.0 * 86_400.0).abs());
        assert!(far.fold(0.0, f64::max) < 0.15);
    }

    #[test]
    fn the_seed_decides_everything() {
        let value = |seed, name| Stream::new(seed, name).bits(5);
        assert_eq!(value(1, 1), value(1, 1));
        assert_ne!(value(1, 1), value(2, 1));
        assert_ne!(value(1, 1), value(1, 2));
    }
}
