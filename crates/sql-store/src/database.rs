//! The one handle through which everything is asked and stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::atomic::{Atomic, AtomicOutcome, Done, Step};
use crate::embedded::EmbeddedEngine;
use crate::migrate::Schema;
use crate::postgres::PostgresEngine;
use crate::status::StatusBoard;
use crate::{DatabaseConfig, DatabaseStatus, Row, Statement, StoreError, StoreMetrics, Value};

/// A database. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
    /// Instead of the configured one.
    timeout: Option<Duration>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    status: Arc<StatusBoard>,
    metrics: StoreMetrics,
    statements: AtomicU64,
}

#[derive(Debug)]
enum Engine {
    Postgres(Box<PostgresEngine>),
    Embedded(EmbeddedEngine),
}

/// Which engine a [`Database`] runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// A server.
    Postgres,
    /// A file.
    Embedded,
}

static PROBE: Statement = Statement::new("probe", "select 1", &[]);

// === impl Database ===

impl Database {
    /// Opens the database and speaks to it once, so that a wrong address or password shows at the start.
    ///
    /// # Errors
    /// One line that says what is wrong: [`StoreError::Unavailable`], [`StoreError::Login`], [`StoreError::InUse`],
    /// [`StoreError::File`], [`StoreError::Corrupt`], [`StoreError::ReadOnly`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn open(config: DatabaseConfig, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let status = Arc::new(StatusBoard::new(metrics.clone()));
        let engine = match config {
            DatabaseConfig::Postgres(config) => {
                let engine = PostgresEngine::open(config, status.clone(), metrics.clone())?;
                Engine::Postgres(Box::new(engine))
            }
            DatabaseConfig::Embedded(config) => {
                Engine::Embedded(EmbeddedEngine::open(config, metrics.clone()).await?)
            }
        };
        let inner = Inner { engine, status, metrics, statements: AtomicU64::new(0) };
        let database = Self { inner: Arc::new(inner), timeout: None };
        database.probe().await?;
        Ok(database)
    }

    /// The rows that `statement` answers.
    ///
    /// # Errors
    /// Any of [`StoreError`]; its methods say what to do.
    ///
    /// # Cancel safety
    /// Dropping the future gives the statement up; one that writes may or may not have been done.
    pub async fn query(
        &self,
        statement: &Statement,
        values: impl Into<Vec<Value>>,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.one(Step::one(statement, values.into(), true)).await?.rows)
    }

    /// How many rows `statement` changed.
    ///
    /// # Errors
    /// As [`Database::query`].
    ///
    /// # Cancel safety
    /// As [`Database::query`].
    pub async fn execute(
        &self,
        statement: &Statement,
        values: impl Into<Vec<Value>>,
    ) -> Result<u64, StoreError> {
        Ok(self.one(Step::one(statement, values.into(), false)).await?.changed)
    }

    /// Runs one statement for many rows: its `values ($1, ..)` list is repeated, and past some ten thousand values
    /// the rest follows in the same transaction. All or nothing. Without rows nothing is sent.
    ///
    /// `with wanted (id) as (values ($1)) ..` serves updates and deletes. One key may stand in the rows only once,
    /// else Postgres refuses an `on conflict do update`.
    ///
    /// # Errors
    /// As [`Database::query`].
    ///
    /// # Cancel safety
    /// As [`Database::query`].
    pub async fn execute_many(
        &self,
        statement: &Statement,
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<u64, StoreError> {
        Ok(self.one(Step::many(statement, rows, false)).await?.changed)
    }

    /// As [`Database::execute_many`], for a statement that answers rows:
    /// `with wanted (id) as (values ($1)) select .. from t join wanted using (id)`.
    ///
    /// # Errors
    /// As [`Database::query`].
    ///
    /// # Cancel safety
    /// As [`Database::query`].
    pub async fn query_many(
        &self,
        statement: &Statement,
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.one(Step::many(statement, rows, true)).await?.rows)
    }

    /// Runs every statement, or none: an error or a guard that does not hold undoes all. The statements are sent
    /// together, so all run even if a guard before them does not hold; then all are undone.
    ///
    /// # Errors
    /// As [`Database::query`]; [`StoreError::Conflict`] for a guard.
    ///
    /// # Cancel safety
    /// As [`Database::query`]; never a part of them.
    pub async fn atomic(&self, atomic: Atomic) -> Result<AtomicOutcome, StoreError> {
        self.run(atomic.steps).await.map(AtomicOutcome)
    }

    /// This database with another limit for a call, for one that is known to take long or must not.
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Self {
        Self { inner: self.inner.clone(), timeout: Some(limit) }
    }

    /// Whether the database answers; changes with the calls made, so run [`Database::watch_health`] beside them.
    pub fn status(&self) -> watch::Receiver<DatabaseStatus> {
        self.inner.status.subscribe()
    }

    /// Asks the database for nothing but an answer.
    ///
    /// # Errors
    /// Why there was none.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.query(&PROBE, []).await.map(drop)
    }

    /// Probes every `period` and never ends: a task for a supervisor. A probe waits at most one second.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn watch_health(&self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let probed = self.with_timeout(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            // The status board has taken the outcome.
            let _ = probed.probe().await;
        }
    }

    /// How many statements were sent since the database was opened, those of migrations excepted.
    pub fn statements(&self) -> u64 {
        self.inner.statements.load(Ordering::Relaxed)
    }

    /// Which engine this is.
    pub fn engine(&self) -> EngineKind {
        match self.inner.engine {
            Engine::Postgres(_) => EngineKind::Postgres,
            Engine::Embedded(_) => EngineKind::Embedded,
        }
    }

    /// Ends every connection or thread, after the calls under way. Later calls answer [`StoreError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the rest to the drop of the last clone.
    pub async fn close(&self) {
        match &self.inner.engine {
            Engine::Postgres(engine) => engine.close(),
            Engine::Embedded(engine) => engine.close().await,
        }
    }

    pub(crate) async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        match &self.inner.engine {
            Engine::Postgres(engine) => engine.migrate(schemas).await,
            Engine::Embedded(engine) => engine.migrate(schemas).await,
        }
    }

    async fn one(&self, step: Step) -> Result<Done, StoreError> {
        Ok(self.run(vec![step]).await?.pop().unwrap_or_default())
    }

    async fn run(&self, steps: Vec<Step>) -> Result<Vec<Done>, StoreError> {
        steps.iter().try_for_each(Step::check)?;
        let sent = steps.iter().map(|step| step.chunks.len() as u64).sum::<u64>();
        if sent == 0 {
            return Ok(vec![Done::default(); steps.len()]);
        }
        let inner = &*self.inner;
        inner.statements.fetch_add(sent, Ordering::Relaxed);
        inner.metrics.statements.increment(sent);
        let (begun, wrote) = (Instant::now(), steps.iter().any(Step::may_write));
        let outcome = match &inner.engine {
            Engine::Postgres(engine) => engine.run(steps, self.timeout).await,
            Engine::Embedded(engine) => engine.run(steps, self.timeout).await,
        };
        inner.metrics.duration.record(begun.elapsed());
        inner.status.note(&outcome, wrote);
        inner.count(&outcome);
        outcome
    }
}

// === impl Inner ===

impl Inner {
    fn count<T>(&self, outcome: &Result<T, StoreError>) {
        let Err(error) = outcome else { return };
        self.metrics.errors.increment(1);
        match error {
            StoreError::Timeout { .. } => self.metrics.timeouts.increment(1),
            StoreError::PoolExhausted { .. } => self.metrics.pool_exhausted.increment(1),
            _ => {}
        }
    }
}
