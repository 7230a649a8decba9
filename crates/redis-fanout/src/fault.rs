//! What does not work at present, part by part: batches may arrive while nothing can be stored.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::RedisError;

/// A part of the work that can fail on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RedisPart {
    /// Having all connections.
    Connection,
    /// Publishing batches.
    Ticks,
    /// Writing last values.
    LastValues,
    /// Appending health records.
    Health,
}

/// Something that does not work at present. Shows itself as one line: part, error, next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFault {
    /// What it concerns.
    pub part: RedisPart,
    /// The newest error.
    pub error: RedisError,
    /// For how long this part has not worked.
    pub lasts: Duration,
}

/// The faults of each part, until it works again.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    present: [AtomicBool; PARTS.len()],
    inner: Mutex<[Option<Fault>; PARTS.len()]>,
}

#[derive(Debug, Clone)]
struct Fault {
    error: RedisError,
    since: Instant,
    ended: bool,
    logged: Instant,
}

const PARTS: [RedisPart; 4] =
    [RedisPart::Connection, RedisPart::Ticks, RedisPart::LastValues, RedisPart::Health];
/// The same kind of error of the same part is not logged more often.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(30);

// === impl RedisPart ===

impl RedisPart {
    /// The word used in reports and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Ticks => "ticks",
            Self::LastValues => "last_values",
            Self::Health => "health",
        }
    }
}

// === impl RedisFault ===

impl fmt::Display for RedisFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, error, .. } = self;
        write!(f, "{error} ({}); {}", part.as_str(), error.next_step())
    }
}

// === impl Faults ===

impl Faults {
    /// Notes an error; answers whether it deserves a log line, being of another kind than the one before or not
    /// logged for a while.
    pub(crate) fn set(&self, part: RedisPart, error: &RedisError, now: Instant) -> bool {
        let mut faults = self.lock();
        let before = faults[part as usize].take();
        let log = before.as_ref().is_none_or(|before| {
            std::mem::discriminant(&before.error) != std::mem::discriminant(error)
                || now - before.logged >= LOG_AGAIN_AFTER
        });
        faults[part as usize] = Some(Fault {
            error: error.clone(),
            since: before.as_ref().filter(|before| !before.ended).map_or(now, |before| before.since),
            ended: false,
            logged: before.filter(|_| !log).map_or(now, |before| before.logged),
        });
        self.present[part as usize].store(true, Ordering::Release);
        log
    }

    /// The part works. Costs one load when it has worked all the time.
    pub(crate) fn clear(&self, part: RedisPart) {
        self.clear_if(part, |_| true);
    }

    /// The part works if `error` is what was wrong with it.
    pub(crate) fn clear_if(&self, part: RedisPart, error: impl Fn(&RedisError) -> bool) {
        if self.present[part as usize].load(Ordering::Acquire)
            && let Some(fault) = &mut self.lock()[part as usize]
            && error(&fault.error)
        {
            fault.ended = true;
            self.present[part as usize].store(false, Ordering::Release);
        }
    }

    /// What does not work, worst first.
    pub(crate) fn at(&self, now: Instant) -> Vec<RedisFault> {
        let faults = self.lock();
        let of = |part: RedisPart| {
            let fault = faults[part as usize].as_ref().filter(|fault| !fault.ended)?;
            Some(RedisFault {
                part,
                error: fault.error.clone(),
                lasts: now.saturating_duration_since(fault.since),
            })
        };
        PARTS.into_iter().filter_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Fault>; PARTS.len()]> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_works_again_hides_no_other() {
        let faults = Faults::default();
        let oom = RedisError::of_reply("OOM command not allowed");
        let begin = Instant::now();
        assert!(faults.set(RedisPart::LastValues, &oom, begin));
        assert!(faults.set(RedisPart::Ticks, &RedisError::NotConnected, begin));
        let later = begin + Duration::from_secs(3);
        assert!(!faults.set(RedisPart::LastValues, &oom, later), "said before");
        faults.clear(RedisPart::Ticks);
        let [fault] = &faults.at(later)[..] else { panic!("{:?}", faults.at(later)) };
        assert_eq!((fault.part, fault.lasts), (RedisPart::LastValues, Duration::from_secs(3)));
        assert_eq!(
            fault.to_string(),
            "redis is out of memory: OOM command not allowed (last_values); raise maxmemory of redis, choose an \
             eviction policy or delete keys"
        );
        faults.clear_if(RedisPart::LastValues, |error| !error.is_answer());
        assert_eq!(faults.at(later).len(), 1);
        faults.clear(RedisPart::LastValues);
        assert!(faults.at(later).is_empty());
        assert!(
            !faults.set(RedisPart::LastValues, &oom, later),
            "what comes and goes does not flood the log"
        );
        assert_eq!(faults.at(later)[0].lasts, Duration::ZERO);
        assert!(faults.set(RedisPart::LastValues, &oom, begin + LOG_AGAIN_AFTER));
        assert!(faults.set(RedisPart::LastValues, &RedisError::NotConnected, later), "another kind");
    }
}
