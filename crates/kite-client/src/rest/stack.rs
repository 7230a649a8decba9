//! The two stacks: one for reads, which may be asked twice, and one for everything that changes something.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kite_wire::api::ApiRequest;
use metrics::Counter;
use resilience::{Backoff, BackoffConfig, CircuitBreaker};
use tower::ServiceBuilder;
use tower::layer::layer_fn;
use tower::retry::{Policy, RetryLayer};
use tower::util::BoxCloneSyncService;

use super::config::RestConfig;
use super::error::RestError;
use super::layers::{Guarded, Measured, Paced, Timed};
use super::metrics::RestMetrics;
use super::pace::Pace;
use super::transport::Transport;

pub(super) type Stack = BoxCloneSyncService<ApiRequest, Bytes, RestError>;

/// For calls that change nothing.
pub(super) fn reads(
    config: &RestConfig,
    metrics: &RestMetrics,
    pace: &Arc<dyn Pace>,
    breaker: &Arc<CircuitBreaker>,
    transport: Transport,
) -> Stack {
    let (metrics, pace, breaker) = (metrics.clone(), pace.clone(), breaker.clone());
    let (patience, retry) = (config.read_timeout, Retry::new(config, metrics.retries.clone()));
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            // Outermost, so that it shows what the caller saw: all tries and waits together.
            .layer(layer_fn(move |inner| Measured { inner, metrics: metrics.clone() }))
            // Around all that follows, so that each try asks the breaker and the pace keeper for itself.
            .layer(RetryLayer::new(retry))
            // Before the pace, so that a call that is not worth making uses up nobody's budget.
            .layer(layer_fn(move |inner| Guarded { inner, breaker: breaker.clone() }))
            // Outside the timeout, because waiting for our turn says nothing about Kite.
            .layer(layer_fn(move |inner| Paced { inner, pace: pace.clone() }))
            // Around the connection, so that a dead host and a mute one cost the same bounded time.
            .layer(layer_fn(move |inner| Timed { inner, patience }))
            .service(transport),
    )
}

/// For orders and everything else that changes something.
///
/// No retry, because a second try could be a second order. No breaker, because failing quotes are no reason to refuse the
/// order that ends a position; whoever owns the order decides. No timeout layer: the transport keeps the time, as it alone
/// knows whether the request has left.
pub(super) fn writes(metrics: &RestMetrics, pace: &Arc<dyn Pace>, transport: Transport) -> Stack {
    let (metrics, pace) = (metrics.clone(), pace.clone());
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            // Outermost, as above.
            .layer(layer_fn(move |inner| Measured { inner, metrics: metrics.clone() }))
            // Before a connection is taken, so that nothing is held while waiting for our turn.
            .layer(layer_fn(move |inner| Paced { inner, pace: pace.clone() }))
            .service(transport),
    )
}

/// Tries a read again, a bounded number of times, after growing and jittered waits.
#[derive(Clone)]
struct Retry {
    left: u32,
    backoff: BackoffConfig,
    waits: Option<Backoff>,
    retries: Counter,
}

impl Retry {
    fn new(config: &RestConfig, retries: Counter) -> Self {
        Self { left: config.tries.max(1) - 1, backoff: config.backoff, waits: None, retries }
    }
}

impl Policy<ApiRequest, Bytes, RestError> for Retry {
    type Future = BoxFuture<'static, ()>;

    fn retry(
        &mut self,
        request: &mut ApiRequest,
        answer: &mut Result<Bytes, RestError>,
    ) -> Option<Self::Future> {
        let error = answer.as_ref().err().filter(|error| error.is_retryable())?;
        if self.left == 0 || !request.is_read {
            return None;
        }
        // Seeded by the process, so that clients that failed together do not come back together.
        let backoff = self.backoff;
        let waits = self.waits.get_or_insert_with(|| Backoff::new(backoff, RandomState::new().hash_one(0)));
        let wait = waits.next();
        let wait = match error.retry_after() {
            // Asked to wait longer than we are willing to: the caller should know that now.
            Some(asked) if asked > backoff.max => return None,
            Some(asked) => wait.max(asked),
            None => wait,
        };
        self.left -= 1;
        self.retries.increment(1);
        Some(Box::pin(tokio::time::sleep(wait)))
    }

    fn clone_request(&mut self, request: &ApiRequest) -> Option<ApiRequest> {
        Some(request.clone())
    }
}
