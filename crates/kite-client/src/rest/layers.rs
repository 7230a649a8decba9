//! The layers around the transport, each doing one thing. How they are stacked, and why so, is in `stack`.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kite_wire::api::ApiRequest;
use resilience::CircuitBreaker;
use tokio::time::{Instant, timeout};
use tower::{Service, ServiceExt};

use super::error::RestError;
use super::metrics::RestMetrics;
use super::pace::Pace;

/// What every layer wraps: a service that is always ready.
pub(super) trait Asks:
    Service<ApiRequest, Response = Bytes, Error = RestError, Future: Send> + Clone + Send + 'static
{
}

impl<S> Asks for S where
    S: Service<ApiRequest, Response = Bytes, Error = RestError, Future: Send> + Clone + Send + 'static
{
}

/// Counts calls by their outcome and times them.
#[derive(Clone)]
pub(super) struct Measured<S> {
    pub(super) inner: S,
    pub(super) metrics: RestMetrics,
}

/// Asks the breaker before each try and tells it how the try ended.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    pub(super) inner: S,
    pub(super) breaker: Arc<CircuitBreaker>,
}

/// Waits for leave to go.
#[derive(Clone)]
pub(super) struct Paced<S> {
    pub(super) inner: S,
    pub(super) pace: Arc<dyn Pace>,
}

/// Ends a try that takes too long.
#[derive(Clone)]
pub(super) struct Timed<S> {
    pub(super) inner: S,
    pub(super) patience: Duration,
}

macro_rules! layer {
    ($name:ident, |$this:ident, $request:ident| $body:block) => {
        impl<S: Asks> Service<ApiRequest> for $name<S> {
            type Response = Bytes;
            type Error = RestError;
            type Future = BoxFuture<'static, Result<Bytes, RestError>>;

            fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), RestError>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, $request: ApiRequest) -> Self::Future {
                let $this = self.clone();
                Box::pin(async move { $body })
            }
        }
    };
}

layer!(Measured, |this, request| {
    let (class, begun) = (request.class, Instant::now());
    let answer = this.inner.oneshot(request).await;
    let outcome = answer.as_ref().map_or_else(RestError::outcome, |_| "ok");
    this.metrics.ended(class, outcome, begun.elapsed().as_secs_f64());
    answer
});

layer!(Guarded, |this, request| {
    let permit = this.breaker.permit(Instant::now())?;
    let answer = this.inner.oneshot(request).await;
    match &answer {
        Err(error) if error.is_failure_of_kite() => this.breaker.failure(permit, Instant::now()),
        // Nothing was asked, so nothing was learned.
        Err(RestError::Paced(_) | RestError::NoToken | RestError::Unsendable { .. }) => drop(permit),
        _ => this.breaker.success(permit),
    }
    answer
});

layer!(Paced, |this, request| {
    let class = request.class;
    let permit = this.pace.acquire(class).await?;
    let answer = this.inner.oneshot(request).await;
    if answer.as_ref().is_err_and(RestError::is_too_fast) {
        this.pace.too_fast(class);
    }
    drop(permit);
    answer
});

layer!(Timed, |this, request| {
    let answer = timeout(this.patience, this.inner.oneshot(request)).await;
    answer.unwrap_or(Err(RestError::Timeout(this.patience)))
});
