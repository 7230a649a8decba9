//! The ticker against a scripted server: in memory with paused time, and over loopback TCP and TLS.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

mod chaos;
mod feed;
mod loopback;
mod rate;
mod reconnect;
mod rig;
mod rotation;
mod server;
mod storm;
mod subscriptions;
mod tap;
mod token;
