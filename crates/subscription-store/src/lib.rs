//! Who wants which instrument or ladder in which mode, durable.
//!
//! ```
//! // Nothing to see yet.
//! ```
