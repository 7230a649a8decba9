//! The HTTP service that lists accounts.

use account_pool::{FetchAnswer, FetchJson, FetchRequest};
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use kite_client::{Connect, Endpoint, TcpTls};

/// Asks over one connection at a time.
pub(crate) struct UserService(pub(crate) TcpTls);

impl FetchJson for UserService {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<FetchAnswer, String> {
        let uri: Uri = request.url.parse().map_err(|_| "its address cannot be read".to_owned())?;
        let tls = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or("its address has no host")?.clone();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream =
            self.0.connect(&Endpoint { host, port, tls }).await.map_err(|error| error.to_string())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let asked = Request::get(path)
            .header(header::HOST, authority.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", request.bearer.expose()))
            .body(Empty::<Bytes>::new())
            .map_err(|_| "its token cannot be sent in a header".to_owned())?;
        let exchange = async {
            let answer = sender.send_request(asked).await.map_err(|error| error.to_string())?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), request.most_bytes).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(FetchAnswer { status, body: body.to_vec().into() })
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        // The connection must be polled for the exchange to move; it may end first when the server closes.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}
