//! Runs statements on a connection.

use rusqlite::types::ValueRef;

use super::connection::Connection;
use super::fault::{Fault, Scene};
use crate::atomic::{Chunk, Done, Step};
use crate::statement::Dialect;
use crate::{Row, Statement, StoreError, Value};

/// A fault, and the statement that met it.
pub(crate) struct StepFault {
    pub(crate) statement: &'static str,
    pub(crate) fault: Fault,
}

/// Runs every step; the caller has begun a transaction if it wants one.
pub(crate) fn run_steps(connection: &Connection, steps: &[Step]) -> Result<Vec<Done>, StepFault> {
    let run = |step: &Step| {
        run_step(connection, step).map_err(|fault| StepFault { statement: step.statement.name, fault })
    };
    steps.iter().map(run).collect()
}

fn run_step(connection: &Connection, step: &Step) -> Result<Done, Fault> {
    let mut done = Done::default();
    for chunk in &step.chunks {
        run_chunk(connection, &step.statement, chunk, step.wants_rows, &mut done)?;
    }
    step.satisfied_by(&done)?;
    Ok(done)
}

fn run_chunk(
    connection: &Connection,
    statement: &Statement,
    chunk: &Chunk,
    wants_rows: bool,
    done: &mut Done,
) -> Result<(), Fault> {
    let sqlite = &connection.sqlite;
    let text = statement.text_for_rows(Dialect::Embedded, chunk.rows)?;
    // A text for many rows is seldom met again.
    let mut cached;
    let mut fresh;
    let prepared: &mut rusqlite::Statement<'_> = if chunk.rows == 1 {
        cached = sqlite.prepare_cached(&text)?;
        &mut cached
    } else {
        fresh = sqlite.prepare(&text)?;
        &mut fresh
    };
    for (index, value) in (1..).zip(&chunk.values) {
        bind(prepared, index, value)?;
    }
    let (columns, writes) = (prepared.column_count(), !prepared.readonly());
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        if wants_rows {
            let values =
                (0..columns).map(|column| value_of(row.get_ref(column)?)).collect::<Result<_, Fault>>()?;
            done.rows.push(Row { statement: statement.name, values });
        }
    }
    drop(rows);
    if writes {
        done.changed += sqlite.changes();
    }
    Ok(())
}

fn bind(statement: &mut rusqlite::Statement<'_>, index: usize, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
        Value::Int(value) => statement.raw_bind_parameter(index, value),
        Value::Real(value) => statement.raw_bind_parameter(index, value),
        Value::Text(value) => statement.raw_bind_parameter(index, value),
        Value::Blob(value) => statement.raw_bind_parameter(index, value),
    }
}

fn value_of(value: ValueRef<'_>) -> Result<Value, Fault> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(value) => Value::Text(value.to_owned()),
            Err(_) => return Err(Fault::Other("a text is not valid UTF-8".to_owned())),
        },
        ValueRef::Blob(value) => Value::Blob(value.to_vec()),
    })
}

// === impl StepFault ===

impl StepFault {
    pub(crate) fn into_store(self, scene: Scene<'_>) -> StoreError {
        self.fault.into_store(Scene { statement: self.statement, ..scene })
    }
}
