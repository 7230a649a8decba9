//! gateway
mod config;
mod secret;
pub use config::*;
pub use secret::Secret;
