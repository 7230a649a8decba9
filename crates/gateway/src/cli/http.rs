//! One request to the gateway that runs on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Call;
use crate::secret::Secret;

/// Longer than the broker may take for a login or the instrument dump.
const PATIENCE: Duration = Duration::from_secs(90);

/// The largest answer is the report of a whole market.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Asks the gateway at one address.
#[derive(Debug, Clone)]
pub struct ApiClient {
    address: SocketAddr,
    api_key: Option<Secret>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing listens there.
    #[error("no gateway answers at {address}: {cause}; is it running, and is GATEWAY_LISTEN the same here?")]
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// What happened.
        cause: String,
    },
    /// The gateway said no.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why, in the gateway's words.
        message: String,
    },
    /// What answers is no gateway.
    #[error("what answers at {address} is no kite-gateway: status {status}")]
    NotTheGateway {
        /// Where.
        address: SocketAddr,
        /// HTTP status.
        status: u16,
    },
}

// === impl ApiClient ===

impl ApiClient {
    /// For the gateway that listens on `address`; one that listens everywhere is asked over loopback.
    pub fn new(address: SocketAddr, api_key: Option<Secret>) -> Self {
        let address = match (address.ip().is_unspecified(), address.is_ipv4()) {
            (false, _) => address,
            (true, true) => (std::net::Ipv4Addr::LOCALHOST, address.port()).into(),
            (true, false) => (std::net::Ipv6Addr::LOCALHOST, address.port()).into(),
        };
        Self { address, api_key }
    }

    /// Where it asks.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stands under `data` in the answer; the whole answer when it has no `data`.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// A dropped call may have been carried out.
    pub async fn call(&self, call: &Call) -> Result<Value, CallError> {
        let (status, mut body) = self.exchange(call).await?;
        if !status.is_success() && body.get("missing").is_none() {
            let message = body["message"].as_str().map(str::to_owned);
            return Err(match message {
                Some(message) => CallError::Refused { status: status.as_u16(), message },
                None => CallError::NotTheGateway { address: self.address, status: status.as_u16() },
            });
        }
        Ok(match body.get_mut("data") {
            Some(data) => data.take(),
            None => body,
        })
    }

    async fn exchange(&self, call: &Call) -> Result<(StatusCode, Value), CallError> {
        match timeout(PATIENCE, self.send(call)).await {
            Ok(Ok((status, body))) => match serde_json::from_slice(&body) {
                Ok(body) => Ok((status, body)),
                Err(_) => Err(CallError::NotTheGateway { address: self.address, status: status.as_u16() }),
            },
            Ok(Err(cause)) => Err(self.unreachable(cause.to_string())),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn send(
        &self,
        call: &Call,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request =
            Request::builder().method(call.method).uri(&call.path).header("host", self.address.to_string());
        if let Some(key) = &self.api_key {
            request = request.header("x-api-key", key.expose());
        }
        let body = match &call.body {
            None => Full::default(),
            Some(body) => {
                request = request.header("content-type", "application/json");
                Full::new(Bytes::from(serde_json::to_vec(body)?))
            }
        };
        let request = request.body(body)?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await?.to_bytes();
            Ok((status, body))
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        // The connection must be polled for the exchange to move; it may end first when the server closes.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    fn unreachable(&self, cause: String) -> CallError {
        CallError::Unreachable { address: self.address, cause }
    }
}
