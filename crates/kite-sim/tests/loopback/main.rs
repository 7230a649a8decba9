//! The simulator over loopback, by a raw HTTP client and a WebSocket client.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod broken;
mod client;
mod doors;
mod faults;
mod life;
mod reads;
mod rest;
mod scale;
mod ticker;
mod tls;
