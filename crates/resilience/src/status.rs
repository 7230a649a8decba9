//! What the supervised tasks are doing, for health reports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::task::TaskExit;

/// What a task is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It runs.
    Running,
    /// It failed and will be started again after this delay.
    Restarting {
        /// Counted from [`TaskStatus::since`].
        after: Duration,
    },
    /// It ended and will not be started again.
    Ended,
}

/// One task as a health report shows it.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The stage it stops in.
    pub stage: &'static str,
    /// Whether its unexpected end stops the whole process.
    pub critical: bool,
    /// What it is doing.
    pub state: TaskState,
    /// Since when.
    pub since: Instant,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it panicked.
    pub panics: u64,
    /// How it ended last, if it ever did.
    pub last_exit: Option<TaskExit>,
}

/// A handle on the list of tasks; cheap to clone, usable after the supervisor has ended.
#[derive(Debug, Clone, Default)]
pub struct SupervisorStatus {
    tasks: Arc<Mutex<Vec<TaskStatus>>>,
}

impl SupervisorStatus {
    /// Every task in the order they were spawned.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        self.lock().clone()
    }

    /// Names of critical tasks that do not run now: what a readiness probe should complain about.
    pub fn not_running(&self) -> Vec<Arc<str>> {
        let tasks = self.lock();
        let down = tasks.iter().filter(|task| task.critical && task.state != TaskState::Running);
        down.map(|task| task.name.clone()).collect()
    }

    pub(crate) fn place(&self, index: usize, task: TaskStatus) {
        let mut tasks = self.lock();
        match tasks.get_mut(index) {
            Some(former) => *former = task,
            None => tasks.push(task),
        }
    }

    pub(crate) fn update(&self, index: usize, change: impl FnOnce(&mut TaskStatus)) {
        if let Some(task) = self.lock().get_mut(index) {
            change(task);
        }
    }

    pub(crate) fn last_exit(&self, index: usize) -> Option<TaskExit> {
        self.lock().get(index)?.last_exit.clone()
    }

    pub(crate) fn end(&self, index: usize) {
        self.update(index, |task| task.state = TaskState::Ended);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TaskStatus>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskState {
    /// The word used in health reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting { .. } => "restarting",
            Self::Ended => "ended",
        }
    }
}
