//! Which instruments exist, today and on any past day.
//!
//! ```
//! // Nothing to see yet.
//! ```
