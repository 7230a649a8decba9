//! What a holder knows of its lease without asking anybody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::table;
use super::uptime::Uptime;
use crate::{Atomic, Value};

/// A lease of one name. Cheap to clone; clones end together.
#[derive(Clone)]
pub struct LeaseGuard {
    term: Arc<Term>,
}

/// The leases an instance holds, by name.
pub type HeldLeases = Arc<BTreeMap<Arc<str>, LeaseGuard>>;

struct Term {
    name: Arc<str>,
    holder: Arc<str>,
    fence: i64,
    /// Nanoseconds of uptime; 0 once lost or given up. Only ever set to 0 after that.
    valid_until: AtomicU64,
    uptime: Arc<dyn Uptime>,
}

// === impl LeaseGuard ===

impl LeaseGuard {
    pub(super) fn new(
        name: Arc<str>,
        holder: Arc<str>,
        fence: i64,
        valid_until: Duration,
        uptime: Arc<dyn Uptime>,
    ) -> Self {
        let valid_until = AtomicU64::new(nanos(valid_until));
        Self { term: Arc::new(Term { name, holder, fence, valid_until, uptime }) }
    }

    /// What is leased.
    pub fn name(&self) -> &Arc<str> {
        &self.term.name
    }

    /// Rises with every change of holder.
    pub fn fence(&self) -> i64 {
        self.term.fence
    }

    /// Whether the lease is surely held at this moment. Costs one look at the clock; look again before each act that
    /// would do harm if another instance did it too. A lease that was lost is never held again through this guard.
    pub fn is_held(&self) -> bool {
        !self.valid_for().is_zero()
    }

    /// How long it is still valid if it is not renewed; zero once lost.
    pub fn valid_for(&self) -> Duration {
        let until = Duration::from_nanos(self.term.valid_until.load(Ordering::SeqCst));
        until.saturating_sub(self.term.uptime.now())
    }

    /// Adds to a transaction the condition that this lease is still ours, which locks its row until the end. First
    /// in the transaction, else the writes before it have run in vain. [`crate::StoreError::Conflict`] when it does
    /// not hold.
    #[must_use]
    pub fn fence_in(&self, atomic: Atomic) -> Atomic {
        let (name, holder) = (Value::from(&*self.term.name), Value::from(&*self.term.holder));
        atomic.query(&table::FENCE, [name, holder, self.term.fence.into()]).expect_rows(1)
    }

    /// Moves the end. A lease whose end has passed stays lost: someone may have seen it lost.
    pub(super) fn extend(&self, valid_until: Duration) -> bool {
        let (now, until) = (nanos(self.term.uptime.now()), nanos(valid_until));
        let extend = |old: u64| (old > now).then_some(old.max(until));
        self.term.valid_until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, extend).is_ok()
    }

    /// Whether both are one lease.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.term, &other.term)
    }

    /// Ends it here, whatever the database says.
    pub(super) fn end(&self) {
        self.term.valid_until.store(0, Ordering::SeqCst);
    }
}

impl fmt::Debug for LeaseGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseGuard")
            .field("name", &self.term.name)
            .field("fence", &self.term.fence)
            .field("valid_for", &self.valid_for())
            .finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::ManualUptime;

    #[test]
    fn a_lost_lease_is_not_found_again() {
        let uptime = Arc::new(ManualUptime::default());
        let guard =
            LeaseGuard::new("a".into(), "i".into(), 7, Duration::from_secs(5), Arc::new(uptime.clone()));
        let (other, second) = (guard.clone(), Duration::from_secs(1));
        uptime.advance(second * 4);
        assert!(guard.is_held() && guard.extend(second * 8) && other.valid_for() == second * 4);
        // An answer that was under way for long does not shorten it.
        assert!(guard.extend(second * 6) && guard.valid_for() == second * 4);
        uptime.advance(second * 4);
        assert!(!guard.is_held() && !guard.extend(second * 20) && !other.is_held());
    }
}
