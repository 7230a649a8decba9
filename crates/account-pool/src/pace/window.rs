//! One limit: so many grants in a span of time, read as a calendar span, as any span, or both.

use std::collections::VecDeque;
use std::time::Duration;

use market_model::UnixNanos;
use tokio::time::Instant;

/// What "10 per second" means. The broker does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowReading {
    /// From :00 to :01 of the wall clock.
    Calendar,
    /// Any second.
    Rolling,
    /// Both hold.
    #[default]
    Both,
}

/// So many in a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// 0 counts as 1: a limit that lets nothing through would make callers wait for nothing.
    pub(super) most: u32,
    pub(super) span: Duration,
    pub(super) guard: Duration,
    pub(super) reading: WindowReading,
}

/// The grants that still count against one limit.
#[derive(Debug)]
pub(super) struct Window {
    limit: Limit,
    /// At most `limit.most`, oldest first. What falls out at the front is older than the span.
    granted: VecDeque<Instant>,
    /// The present span of the wall clock and how many grants it holds.
    calendar: (i64, u32),
}

// === impl Window ===

impl Window {
    pub(super) fn new(limit: Limit) -> Self {
        let limit = Limit { most: limit.most.max(1), ..limit };
        Self { limit, granted: VecDeque::with_capacity(limit.most as usize), calendar: (i64::MIN, 0) }
    }

    /// When the next grant is allowed; `None` for now.
    pub(super) fn blocked_until(&self, now: Instant, wall: UnixNanos) -> Option<Instant> {
        let rolling = self.rolling_until(now);
        let calendar = self.calendar_until(now, wall);
        rolling.max(calendar)
    }

    pub(super) fn grant(&mut self, now: Instant, wall: UnixNanos) {
        if self.granted.len() >= self.limit.most as usize {
            self.granted.pop_front();
        }
        self.granted.push_back(now);
        let slot = self.slot(wall);
        let count = if self.calendar.0 == slot { self.calendar.1 } else { 0 };
        self.calendar = (slot, count + 1);
    }

    /// Takes back a grant that nobody used.
    pub(super) fn give_back(&mut self, at: Instant, wall: UnixNanos) {
        if let Some(index) = self.granted.iter().rposition(|granted| *granted == at) {
            self.granted.remove(index);
        }
        if self.calendar.0 == self.slot(wall) {
            self.calendar.1 = self.calendar.1.saturating_sub(1);
        }
    }

    /// When somebody with `ahead` others before him gets his turn, if all of them take theirs.
    pub(super) fn estimate(&self, ahead: usize, now: Instant) -> Instant {
        let (most, held) = (self.limit.most as usize, self.granted.len());
        let step = self.limit.span + self.limit.guard;
        let (mut index, mut rounds) = (held + ahead, 0_u32);
        while index >= held {
            if index < most {
                return now + step * rounds;
            }
            index -= most;
            rounds += 1;
        }
        (self.granted[index] + step * rounds).max(now + step * rounds.saturating_sub(1))
    }

    /// How many grants count now.
    pub(super) fn used(&self, now: Instant) -> u32 {
        let recent = self.granted.iter().rev().take_while(|at| **at + self.limit.span > now).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }

    pub(super) const fn most(&self) -> u32 {
        self.limit.most
    }

    fn rolling_until(&self, now: Instant) -> Option<Instant> {
        if self.limit.reading == WindowReading::Calendar || self.granted.len() < self.limit.most as usize {
            return None;
        }
        let free = *self.granted.front()? + self.limit.span + self.limit.guard;
        (free > now).then_some(free)
    }

    fn calendar_until(&self, now: Instant, wall: UnixNanos) -> Option<Instant> {
        let slot = self.slot(wall);
        let full = self.calendar.0 == slot && self.calendar.1 >= self.limit.most;
        if self.limit.reading == WindowReading::Rolling || !full {
            return None;
        }
        let next = UnixNanos(slot.saturating_add(1).saturating_mul(self.span_nanos()));
        Some(now + next.saturating_since(wall))
    }

    fn slot(&self, wall: UnixNanos) -> i64 {
        wall.0.div_euclid(self.span_nanos())
    }

    fn span_nanos(&self) -> i64 {
        i64::try_from(self.limit.span.as_nanos()).unwrap_or(i64::MAX).max(1)
    }
}
