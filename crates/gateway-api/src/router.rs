//! Joins paths with handlers, and does for every request what every request needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use market_model::InstrumentCatalog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Refusal;
use crate::routes::{ROUTES, Route};
use crate::state::{ApiConfig, ApiState};
use crate::{answers, control, events, openapi, operations, page, stream};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What every handler sees.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) state: ApiState,
    pub(crate) config: ApiConfig,
    /// Ends the streams.
    pub(crate) shutdown: CancellationToken,
    /// Makes request ids unique beyond this process.
    started: i64,
    requests: AtomicU64,
}

pub(crate) fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::script))
        .route("/healthz", get(answers::alive))
        .route("/readyz", get(answers::ready))
        .route("/openapi.json", get(openapi::document))
        .route("/health", get(answers::health))
        .route("/metrics", get(answers::metrics))
        .route("/v1/underlyings", get(answers::underlyings))
        .route("/v1/chain/{underlying}", get(answers::chain))
        .route("/v1/ticks/{symbol}", get(answers::tick))
        .route("/kite/callback", get(operations::callback))
        .route("/v1/underlyings/{underlying}/strikes", get(operations::strikes))
        .route("/v1/instruments", get(operations::search))
        .route("/v1/instruments/changes", get(operations::changes))
        .route("/v1/instruments/refresh", post(operations::refresh_instruments))
        .route("/v1/instruments/{symbol}", get(operations::instrument))
        .route("/v1/accounts", get(operations::list_accounts).post(operations::add_account))
        .route("/v1/accounts/{account}", delete(operations::remove_account))
        .route("/v1/accounts/{account}/login", get(operations::login))
        .route("/v1/accounts/{account}/unbar", post(operations::unbar_account))
        .route("/v1/subscriptions", get(operations::subscriptions).post(operations::add_subscription))
        .route(
            "/v1/subscriptions/{id}",
            put(operations::change_subscription).delete(operations::remove_subscription),
        )
        .route("/v1/plan", get(operations::plan))
        .route("/v1/instances", get(operations::instances))
        .route("/v1/accounts/{account}/access_token", put(control::renew_token))
        .route("/v1/accounts/{account}/reconnect", post(control::reconnect))
        .route("/v1/stream", get(stream::open))
        .route("/v1/events", get(events::open))
        .fallback(|| async { Refusal::route() })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .layer(from_fn_with_state(door.clone(), ask_for_key))
        // Outermost, so that a refused request is counted and numbered too.
        .layer(from_fn_with_state(door.clone(), number_and_count))
        .with_state(door)
}

/// Gives each answer the id of its request (the client's own, if it sent a usable one) and counts it.
async fn number_and_count(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.uri().path().to_owned();
    let id = request.headers().get(REQUEST_ID).filter(|id| is_usable_id(id)).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Some(id) = id.or_else(|| door.next_request_id()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    door.state.metrics.record(&path, response.status(), begun.elapsed());
    response
}

/// The streams look at the key themselves: a browser cannot send it in a header of theirs.
async fn ask_for_key(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_report = matches!(path, "/healthz" | "/readyz" | "/health" | "/metrics" | "/openapi.json");
    if door.config.reports_only && !is_report {
        return Refusal::role().into_response();
    }
    let asks = ROUTES.get(Route::index_of(path)).is_some_and(|route| route.protected);
    let looks_itself = matches!(path, "/v1/stream" | "/v1/events");
    if asks && !looks_itself && !door.is_key_shown(request.headers()) {
        return Refusal::key().into_response();
    }
    next.run(request).await
}

fn is_usable_id(id: &HeaderValue) -> bool {
    let usable = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(usable)
}

// === impl Door ===

impl Door {
    pub(crate) fn new(state: ApiState, config: ApiConfig, shutdown: CancellationToken) -> Arc<Self> {
        let started = state.clock.now().0;
        Arc::new(Self { state, config, shutdown, started, requests: AtomicU64::new(0) })
    }

    /// Today's instruments.
    pub(crate) fn catalog(&self) -> Arc<InstrumentCatalog> {
        self.state.catalog.borrow().clone()
    }

    /// Whether the headers carry the configured key, or none is configured.
    pub(crate) fn is_key_shown(&self, headers: &HeaderMap) -> bool {
        let own = headers.get(API_KEY).and_then(|value| value.to_str().ok());
        let standard = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let standard =
            standard.and_then(|value| value.strip_prefix("token ").or(value.strip_prefix("Bearer ")));
        match own.or(standard) {
            Some(shown) => self.is_key(shown),
            None => self.state.api_key.is_none(),
        }
    }

    /// Whether `shown` is the configured key, or none is configured.
    pub(crate) fn is_key(&self, shown: &str) -> bool {
        self.state.api_key.as_ref().is_none_or(|key| key.matches(shown.trim()))
    }

    /// Whether a browser's page may open a stream here: one that this door served, or one that is allowed by name.
    /// What sends no origin is no browser.
    pub(crate) fn is_origin_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let same = origin.split_once("://").is_some_and(|(_, from)| Some(from) == host);
        same || self.config.stream.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    fn next_request_id(&self) -> Option<HeaderValue> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{:x}-{number:x}", self.started)).ok()
    }
}
