//! One HTTP request over one connection of its own, made the way connections to the broker are made.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use kite_client::{Connect, Endpoint, TcpTls};

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Not one byte of the request was written.
    #[error("{0}")]
    NotSent(String),
    /// The request was on its way.
    #[error("{0}")]
    Broken(String),
}

/// Sends `request`, whose address is a whole one, and reads `most_bytes` of an answer at most. Follows no redirect.
///
/// # Cancel safety
/// The server may have taken the request.
pub(crate) async fn exchange(
    connector: &TcpTls,
    mut request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Answer, NoAnswer> {
    let unsent = |problem: &str| NoAnswer::NotSent(problem.to_owned());
    let uri = request.uri().clone();
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(unsent("its address does not begin with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| unsent("its address has no host"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = connector.connect(&Endpoint { host, port, tls }).await;
    let stream = stream.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| unsent("its host cannot be sent"))?;
    request.headers_mut().insert(header::HOST, host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| unsent("its path cannot be sent"))?;
    let broken = |error: &dyn std::fmt::Display| NoAnswer::Broken(error.to_string());
    let talk = async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, most_bytes).collect().await.map_err(|error| broken(&error))?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    let mut connection = std::pin::pin!(connection);
    let mut talk = std::pin::pin!(talk);
    // The connection must be polled for the exchange to move; it may end first when the server closes.
    tokio::select! {
        answer = &mut talk => answer,
        _ = &mut connection => talk.await,
    }
}
