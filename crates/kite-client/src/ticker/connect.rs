//! Opening a byte stream to the ticker: TCP, and TLS with one explicit provider.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::KiteError;
use crate::ticker::endpoint::Endpoint;

/// Anything a websocket can run over.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// How a connection to the ticker is opened. [`TcpTls`] is the usual one; another can go through a proxy, leave
/// from a chosen address, or stay in memory.
pub trait Connect: Send + Sync + 'static {
    /// Opens a stream to `endpoint`, with TLS on it when the endpoint asks for that. The caller bounds the time.
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

/// TCP with `TCP_NODELAY`, and TLS by the public roots plus extra ones.
#[derive(Clone)]
pub struct TcpTls {
    tls: TlsConnector,
}

// === impl TcpTls ===

impl TcpTls {
    /// Trusts the public web roots and `extra_roots`.
    ///
    /// # Errors
    /// [`KiteError::Tls`] when a certificate in `extra_roots` cannot be read.
    pub fn new(extra_roots: &[CertificateDer<'static>]) -> Result<Self, KiteError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in extra_roots {
            (roots.add(certificate.clone())).map_err(|error| KiteError::Tls(error.to_string()))?;
        }
        // Named, because two providers in one process make the implicit default panic.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| KiteError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }
}

impl Connect for TcpTls {
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let Endpoint { host, port, tls } = endpoint.clone();
        let connector = self.tls.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            // Commands are small and must not wait for the answer to the ones before.
            tcp.set_nodelay(true)?;
            if !tls {
                return Ok(Box::new(tcp) as Box<dyn ByteStream>);
            }
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Box::new(connector.connect(name, tcp).await?) as Box<dyn ByteStream>)
        })
    }
}
