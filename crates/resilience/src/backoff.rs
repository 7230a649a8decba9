//! Growing, jittered, capped delays between tries.

use std::time::Duration;

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffConfig {
    /// The first delay.
    pub initial: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// Each delay is this many times the one before; values below 1 count as 1.
    pub multiplier: f64,
    /// Which part of a delay is random, from 0 (none) to 1 (anything between nothing and the whole delay).
    pub jitter: f64,
}

impl Default for BackoffConfig {
    /// 500 ms doubling to 30 s, a fifth of it random.
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            multiplier: 2.0,
            jitter: 0.2,
        }
    }
}

/// The delays of one thing that is tried again and again. It never ends; whoever uses it decides when to give up.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// Starts at the first delay. Two with the same seed give the same delays; give each connection its own seed
    /// so that they do not return together.
    pub const fn new(config: BackoffConfig, seed: u64) -> Self {
        Self {
            config,
            attempt: 0,
            // Spread neighbouring seeds over the whole range; xorshift must not start at zero.
            random: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// How many delays were taken since the start or the last [`Backoff::reset`].
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Goes back to the first delay, after a success that lasted.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Takes the next delay, never longer than `max`.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence with a reset is not an iterator")]
    pub fn next(&mut self) -> Duration {
        let cap = self.config.max.as_secs_f64();
        let growth = self.config.multiplier.max(1.0).powi(self.attempt.min(1000) as i32);
        // `initial * inf` is inf and `0 * inf` is NaN; `min` turns both into the cap.
        let whole = (self.config.initial.as_secs_f64() * growth).min(cap);
        self.attempt = self.attempt.saturating_add(1);
        let random_part = whole * self.config.jitter.clamp(0.0, 1.0);
        Duration::from_secs_f64(whole - random_part * self.random_fraction())
    }

    /// In `[0, 1)`, from an xorshift64* generator.
    fn random_fraction(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let mixed = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(jitter: f64) -> BackoffConfig {
        BackoffConfig {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(10),
            multiplier: 2.0,
            jitter,
        }
    }

    #[test]
    fn delays_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new(config(0.0), 7);
        let seconds: Vec<u64> = (0..6).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.attempt(), 6);
        backoff.reset();
        assert_eq!(backoff.next(), Duration::from_secs(1));
    }

    #[test]
    fn jitter_only_shortens_and_depends_on_the_seed_alone() {
        let take = |seed| {
            let mut backoff = Backoff::new(config(0.5), seed);
            (0..2000).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        let tail = &take(1)[4..];
        assert!(tail.iter().all(|delay| (5.0..=10.0).contains(&delay.as_secs_f64())));
        let spread = tail.iter().max().unwrap().as_secs_f64() - tail.iter().min().unwrap().as_secs_f64();
        assert!(spread > 4.5, "jitter covers its range: {spread}");
    }

    #[test]
    fn a_million_tries_do_not_overflow() {
        let mut backoff = Backoff::new(config(0.0), 0);
        for _ in 0..1_000_000 {
            assert!(backoff.next() <= Duration::from_secs(10));
        }
    }
}
