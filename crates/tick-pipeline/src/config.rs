//! Settings of a pipeline: plain data with working defaults.

use std::time::Duration;

use crate::batch::BatchConfig;
use crate::enrich::EnrichmentConfig;
use crate::validate::ValidationConfig;

/// Everything that can be set about a [`Pipeline`](crate::Pipeline).
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineConfig {
    /// What makes a tick unbelievable.
    pub validation: ValidationConfig,
    /// How forwards and Greeks are found.
    pub enrichment: EnrichmentConfig,
    /// When a batch is sealed.
    pub batch: BatchConfig,
    /// How often [`PipelineStatus`](crate::PipelineStatus) is renewed.
    pub status_interval: Duration,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            validation: ValidationConfig::default(),
            enrichment: EnrichmentConfig::default(),
            batch: BatchConfig::default(),
            // People read it; a scrape is rarely faster.
            status_interval: Duration::from_secs(1),
        }
    }
}
