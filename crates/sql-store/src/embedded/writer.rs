//! The thread that writes. Calls that wait together share one transaction, hence one flush to the disk; each is
//! undone alone when it fails.

use std::path::Path;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::connection::Connection;
use super::fault::{Fault, Scene};
use super::run::{StepFault, run_steps};
use super::{Call, Job};
use crate::atomic::Done;
use crate::migrate::{self, Applied, Migration, Schema};
use crate::statement::Dialect;
use crate::{StoreError, StoreMetrics};

pub(crate) struct Settings {
    pub(crate) durable: bool,
    pub(crate) group: usize,
    pub(crate) metrics: StoreMetrics,
}

struct Writer<'a> {
    file: &'a Path,
    connection: Connection,
    metrics: &'a StoreMetrics,
}

/// Opens the file, says so, and writes until the queue closes.
pub(crate) fn run(
    file: &Path,
    settings: &Settings,
    mut jobs: mpsc::Receiver<Job>,
    opened: oneshot::Sender<Result<(), StoreError>>,
) {
    let connection = match Connection::for_writing(file, settings.durable) {
        Ok(connection) => connection,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let writer = Writer { file, connection, metrics: &settings.metrics };
    let mut group = Vec::with_capacity(settings.group);
    while let Some(first) = jobs.blocking_recv() {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Run(call) => group.push(call),
                Job::Migrate { schemas, deadline, answer } => {
                    writer.write(&mut group);
                    let _ = answer.send(writer.migrate(&schemas, deadline));
                }
            }
            if group.len() < settings.group {
                next = jobs.try_recv().ok();
            }
        }
        writer.write(&mut group);
    }
}

// === impl Writer ===

impl Writer<'_> {
    /// Carries out and answers every call of `group`.
    fn write(&self, group: &mut Vec<Call>) {
        group.retain(|call| !call.answer.is_closed());
        let (calls, late): (Vec<Call>, Vec<Call>) =
            group.drain(..).partition(|call| Instant::now() < call.deadline);
        for call in late {
            let outcome = Err(self.scene(&call).timeout());
            let _ = call.answer.send(outcome);
        }
        if calls.len() > 1 {
            match self.together(&calls) {
                Ok(outcomes) => {
                    for (call, outcome) in calls.into_iter().zip(outcomes) {
                        let _ = call.answer.send(outcome);
                    }
                    return;
                }
                Err(Undone) => {
                    tracing::debug!(calls = calls.len(), "a group was undone, each call runs alone");
                }
            }
        }
        for call in calls {
            let outcome = self.alone(&call);
            let _ = call.answer.send(outcome);
        }
    }

    /// Every call in one transaction, each undone alone should it fail. `Err` when the transaction was lost with
    /// nothing done, so that each can run alone.
    fn together(&self, calls: &[Call]) -> Result<Vec<Result<Vec<Done>, StoreError>>, Undone> {
        self.sql("begin immediate").map_err(|_| Undone)?;
        let mut outcomes = Vec::with_capacity(calls.len());
        for call in calls {
            match self.within_savepoint(call) {
                Ok(outcome) => outcomes.push(outcome),
                Err(Undone) => {
                    self.undo();
                    return Err(Undone);
                }
            }
        }
        match self.sql("commit") {
            Ok(()) => {
                self.metrics.transactions.increment(1);
                Ok(outcomes)
            }
            Err(fault) if fault.is_full() => {
                self.undo();
                Err(Undone)
            }
            Err(fault) => {
                self.undo();
                let error = self.of_commit("commit", fault);
                Ok(outcomes.into_iter().map(|outcome| outcome.and(Err(error.clone()))).collect())
            }
        }
    }

    fn within_savepoint(&self, call: &Call) -> Result<Result<Vec<Done>, StoreError>, Undone> {
        self.sql("savepoint call").map_err(|_| Undone)?;
        self.connection.stop_at(call.deadline);
        let outcome = run_steps(&self.connection, &call.steps);
        self.connection.never_stop();
        match outcome {
            Ok(done) => {
                self.sql("release call").map_err(|_| Undone)?;
                Ok(Ok(done))
            }
            // Some errors end the whole transaction.
            Err(_) if self.connection.sqlite.is_autocommit() => Err(Undone),
            Err(fault) => {
                self.sql("rollback to call; release call").map_err(|_| Undone)?;
                Ok(Err(fault.into_store(self.scene(call))))
            }
        }
    }

    fn alone(&self, call: &Call) -> Result<Vec<Done>, StoreError> {
        let scene = self.scene(call);
        self.sql("begin immediate").map_err(|fault| fault.into_store(scene))?;
        self.connection.stop_at(call.deadline);
        let outcome = run_steps(&self.connection, &call.steps);
        self.connection.never_stop();
        let done = outcome.map_err(|fault| {
            self.undo();
            fault.into_store(scene)
        })?;
        self.sql("commit").map_err(|fault| {
            self.undo();
            self.of_commit(scene.statement, fault)
        })?;
        self.metrics.transactions.increment(1);
        Ok(done)
    }

    fn migrate(&self, schemas: &[Schema], deadline: Instant) -> Result<(), StoreError> {
        loop {
            let scene = Scene { file: self.file, statement: "migrate", limit: std::time::Duration::ZERO };
            self.sql("begin immediate").map_err(|fault| fault.into_store(scene))?;
            self.connection.stop_at(deadline);
            let outcome = self.next_migration(schemas, scene);
            self.connection.never_stop();
            let more = outcome.inspect_err(|_| self.undo())?;
            self.sql("commit").map_err(|fault| {
                self.undo();
                self.of_commit("migrate", fault)
            })?;
            match more {
                Some((schema, migration)) => {
                    tracing::info!(component = schema.name, version = migration.version, "migration applied");
                }
                None => return Ok(()),
            }
        }
    }

    /// Applies the first migration that is missing.
    fn next_migration(
        &self,
        schemas: &[Schema],
        scene: Scene<'_>,
    ) -> Result<Option<(Schema, Migration)>, StoreError> {
        let applied = self.applied().map_err(|error| Fault::from(error).into_store(scene))?;
        let Some((schema, migration)) = migrate::next(&applied, schemas)? else { return Ok(None) };
        let apply = || {
            self.connection.sqlite.execute_batch(&migration.text(Dialect::Embedded))?;
            self.connection.sqlite.execute(
                "insert into schema_migrations (component, version, name, checksum, applied_at)
                 values ($1, $2, $3, $4, cast(unixepoch('subsec') * 1000000 as integer))",
                rusqlite::params![schema.name, migration.version, migration.name, migration.checksum()],
            )
        };
        apply().map_err(|error| migration.failed(&schema, Fault::from(error).into_store(scene)))?;
        Ok(Some((schema, migration)))
    }

    fn applied(&self) -> rusqlite::Result<Vec<Applied>> {
        let sqlite = &self.connection.sqlite;
        if !sqlite.table_exists(None, "schema_migrations")? {
            sqlite.execute_batch(migrate::TABLE)?;
        }
        let mut statement = sqlite.prepare_cached(migrate::APPLIED)?;
        let rows = statement.query_map([], |row| {
            Ok(Applied { component: row.get(0)?, version: row.get(1)?, checksum: row.get(2)? })
        })?;
        rows.collect()
    }

    fn sql(&self, text: &str) -> Result<(), Fault> {
        self.connection.sqlite.execute_batch(text).map_err(Fault::Sqlite)
    }

    fn undo(&self) {
        if !self.connection.sqlite.is_autocommit()
            && let Err(error) = self.connection.sqlite.execute_batch("rollback")
        {
            tracing::error!(%error, "cannot roll back");
        }
    }

    /// A commit that failed while it wrote may be found whole after a crash.
    fn of_commit(&self, statement: &'static str, fault: Fault) -> StoreError {
        let scene = Scene { file: self.file, statement, limit: std::time::Duration::ZERO };
        match fault.into_store(scene) {
            StoreError::Unavailable { cause, .. } => StoreError::Lost { statement, cause },
            other => other,
        }
    }

    fn scene(&self, call: &Call) -> Scene<'_> {
        let statement = call.steps.first().map_or("nothing", |step| step.statement.name);
        Scene { file: self.file, statement, limit: call.limit }
    }
}

/// The transaction was lost and nothing of it done.
struct Undone;

// === impl Scene ===

impl Scene<'_> {
    const fn timeout(&self) -> StoreError {
        StoreError::Timeout {
            statement: self.statement,
            limit: self.limit,
            answered: true,
            may_have_run: false,
        }
    }
}

impl From<StepFault> for Fault {
    fn from(step: StepFault) -> Self {
        step.fault
    }
}
