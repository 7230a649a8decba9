//! The best stack that can be assembled from crates: kiteconnect, implied-vol, textbook Greeks, serde_json, redis.

use std::collections::HashMap;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};
use kiteconnect::ticker::{Tick, parse_binary};
use serde::Serialize;

use crate::market::{Contract, Market, RATE};
use crate::sample::BATCH;

/// What is published of a tick.
#[derive(Serialize)]
pub struct PeerTick {
    /// Name of the instrument.
    pub tradingsymbol: String,
    /// As the official crate decodes it.
    pub tick: Tick,
    /// When the price has a volatility.
    pub greeks: Option<FlatGreeks>,
}

/// Volatility and the five.
#[derive(Serialize)]
pub struct FlatGreeks {
    pub iv: f64,
    pub delta: f64,
    pub gamma: f64,
    pub theta: f64,
    pub vega: f64,
    pub rho: f64,
}

/// The same without copies.
#[derive(Serialize)]
struct Published<'a> {
    tradingsymbol: &'a str,
    tick: &'a Tick,
    greeks: Option<FlatGreeks>,
}

/// Frames in, JSON arrays of [`BATCH`] ticks out.
pub struct Rival {
    contracts: HashMap<u32, (Contract, String, f64)>,
    message: Vec<u8>,
    ticks: usize,
}

// === impl Rival ===

impl Rival {
    /// Knows the contracts and, unlike the pipeline, the forwards.
    pub fn new(market: &Market) -> Self {
        let rows = market.contracts.iter().zip(market.catalog.instruments());
        let contract = |(contract, row): (&Contract, &market_model::Instrument)| {
            let forward = if &*row.name == "NIFTY" { 25_000.0 } else { 55_000.0 };
            (contract.token, (*contract, row.tradingsymbol.to_string(), forward))
        };
        Self { contracts: rows.map(contract).collect(), message: Vec::new(), ticks: 0 }
    }

    /// Takes a frame; answers the message when it is full.
    pub fn frame(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        for tick in parse_binary(frame) {
            let Some((contract, symbol, forward)) = self.contracts.get(&tick.instrument_token) else {
                continue;
            };
            let published =
                Published { tradingsymbol: symbol, greeks: greeks(contract, *forward, &tick), tick: &tick };
            self.message.push(if self.ticks == 0 { b'[' } else { b',' });
            serde_json::to_writer(&mut self.message, &published).unwrap_or_default();
            self.ticks += 1;
        }
        if self.ticks < BATCH {
            return None;
        }
        self.message.push(b']');
        self.ticks = 0;
        let next = Vec::with_capacity(self.message.len() + 1024);
        Some(std::mem::replace(&mut self.message, next))
    }
}

fn greeks(contract: &Contract, forward: f64, tick: &Tick) -> Option<FlatGreeks> {
    let depth = tick.depth.as_ref()?;
    let mid = 0.5 * (depth.buy.first()?.price + depth.sell.first()?.price);
    let Contract { strike, years, is_call, .. } = *contract;
    let iv = ImpliedBlackVolatility::builder()
        .option_price(mid * (RATE * years).exp())
        .forward(forward)
        .strike(strike)
        .expiry(years)
        .is_call(is_call)
        .build()?
        .calculate::<DefaultSpecialFn>()?;
    let sign = if is_call { 1.0 } else { -1.0 };
    let discount = (-RATE * years).exp();
    let s = iv * years.sqrt();
    let d1 = ((forward / strike).ln() + 0.5 * s * s) / s;
    let density = (-0.5 * d1 * d1).exp() / (2.0 * PI).sqrt();
    let normal = |z: f64| 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
    let (n1, n2) = (normal(sign * d1), normal(sign * (d1 - s)));
    let price = discount * sign * (forward * n1 - strike * n2);
    let vega = discount * forward * density * years.sqrt();
    Some(FlatGreeks {
        iv,
        delta: discount * sign * n1,
        gamma: discount * density / (forward * s),
        theta: (RATE * price - 0.5 * vega * iv / years) / 365.0,
        vega: vega / 100.0,
        rho: -years * price / 100.0,
    })
}
