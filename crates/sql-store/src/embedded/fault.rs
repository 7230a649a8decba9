//! What SQLite's codes mean; the only place that knows them.

use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::{self, ErrorCode};

use crate::StoreError;

/// An error before it is known which statement met it.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// A guard, or values that do not fit.
    Store(StoreError),
    Other(String),
}

/// Where a fault was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) file: &'a Path,
    pub(crate) statement: &'static str,
    pub(crate) limit: Duration,
}

// === impl Fault ===

impl Fault {
    /// Whether the disk had no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// What this means to whoever called.
    pub(crate) fn into_store(self, scene: Scene<'_>) -> StoreError {
        let Scene { statement, file, limit } = scene;
        let error = match self {
            Self::Store(error) => return error,
            Self::Other(cause) => return StoreError::Statement { statement, cause },
            Self::Sqlite(error) => error,
        };
        let cause = one_line(&error);
        let constraint = || {
            cause.split_once("constraint failed: ").map_or_else(|| cause.clone(), |(_, name)| name.to_owned())
        };
        let Some(code) = error.sqlite_error().copied() else {
            return StoreError::Statement { statement, cause };
        };
        match code.code {
            ErrorCode::ConstraintViolation => match code.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID => StoreError::Unique { statement, constraint: constraint() },
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                    StoreError::Reference { statement, constraint: String::new() }
                }
                _ => StoreError::Check { statement, constraint: constraint() },
            },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Contended { statement, cause },
            ErrorCode::OperationInterrupted => {
                StoreError::Timeout { statement, limit, answered: true, may_have_run: false }
            }
            ErrorCode::DiskFull => StoreError::DiskFull { statement },
            ErrorCode::ReadOnly => StoreError::ReadOnly { cause },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                StoreError::Corrupt { file: file.to_path_buf(), cause }
            }
            ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory => {
                StoreError::Unavailable { database: file.display().to_string(), cause }
            }
            _ => StoreError::Statement { statement, cause },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a fault during opening means.
pub(crate) fn of_open(file: &Path, fault: Fault) -> StoreError {
    let cause = match &fault {
        Fault::Other(cause) => cause.clone(),
        Fault::Sqlite(error) => one_line(error),
        Fault::Store(error) => error.to_string(),
    };
    match fault.into_store(Scene { file, statement: "open", limit: Duration::ZERO }) {
        error @ (StoreError::Corrupt { .. } | StoreError::ReadOnly { .. } | StoreError::DiskFull { .. }) => {
            error
        }
        _ => StoreError::File { file: file.to_path_buf(), cause },
    }
}

fn one_line(error: &rusqlite::Error) -> String {
    // With the extended code: `disk I/O error` alone does not say which operation failed.
    let code =
        error.sqlite_error().map_or_else(String::new, |code| format!(" (code {})", code.extended_code));
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    let text = text.replace('\n', " ");
    if text.contains("constraint failed") { text } else { text + &code }
}
