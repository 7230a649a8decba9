//! What Postgres' codes mean; the only place that knows them.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::url::PostgresUrl;
use crate::StoreError;

/// Where an error was met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) database: &'a PostgresUrl,
    pub(super) statement: &'static str,
    pub(super) limit: Duration,
}

/// What an error in making a connection means.
pub(super) fn of_connect(database: &PostgresUrl, error: &Error) -> StoreError {
    let (database, cause) = (database.to_string(), cause(error));
    match error.as_db_error().map(|error| error.code().code()) {
        // 28: wrong user or password; 3D000: no such database; 42501: may not connect.
        Some(code) if code.starts_with("28") || code == "3D000" || code == "42501" => {
            StoreError::Login { database, cause }
        }
        _ => StoreError::Unavailable { database, cause },
    }
}

/// What an error of a statement means.
pub(super) fn of_statement(scene: Scene<'_>, error: &Error) -> StoreError {
    let statement = scene.statement;
    let Some(answer) = error.as_db_error() else {
        return match error.source() {
            Some(source) if source.downcast_ref::<std::io::Error>().is_none() && !error.is_closed() => {
                StoreError::Statement { statement, cause: cause(error) }
            }
            _ => StoreError::Lost { statement, cause: cause(error) },
        };
    };
    of_code(scene, answer)
}

fn of_code(Scene { database, statement, limit }: Scene<'_>, answer: &DbError) -> StoreError {
    let constraint = || {
        answer.constraint().or(answer.column()).map_or_else(|| answer.message().to_owned(), ToOwned::to_owned)
    };
    let cause = || one_line(answer);
    let unavailable = || StoreError::Unavailable { database: database.to_string(), cause: cause() };
    let code = answer.code().code();
    match code {
        "23505" | "23P01" => StoreError::Unique { statement, constraint: constraint() },
        "23503" => StoreError::Reference { statement, constraint: constraint() },
        "23502" | "23514" => StoreError::Check { statement, constraint: constraint() },
        "25006" => StoreError::ReadOnly { cause: cause() },
        // Deadlock, serialization, lock timeout.
        "40001" | "40P01" | "55P03" => StoreError::Contended { statement, cause: cause() },
        "53100" => StoreError::DiskFull { statement },
        "57014" => StoreError::Timeout { statement, limit, answered: true, may_have_run: false },
        // The server, or the pooler in front of it, ends this session.
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => StoreError::Lost { statement, cause: cause() },
        _ => match code.get(..2) {
            Some("08") => StoreError::Lost { statement, cause: cause() },
            Some("22") => StoreError::Check { statement, constraint: cause() },
            // Out of resources, trouble of the system: said in answer, so the statement was undone.
            Some("53" | "58" | "XX") => unavailable(),
            _ => StoreError::Statement { statement, cause: cause() },
        },
    }
}

/// The innermost reason, in one line.
fn cause(error: &Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return one_line(answer);
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().replace('\n', " ")
}

fn one_line(answer: &DbError) -> String {
    format!("{} (SQLSTATE {})", answer.message().replace('\n', " "), answer.code().code())
}
