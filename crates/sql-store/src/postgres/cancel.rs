//! Asks the server to give a statement up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Sends the request, and waits until the other side has taken it where that matters.
pub(super) async fn cancel(token: CancelToken, settings: &Config, tls: Option<&MakeRustlsConnect>) {
    let outcome = match (settings.get_hosts(), settings.get_hostaddrs()) {
        ([Host::Tcp(host)], []) => {
            let port = settings.get_ports().first().copied().unwrap_or(5432);
            cancel_patiently(&token, host, port, tls).await
        }
        // Several hosts: the token knows which one it was.
        _ => match tls {
            Some(tls) => token.cancel_query(tls.clone()).await,
            None => token.cancel_query(NoTls).await,
        },
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a statement could not be cancelled");
    }
}

/// PgBouncer forgets the request of a client that closes its side before the request was passed on.
async fn cancel_patiently(
    token: &CancelToken,
    host: &str,
    port: u16,
    tls: Option<&MakeRustlsConnect>,
) -> Result<(), Error> {
    let Ok(stream) = TcpStream::connect((host, port)).await else { return Ok(()) };
    let stream = UntilClosed(stream);
    match tls {
        Some(tls) => match MakeTlsConnect::<UntilClosed>::make_tls_connect(&mut tls.clone(), host) {
            Ok(tls) => token.cancel_query_raw(stream, tls).await,
            // The name that made the first connection is good enough for this one.
            Err(_) => Ok(()),
        },
        None => token.cancel_query_raw(stream, NoTls).await,
    }
}

/// A stream whose shutdown waits for the other side to close.
struct UntilClosed(TcpStream);

// === impl UntilClosed ===

impl AsyncRead for UntilClosed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for UntilClosed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0_u8; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
