//! What can go wrong, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

/// Why a database could not be opened or a statement was not carried out. No variant ever holds a password.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address cannot be used.
    #[error("database url is not usable: {0}")]
    Url(String),
    /// No connection. Nothing was done.
    #[error("cannot reach the database {database}: {cause}")]
    Unavailable {
        /// Where it is, without credentials.
        database: String,
        /// What stood in the way.
        cause: String,
    },
    /// The server does not let us in.
    #[error("the database {database} refuses this login: {cause}; correct user, password or database name")]
    Login {
        /// Where it is, without credentials.
        database: String,
        /// What the server said.
        cause: String,
    },
    /// The connection ended while the statement ran.
    #[error("the connection ended during `{statement}` ({cause}); it may or may not have been done")]
    Lost {
        /// Which statement.
        statement: &'static str,
        /// How it ended.
        cause: String,
    },
    /// Every connection, or the embedded file's queue, was taken for too long. Nothing was done.
    #[error(
        "no database connection became free within {waited:?}; raise the pool's size or find what holds them"
    )]
    PoolExhausted {
        /// For how long it was waited.
        waited: Duration,
    },
    /// The statement took too long.
    #[error(
        "`{statement}` took longer than {limit:?}{}",
        if *.may_have_run { "; it may or may not have been done" } else { "" }
    )]
    Timeout {
        /// Which statement.
        statement: &'static str,
        /// The limit.
        limit: Duration,
        /// Whether the database said that it gave the statement up, and so answers.
        answered: bool,
        /// Whether a write may have been done all the same.
        may_have_run: bool,
    },
    /// A guard of an [`Atomic`](crate::Atomic) did not hold; everything was undone.
    #[error(
        "`{statement}` met {found} rows instead of {expected}, nothing was changed; read again and decide anew"
    )]
    Conflict {
        /// The guarded statement.
        statement: &'static str,
        /// How many rows were asked for.
        expected: u64,
        /// How many there were.
        found: u64,
    },
    /// Another transaction was in the way (deadlock, lock timeout, serialization). Everything was undone.
    #[error("`{statement}` was undone because of another transaction ({cause}); try it again")]
    Contended {
        /// Which statement.
        statement: &'static str,
        /// What the database said.
        cause: String,
    },
    /// A row with this key exists.
    #[error("`{statement}` would store the same key twice ({constraint})")]
    Unique {
        /// Which statement.
        statement: &'static str,
        /// The constraint's or the columns' name.
        constraint: String,
    },
    /// A row refers to one that is not there, or is referred to.
    #[error("`{statement}` would leave a reference to nothing ({constraint})")]
    Reference {
        /// Which statement.
        statement: &'static str,
        /// The constraint's name; empty on the embedded engine.
        constraint: String,
    },
    /// A value is not allowed: a check, a null where none may be, a number out of range.
    #[error("`{statement}` would store a value that is not allowed ({constraint})")]
    Check {
        /// Which statement.
        statement: &'static str,
        /// The constraint's or the column's name.
        constraint: String,
    },
    /// The disk is full. Reads go on.
    #[error("the disk of the database is full, `{statement}` was refused; make room")]
    DiskFull {
        /// Which statement.
        statement: &'static str,
    },
    /// The database takes no writes: a standby, a read-only file or folder.
    #[error("the database is read-only ({cause}); use its primary, or correct the rights of file and folder")]
    ReadOnly {
        /// What it said.
        cause: String,
    },
    /// The database was made by a newer program.
    #[error(
        "the database is newer than this program: `{component}` stands at {database}, the program knows {program}; \
         start the newer program"
    )]
    NewerDatabase {
        /// The schema.
        component: String,
        /// Version found.
        database: i64,
        /// Highest version known.
        program: i64,
    },
    /// A migration's text is not the one that was applied.
    #[error(
        "migration {version} of `{component}` differs from the one this database was made with; never edit an applied migration"
    )]
    MigrationChanged {
        /// The schema.
        component: String,
        /// Which version.
        version: i64,
    },
    /// A migration failed and was undone.
    #[error("migration {version} of `{component}` failed and was undone: {cause}")]
    Migration {
        /// The schema.
        component: String,
        /// Which version.
        version: i64,
        /// Why.
        cause: Box<StoreError>,
    },
    /// The embedded file is open in another process.
    #[error("{} is in use by another process{by}; one gateway at a time may open it", file.display())]
    InUse {
        /// The file.
        file: PathBuf,
        /// ` (pid n)`, if known.
        by: String,
    },
    /// The embedded file cannot be opened.
    #[error("cannot open {}: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// The embedded file is damaged, or no database.
    #[error("{} is damaged or no database ({cause}); put back a copy", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The values do not fit the statement: a mistake in the program.
    #[error("`{statement}` {problem}")]
    Parameters {
        /// Which statement.
        statement: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// The column is not what was asked for: a mistake in the program.
    #[error("column {column} of `{statement}` is {found}, not {wanted}")]
    Column {
        /// Which statement.
        statement: &'static str,
        /// Counted from 0.
        column: usize,
        /// What was asked for.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The database refused the statement for another reason.
    #[error("the database refused `{statement}`: {cause}")]
    Statement {
        /// Which statement.
        statement: &'static str,
        /// What it said.
        cause: String,
    },
    /// The database was closed by its owner.
    #[error("the database is closed")]
    Closed,
}

// === impl StoreError ===

impl StoreError {
    /// Whether the database, not the request, is at fault: answer "try later" (503).
    pub const fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Login { .. }
                | Self::Lost { .. }
                | Self::PoolExhausted { .. }
                | Self::Timeout { .. }
                | Self::DiskFull { .. }
                | Self::ReadOnly { .. }
                | Self::Corrupt { .. }
                | Self::Closed
        )
    }

    /// Whether the same call may simply be made again: nothing was done, and it may succeed a moment later.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::PoolExhausted { .. }
                | Self::Contended { .. }
                | Self::Timeout { may_have_run: false, .. }
        )
    }

    /// Whether a write may have been done all the same: look before doing it again.
    pub const fn may_have_run(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Timeout { may_have_run: true, .. })
    }

    /// Whether the stored state, not the database, stands against the request: answer "conflict" (409).
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unique { .. } | Self::Reference { .. })
    }
}
