//! What the door is given: where values come from, what to report, and how it is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use market_model::{Clock, InstrumentCatalog};
use tokio::sync::watch;

use crate::control::FeedControl;
use crate::elsewhere::Elsewhere;
use crate::error::ApiError;
use crate::hub::StreamHub;
use crate::latest::LatestValues;
use crate::metrics::ApiMetrics;
use crate::operations::Operations;

/// Everything the routes read.
#[derive(Clone)]
pub struct ApiState {
    /// The newest values.
    pub latest: Arc<LatestValues>,
    /// Those that other instances have.
    pub elsewhere: Arc<dyn Elsewhere>,
    /// The streams.
    pub hub: Arc<StreamHub>,
    /// What `/health` and `/readyz` say.
    pub health: Arc<dyn HealthSource>,
    /// Carries out an operator's commands.
    pub control: Arc<dyn FeedControl>,
    /// Carries out what concerns more than the feed.
    pub operations: Arc<dyn Operations>,
    /// What `/metrics` says, in Prometheus' text format.
    pub metrics_text: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether any account is simulated.
    pub sim: bool,
    /// Today's instruments; a new day swaps them whole.
    pub catalog: watch::Receiver<Arc<InstrumentCatalog>>,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// When set, everything but the page, `/healthz`, `/readyz` and `/openapi.json` asks for it.
    pub api_key: Option<ApiKey>,
    /// Counts requests.
    pub metrics: ApiMetrics,
}

/// What only the whole gateway knows about itself.
pub trait HealthSource: Send + Sync + 'static {
    /// A JSON object for `/health`; its members stand at the top level beside the door's own (`status`, `missing`,
    /// `sim`, `ts`, `values`, `stream`). The page shows these members when they are present:
    ///
    /// - `connections`: `[{"name","state","instruments","ticks","ticks_per_second","silent","dropped_ticks",
    ///   "reconnects","last_frame_age_ms","last_reason"}]`, where `ticks` counts up and `silent` counts instruments
    /// - `forwards`: `[{"underlying","expiry","forward","source","parity_error","stale"}]`
    /// - `sinks`: `[{"name","state","delivered","dropped","failed"}]`
    /// - `tasks`: `[{"name","state","restarts"}]`
    /// - `latency`: `{"<hop>":{"p50","p90","p99","max"}}` in seconds
    /// - `rejected_ticks`: `{"<reason>":count}`; `unknown_tokens`: a list
    /// - `subscriptions`: `{"unmet":[...],"refused_for_capacity":count}`
    fn report(&self) -> serde_json::Value;

    /// What is missing before the gateway can serve; empty when it can.
    fn missing(&self) -> Vec<String>;
}

/// The key clients show. Prints as `[redacted]`.
#[derive(Clone)]
pub struct ApiKey(Arc<str>);

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Connections at once, streams included; one more is answered 503 and closed.
    pub max_connections: usize,
    /// How long a client may take to send its request's head.
    pub header_read_timeout: Duration,
    /// How long requests and streams may take to end after the shutdown was asked for.
    pub drain_deadline: Duration,
    /// The streams.
    pub stream: StreamConfig,
    /// Answers health and metrics only: an instance without the role of an API.
    pub reports_only: bool,
}

/// How `/v1/stream` and `/v1/events` behave.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Ticks that may wait for a client that chose not to conflate; a client that conflates waits for at most one
    /// tick per instrument.
    pub queue_capacity: usize,
    /// Instruments one connection may subscribe.
    pub max_subscriptions: usize,
    /// Longest message a client may send, in bytes.
    pub max_message_bytes: usize,
    /// A heartbeat follows this long after the last message.
    pub heartbeat: Duration,
    /// How often the client is pinged.
    pub ping: Duration,
    /// A client that sends nothing, not even a pong, for this long is gone.
    pub idle_timeout: Duration,
    /// How long one message may take to be written.
    pub write_timeout: Duration,
    /// How long a client may take to authenticate when a key is configured.
    pub authenticate_timeout: Duration,
    /// Pages from elsewhere that may open a stream, such as `https://desk.example`. A page served by this door may
    /// always, and so may clients that are no browser.
    pub allowed_origins: Vec<String>,
}

// === impl ApiConfig ===

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            // A household has tens of clients; this only keeps a broken one from taking every file descriptor.
            max_connections: 1024,
            header_read_timeout: Duration::from_secs(10),
            drain_deadline: Duration::from_secs(5),
            stream: StreamConfig::default(),
            reports_only: false,
        }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            // About a second of 9,000 instruments in full mode; older prices are worthless once newer ones exist.
            queue_capacity: 16_384,
            max_subscriptions: 20_000,
            max_message_bytes: 256 * 1024,
            heartbeat: Duration::from_secs(5),
            ping: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            // A laptop may doze off for a moment; nothing waits for it.
            write_timeout: Duration::from_secs(30),
            authenticate_timeout: Duration::from_secs(5),
            allowed_origins: Vec::new(),
        }
    }
}

// === impl ApiKey ===

impl ApiKey {
    /// Takes a key of 1 to 256 visible ASCII characters.
    ///
    /// # Errors
    /// [`ApiError::BadApiKey`] for anything else, because it could not be sent in a header.
    pub fn new(key: &str) -> Result<Self, ApiError> {
        let usable = (1..=256).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if usable { Ok(Self(key.into())) } else { Err(ApiError::BadApiKey) }
    }

    /// Compares in a time that depends on the lengths alone.
    pub(crate) fn matches(&self, shown: &str) -> bool {
        let (key, shown) = (self.0.as_bytes(), shown.as_bytes());
        let differing = key.iter().zip(shown).fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(differing) == 0 && key.len() == shown.len()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("sim", &self.sim)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_matches_itself_only_and_is_never_printed() {
        let key = ApiKey::new("s3cret-key").unwrap();
        assert!(key.matches("s3cret-key"));
        for wrong in ["", "s3cret-ke", "s3cret-key0", "S3cret-key"] {
            assert!(!key.matches(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{key:?}"), "[redacted]");
        for unusable in ["", "a b", "schlüssel", &"x".repeat(257)] {
            assert!(ApiKey::new(unusable).is_err());
        }
    }
}
