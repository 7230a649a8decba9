//! Elapsed time that also passes while the machine sleeps or the process is stopped.

use std::time::Duration;

/// A clock of elapsed time.
pub trait Uptime: Send + Sync + 'static {
    /// Time since some moment in the past; never goes back.
    fn now(&self) -> Duration;
}

/// The system's: time since boot, suspended time included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemUptime;

impl Uptime for SystemUptime {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// A clock that moves only when told to.
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Default)]
pub struct ManualUptime(std::sync::atomic::AtomicU64);

#[cfg(any(test, feature = "test-util"))]
impl ManualUptime {
    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Uptime for std::sync::Arc<ManualUptime> {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}
