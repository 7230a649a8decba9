//! What became of everything that was pushed to one sink.

/// Counts of one sink, exact at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkCounts {
    /// Snapshots pushed into the queue.
    pub pushed: u64,
    /// Snapshots the sink took.
    pub delivered: u64,
    /// Snapshots whose delivery failed.
    pub failed: u64,
    /// Snapshots that gave way.
    pub dropped: u64,
    /// Snapshots replaced by a newer one of the same instrument.
    pub conflated: u64,
    /// Snapshots waiting now.
    pub waiting: u64,
    /// Batches waiting now; what was folded together counts as one.
    pub depth: usize,
    /// Memory that what waits takes, counted as if no other sink shared it.
    pub waiting_bytes: usize,
    /// The same in ticks.
    pub ticks: SinkTicks,
    /// Health records pushed.
    pub health_pushed: u64,
    /// Health records the sink took.
    pub health_delivered: u64,
    /// Health records whose delivery failed.
    pub health_failed: u64,
    /// Health records that gave way.
    pub health_dropped: u64,
}

/// What became of every tick that batches for one sink stood for: each is in exactly one place. A consumer of the
/// sink misses `failed + overflowed + closed` ticks and can tell from `tick_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkTicks {
    /// Ticks that the pushed batches stand for.
    pub offered: u64,
    /// Delivered as they came.
    pub delivered: u64,
    /// Replaced in the queue by a newer tick of the same instrument, which was delivered in their place.
    pub conflated: u64,
    /// Thrown away because the queue was full.
    pub overflowed: u64,
    /// In a delivery that failed, took too long, panicked or was cancelled.
    pub failed: u64,
    /// Pushed, or still waiting, when nobody served the sink any more.
    pub closed: u64,
    /// Waiting now.
    pub waiting: u64,
    /// Being delivered now.
    pub in_flight: u64,
}

// === impl SinkCounts ===

impl SinkCounts {
    /// Whether every tick is accounted for. The sums are kept independently of each other: what waits is counted from
    /// what is in the queue.
    pub fn is_balanced(&self) -> bool {
        self.ticks.offered == self.ticks.accounted()
    }
}

// === impl SinkTicks ===

impl SinkTicks {
    /// Ticks whose whereabouts are known; [`offered`](Self::offered) when nothing went astray.
    pub const fn accounted(&self) -> u64 {
        self.delivered + self.conflated + self.lost() + self.waiting + self.in_flight
    }

    /// Ticks that a consumer will never get.
    pub const fn lost(&self) -> u64 {
        self.overflowed + self.failed + self.closed
    }
}
