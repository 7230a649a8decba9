//! The REST client against a scripted Kite: every refusal, every way a connection can fail, and what is known afterwards.

#![expect(clippy::unwrap_used, reason = "tests")]

mod double;
mod dumps;
mod network;
mod orders;
mod reads;
mod stack;
