//! What a task is: its name, its stage, what happens when it fails, and why it ended.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

use crate::BackoffConfig;

/// Why a task ended. Tasks return the first three; the supervisor makes the fourth out of a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskExit {
    /// Nothing more can arrive: the stage before it has ended.
    InputClosed,
    /// It was told to stop and did.
    Cancelled,
    /// It could not go on, and why.
    Failed(String),
    /// It panicked, with the panic's message.
    Panicked(String),
}

/// What happens when a task fails or panics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RestartPolicy {
    /// It stays down.
    Never,
    /// It is started again after a growing delay, until it has failed too often.
    OnFailure {
        /// The delays. They start again from the first one when a run has lasted for `window`.
        backoff: BackoffConfig,
        /// The ceiling: with this many restarts inside `window` behind it, the next failure is final.
        max_restarts: u32,
        /// How far back restarts count.
        window: Duration,
    },
}

/// How the tasks of a stage are brought to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopBy {
    /// Their token is cancelled: sources, listeners, timers.
    Cancel,
    /// They end by themselves when the stage before them has dropped its senders. Their token is cancelled only when
    /// the deadline has passed.
    InputClosed,
}

/// Tasks that stop together. Stages stop in the order they were added, which should be the order of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Its name in logs and reports.
    pub name: &'static str,
    /// How its tasks are brought to an end.
    pub stop_by: StopBy,
    /// How long they may take. Who is later is reported and aborted.
    pub deadline: Duration,
}

/// Names a stage of one supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) usize);

/// What to call a task and how much it matters.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// Its name in logs and reports.
    pub name: Arc<str>,
    /// The stage it stops in.
    pub stage: StageId,
    /// Whether the process makes no sense without it: its final end, unasked for, starts an orderly shutdown.
    pub critical: bool,
}

// === impl TaskExit ===

impl fmt::Display for TaskExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputClosed => f.write_str("input closed"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

impl TaskExit {
    /// What the end of a task that returned nothing means.
    pub(crate) fn of_failure(failure: JoinError) -> Self {
        if failure.is_cancelled() {
            return TaskExit::Cancelled;
        }
        match failure.try_into_panic() {
            Ok(payload) => TaskExit::Panicked(panic_message(payload.as_ref())),
            Err(other) => TaskExit::Failed(other.to_string()),
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

// === impl Stage, TaskSpec ===

impl Stage {
    /// A stage whose tasks are told to stop.
    pub const fn cancelled(name: &'static str, deadline: Duration) -> Self {
        Self { name, stop_by: StopBy::Cancel, deadline }
    }

    /// A stage whose tasks end when the stage before them has.
    pub const fn drained(name: &'static str, deadline: Duration) -> Self {
        Self { name, stop_by: StopBy::InputClosed, deadline }
    }
}

impl TaskSpec {
    /// A task without which the process makes no sense.
    pub fn critical(name: impl Into<Arc<str>>, stage: StageId) -> Self {
        Self { name: name.into(), stage, critical: true }
    }

    /// A task that may end while the rest goes on.
    pub fn optional(name: impl Into<Arc<str>>, stage: StageId) -> Self {
        Self { name: name.into(), stage, critical: false }
    }
}
