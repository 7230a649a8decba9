//! Broker accounts: sealed credentials, token life, leases, pacing and failover.
//!
//! ```
//! // Nothing to see yet.
//! ```
