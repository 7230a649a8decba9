//! Every task has an owner, a name and a reason for its end.

mod spawner;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Key, KeyName, Level, Metadata, Recorder};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::spawner::{NotSpawned, SpawnedTask, Spawner};

use self::spawner::{SpawnRequest, WAITING};
use crate::Backoff;
use crate::shutdown::{ShutdownCause, ShutdownReport};
use crate::status::{SupervisorStatus, TaskState, TaskStatus};
use crate::task::{RestartPolicy, Stage, StageId, TaskExit, TaskSpec};

/// Handles of the supervisor's metrics. Which task it was stands in the status list and the log.
#[derive(Debug, Clone)]
pub struct SupervisorMetrics {
    /// `task_restarts_total`.
    pub restarts: Counter,
    /// `task_panics_total`.
    pub panics: Counter,
}

/// Runs named tasks, restarts those that fail, and stops them in the order of the flow.
///
/// Dropping it aborts every task: nothing is ever detached.
pub struct Supervisor {
    pub(crate) stages: Vec<StageEntry>,
    pub(crate) tasks: Vec<TaskEntry>,
    pub(crate) running: JoinSet<TaskExit>,
    index_of: HashMap<Id, usize>,
    pub(crate) status: SupervisorStatus,
    metrics: SupervisorMetrics,
    spawner: Spawner,
    requests: mpsc::Receiver<SpawnRequest>,
}

pub(crate) struct StageEntry {
    pub(crate) stage: Stage,
    pub(crate) stop: CancellationToken,
}

pub(crate) struct TaskEntry {
    pub(crate) spec: TaskSpec,
    policy: RestartPolicy,
    /// Dropped as soon as no restart can follow, because it may own senders that keep the next stage alive.
    pub(crate) factory: Option<Factory>,
    backoff: Option<Backoff>,
    restarts: VecDeque<Instant>,
    started: Instant,
    pub(crate) restart_at: Option<Instant>,
    pub(crate) abort: Option<AbortHandle>,
    /// Ends this task alone.
    retired: CancellationToken,
}

pub(crate) type Factory = Arc<dyn Fn(CancellationToken) -> TaskFuture + Send + Sync>;
type TaskFuture = Pin<Box<dyn Future<Output = TaskExit> + Send>>;

// === impl Supervisor ===

impl Supervisor {
    /// Without stages and tasks.
    pub fn new(metrics: SupervisorMetrics) -> Self {
        let (sender, requests) = mpsc::channel(WAITING);
        Self {
            stages: Vec::new(),
            tasks: Vec::new(),
            running: JoinSet::new(),
            index_of: HashMap::new(),
            status: SupervisorStatus::default(),
            metrics,
            spawner: Spawner { requests: sender },
            requests,
        }
    }

    /// Starts tasks later, while [`Supervisor::run`] runs.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Adds a stage that stops after all stages added before.
    pub fn add_stage(&mut self, stage: Stage) -> StageId {
        self.stages.push(StageEntry { stage, stop: CancellationToken::new() });
        StageId(self.stages.len() - 1)
    }

    /// A handle on the list of tasks for health reports.
    pub fn status(&self) -> SupervisorStatus {
        self.status.clone()
    }

    /// Starts a task now and again after failures. `factory` makes a fresh run each time; it is dropped when no
    /// restart can follow, so it may own the sender to the next stage.
    ///
    /// # Panics
    /// Outside a tokio runtime, and when `spec.stage` belongs to another supervisor.
    pub fn spawn<F, R>(&mut self, spec: TaskSpec, policy: RestartPolicy, factory: F)
    where
        F: Fn(CancellationToken) -> R + Send + Sync + 'static,
        R: Future<Output = TaskExit> + Send + 'static,
    {
        let factory: Factory = Arc::new(move |stop| Box::pin(factory(stop)));
        let index = self.add_task(spec, policy, Some(factory), CancellationToken::new());
        self.start(index);
    }

    /// Starts a task that is never started again.
    ///
    /// # Panics
    /// As [`Supervisor::spawn`].
    pub fn spawn_once<F, R>(&mut self, spec: TaskSpec, task: F)
    where
        F: FnOnce(CancellationToken) -> R + Send + 'static,
        R: Future<Output = TaskExit> + Send + 'static,
    {
        let index = self.add_task(spec, RestartPolicy::Never, None, CancellationToken::new());
        let stop = self.stop_token(index);
        self.launch(index, async move { task(stop).await });
    }

    /// Supervises until `shutdown` is cancelled or a critical task ends for good; then stops stage by stage.
    ///
    /// # Cancel safety
    /// Dropping the future aborts every task without the orderly stop.
    pub async fn run(mut self, shutdown: CancellationToken) -> ShutdownReport {
        let cause = self.supervise(&shutdown).await;
        self.refuse_requests();
        self.stop_in_stages(cause).await
    }

    async fn supervise(&mut self, shutdown: &CancellationToken) -> ShutdownCause {
        loop {
            let restart_at = self.tasks.iter().filter_map(|task| task.restart_at).min();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return ShutdownCause::Requested,
                Some(joined) = self.running.join_next_with_id() => {
                    if let Some(index) = self.ended(joined)
                        && let Some(cause) = self.restart_or_give_up(index)
                    {
                        return cause;
                    }
                }
                Some(request) = self.requests.recv() => {
                    let SpawnRequest { spec, policy, factory, retired } = request;
                    let index = self.add_task(spec, policy, Some(factory), retired);
                    self.start(index);
                }
                () = sleep_until(restart_at.unwrap_or_else(Instant::now)), if restart_at.is_some() => {
                    self.restart_due();
                }
            }
        }
    }

    /// From now on nothing is spawned. What waited is dropped, with whatever its factory holds: a later stage may be waiting
    /// for the end of a channel.
    fn refuse_requests(&mut self) {
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
    }

    /// Books the end of one run; answers which task it was.
    pub(crate) fn ended(&mut self, joined: Result<(Id, TaskExit), JoinError>) -> Option<usize> {
        let (id, exit) = match joined {
            Ok(ended) => ended,
            Err(failure) => (failure.id(), TaskExit::of_failure(failure)),
        };
        let index = self.index_of.remove(&id)?;
        let panicked = matches!(exit, TaskExit::Panicked(_));
        if panicked {
            self.metrics.panics.increment(1);
            error!(task = %self.tasks[index].spec.name, %exit, "task panicked");
        }
        self.tasks[index].abort = None;
        self.status.update(index, |status| {
            status.state = TaskState::Ended;
            status.since = Instant::now();
            status.panics += u64::from(panicked);
            status.last_exit = Some(exit);
        });
        Some(index)
    }

    fn restart_or_give_up(&mut self, index: usize) -> Option<ShutdownCause> {
        let exit = self.status.last_exit(index)?;
        let now = Instant::now();
        let task = &mut self.tasks[index];
        if let Some(after) = task.restart_delay(&exit, now) {
            warn!(task = %task.spec.name, %exit, ?after, "task failed, it will be started again");
            task.restart_at = Some(now + after);
            self.status.update(index, |status| status.state = TaskState::Restarting { after });
            return None;
        }
        task.factory = None;
        if !task.spec.critical {
            info!(task = %task.spec.name, %exit, "task ended");
            return None;
        }
        error!(task = %task.spec.name, %exit, "critical task ended unasked, shutting down");
        Some(ShutdownCause::TaskEnded { task: task.spec.name.clone(), exit })
    }

    fn restart_due(&mut self) {
        let now = Instant::now();
        for index in 0..self.tasks.len() {
            if self.tasks[index].restart_at.is_some_and(|at| at <= now) {
                self.tasks[index].restart_at = None;
                self.metrics.restarts.increment(1);
                self.status.update(index, |status| status.restarts += 1);
                self.start(index);
            }
        }
    }

    fn add_task(
        &mut self,
        spec: TaskSpec,
        policy: RestartPolicy,
        factory: Option<Factory>,
        retired: CancellationToken,
    ) -> usize {
        let index = self.place_of(&spec.name);
        let backoff = match policy {
            RestartPolicy::Never => None,
            RestartPolicy::OnFailure { backoff, .. } => Some(Backoff::new(backoff, index as u64)),
        };
        let status = TaskStatus {
            name: spec.name.clone(),
            stage: self.stages[spec.stage.0].stage.name,
            critical: spec.critical,
            state: TaskState::Running,
            since: Instant::now(),
            restarts: 0,
            panics: 0,
            last_exit: None,
        };
        let entry = TaskEntry {
            spec,
            policy,
            factory,
            backoff,
            restarts: VecDeque::new(),
            started: Instant::now(),
            restart_at: None,
            abort: None,
            retired,
        };
        self.status.place(index, status);
        match self.tasks.get_mut(index) {
            Some(ended) => *ended = entry,
            None => self.tasks.push(entry),
        }
        index
    }

    /// Where a task called `name` goes: in the place of an ended one of that name, else at the end.
    fn place_of(&self, name: &str) -> usize {
        let ended =
            |task: &TaskEntry| *task.spec.name == *name && task.abort.is_none() && task.restart_at.is_none();
        self.tasks.iter().position(ended).unwrap_or(self.tasks.len())
    }

    fn start(&mut self, index: usize) {
        let Some(factory) = self.tasks[index].factory.clone() else {
            return;
        };
        let (stop, retired) = (self.stop_token(index), self.tasks[index].retired.clone());
        // Called inside the task, so that a panic of the factory is caught like one of the run.
        self.launch(index, async move {
            let mut run = factory(stop.clone());
            drop(factory);
            tokio::select! {
                exit = &mut run => return exit,
                () = retired.cancelled() => stop.cancel(),
            }
            run.await
        });
    }

    fn launch(&mut self, index: usize, run: impl Future<Output = TaskExit> + Send + 'static) {
        let abort = self.running.spawn(run);
        self.index_of.insert(abort.id(), index);
        let now = Instant::now();
        self.tasks[index].abort = Some(abort);
        self.tasks[index].started = now;
        self.status.update(index, |status| {
            status.state = TaskState::Running;
            status.since = now;
        });
    }

    fn stop_token(&self, index: usize) -> CancellationToken {
        self.stages[self.tasks[index].spec.stage.0].stop.child_token()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("tasks", &self.tasks.len())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

// === impl TaskEntry ===

impl TaskEntry {
    /// How long to wait before the next run; `None` when there is none.
    fn restart_delay(&mut self, exit: &TaskExit, now: Instant) -> Option<Duration> {
        let RestartPolicy::OnFailure { max_restarts, window, .. } = self.policy else {
            return None;
        };
        if !matches!(exit, TaskExit::Failed(_) | TaskExit::Panicked(_)) || self.retired.is_cancelled() {
            return None;
        }
        while self.restarts.front().is_some_and(|&at| now.saturating_duration_since(at) >= window) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= max_restarts as usize {
            return None;
        }
        let backoff = self.backoff.as_mut()?;
        if now.saturating_duration_since(self.started) >= window {
            backoff.reset();
        }
        self.restarts.push_back(now);
        Some(backoff.next())
    }
}

// === impl SupervisorMetrics ===

impl SupervisorMetrics {
    /// Registers the counters.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let metadata = Metadata::new("resilience", Level::INFO, Some(module_path!()));
        let counter = |name: &'static str| {
            recorder.register_counter(&Key::from_name(KeyName::from_const_str(name)), &metadata)
        };
        Self { restarts: counter("task_restarts_total"), panics: counter("task_panics_total") }
    }

    /// Counts nothing.
    pub fn noop() -> Self {
        Self { restarts: Counter::noop(), panics: Counter::noop() }
    }
}

#[cfg(test)]
mod tests;
