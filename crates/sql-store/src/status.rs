//! Whether the database answers, for readiness.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::{StoreError, StoreMetrics};

/// Whether the database answers and takes writes, since when, and if not, why.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseStatus {
    /// `None` while it answers, else why it does not, in one line.
    pub down: Option<String>,
    /// `None` while it takes writes as far as is known, else why it does not: a full disk, a standby.
    pub writes_refused: Option<String>,
    /// Since when it has been so.
    pub since: Instant,
}

/// Takes the outcome of every call.
#[derive(Debug)]
pub(crate) struct StatusBoard {
    status: watch::Sender<DatabaseStatus>,
    metrics: StoreMetrics,
}

// === impl DatabaseStatus ===

impl DatabaseStatus {
    /// Whether it answers and takes writes.
    pub const fn is_up(&self) -> bool {
        self.down.is_none() && self.writes_refused.is_none()
    }
}

// === impl StatusBoard ===

impl StatusBoard {
    pub(crate) fn new(metrics: StoreMetrics) -> Self {
        metrics.up.set(1.0);
        let status = DatabaseStatus { down: None, writes_refused: None, since: Instant::now() };
        Self { status: watch::channel(status).0, metrics }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<DatabaseStatus> {
        self.status.subscribe()
    }

    /// Why it is down, if it is.
    pub(crate) fn down(&self) -> Option<String> {
        self.status.borrow().down.clone()
    }

    /// Books the outcome of a call; `wrote` says whether it would have changed something.
    pub(crate) fn note<T>(&self, outcome: &Result<T, StoreError>, wrote: bool) {
        let error = outcome.as_ref().err();
        match error.map_or(Verdict::Answered, verdict) {
            Verdict::Answered => self.set(|status| {
                status.down = None;
                if wrote && error.is_none() {
                    status.writes_refused = None;
                }
            }),
            Verdict::RefusesWrites => self.set(|status| {
                status.down = None;
                status.writes_refused = error.map(ToString::to_string);
            }),
            Verdict::Down => self.set(|status| status.down = error.map(ToString::to_string)),
            Verdict::NoNews => {}
        }
    }

    fn set(&self, change: impl FnOnce(&mut DatabaseStatus)) {
        let mut turned = None;
        self.status.send_if_modified(|status| {
            let mut next = status.clone();
            change(&mut next);
            if next == *status {
                return false;
            }
            if next.is_up() != status.is_up() {
                next.since = Instant::now();
                turned = Some(next.clone());
            }
            *status = next;
            true
        });
        let Some(now) = turned else { return };
        self.metrics.up.set(f64::from(u8::from(now.is_up())));
        match now.down.or(now.writes_refused) {
            Some(why) => tracing::warn!(%why, "database is down"),
            None => tracing::info!("database is up"),
        }
    }
}

/// What the outcome of a call says about the database itself.
enum Verdict {
    Answered,
    RefusesWrites,
    Down,
    NoNews,
}

const fn verdict(error: &StoreError) -> Verdict {
    match error {
        StoreError::Unavailable { .. }
        | StoreError::Login { .. }
        | StoreError::Lost { .. }
        // It did not even answer that it gave up.
        | StoreError::Timeout { answered: false, .. }
        | StoreError::Corrupt { .. }
        | StoreError::File { .. }
        | StoreError::Closed => Verdict::Down,
        StoreError::DiskFull { .. } | StoreError::ReadOnly { .. } => Verdict::RefusesWrites,
        StoreError::Timeout { .. }
        | StoreError::Conflict { .. }
        | StoreError::Contended { .. }
        | StoreError::Unique { .. }
        | StoreError::Reference { .. }
        | StoreError::Check { .. }
        | StoreError::Statement { .. } => Verdict::Answered,
        _ => Verdict::NoNews,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_calls_bring_turns_the_status() {
        let board = StatusBoard::new(StoreMetrics::noop());
        let status = board.subscribe();
        let check = |outcome: Result<(), StoreError>, wrote: bool, up: bool| {
            board.note(&outcome, wrote);
            assert_eq!(status.borrow().is_up(), up, "{outcome:?}");
        };
        let lost = || StoreError::Lost { statement: "s", cause: "closed".to_owned() };
        let full = || StoreError::DiskFull { statement: "s" };
        let exhausted = || StoreError::PoolExhausted { waited: Duration::from_secs(1) };
        let conflict = || StoreError::Conflict { statement: "s", expected: 1, found: 0 };
        check(Err(exhausted()), true, true);
        check(Err(lost()), false, false);
        check(Err(exhausted()), true, false);
        check(Err(conflict()), true, true);
        // A read does not prove that writes work again.
        check(Err(full()), true, false);
        check(Ok(()), false, false);
        let since = status.borrow().since;
        check(Ok(()), true, true);
        assert!(status.borrow().since > since);
    }
}
