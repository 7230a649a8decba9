//! Settings of the enrichment.

use std::time::Duration;

use super::forward::ForwardHysteresis;
use super::quote::SpreadRule;

/// How forwards and Greeks are found.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichmentConfig {
    /// Discount rate, a fraction per year, continuously compounded.
    pub rate: f64,
    /// Yield of the underlying for the carry of a spot, a fraction per year, continuously compounded.
    pub dividend_yield: f64,
    /// When a quote is good enough.
    pub spread: SpreadRule,
    /// How many strikes on each side of the money the parity forward may look at.
    pub parity_reach: usize,
    /// How many strikes must agree before parity is believed.
    pub parity_min_strikes: usize,
    /// Largest standard error of the parity forward, as a fraction of it.
    pub parity_max_error: f64,
    /// When one forward source replaces another.
    pub hysteresis: ForwardHysteresis,
    /// A chain is looked through, and options that were not published since the last time are published for their
    /// forward, at most this often.
    pub refresh_interval: Duration,
    /// How many strikes of such chains are looked through at once, so that ticks never wait for a whole market; the
    /// other chains follow in the next polls, each in its turn. One chain is always looked through.
    pub refresh_strikes: usize,
    /// An option is published without a tick when its forward moved by more than this fraction of itself since it
    /// was last published, ...
    pub refresh_forward_move: f64,
    /// ... or its volatility by more than this (the other side of the strike ticked), ...
    pub refresh_iv_move: f64,
    /// ... or its time to expiry shrank by more than this fraction of itself.
    pub refresh_time_step: f64,
    /// How long another worker's spot, future or parity forward is current without being vouched for again.
    pub shared_max_age: Duration,
}

impl Default for EnrichmentConfig {
    fn default() -> Self {
        Self {
            rate: 0.065,
            // The yield of the NIFTY 50; matters only while neither parity nor a future is known.
            dividend_yield: 0.012,
            spread: SpreadRule::default(),
            parity_reach: 8,
            parity_min_strikes: 3,
            // 12 points of NIFTY: more would move at-the-money volatility by more than the quote's own spread.
            parity_max_error: 5e-4,
            hysteresis: ForwardHysteresis::default(),
            // The broker sends an instrument at most twice a second: Greeks are as fresh as the price beside them.
            refresh_interval: Duration::from_millis(500),
            // Some tenths of a millisecond of work; at a poll each 5 ms enough for 100,000 strikes an interval.
            refresh_strikes: 1000,
            // A bit more than a point of NIFTY, which it moves about once a second: the delta of an option changes in
            // the third decimal at most.
            refresh_forward_move: 5e-5,
            // A twentieth of a volatility point: what people round to.
            refresh_iv_move: 5e-4,
            // One part in 500 of the time is one part in 1000 of the volatility.
            refresh_time_step: 2e-3,
            // Owners vouch every refresh interval; ten missed rounds mean the owner is gone.
            shared_max_age: Duration::from_secs(5),
        }
    }
}
