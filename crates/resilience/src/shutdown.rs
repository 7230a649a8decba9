//! Shutdown in the order of the flow: each stage gets its time, and who was late is named.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::supervisor::Supervisor;
use crate::task::{StopBy, TaskExit};

/// How long a task has after its cancellation or abort takes hold, beyond the stage's deadline.
const GRACE: Duration = Duration::from_millis(250);

/// Why the supervisor stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownCause {
    /// It was told to.
    Requested,
    /// A critical task ended and nobody had asked for it.
    TaskEnded {
        /// The task's name.
        task: Arc<str>,
        /// How it ended.
        exit: TaskExit,
    },
}

/// How one stage stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReport {
    /// The stage's name.
    pub stage: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Tasks that did not end before the deadline and were aborted.
    pub late: Vec<Arc<str>>,
}

/// How everything stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Why.
    pub cause: ShutdownCause,
    /// Stage by stage, in the order they stopped.
    pub stages: Vec<StageReport>,
}

// === impl ShutdownReport ===

impl ShutdownReport {
    /// Whether it was asked for and nobody was late.
    pub fn is_clean(&self) -> bool {
        self.cause == ShutdownCause::Requested && self.late().next().is_none()
    }

    /// Names of all tasks that were late.
    pub fn late(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().flat_map(|stage| stage.late.iter()).map(|name| &**name)
    }
}

impl fmt::Display for ShutdownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::TaskEnded { task, exit } => write!(f, "task {task} ended: {exit}"),
        }
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(crate) async fn stop_in_stages(mut self, cause: ShutdownCause) -> ShutdownReport {
        info!(%cause, "shutting down");
        for task in &mut self.tasks {
            // No restart from here on. A factory may own a sender that would keep the next stage waiting.
            task.factory = None;
            task.restart_at = None;
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].abort.is_none() {
                self.status.end(index);
            }
        }
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in 0..self.stages.len() {
            stages.push(self.stop_stage(stage).await);
        }
        ShutdownReport { cause, stages }
    }

    async fn stop_stage(&mut self, at: usize) -> StageReport {
        let started = Instant::now();
        let stage = self.stages[at].stage;
        if stage.stop_by == StopBy::Cancel {
            self.stages[at].stop.cancel();
        }
        self.wait_for_stage(at, started + stage.deadline).await;
        let late: Vec<usize> = self.running_in(at).collect();
        if !late.is_empty() {
            self.stages[at].stop.cancel();
            if stage.stop_by == StopBy::InputClosed {
                self.wait_for_stage(at, Instant::now() + GRACE).await;
            }
            for abort in late.iter().filter_map(|&index| self.tasks[index].abort.as_ref()) {
                abort.abort();
            }
            self.wait_for_stage(at, Instant::now() + GRACE).await;
        }
        let report = StageReport {
            stage: stage.name,
            took: started.elapsed(),
            late: late.iter().map(|&index| self.tasks[index].spec.name.clone()).collect(),
        };
        if report.late.is_empty() {
            info!(stage = report.stage, took = ?report.took, "stage stopped");
        } else {
            warn!(stage = report.stage, took = ?report.took, late = ?report.late, "stage stopped late");
        }
        report
    }

    /// Returns when no task of the stage runs, or at `deadline`.
    async fn wait_for_stage(&mut self, at: usize, deadline: Instant) {
        while self.running_in(at).next().is_some() {
            match timeout_at(deadline, self.running.join_next_with_id()).await {
                Ok(Some(joined)) => {
                    self.ended(joined);
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn running_in(&self, at: usize) -> impl Iterator<Item = usize> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter(move |(_, task)| task.spec.stage.0 == at && task.abort.is_some()).map(|(index, _)| index)
    }
}
