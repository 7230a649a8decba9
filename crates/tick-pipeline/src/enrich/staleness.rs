//! Which values are no longer current, why, and when they are again.

use market_model::{InstrumentSlot, UnixNanos};

use super::Enricher;
use super::live::{ConnectionIndex, Role};
use crate::snapshot::{SnapshotCause, StaleCause};

/// Which instruments an event concerns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Concerns {
    /// Everything that last ticked on a connection.
    Connection(ConnectionIndex),
    /// One instrument, if it last ticked on that connection.
    Instrument(InstrumentSlot, ConnectionIndex),
}

// === impl Enricher ===

impl Enricher {
    /// Marks values that arrived before `until` as not current since `now`; each is published once for it.
    pub(crate) fn mark_stale(
        &mut self,
        concerns: Concerns,
        until: Option<UnixNanos>,
        cause: StaleCause,
        now: UnixNanos,
    ) {
        let (connection, range) = match concerns {
            Concerns::Connection(connection) => (connection, 0..self.live.len()),
            Concerns::Instrument(slot, connection) => match self.position(slot) {
                Some(at) => (connection, at..at + 1),
                None => return,
            },
        };
        for at in range {
            let live = &self.live[at];
            if live.connection == connection && until.is_none_or(|until| live.ts_recv < until) {
                self.make_stale(at, cause, now);
            }
        }
    }

    /// Values that were only suspected become current again; each is published once for it.
    pub(crate) fn end_suspicion(&mut self, connection: ConnectionIndex, cause: StaleCause) {
        for at in 0..self.live.len() {
            let live = &mut self.live[at];
            if live.connection == connection && live.stale.is_some_and(|(known, _)| known == cause) {
                live.stale = None;
                let tick = self.values[at].tick;
                self.stale -= 1;
                self.spread(at, &tick);
                self.want(at, SnapshotCause::Staleness);
            }
        }
    }

    pub(super) fn make_stale(&mut self, at: usize, cause: StaleCause, now: UnixNanos) {
        match self.live[at].stale {
            Some((before, _)) if before == cause || cause.is_suspicion() => return,
            Some((_, since)) => self.live[at].stale = Some((cause, since)),
            None => {
                self.live[at].stale = Some((cause, now));
                self.stale += 1;
            }
        }
        let live = &self.live[at];
        match live.role {
            Role::Alone => {}
            Role::Option { row, side, .. } => {
                let chain = live.chain as usize;
                self.chains[chain].mark_stale(row as usize, side);
                self.queue(chain);
            }
            Role::Spot(underlying) | Role::Future(underlying, _) => self.queue_all(underlying),
        }
        self.want(at, SnapshotCause::Staleness);
    }
}
