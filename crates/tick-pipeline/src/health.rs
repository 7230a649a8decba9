//! What is not known about the feed, said to every sink in the same order as it happened.

use std::sync::Arc;

use market_model::{FeedEvent, UnixNanos};

/// One feed-health record: any [`FeedEvent`] but ticks, numbered per source.
#[derive(Debug, Clone)]
pub struct HealthRecord {
    /// Which pipeline worker says it.
    pub source: Arc<str>,
    /// Counts up by one per record of this source.
    pub seq: u64,
    /// When it was published.
    pub ts_publish: UnixNanos,
    /// Whether the feed is simulated.
    pub sim: bool,
    /// What happened.
    pub event: FeedEvent,
}
