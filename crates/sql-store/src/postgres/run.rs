//! Runs statements on a connection. `query_typed` only: a prepared statement would not survive a pooler in
//! transaction mode.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::{join, join_all};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::sqlstate::{self, Scene};
use super::url::PostgresUrl;
use crate::atomic::{Chunk, Done, Step};
use crate::statement::Dialect;
use crate::{Kind, Row, Statement, StoreError, Value};

/// One call on one connection.
pub(super) struct Run<'a> {
    pub(super) client: &'a Object,
    pub(super) database: &'a PostgresUrl,
    pub(super) steps: &'a [Step],
    pub(super) limit: Duration,
    /// What the server must be told to keep, if not already in the session.
    pub(super) server_limit: Option<Duration>,
    /// Set as soon as the database could have made the call's effect last.
    pub(super) may_have_run: &'a AtomicBool,
}

/// What came of it, and whether the connection is surely idle.
pub(super) struct Outcome {
    pub(super) result: Result<Vec<Done>, StoreError>,
    pub(super) is_reusable: bool,
}

// === impl Run ===

impl Run<'_> {
    pub(super) async fn run(self) -> Outcome {
        let result = match self.steps {
            [step] if step.chunks.len() == 1 && step.guard.is_none() => {
                self.may_have_run.store(step.may_write(), Ordering::Relaxed);
                let done = self.chunk(step, &step.chunks[0]).await;
                done.map(|done| vec![done])
            }
            _ => self.transaction().await,
        };
        // Anything the database said in answer leaves the connection idle; a lost one is not kept, and one that
        // was cancelled may be hit by the cancellation only now.
        let is_reusable = match &result {
            Ok(_) => true,
            Err(error) => !error.is_unavailable() && !self.client.is_closed(),
        };
        Outcome { result, is_reusable }
    }

    /// Begin and statements in one go, then commit: two round trips for any number of statements.
    async fn transaction(&self) -> Result<Vec<Done>, StoreError> {
        let begin = match self.server_limit {
            Some(limit) => format!("begin; set local statement_timeout = {}", limit.as_millis()),
            None => "begin".to_owned(),
        };
        let chunks =
            self.steps.iter().flat_map(|step| step.chunks.iter().map(|chunk| self.chunk(step, chunk)));
        let (begun, results) = join(self.client.batch_execute(&begin), join_all(chunks)).await;
        let first = self.steps.first().map_or("nothing", |step| step.statement.name);
        let outcome =
            begun.map_err(|error| self.map(first, &error)).and_then(|()| self.gather(results.into_iter()));
        match outcome {
            Ok(done) => {
                self.may_have_run.store(self.steps.iter().any(Step::may_write), Ordering::Relaxed);
                self.client.batch_execute("commit").await.map_err(|error| self.map(first, &error))?;
                Ok(done)
            }
            Err(error) => {
                let undone = self.client.batch_execute("rollback").await;
                Err(match (error, undone) {
                    // Nothing lasts without a commit.
                    (StoreError::Lost { cause, .. }, _) => self.unavailable(cause),
                    (error, Ok(())) => error,
                    (_, Err(lost)) => self.unavailable(lost.to_string()),
                })
            }
        }
    }

    /// Puts the results of the chunks together again, and holds each step against its guard.
    fn gather(
        &self,
        mut results: impl Iterator<Item = Result<Done, StoreError>>,
    ) -> Result<Vec<Done>, StoreError> {
        let gather = |step: &Step| {
            let mut whole = Done::default();
            for result in results.by_ref().take(step.chunks.len()) {
                let part = result?;
                whole.changed += part.changed;
                whole.rows.extend(part.rows);
            }
            step.satisfied_by(&whole)?;
            Ok(whole)
        };
        self.steps.iter().map(gather).collect()
    }

    async fn chunk(&self, step: &Step, chunk: &Chunk) -> Result<Done, StoreError> {
        let statement = &step.statement;
        let text = statement.text_for_rows(Dialect::Postgres, chunk.rows)?;
        let types = statement.kinds.iter().cycle().map(|kind| kind.postgres());
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            chunk.values.iter().map(|value| value as &(dyn ToSql + Sync)).zip(types).collect();
        if step.wants_rows {
            let rows = self.client.query_typed(&text, &values).await;
            let rows = rows.map_err(|error| self.map(statement.name, &error))?;
            let rows = rows.iter().map(|row| row_of(statement, row)).collect::<Result<_, _>>()?;
            Ok(Done { changed: 0, rows })
        } else {
            let changed = self.client.execute_typed(&text, &values).await;
            let changed = changed.map_err(|error| self.map(statement.name, &error))?;
            Ok(Done { changed, rows: Vec::new() })
        }
    }

    fn map(&self, statement: &'static str, error: &tokio_postgres::Error) -> StoreError {
        let mapped =
            sqlstate::of_statement(Scene { database: self.database, statement, limit: self.limit }, error);
        match mapped {
            // A read that was lost did no harm.
            StoreError::Lost { cause, .. } if !self.may_have_run.load(Ordering::Relaxed) => {
                self.unavailable(cause)
            }
            other => other,
        }
    }

    fn unavailable(&self, cause: String) -> StoreError {
        StoreError::Unavailable { database: self.database.to_string(), cause }
    }
}

fn row_of(statement: &Statement, row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let values = (0..row.len()).map(|column| value_of(row, column));
    let unreadable = |cause: String| StoreError::Statement { statement: statement.name, cause };
    let values = values.collect::<Result<_, _>>().map_err(unreadable)?;
    Ok(Row { statement: statement.name, values })
}

fn value_of(row: &tokio_postgres::Row, column: usize) -> Result<Value, String> {
    let of = |error: tokio_postgres::Error| format!("column {column}: {error}");
    let kind = row.columns()[column].type_();
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map_err(of)?.into(),
        Type::INT4 => row.try_get::<_, Option<i32>>(column).map_err(of)?.into(),
        Type::INT2 => row.try_get::<_, Option<i16>>(column).map_err(of)?.map(i64::from).into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(column).map_err(of)?.into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(column).map_err(of)?.into(),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(column).map_err(of)?.map(f64::from).into(),
        Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR | Type::UNKNOWN => {
            row.try_get::<_, Option<String>>(column).map_err(of)?.into()
        }
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(column).map_err(of)?.into(),
        Type::VOID => Value::Null,
        _ => {
            return Err(format!(
                "column {column} is {kind}; cast it to bigint, double precision, text or bytea"
            ));
        }
    })
}

// === impl Kind ===

impl Kind {
    const fn postgres(self) -> Type {
        match self {
            Self::Int => Type::INT8,
            Self::Real => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Blob => Type::BYTEA,
        }
    }
}

// === impl Value ===

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Real(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Blob(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::FLOAT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}
