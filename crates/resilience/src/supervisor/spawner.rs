//! Tasks that begin and end while the supervisor runs: one for each account, for instance.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::supervisor::Factory;
use crate::task::{RestartPolicy, TaskExit, TaskSpec};

/// Requests that may wait for the supervisor, which takes them at once unless it is stopping.
pub(crate) const WAITING: usize = 256;

/// Starts tasks from anywhere while the supervisor runs. Clones start tasks of the same supervisor.
#[derive(Clone)]
pub struct Spawner {
    pub(crate) requests: mpsc::Sender<SpawnRequest>,
}

/// A task to start.
pub(crate) struct SpawnRequest {
    pub(crate) spec: TaskSpec,
    pub(crate) policy: RestartPolicy,
    pub(crate) factory: Factory,
    pub(crate) retired: CancellationToken,
}

/// Ends a task that a [`Spawner`] started. Dropping it does not.
#[derive(Debug, Clone)]
pub struct SpawnedTask {
    retired: CancellationToken,
}

/// The supervisor is stopping, has ended, or has too many requests before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no task can be started: the supervisor is stopping or overloaded")]
pub struct NotSpawned;

// === impl Spawner ===

impl Spawner {
    /// Starts a task as [`Supervisor::spawn`](crate::Supervisor::spawn) does, once the supervisor runs. A name that
    /// belonged to an ended task is its own again: the list of tasks does not grow.
    ///
    /// # Errors
    /// [`NotSpawned`] when the supervisor takes no more tasks.
    pub fn spawn<F, R>(
        &self,
        spec: TaskSpec,
        policy: RestartPolicy,
        factory: F,
    ) -> Result<SpawnedTask, NotSpawned>
    where
        F: Fn(CancellationToken) -> R + Send + Sync + 'static,
        R: Future<Output = TaskExit> + Send + 'static,
    {
        let retired = CancellationToken::new();
        let factory: Factory = Arc::new(move |stop| Box::pin(factory(stop)));
        let request = SpawnRequest { spec, policy, factory, retired: retired.clone() };
        self.requests.try_send(request).map_err(|_| NotSpawned)?;
        Ok(SpawnedTask { retired })
    }
}

// === impl SpawnedTask ===

impl SpawnedTask {
    /// Cancels the token of this task's run, and of no other; it is not started again.
    pub fn retire(&self) {
        self.retired.cancel();
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").field("closed", &self.requests.is_closed()).finish_non_exhaustive()
    }
}
