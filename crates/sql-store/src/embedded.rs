//! The embedded engine: one SQLite file, one thread that writes, a few that read.

mod connection;
mod fault;
mod lock;
mod reader;
mod run;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::atomic::{Done, Step};
use crate::migrate::Schema;
use crate::{EmbeddedConfig, StoreError, StoreMetrics};

/// The file, open. Its threads end, and are waited for, when it is closed or dropped.
#[derive(Debug)]
pub(crate) struct EmbeddedEngine {
    config: EmbeddedConfig,
    /// `None` once closed.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    writes: mpsc::Sender<Job>,
    reads: mpsc::Sender<Job>,
    threads: Vec<JoinHandle<()>>,
    /// Released last.
    _lock: lock::FileLock,
}

/// What a thread is asked to do.
pub(crate) enum Job {
    Run(Call),
    Migrate { schemas: Vec<Schema>, deadline: Instant, answer: oneshot::Sender<Result<(), StoreError>> },
}

/// Steps that happen together, and who waits for them.
pub(crate) struct Call {
    steps: Vec<Step>,
    limit: Duration,
    deadline: Instant,
    answer: oneshot::Sender<Result<Vec<Done>, StoreError>>,
}

// === impl EmbeddedEngine ===

impl EmbeddedEngine {
    pub(crate) async fn open(config: EmbeddedConfig, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let file: Arc<Path> = config.path.clone().into();
        let lock = lock::FileLock::take(&file).await?;
        let (writes, write_jobs) = mpsc::channel(config.queue.max(1));
        let (reads, read_jobs) = mpsc::channel(config.queue.max(1));
        let (opened, is_open) = oneshot::channel();
        let settings = writer::Settings { durable: config.durable, group: config.group.max(1), metrics };
        let mut threads = Vec::new();
        threads.push(start("database-writer", &file, {
            let file = file.clone();
            move || writer::run(&file, &settings, write_jobs, opened)
        })?);
        let failed = match is_open.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(stopped(&file)),
        };
        if let Some(error) = failed {
            drop(writes);
            threads.into_iter().for_each(join);
            return Err(error);
        }
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        for _ in 0..config.readers.max(1) {
            let (file_here, jobs) = (file.clone(), read_jobs.clone());
            threads.push(start("database-reader", &file, move || reader::run(&file_here, &jobs))?);
        }
        let running = Running { writes, reads, threads, _lock: lock };
        Ok(Self { config, running: Mutex::new(Some(running)) })
    }

    pub(crate) async fn run(
        &self,
        steps: Vec<Step>,
        timeout: Option<Duration>,
    ) -> Result<Vec<Done>, StoreError> {
        let limit = timeout.unwrap_or(self.config.statement_timeout);
        let writes = steps.iter().any(Step::may_write);
        let name = steps.first().map_or("nothing", |step| step.statement.name);
        let queue = self.queue(writes)?;
        // A place first, so that the limit counts from when the call is taken.
        let place = self.place(&queue).await?;
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + limit;
        place.send(Job::Run(Call { steps, limit, deadline, answer }));
        // The thread stops a statement at the deadline; past that it hangs in the system.
        match tokio::time::timeout(limit + HANG, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(stopped(&self.config.path)),
            Err(_) => {
                Err(StoreError::Timeout { statement: name, limit, answered: false, may_have_run: writes })
            }
        }
    }

    pub(crate) async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        let queue = self.queue(true)?;
        let place = self.place(&queue).await?;
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.config.migration_timeout;
        place.send(Job::Migrate { schemas: schemas.to_vec(), deadline, answer });
        answered.await.unwrap_or_else(|_| Err(stopped(&self.config.path)))
    }

    pub(crate) async fn close(&self) {
        let Some(running) = self.lock().take() else { return };
        // Joining blocks for as long as the calls under way take.
        let _ = tokio::task::spawn_blocking(move || drop(running)).await;
    }

    fn queue(&self, writes: bool) -> Result<mpsc::Sender<Job>, StoreError> {
        let running = self.lock();
        let running = running.as_ref().ok_or(StoreError::Closed)?;
        Ok(if writes { running.writes.clone() } else { running.reads.clone() })
    }

    async fn place<'a>(&self, queue: &'a mpsc::Sender<Job>) -> Result<mpsc::Permit<'a, Job>, StoreError> {
        let waited = self.config.acquire_timeout;
        match tokio::time::timeout(waited, queue.reserve()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(stopped(&self.config.path)),
            Err(_) => Err(StoreError::PoolExhausted { waited }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much longer than the limit a call waits for the thread that stops it.
const HANG: Duration = Duration::from_millis(500);

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        let closed = mpsc::channel(1).0;
        self.writes = closed.clone();
        self.reads = closed;
        self.threads.drain(..).for_each(join);
    }
}

fn start(name: &str, file: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let cannot = |error: std::io::Error| StoreError::File {
        file: file.to_path_buf(),
        cause: format!("cannot start a thread: {error}"),
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(cannot)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the embedded database panicked");
    }
}

fn stopped(file: &Path) -> StoreError {
    StoreError::Unavailable {
        database: PathBuf::from(file).display().to_string(),
        cause: "its thread has ended; restart the gateway".to_owned(),
    }
}
