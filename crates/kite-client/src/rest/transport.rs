//! One request over one connection, and what its answer is.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use kite_wire::api::{ApiRequest, Method};
use kite_wire::rest::{BodyError, parse_body};
use serde::de::IgnoredAny;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

use super::body::{is_gzip, read_whole};
use super::error::{KiteApiError, RestError};
use super::pool::{Lease, Pool};
use crate::secret::scrub;
use crate::{AccessToken, ApiKey};

/// Who asks, and where.
#[derive(Clone)]
pub(super) struct Identity {
    /// As it stands in the address, for the `Host` header.
    pub(super) authority: Arc<str>,
    pub(super) api_key: ApiKey,
    /// Read for every try, so that a new token is used at once.
    pub(super) token: watch::Receiver<Option<AccessToken>>,
}

/// The innermost service: sends a request and takes its answer apart.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) pool: Arc<Pool>,
    pub(super) identity: Identity,
    pub(super) max_body: usize,
    /// For writes, the time for the answer. It is measured here and not in a layer, because only here is known whether the
    /// request has been handed to a connection: before that, giving up means "not sent".
    pub(super) patience: Option<Duration>,
}

// === impl Transport ===

impl Service<ApiRequest> for Transport {
    type Response = Bytes;
    type Error = RestError;
    type Future = BoxFuture<'static, Result<Bytes, RestError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), RestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ApiRequest) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.ask(&request).await })
    }
}

impl Transport {
    async fn ask(&self, request: &ApiRequest) -> Result<Bytes, RestError> {
        let lease = self.pool.lease().await?;
        match self.patience {
            Some(patience) => {
                let exchange = timeout(patience, self.exchange(lease, request)).await;
                exchange.unwrap_or(Err(RestError::Timeout(patience)))
            }
            None => self.exchange(lease, request).await,
        }
    }

    async fn exchange(&self, lease: Lease, request: &ApiRequest) -> Result<Bytes, RestError> {
        let (lease, response) = send(&self.pool, &self.identity, lease, request).await?;
        let (head, body) = response.into_parts();
        let body = read_whole(body, is_gzip(&head.headers)?, self.max_body).await?;
        lease.give_back();
        self.identity.accept(head.status, &head.headers, body)
    }
}

/// Sends `request` over `lease` and waits for the head of its answer.
///
/// A read that met the closing of a kept connection is sent once more over a new one. A write never is.
pub(super) async fn send(
    pool: &Arc<Pool>,
    identity: &Identity,
    mut lease: Lease,
    request: &ApiRequest,
) -> Result<(Lease, Response<Incoming>), RestError> {
    match send_once(identity, &mut lease, request).await {
        Ok(response) => Ok((lease, response)),
        Err(RestError::NotSent(_) | RestError::Broken(_)) if lease.is_reused && request.is_read => {
            drop(lease);
            let mut lease = pool.lease_new().await?;
            let response = send_once(identity, &mut lease, request).await?;
            Ok((lease, response))
        }
        Err(error) => Err(error),
    }
}

async fn send_once(
    identity: &Identity,
    lease: &mut Lease,
    request: &ApiRequest,
) -> Result<Response<Incoming>, RestError> {
    let request = identity.http(request)?;
    // hyper hands the request back only when nothing of it was written.
    lease.sender.try_send_request(request).await.map_err(|mut failed| {
        let unsent = failed.take_message().is_some();
        let reason = reason(failed.error());
        if unsent { RestError::NotSent(reason) } else { RestError::Broken(reason) }
    })
}

/// The error and what caused it: hyper's own text alone is too short to act on.
fn reason(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

// === impl Identity ===

impl Identity {
    /// Whether `request` can be sent at all, before anything is spent on it.
    pub(super) fn check(&self, request: &ApiRequest) -> Result<(), RestError> {
        if let Some(reason) = request.problem() {
            return Err(RestError::Unsendable { reason });
        }
        if request.needs_login && self.token.borrow().is_none() {
            return Err(RestError::NoToken);
        }
        Ok(())
    }

    /// The request as hyper sends it.
    fn http(&self, request: &ApiRequest) -> Result<Request<Full<Bytes>>, RestError> {
        self.check(request)?;
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        };
        let mut builder = Request::builder()
            .method(method)
            .uri(request.target())
            .header(HOST, &*self.authority)
            .header("X-Kite-Version", "3")
            .header(ACCEPT_ENCODING, "gzip")
            .header(USER_AGENT, concat!("kite-gateway/", env!("CARGO_PKG_VERSION")));
        if request.needs_login {
            builder = builder.header(AUTHORIZATION, self.authorization()?);
        }
        if let Some(kind) = request.body.content_type() {
            builder = builder.header(CONTENT_TYPE, kind);
        }
        builder
            .body(Full::new(Bytes::from(request.body.encode())))
            .map_err(|_| RestError::Unsendable { reason: "its address is too long or not an address" })
    }

    fn authorization(&self) -> Result<HeaderValue, RestError> {
        let token = self.token.borrow();
        let token = token.as_ref().ok_or(RestError::NoToken)?;
        let text = format!("token {}:{}", self.api_key.expose(), token.expose());
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| RestError::Unsendable { reason: "key and token do not make a header" })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What a whole answer is: data, Kite's refusal, or nothing of Kite's.
    pub(super) fn accept(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, RestError> {
        let refused = |error| {
            let mut error = KiteApiError::new(status.as_u16(), error, retry_after(headers));
            error.message = self.scrubbed(&error.message);
            RestError::Refused(Box::new(error))
        };
        match parse_body::<IgnoredAny>(&body) {
            Ok(IgnoredAny) if status.is_success() => Ok(body),
            Err(BodyError::Refused(error)) => Err(refused(error)),
            Err(BodyError::Malformed { len, source }) if status.is_success() => {
                Err(RestError::Unreadable(format!("{len} bytes, {source}")))
            }
            _ => Err(RestError::NotKite { status: status.as_u16() }),
        }
    }

    fn scrubbed(&self, text: &str) -> String {
        let token = self.token.borrow();
        scrub(text, &[self.api_key.expose(), token.as_ref().map_or("", AccessToken::expose)])
    }
}

/// Seconds; the other form of the header, a date, is not worth a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
