//! The REST API of one account: every call of [`kite_wire::api`] over kept connections.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::Uri;
use kite_wire::api::{Call, GetInstruments, GetMfInstruments};
use kite_wire::rest::BodyError;
use resilience::{BreakerState, CircuitBreaker};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::{AccessToken, ApiKey, Connect, Endpoint, KiteError, TcpTls};

mod body;
mod config;
mod dump;
mod error;
mod layers;
mod metrics;
mod orders;
mod pace;
mod pool;
mod session;
mod stack;
mod transport;

pub use self::metrics::RestMetrics;
pub use config::RestConfig;
pub use dump::{DumpFeed, DumpReader, DumpStream};
pub use error::{Delivery, KiteApiError, RestError};
pub use orders::Orders;
pub use pace::{Pace, PacePermit, PaceRefused, Unpaced};
pub use session::SessionCalls;

use pool::Pool;
use stack::Stack;
use transport::{Identity, Transport};

/// Kite's REST API for one account. Clones share connections, breaker and pace.
#[derive(Clone)]
pub struct KiteRest {
    config: RestConfig,
    endpoint: Endpoint,
    identity: Identity,
    connector: Arc<dyn Connect>,
    pace: Arc<dyn Pace>,
    metrics: RestMetrics,
    breaker: Arc<CircuitBreaker>,
    read_pool: Arc<Pool>,
    write_pool: Arc<Pool>,
    reads: Stack,
    writes: Stack,
}

// === impl KiteRest ===

impl KiteRest {
    /// For the API at `url` (`https://api.kite.trade`) with a token that does not change.
    ///
    /// # Errors
    /// [`KiteError`] when the address is not usable.
    pub fn new(url: &str, api_key: ApiKey, access_token: AccessToken) -> Result<Self, KiteError> {
        // The sender is dropped: the last value of a closed channel stays readable.
        Self::following(url, api_key, watch::Sender::new(Some(access_token)).subscribe())
    }

    /// For the API at `url` with whatever token `token` holds when a call is made. With `None`, only the calls that earn
    /// a token are sent.
    ///
    /// # Errors
    /// [`KiteError`] when the address is not usable.
    pub fn following(
        url: &str,
        api_key: ApiKey,
        token: watch::Receiver<Option<AccessToken>>,
    ) -> Result<Self, KiteError> {
        let (endpoint, authority) = parse_url(url)?;
        let identity = Identity { authority: authority.into(), api_key, token };
        let connector: Arc<dyn Connect> = Arc::new(TcpTls::new(&[])?);
        let (config, metrics) = (RestConfig::default(), RestMetrics::noop());
        Ok(Self::assemble(config, endpoint, identity, connector, Arc::new(Unpaced), metrics))
    }

    /// Connects as `connector` does: with more roots, from another address.
    #[must_use]
    pub fn with_connector(self, connector: impl Connect) -> Self {
        let connector = Arc::new(connector);
        Self::assemble(self.config, self.endpoint, self.identity, connector, self.pace, self.metrics)
    }

    /// With other patience and bounds.
    #[must_use]
    pub fn with_config(self, config: RestConfig) -> Self {
        Self::assemble(config, self.endpoint, self.identity, self.connector, self.pace, self.metrics)
    }

    /// Asks `pace` before every call.
    #[must_use]
    pub fn with_pace(self, pace: Arc<dyn Pace>) -> Self {
        Self::assemble(self.config, self.endpoint, self.identity, self.connector, pace, self.metrics)
    }

    /// Counts in `metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: RestMetrics) -> Self {
        Self::assemble(self.config, self.endpoint, self.identity, self.connector, self.pace, metrics)
    }

    fn assemble(
        config: RestConfig,
        endpoint: Endpoint,
        identity: Identity,
        connector: Arc<dyn Connect>,
        pace: Arc<dyn Pace>,
        metrics: RestMetrics,
    ) -> Self {
        let pool = || Pool::new(connector.clone(), endpoint.clone(), config, metrics.opened.clone());
        let (read_pool, write_pool) = (pool(), pool());
        let transport = |pool: &Arc<Pool>, patience| Transport {
            pool: pool.clone(),
            identity: identity.clone(),
            max_body: config.max_body,
            patience,
        };
        let breaker = Arc::new(CircuitBreaker::new(config.breaker, metrics.breaker.clone()));
        let reads = stack::reads(&config, &metrics, &pace, &breaker, transport(&read_pool, None));
        let writes = stack::writes(&metrics, &pace, transport(&write_pool, Some(config.write_timeout)));
        Self {
            config,
            endpoint,
            identity,
            connector,
            pace,
            metrics,
            breaker,
            read_pool,
            write_pool,
            reads,
            writes,
        }
    }

    /// Makes one call. Reads are tried a few times; a call that changes something is sent once at most, and when it
    /// fails, [`RestError::delivery`] says what is known about it.
    ///
    /// # Errors
    /// [`RestError`].
    ///
    /// # Cancel safety
    /// Reads are safe. A call that changes something may have done so when its future is dropped.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, RestError> {
        let request = call.request();
        self.identity.check(&request)?;
        let stack = if request.is_read { &self.reads } else { &self.writes };
        let body = stack.clone().oneshot(request).await?;
        call.read(&body).map_err(|error| match error {
            // Its parts are not shown, for they may be secrets; what serde says names fields and kinds.
            BodyError::Malformed { len, source } => RestError::Unreadable(format!("{len} bytes, {source}")),
            other => RestError::Unreadable(other.to_string()),
        })
    }

    /// The calls that place, change and cancel orders.
    pub fn orders(&self) -> Orders<'_> {
        Orders { rest: self }
    }

    /// The calls that earn a token and give it back.
    pub fn session(&self) -> SessionCalls<'_> {
        SessionCalls { rest: self }
    }

    /// Whether reads pass the circuit breaker now.
    pub fn breaker_state(&self) -> BreakerState {
        self.breaker.state(Instant::now())
    }

    /// Downloads the dump of every instrument, as CSV text, into memory. [`KiteRest::instruments_stream`] does not need
    /// that much. It is not tried again here.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::is_retryable`] says whether another try can help.
    ///
    /// # Cancel safety
    /// Safe: dropping the future closes the connection.
    pub async fn instruments(&self) -> Result<Bytes, RestError> {
        let mut dump = self.instruments_stream(&GetInstruments::default()).await?;
        let mut text = BytesMut::new();
        while let Some(piece) = dump.next().await? {
            text.extend_from_slice(&piece);
        }
        Ok(text.freeze())
    }

    /// Begins the dump of every instrument, or of one exchange's.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::is_retryable`] says whether another try can help.
    ///
    /// # Cancel safety
    /// Safe: dropping the future closes the connection.
    pub async fn instruments_stream(&self, dump: &GetInstruments) -> Result<DumpStream, RestError> {
        DumpStream::begin(self, &dump.request()).await
    }

    /// Begins the list of mutual funds.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::is_retryable`] says whether another try can help.
    ///
    /// # Cancel safety
    /// Safe: dropping the future closes the connection.
    pub async fn mf_instruments_stream(&self) -> Result<DumpStream, RestError> {
        DumpStream::begin(self, &GetMfInstruments.request()).await
    }
}

/// The endpoint, and the authority as it stands in the address.
fn parse_url(url: &str) -> Result<(Endpoint, String), KiteError> {
    let invalid = |reason| KiteError::InvalidUrl { reason };
    let uri: Uri = url.trim().parse().map_err(|_| invalid("it is not an address"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid("its scheme is neither http nor https")),
    };
    let authority = uri.authority().ok_or(invalid("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("it has a user name, which Kite does not know"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Ok((Endpoint { host, port, tls }, authority.to_string()))
}
