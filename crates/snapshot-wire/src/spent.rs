//! Payloads that were handed out, for their memory: what a socket has just taken is still in the processor's cache.

use bytes::Bytes;

/// As many as are on their way at a time under load; what is kept longer (last values keep payloads for a second) is
/// let go.
const KEPT: usize = 16;
/// Larger ones are rare, and not worth to be held on to.
const LARGEST: usize = 256 * 1024;

/// The newest payloads, at most four megabytes.
#[derive(Debug, Default)]
pub(crate) struct Spent(Vec<Bytes>);

// === impl Spent ===

impl Spent {
    /// Memory for at least `capacity` bytes: that of the newest payload that nobody holds any more, with what is in it,
    /// or new.
    pub(crate) fn take(&mut self, capacity: usize) -> Vec<u8> {
        let free = self.0.iter().rposition(|payload| payload.is_unique() && payload.len() >= capacity / 2);
        let used = free.and_then(|at| self.0.swap_remove(at).try_into_mut().ok());
        let mut memory = used.map(Vec::from).unwrap_or_default();
        memory.reserve(capacity.saturating_sub(memory.len()));
        memory
    }

    /// Remembers a payload that is handed out.
    pub(crate) fn remember(&mut self, payload: &Bytes) {
        if payload.len() > LARGEST {
            return;
        }
        if self.0.len() >= KEPT {
            self.0.swap_remove(0);
        }
        self.0.push(payload.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_when_nobody_holds_it() {
        let mut spent = Spent::default();
        let held = Bytes::from(vec![1; 1000]);
        let dropped = Bytes::from(vec![2; 1000]);
        let place = dropped.as_ptr();
        spent.remember(&held);
        spent.remember(&dropped);
        let new = spent.take(900);
        assert_ne!(new.as_ptr(), place, "somebody holds it");
        drop(dropped);
        let again = spent.take(900);
        assert_eq!(again.as_ptr(), place);
        let new = spent.take(900);
        assert!(new.as_ptr() != held.as_ptr() && held == vec![1; 1000]);
    }

    #[test]
    fn it_holds_a_few_and_nothing_large() {
        let mut spent = Spent::default();
        spent.remember(&Bytes::from(vec![0; LARGEST + 1]));
        assert!(spent.0.is_empty());
        for _ in 0..100 {
            spent.remember(&Bytes::from(vec![0; 10]));
        }
        assert_eq!(spent.0.len(), KEPT);
    }
}
