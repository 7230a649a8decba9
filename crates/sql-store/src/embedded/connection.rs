//! A connection to the file, and the deadline that stops its statements.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::OpenFlags;

use super::fault::{Fault, of_open};
use crate::StoreError;

/// A connection that gives a statement up at a deadline.
pub(crate) struct Connection {
    pub(crate) sqlite: rusqlite::Connection,
    deadline: Deadline,
}

/// Nanoseconds since `base`; the statement under way stops then.
#[derive(Clone)]
struct Deadline {
    base: Instant,
    at: Arc<AtomicU64>,
}

/// For how long another program (a backup, a shell) may hold the file.
const BUSY: Duration = Duration::from_secs(2);
/// Virtual instructions between two looks at the clock: some tens of microseconds.
const LOOK_EVERY: i32 = 2_000;
/// The log is cut back to this after a checkpoint.
const LOG_BYTES: i64 = 64 << 20;

// === impl Connection ===

impl Connection {
    /// Opens the file for the writer; makes it when it is not there.
    pub(crate) fn for_writing(file: &Path, durable: bool) -> Result<Self, StoreError> {
        let opened = Self::open(file, OpenFlags::SQLITE_OPEN_CREATE).and_then(|connection| {
            let sqlite = &connection.sqlite;
            let mode: String = sqlite.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
            if mode != "wal" {
                return Err(Fault::Other(format!(
                    "it cannot keep a write-ahead log here (journal mode {mode})"
                )));
            }
            // FULL flushes the log at each commit: an answer holds after a loss of power.
            sqlite.pragma_update(None, "synchronous", if durable { "full" } else { "off" })?;
            sqlite.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
            // The first write shows a read-only file or folder now and not at the first order.
            sqlite.execute_batch("begin immediate; rollback")?;
            Ok(connection)
        });
        let connection = opened.map_err(|fault| of_open(file, fault))?;
        if durable {
            // The file's own name must survive too.
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| Path::new("."));
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| of_open(file, Fault::Other(format!("cannot flush its folder: {error}"))))?;
        }
        Ok(connection)
    }

    /// Opens the file for a reader.
    pub(crate) fn for_reading(file: &Path) -> Result<Self, StoreError> {
        let opened = Self::open(file, OpenFlags::empty()).and_then(|connection| {
            connection.sqlite.pragma_update(None, "query_only", true)?;
            Ok(connection)
        });
        opened.map_err(|fault| of_open(file, fault))
    }

    /// Statements from now on stop at `deadline`.
    pub(crate) fn stop_at(&self, deadline: Instant) {
        let nanos = deadline.saturating_duration_since(self.deadline.base).as_nanos();
        self.deadline.at.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Statements from now on run to their end: a commit is never given up half-way.
    pub(crate) fn never_stop(&self) {
        self.deadline.at.store(u64::MAX, Ordering::Relaxed);
    }

    fn open(file: &Path, more: OpenFlags) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let mut sqlite = rusqlite::Connection::open_with_flags(file, flags)?;
        sqlite.busy_timeout(BUSY)?;
        sqlite.pragma_update(None, "foreign_keys", true)?;
        sqlite.set_prepared_statement_cache_capacity(256);
        let deadline = Deadline { base: Instant::now(), at: Arc::new(AtomicU64::new(u64::MAX)) };
        let watched = deadline.clone();
        sqlite.progress_handler(LOOK_EVERY, Some(move || watched.has_passed()))?;
        Ok(Self { sqlite, deadline })
    }
}

// === impl Deadline ===

impl Deadline {
    fn has_passed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != u64::MAX && self.base.elapsed().as_nanos() >= u128::from(at)
    }
}
