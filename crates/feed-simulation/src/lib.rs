//! The whole way of a tick, from a server's socket through ticker, pipeline and queues to sinks, on virtual time and a
//! simulated network: one seed decides settings, faults and every delay, and what must hold is checked after each run.
//!
//! This crate refuses to know real time, real sockets and real randomness, and how the parts under test work inside:
//! it sees what any user of them sees. It is for tests only.
//!
//! ```
//! use feed_simulation::{Plan, Trace, run_plan};
//!
//! let plan = Plan::new(7);
//! let report = run_plan(&plan, &Trace::default());
//! assert!(report.violations.is_empty(), "{report}");
//! assert!(report.elapsed >= plan.calm_at);
//! ```

mod clock;
mod delivery;
mod fault;
mod gateway;
mod market;
mod network;
mod plan;
mod random;
mod run;
mod server;
mod sink;
mod story;
mod tap;
mod trace;
mod verdict;

pub use fault::Fault;
pub use plan::Plan;
pub use run::{Report, run_plan};
pub use server::{Ending, Garbage, ServerConfig};
pub use trace::Trace;
