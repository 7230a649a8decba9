//! The one REST call the feed needs: the day's instrument dump. Every other endpoint has an issue of its own.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kite_wire::rest::ErrorBody;

use crate::{AccessToken, ApiKey, Connect, Endpoint, KiteError, TcpTls};

/// The whole dump is about 8 MB of text; ten times that is not a dump.
const MOST_BYTES: usize = 80 * 1024 * 1024;

/// How long the whole call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a REST call brought nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// Kite said no, in its own words.
    #[error("kite answered {status} {error_type}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Kite's `error_type`; branch on this, never on the status alone.
        error_type: String,
        /// Kite's text.
        message: String,
    },
    /// An answer that is not Kite's, such as a proxy's error page.
    #[error("the answer is not kite's: status {status}")]
    NotKite {
        /// HTTP status.
        status: u16,
    },
    /// The network failed.
    #[error("cannot reach kite's rest api: {0}")]
    Network(String),
    /// No whole answer within a minute.
    #[error("kite's rest api took longer than {PATIENCE:?}")]
    Timeout,
    /// An answer larger than any dump.
    #[error("the answer is larger than {MOST_BYTES} bytes")]
    TooLarge,
}

/// Kite's REST API for one account.
#[derive(Clone)]
pub struct KiteRest {
    endpoint: Endpoint,
    /// As it stands in the address, for the `Host` header.
    authority: String,
    connector: TcpTls,
    api_key: ApiKey,
    access_token: AccessToken,
}

impl KiteRest {
    /// For the API at `url` (`https://api.kite.trade`).
    ///
    /// # Errors
    /// [`KiteError`] when the address is not usable.
    pub fn new(url: &str, api_key: ApiKey, access_token: AccessToken) -> Result<Self, KiteError> {
        let invalid = |reason| KiteError::InvalidUrl { reason };
        let uri: Uri = url.trim().parse().map_err(|_| invalid("it is not an address"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid("its scheme is neither http nor https")),
        };
        let authority = uri.authority().ok_or(invalid("it has no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let authority = authority.to_string();
        let connector = TcpTls::new(&[])?;
        Ok(Self { endpoint: Endpoint { host, port, tls }, authority, connector, api_key, access_token })
    }

    /// Connects as `connector` does: with more roots, from another address.
    #[must_use]
    pub fn with_connector(mut self, connector: TcpTls) -> Self {
        self.connector = connector;
        self
    }

    /// Downloads the dump of every instrument, as CSV text.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::is_retryable`] says whether another try can help.
    ///
    /// # Cancel safety
    /// Safe: dropping the future closes the connection.
    pub async fn instruments(&self) -> Result<Bytes, RestError> {
        tokio::time::timeout(PATIENCE, self.get("/instruments")).await.map_err(|_| RestError::Timeout)?
    }

    async fn get(&self, path: &str) -> Result<Bytes, RestError> {
        let stream = self.connector.connect(&self.endpoint).await.map_err(network)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(network)?;
        let authorization = format!("token {}:{}", self.api_key.expose(), self.access_token.expose());
        let request = Request::get(path.parse::<Uri>().map_err(network)?)
            .header(HOST, &self.authority)
            .header("X-Kite-Version", "3")
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT_ENCODING, "gzip")
            .header(USER_AGENT, concat!("kite-gateway/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(network)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(network)?;
            let (head, body) = response.into_parts();
            Ok(Response::from_parts(head, read_bounded(body).await?))
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        // The connection must be polled for the exchange to move; it may end first when the server closes.
        let response = tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }?;
        accept(response)
    }
}

impl RestError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::NotKite { .. } | Self::Network(_) | Self::Timeout => true,
            Self::TooLarge => false,
        }
    }
}

fn network(error: impl std::fmt::Display) -> RestError {
    RestError::Network(error.to_string())
}

async fn read_bounded(mut body: Incoming) -> Result<Bytes, RestError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(network)?.into_data() {
            if bytes.len() + data.len() > MOST_BYTES {
                return Err(RestError::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

fn accept(response: Response<Bytes>) -> Result<Bytes, RestError> {
    let status = response.status();
    let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let body = if gzip { gunzip(response.body())? } else { response.into_body() };
    if status == StatusCode::OK {
        return Ok(body);
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) => Err(RestError::Refused {
            status: status.as_u16(),
            error_type: error.error_type.unwrap_or_else(|| "GeneralException".to_owned()),
            message: error.message,
        }),
        Err(_) => Err(RestError::NotKite { status: status.as_u16() }),
    }
}

fn gunzip(packed: &[u8]) -> Result<Bytes, RestError> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(MOST_BYTES as u64 + 1).read_to_end(&mut text).map_err(network)?;
    if text.len() > MOST_BYTES { Err(RestError::TooLarge) } else { Ok(text.into()) }
}
