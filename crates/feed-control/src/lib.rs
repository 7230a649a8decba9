//! From wishes to assignments over accounts and connections.
//!
//! ```
//! // Nothing to see yet.
//! ```
