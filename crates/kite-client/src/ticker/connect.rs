//! Opening a byte stream to the ticker: every address in turn, TCP with the options that were measured, and TLS.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use crate::KiteError;
use crate::ticker::endpoint::Endpoint;
use crate::ticker::tls;

/// Anything a websocket can run over.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// How a connection to the ticker is opened. [`TcpTls`] is the usual one; another can go through a proxy, leave
/// from a chosen address, or stay in memory.
pub trait Connect: Send + Sync + 'static {
    /// Opens a stream to `endpoint`, with TLS on it when the endpoint asks for that. The caller bounds the time.
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

/// Which addresses of a host are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// Both kinds, in turn.
    #[default]
    Any,
    /// IPv4 only: what the broker's rule of registered addresses usually asks for (protocol section 4.4).
    V4,
    /// IPv6 only.
    V6,
}

/// How sockets are made. The numbers behind the defaults are in `docs/adr/0007-sockets.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// Which addresses are tried.
    pub family: AddressFamily,
    /// The address to leave from, where the broker knows only one of several; it decides the family too.
    pub local_address: Option<IpAddr>,
    /// Longest time for one address, so that a dead one leaves time for the next.
    pub attempt_timeout: Duration,
    /// `SO_RCVBUF` in bytes; `None` lets the kernel grow the buffer as it needs.
    pub receive_buffer: Option<u32>,
    /// Most bytes taken from the kernel, or from TLS, at once. Allocated once per connection.
    pub read_buffer: usize,
}

/// TCP with `TCP_NODELAY`, and TLS by the public roots plus extra ones.
#[derive(Clone)]
pub struct TcpTls {
    tls: TlsConnector,
    sockets: SocketConfig,
}

// === impl SocketConfig ===

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            family: AddressFamily::Any,
            local_address: None,
            // Two dead addresses fit in a connect timeout of seven seconds, and a third that answers.
            attempt_timeout: Duration::from_millis(2500),
            receive_buffer: None,
            read_buffer: 32 * 1024,
        }
    }
}

impl SocketConfig {
    /// The addresses worth a try: kinds in turn, so that a network without one of them costs one attempt.
    fn order(&self, resolved: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
        let allowed = |address: &SocketAddr| {
            let family = match self.family {
                AddressFamily::Any => true,
                AddressFamily::V4 => address.is_ipv4(),
                AddressFamily::V6 => address.is_ipv6(),
            };
            family && self.local_address.is_none_or(|local| local.is_ipv4() == address.is_ipv4())
        };
        let allowed: Vec<SocketAddr> = resolved.filter(allowed).collect();
        let first_is_v4 = allowed.first().is_some_and(SocketAddr::is_ipv4);
        let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
            allowed.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
        let mut order = VecDeque::new();
        while !first.is_empty() || !second.is_empty() {
            order.extend(first.pop_front());
            order.extend(second.pop_front());
        }
        order
    }

    async fn open(self, host: &str, port: u16) -> io::Result<TcpStream> {
        let resolved = (lookup_host((host, port)).await)
            .map_err(|error| io::Error::new(error.kind(), format!("{host} has no address: {error}")))?;
        let order = self.order(resolved);
        let tried = order.len();
        let mut last = None;
        for address in order {
            let attempt = timeout(self.attempt_timeout, self.attempt(address)).await;
            match attempt.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    tracing::debug!(%address, %error, "address does not answer");
                    last = Some((address, error));
                }
            }
        }
        Err(match last {
            Some((address, error)) => io::Error::new(
                error.kind(),
                format!("none of {tried} addresses answers, last {address}: {error}"),
            ),
            None => io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("{host} has no address of the allowed kind; check address family and local address"),
            ),
        })
    }

    async fn attempt(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(local) = self.local_address {
            socket.bind(SocketAddr::new(local, 0)).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot leave from {local}: {error}"))
            })?;
        }
        let stream = socket.connect(address).await?;
        // Commands are small and must not wait for the answer to the ones before.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

// === impl TcpTls ===

impl TcpTls {
    /// Trusts the public web roots and `extra_roots`.
    ///
    /// # Errors
    /// [`KiteError::Tls`] when a certificate in `extra_roots` cannot be read.
    pub fn new(extra_roots: &[CertificateDer<'static>]) -> Result<Self, KiteError> {
        Ok(Self { tls: tls::connector(extra_roots)?, sockets: SocketConfig::default() })
    }

    /// Makes sockets like this.
    #[must_use]
    pub const fn with_sockets(mut self, sockets: SocketConfig) -> Self {
        self.sockets = sockets;
        self
    }
}

impl Connect for TcpTls {
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let Endpoint { host, port, tls } = endpoint.clone();
        let Self { tls: connector, sockets } = self.clone();
        Box::pin(async move {
            let tcp = sockets.open(&host, port).await?;
            if !tls {
                return Ok(Box::new(tcp) as Box<dyn ByteStream>);
            }
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = connector.connect(name, tcp).await;
            Ok(Box::new(stream.map_err(|error| tls::explained(error, &host))?) as Box<dyn ByteStream>)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    fn check(sockets: SocketConfig, expected: &[&str]) {
        let resolved = ["[::1]:1", "[::2]:1", "10.0.0.1:1", "[::3]:1", "10.0.0.2:1"];
        let order = sockets.order(resolved.iter().map(|address| address.parse().unwrap()));
        assert_eq!(order.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn families_take_turns_and_can_be_pinned() {
        let any = SocketConfig::default();
        check(any, &["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        check(SocketConfig { family: AddressFamily::V4, ..any }, &["10.0.0.1:1", "10.0.0.2:1"]);
        check(SocketConfig { family: AddressFamily::V6, ..any }, &["[::1]:1", "[::2]:1", "[::3]:1"]);
        let local = Some(Ipv4Addr::LOCALHOST.into());
        check(SocketConfig { local_address: local, ..any }, &["10.0.0.1:1", "10.0.0.2:1"]);
        check(SocketConfig { local_address: local, family: AddressFamily::V6, ..any }, &[]);
    }

    #[tokio::test]
    async fn a_chosen_local_address_is_where_a_connection_leaves_from() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let local = IpAddr::from(Ipv4Addr::new(127, 0, 0, 9));
        let sockets = SocketConfig { local_address: Some(local), ..SocketConfig::default() };
        let (opened, accepted) = tokio::join!(sockets.open("localhost", port), listener.accept());
        opened.unwrap();
        assert_eq!(accepted.unwrap().1.ip(), local);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let said =
            async |sockets: SocketConfig| sockets.open("127.0.0.1", port).await.unwrap_err().to_string();
        let any = SocketConfig::default();
        let refused = said(any).await;
        assert!(refused.starts_with("none of 1 addresses answers, last 127.0.0.1:"), "{refused}");
        assert_eq!(
            said(SocketConfig { family: AddressFamily::V6, ..any }).await,
            "127.0.0.1 has no address of the allowed kind; check address family and local address"
        );
        // Of the block reserved for documentation: no machine has it.
        let foreign = Some(Ipv4Addr::new(192, 0, 2, 1).into());
        let unbound = said(SocketConfig { local_address: foreign, ..any }).await;
        assert!(unbound.contains("cannot leave from 192.0.2.1"), "{unbound}");
    }
}
