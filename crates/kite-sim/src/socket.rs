//! An accepted connection, plain or with TLS, and the certificate for the latter.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rcgen::{CertifiedKey, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use crate::SimError;

/// Names and addresses that the certificate is good for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a server needs to speak TLS with a certificate it made itself.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: String,
}

// === impl Socket ===

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Makes the close that follows a reset in place of an orderly end.
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = self.tcp().set_zero_linger() {
            tracing::debug!(%error, "socket will not be reset");
        }
    }

    /// Whether the other side has closed its end, found out without reading.
    pub(crate) async fn is_left(&self) -> bool {
        self.tcp().ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

// === impl Tls ===

impl Tls {
    /// A new key and a certificate for this machine's own names, signed by that key.
    ///
    /// # Errors
    /// [`SimError::Certificate`].
    pub(crate) fn new() -> Result<Self, SimError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| SimError::Certificate(error);
        let names: Vec<String> = NAMES.map(str::to_owned).to_vec();
        let CertifiedKey::<KeyPair> { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).map_err(|error| failed(error.into()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key))
            .map_err(|error| failed(error.into()))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: cert.pem() })
    }

    /// The certificate as PEM, for clients to trust.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// What the TLS library says.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Socket> {
        self.acceptor.accept(stream).await.map(|stream| Socket::Tls(Box::new(stream)))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
