//! What a worker tells people about itself.

use std::sync::Arc;

use market_model::{InstrumentToken, UnixNanos};

use crate::enrich::ChainStatus;
use crate::validate::TickRejected;

/// What one worker has counted since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipelineCounts {
    /// Ticks that arrived.
    pub ticks: u64,
    /// Ticks refused, in the order of [`TickRejected::ALL`].
    pub rejected: [u64; TickRejected::ALL.len()],
    /// Ticks replaced by a newer one of the same instrument before they were published.
    pub conflated: u64,
    /// Ticks shown by published snapshots.
    pub shown: u64,
    /// Ticks that will be shown by snapshots not published yet.
    pub waiting: u64,
    /// Snapshots published.
    pub snapshots: u64,
    /// Batches published.
    pub batches: u64,
    /// Feed-health records published.
    pub health: u64,
}

/// One worker at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineStatus {
    /// The worker's name.
    pub source: Arc<str>,
    /// Whether its feed is simulated.
    pub sim: bool,
    /// When this was written; `None` before the first poll.
    pub at: Option<UnixNanos>,
    /// Counts since the start.
    pub counts: PipelineCounts,
    /// Tokens that are not in the catalog, with how often each ticked, most frequent first.
    pub unknown_tokens: Vec<(InstrumentToken, u64)>,
    /// Ticks of further unknown tokens that found no room in the list.
    pub unknown_others: u64,
    /// Instruments that have ticked.
    pub instruments: usize,
    /// Those of them whose value is not current.
    pub stale: usize,
    /// The forward of every chain.
    pub chains: Vec<ChainStatus>,
}

// === impl PipelineCounts ===

impl PipelineCounts {
    /// Ticks refused for any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Whether every tick that arrived is accounted for: refused, conflated, shown or waiting. What waits is counted
    /// from what waits, not as the difference.
    pub fn is_balanced(&self) -> bool {
        self.ticks == self.rejected_total() + self.conflated + self.shown + self.waiting
    }
}

// === impl PipelineStatus ===

impl PipelineStatus {
    pub(crate) fn new(source: Arc<str>, sim: bool) -> Self {
        Self {
            source,
            sim,
            at: None,
            counts: PipelineCounts::default(),
            unknown_tokens: Vec::new(),
            unknown_others: 0,
            instruments: 0,
            stale: 0,
            chains: Vec::new(),
        }
    }
}
