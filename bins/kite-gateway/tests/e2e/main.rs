//! The shipped program against real clients, real services and faults.

#![expect(clippy::unwrap_used, reason = "tests")]

mod accounts;
mod clients;
mod consumer;
mod deployments;
mod elsewhere;
mod failover;
mod fake_kite;
mod faults;
mod http;
mod instances;
mod page;
mod process;
mod recording;
mod redis;
mod rekey;
mod sim;
mod start;
