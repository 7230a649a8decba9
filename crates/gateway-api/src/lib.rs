//! The HTTP door: newest values, option chains with Greeks, a WebSocket and an event stream, health, metrics and the
//! web page.
//!
//! This crate refuses to know where ticks come from: not Kite, not Redis, no database. It is given batches through
//! [`ApiSink`] and a report through [`HealthSource`]. Slow clients lose ticks by a policy they chose and are told;
//! they never hold up the sink or each other.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use gateway_api::{ApiConfig, ApiMetrics, ApiState, HealthSource, LatestValues, NoAccounts, NoOperations, NobodyElse, StreamHub, serve};
//! # async fn example(health: Arc<dyn HealthSource>) -> Result<(), Box<dyn std::error::Error>> {
//! # let (_, catalog) = tokio::sync::watch::channel(Arc::new(market_model::InstrumentCatalog::default()));
//! let metrics = ApiMetrics::noop(); // or ApiMetrics::register(&recorder)
//! let latest = Arc::new(LatestValues::new());
//! let hub = StreamHub::new(latest.clone(), metrics.stream.clone());
//! let sink = hub.sink(); // give it to the pipeline's fan-out
//! let state = ApiState {
//!     latest, hub, health, catalog, metrics, elsewhere: Arc::new(NobodyElse),
//!     control: Arc::new(NoAccounts), operations: Arc::new(NoOperations), metrics_text: Arc::new(String::new), sim: true, clock: Arc::new(market_model::SystemClock), api_key: None,
//! };
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! serve(listener, state, ApiConfig::default(), tokio_util::sync::CancellationToken::new()).await?;
//! # drop(sink); Ok(()) }
//! ```

mod answers;
mod chain;
mod control;
mod elsewhere;
mod error;
mod events;
mod hub;
mod latest;
mod metrics;
mod openapi;
mod operations;
mod page;
mod router;
mod routes;
mod server;
mod state;
mod stream;
mod symbols;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use control::{ControlError, FeedControl, NoAccounts, Renewing};
pub use elsewhere::{Elsewhere, NobodyElse, Reading};
pub use error::ApiError;
pub use hub::{ApiSink, SlowPolicy, StreamHub, StreamMetrics, StreamStats};
pub use latest::{LatestValue, LatestValues, ValueCounts};
pub use metrics::ApiMetrics;
pub use operations::{
    LoginAnswer, NewAccount, NoOperations, Operation, OperationError, OperationFuture, Operations, WishBody,
};
pub use server::serve;
pub use state::{ApiConfig, ApiKey, ApiState, HealthSource, StreamConfig};
