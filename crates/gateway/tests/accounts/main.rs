//! Accounts end to end: a gateway in this process against a simulated broker, asked over HTTP.

#![expect(clippy::unwrap_used, reason = "tests")]

mod add;
mod address;
mod automatic;
mod capacity;
mod house;
mod import;
mod orders;
mod service;
