//! What happened, as one number: two runs with the same number did the same.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::virtual_time;

/// Lines kept for a person to read when something goes wrong.
const KEPT: usize = 400;

/// A running hash over everything that is noted, the last lines of it, and what was found wrong. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    hash: u64,
    lines: u64,
    latest: Duration,
    last: VecDeque<String>,
    keep_all: bool,
    violations: Vec<String>,
    line: String,
}

// === impl Trace ===

impl Trace {
    /// One that keeps every line, not only the last ones.
    pub fn keeping_all() -> Self {
        let trace = Self::default();
        trace.lock().keep_all = true;
        trace
    }

    /// Notes a line, with the virtual time before it.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        self.lock().note(line);
    }

    /// Something that must not be.
    pub fn violation(&self, line: fmt::Arguments<'_>) {
        let mut inner = self.lock();
        inner.note(format_args!("VIOLATION {line}"));
        // The first ones say it; a broken run would say it for ever.
        if inner.violations.len() < 8 {
            let at = inner.time();
            inner.violations.push(format!("at {:.3} s: {line}", at.as_secs_f64()));
        }
    }

    /// Tells the time to those who are outside of a host.
    pub fn set_time(&self, elapsed: Duration) {
        self.lock().latest = elapsed;
    }

    /// Virtual time, outside of a host the newest known.
    pub fn time(&self) -> Duration {
        self.lock().time()
    }

    /// What was found wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Whether anything was found wrong.
    pub fn is_broken(&self) -> bool {
        !self.lock().violations.is_empty()
    }

    /// The hash and the number of lines in it.
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.hash, inner.lines)
    }

    /// The lines that are kept, oldest first.
    pub fn last(&self) -> Vec<String> {
        self.lock().last.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Outside of a host, the newest time seen.
    fn time(&mut self) -> Duration {
        self.latest = virtual_time().unwrap_or(self.latest);
        self.latest
    }

    fn note(&mut self, line: fmt::Arguments<'_>) {
        let at = self.time();
        let mut text = std::mem::take(&mut self.line);
        text.clear();
        let _ = write!(text, "{:10.3} {line}", at.as_secs_f64());
        // FNV-1a.
        self.hash =
            text.bytes().fold(self.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        self.lines += 1;
        if self.last.len() >= KEPT && !self.keep_all {
            // The oldest line's memory is used again.
            if let Some(mut oldest) = self.last.pop_front() {
                oldest.clone_from(&text);
                self.last.push_back(oldest);
            }
        } else {
            self.last.push_back(text.clone());
        }
        self.line = text;
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            latest: Duration::ZERO,
            last: VecDeque::new(),
            keep_all: false,
            violations: Vec::new(),
            line: String::new(),
        }
    }
}
