//! A thread that reads.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use super::connection::Connection;
use super::fault::{Fault, Scene};
use super::run::{StepFault, run_steps};
use super::{Call, Job};
use crate::StoreError;
use crate::atomic::Done;

/// Serves reads until the queue closes. Readers share the queue; one waits in it at a time.
pub(crate) fn run(file: &Path, jobs: &Mutex<mpsc::Receiver<Job>>) {
    let mut connection = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        let Job::Run(call) = job else { continue };
        if call.answer.is_closed() {
            continue;
        }
        let outcome = read(file, &mut connection, &call);
        // Nobody waits any more: fine.
        let _ = call.answer.send(outcome);
    }
}

fn read(file: &Path, kept: &mut Option<Connection>, call: &Call) -> Result<Vec<Done>, StoreError> {
    let name = call.steps.first().map_or("nothing", |step| step.statement.name);
    if Instant::now() >= call.deadline {
        return Err(StoreError::Timeout {
            statement: name,
            limit: call.limit,
            answered: true,
            may_have_run: false,
        });
    }
    // Opened when first needed, and again should that have failed.
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::for_reading(file)?),
    };
    let scene = Scene { file, statement: name, limit: call.limit };
    connection.stop_at(call.deadline);
    let fault = |error: rusqlite::Error| StepFault { statement: name, fault: Fault::Sqlite(error) };
    let outcome = if call.steps.len() == 1 {
        run_steps(connection, &call.steps)
    } else {
        // One transaction sees one state.
        let begun = connection.sqlite.execute_batch("begin").map_err(fault);
        let outcome = begun.and_then(|()| run_steps(connection, &call.steps));
        connection.never_stop();
        let ended = connection.sqlite.execute_batch("rollback").map_err(fault);
        outcome.and_then(|done| ended.map(|()| done))
    };
    connection.never_stop();
    outcome.map_err(|fault| fault.into_store(scene))
}
