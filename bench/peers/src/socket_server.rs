//! A loopback server that speaks just enough websocket, plain or TLS, and sends the same frame until nobody reads.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Frames in one write.
const FRAMES: usize = 32;

/// Certificate of the server, and how a client trusts it.
pub struct Trust {
    /// The server's side.
    pub acceptor: TlsAcceptor,
    /// The certificate itself.
    pub certificate: CertificateDer<'static>,
    /// A client that trusts nothing else.
    pub client: Arc<ClientConfig>,
}

/// Serves in a thread of its own that ends with the last connection after `connections`.
pub fn serve(
    frame: &[u8],
    tls: Option<TlsAcceptor>,
    handshake: bool,
    connections: usize,
) -> Result<SocketAddr, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let burst = framed(frame).repeat(FRAMES);
    std::thread::spawn(move || {
        runtime.block_on(async {
            for _ in 0..connections {
                let Ok((socket, _)) = listener.accept().await else { return };
                let _ = socket.set_nodelay(true);
                match &tls {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            send(stream, &burst, handshake).await;
                        }
                    }
                    None => send(socket, &burst, handshake).await,
                }
            }
        });
    });
    Ok(address)
}

/// A binary websocket message, as servers send it.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0x82, 126];
    message.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    message.extend_from_slice(payload);
    message
}

async fn send(stream: impl AsyncRead + AsyncWrite + Unpin, burst: &[u8], handshake: bool) {
    let mut stream = stream;
    if handshake {
        match tokio_tungstenite::accept_async(&mut stream).await {
            Ok(socket) => drop(socket),
            Err(_) => return,
        }
    }
    while stream.write_all(burst).await.is_ok() {}
}

/// A certificate for 127.0.0.1.
pub fn trust() -> Result<Trust, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Trust { acceptor: TlsAcceptor::from(Arc::new(server)), certificate, client: Arc::new(client) })
}
