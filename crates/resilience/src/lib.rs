//! How we behave when something else fails: the one circuit breaker, the one backoff, the task supervisor and
//! shutdown in the order of the flow.
//!
//! This crate refuses to know what it protects: no broker, no database, no HTTP. Time is passed in or is tokio's,
//! so every behaviour can be tested with paused time.
//!
//! ```
//! use std::time::Duration;
//! use resilience::{Stage, Supervisor, SupervisorMetrics, TaskExit, TaskSpec};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let mut supervisor = Supervisor::new(SupervisorMetrics::noop());
//! let sources = supervisor.add_stage(Stage::cancelled("sources", Duration::from_secs(5)));
//! supervisor.spawn_once(TaskSpec::critical("ticker", sources), |stop| async move {
//!     stop.cancelled().await;
//!     TaskExit::Cancelled
//! });
//! let shutdown = CancellationToken::new();
//! shutdown.cancel(); // usually by SIGTERM
//! assert!(supervisor.run(shutdown).await.is_clean());
//! # }
//! ```

mod backoff;
mod breaker;
mod shutdown;
mod status;
mod supervisor;
mod task;

pub use backoff::{Backoff, BackoffConfig};
pub use breaker::{BreakerConfig, BreakerMetrics, BreakerState, CircuitBreaker, CircuitOpen, Permit};
pub use shutdown::{ShutdownCause, ShutdownReport, StageReport};
pub use status::{SupervisorStatus, TaskState, TaskStatus};
pub use supervisor::{NotSpawned, SpawnedTask, Spawner, Supervisor, SupervisorMetrics};
pub use task::{RestartPolicy, Stage, StageId, StopBy, TaskExit, TaskSpec};
