//! The one type of text that must never be shown.

pub use account_pool::Secret;
