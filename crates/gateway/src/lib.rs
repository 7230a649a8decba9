//! gateway
mod config;
pub mod desired;
pub mod logging;
mod secret;
pub use config::*;
pub use secret::Secret;
