//! Leases with fencing numbers: each name is held by one instance at a time, whatever the instances' clocks say.
//!
//! A lease is a row that expires by the **database's** clock. The holder counts its validity from before it asked,
//! on its own clock of elapsed time, so on its side a lease always ends before the database gives it away. Each
//! change of holder raises the lease's fence; [`LeaseGuard::fence_in`] makes a transaction fail if the fence in the
//! table is no longer ours, so not even a write that was under way when the lease ended can do harm.
//!
//! A [`LeaseKeeper`] holds an instance's fair share of a set of names: `names / live instances`, without a leader.
//!
//! What it does not cover: a step of the database's clock (a failover to a standby whose clock is minutes ahead ends
//! every lease early; for up to one `ttl` two instances may both believe), and a machine frozen with its clocks, such
//! as a restored snapshot. Writes that carry the fence are safe in both cases.

mod guard;
mod keeper;
#[cfg(test)]
mod model;
mod share;
mod table;
mod uptime;

use std::time::Duration;

pub use guard::{HeldLeases, LeaseGuard};
pub use keeper::LeaseKeeper;
pub use table::{LeaseRow, SCHEMA, list};
#[cfg(any(test, feature = "test-util"))]
pub use uptime::ManualUptime;
pub use uptime::{SystemUptime, Uptime};

/// How leases are kept.
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    /// The instance's name for people. A random part is added, so that two processes never pass for one.
    pub instance: String,
    /// How long a lease lasts in the database without being renewed: a dead instance's names are free after that.
    pub ttl: Duration,
    /// How often it is renewed: twice more before `ttl` is over.
    pub renew_every: Duration,
    /// How much earlier than the database the holder believes a lease to end. Covers clocks that run at different
    /// speeds and what a holder still does between looking at the lease and acting.
    pub margin: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long a name that is given to another instance stays ours in the database after it was withdrawn here:
    /// time to close its connections.
    pub hand_over: Duration,
    /// How long an instance must have lived before others give names up for it. A crashing one moves nothing.
    pub settle: Duration,
    /// The operator says that no other instance is ever started on this database: then leases do not end while the database
    /// is out of reach, for nobody could take them. Not believed while another instance is seen.
    pub sole: bool,
}

// === impl LeaseConfig ===

impl LeaseConfig {
    /// The defaults: a lease of 6 s renewed every 2 s.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            ttl: Duration::from_secs(6),
            renew_every: Duration::from_secs(2),
            margin: Duration::from_millis(500),
            request_timeout: Duration::from_millis(1500),
            hand_over: Duration::from_secs(1),
            settle: Duration::from_secs(10),
            sole: false,
        }
    }
}
