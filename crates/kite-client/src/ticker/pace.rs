//! How many handshakes a connection may begin: no fault, however it repeats, becomes a storm of them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// The handshakes of one connection in the last minute. It outlives the connection's task.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    recent: VecDeque<Instant>,
}

// === impl Pace ===

impl Pace {
    /// At most `most` in any minute.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), recent: VecDeque::new() }
    }

    /// Begins one at `now`, unless that must wait: then answers how long.
    pub(crate) fn begin(&mut self, now: Instant) -> Result<(), Duration> {
        while self.recent.front().is_some_and(|then| now - *then >= MINUTE) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.most
            && let Some(oldest) = self.recent.front()
        {
            return Err(*oldest + MINUTE - now);
        }
        self.recent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_allowed() {
        let start = Instant::now();
        let mut pace = Pace::new(3);
        let mut begun = Vec::new();
        for tenth in 0..3000 {
            let now = start + Duration::from_millis(100) * tenth;
            match pace.begin(now) {
                Ok(()) => begun.push(now),
                Err(wait) => assert!(wait <= MINUTE && !wait.is_zero()),
            }
        }
        assert_eq!(begun.len(), 15, "three in each of five minutes");
        assert!(begun.windows(4).all(|four| four[3] - four[0] >= MINUTE));
        assert!(pace.recent.len() <= 3);
    }
}
