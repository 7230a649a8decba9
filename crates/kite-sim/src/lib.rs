//! A simulated Kite on loopback: REST and ticker of the broker's public interface over a made-up market that is open at
//! any hour, needs no credentials, and is decided by a seed.
//!
//! It refuses to know who its clients are: it speaks Kite's protocol and nothing else of ours, so whatever works against
//! it works for the same reasons as against the real server. What the real server does not have lives under `/sim`.
//!
//! Prices are pure functions of seed and instant. Indices, shares, futures and whole option chains hang together: one
//! common factor, futures at carry, options by Black-76 on the forward of their expiry with a smile.
//!
//! ```
//! use kite_sim::{SimConfig, Simulator};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), kite_sim::SimError> {
//! let simulator = Simulator::bind(SimConfig::default(), "127.0.0.1:0".parse().unwrap()).await?;
//! println!("REST at http://{0}, ticker at ws://{0}", simulator.addr());
//! let shutdown = CancellationToken::new();
//! let stop = shutdown.clone();
//! tokio::join!(simulator.run(shutdown), async move { stop.cancel() });
//! # Ok(())
//! # }
//! ```

mod accounts;
mod candles;
mod clock;
mod config;
mod door;
mod engine;
mod error;
mod fault;
mod faults;
mod ledger;
mod limits;
mod listing;
mod load;
mod market;
mod model;
mod packets;
mod random;
mod replay;
mod rest;
mod rules;
mod sent;
mod server;
mod socket;
mod subscriptions;
mod symbols;
mod ticker;
mod truth;
mod web;

pub use clock::{ClockRunsForward, SimClock};
pub use config::{
    App, Limits, LoadConfig, LotRevision, MarketConfig, PlannedMove, Sessions, SimConfig, WholeMarket,
};
pub use error::SimError;
pub use fault::{Door, Fault, FaultId, FaultPlan, Target, fault_script};
pub use faults::{FaultCounts, FaultReport, FaultState, Faults};
pub use replay::{FrameSource, ReplayConfig, ReplayStart, SourceFrame};
pub use server::Simulator;
