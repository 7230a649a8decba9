//! The gateway's side of the simulated network: opens streams for the ticker and watches what comes out of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kite_client::{ByteStream, Connect, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use crate::clock::virtual_time;

/// Opens streams over the simulated network. Clones share the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    dials: Vec<Duration>,
    open: BTreeSet<u16>,
    binaries: u64,
    /// When each login was last refused, as far as the ticker can know; emptied when one is accepted.
    refused: BTreeMap<u64, Duration>,
    /// Logins that were tried although they had been refused.
    tried_again: Vec<u64>,
}

/// A stream that reports what passes through it.
struct Watched {
    stream: TcpStream,
    port: u16,
    dialled_at: Duration,
    /// The login in the request.
    login: Option<u64>,
    network: Network,
    splitter: Splitter,
}

/// What complete bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Found {
    binaries: u64,
    /// The status of the answer to the handshake.
    status: Option<u16>,
}

/// Counts the binary messages in what a server writes: an HTTP answer, then unmasked frames.
#[derive(Debug, Default)]
struct Splitter {
    /// Bytes of a head that is not complete yet.
    head: Vec<u8>,
    upgraded: bool,
    /// Payload bytes that still belong to the current frame, and whether it is binary.
    rest: Option<(u64, bool)>,
}

// === impl Network ===

impl Network {
    /// When the ticker tried to open a stream.
    pub(crate) fn dials(&self) -> Vec<Duration> {
        self.lock().dials.clone()
    }

    /// How many streams the ticker tried to open.
    pub(crate) fn dialled(&self) -> usize {
        self.lock().dials.len()
    }

    /// Local ports of the streams that the ticker holds.
    pub(crate) fn open(&self) -> BTreeSet<u16> {
        self.lock().open.clone()
    }

    /// Whole binary messages that were read from all sockets together.
    pub(crate) fn binaries(&self) -> u64 {
        self.lock().binaries
    }

    /// Logins that were tried although the ticker knew them to be refused, once for each such try.
    pub(crate) fn tried_again(&self) -> Vec<u64> {
        self.lock().tried_again.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for Network {
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let network = self.clone();
        let Endpoint { host, port, .. } = endpoint.clone();
        Box::pin(async move {
            let dialled_at = virtual_time().unwrap_or_default();
            network.lock().dials.push(dialled_at);
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            let port = stream.local_addr()?.port();
            network.lock().open.insert(port);
            let splitter = Splitter::default();
            let watched = Watched { stream, port, dialled_at, login: None, network, splitter };
            Ok(Box::new(watched) as Box<dyn ByteStream>)
        })
    }
}

// === impl Watched ===

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let found = self.splitter.take(&buffer.filled()[before..]);
        self.note(found);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.login.is_none()
            && let Some(login) = login_of(bytes)
        {
            self.asks(login);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Watched {
    /// The handshake is written.
    fn asks(&mut self, login: u64) {
        self.login = Some(login);
        let mut log = self.network.lock();
        // A dial that was under way when another one was refused knows nothing of that.
        if log.refused.get(&login).is_some_and(|refused_at| *refused_at < self.dialled_at) {
            log.tried_again.push(login);
        }
    }

    fn note(&self, found: Found) {
        let mut log = self.network.lock();
        log.binaries += found.binaries;
        match (found.status, self.login) {
            (Some(403), Some(login)) => {
                log.refused.insert(login, virtual_time().unwrap_or_default());
            }
            (Some(101), _) => log.refused.clear(),
            _ => {}
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.network.lock().open.remove(&self.port);
    }
}

// === impl Splitter ===

impl Splitter {
    /// Takes the next bytes. Answers what they complete.
    fn take(&mut self, mut bytes: &[u8]) -> Found {
        let mut found = Found::default();
        while !bytes.is_empty() || self.rest == Some((0, true)) {
            if let Some((left, is_binary)) = self.rest {
                let now = left.min(bytes.len() as u64);
                bytes = &bytes[now as usize..];
                self.rest = (left > now).then_some((left - now, is_binary));
                found.binaries += u64::from(is_binary && self.rest.is_none());
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if !self.upgraded {
                if self.head.ends_with(b"\r\n\r\n") {
                    self.upgraded = true;
                    found.status = status_of(&self.head);
                    self.head.clear();
                }
                continue;
            }
            if let Some(len) = payload_len(&self.head) {
                let is_binary = self.head[0] & 0x0f == 2;
                self.head.clear();
                self.rest = Some((len, is_binary));
                if len == 0 && !is_binary {
                    self.rest = None;
                }
            }
        }
        found
    }
}

/// The number in `HTTP/1.1 101 Switching Protocols`.
fn status_of(head: &[u8]) -> Option<u16> {
    String::from_utf8_lossy(head).split(' ').nth(1)?.parse().ok()
}

/// The number of the login that a handshake request carries.
fn login_of(request: &[u8]) -> Option<u64> {
    let request = String::from_utf8_lossy(request);
    let login = request.split("access_token=login").nth(1)?;
    login.split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
}

/// The length that a complete frame head announces.
fn payload_len(head: &[u8]) -> Option<u64> {
    match head {
        [_, short @ 0..=125] => Some(u64::from(*short)),
        [_, 126, a, b] => Some(u64::from(u16::from_be_bytes([*a, *b]))),
        [_, 127, long @ ..] => <[u8; 8]>::try_from(long).ok().map(u64::from_be_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_its_login() {
        assert_eq!(login_of(b"GET /?api_key=a&access_token=login42 HTTP/1.1\r\n"), Some(42));
        assert_eq!(login_of(b"\x81\x80"), None);
    }

    #[test]
    fn binaries_are_counted_however_the_bytes_are_cut() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".to_vec();
        bytes.extend([0x82, 1, 0]);
        bytes.extend([0x81, 2, b'{', b'}']);
        bytes.extend([0x82, 126, 1, 0]);
        bytes.extend([7; 256]);
        bytes.extend([0x8a, 0, 0x82, 0, 0x88, 2, 3, 232]);
        for cut in 1..bytes.len() {
            let mut splitter = Splitter::default();
            let found: Vec<Found> = bytes.chunks(cut).map(|part| splitter.take(part)).collect();
            assert_eq!(found.iter().map(|found| found.binaries).sum::<u64>(), 3, "cut at {cut}");
            assert_eq!(found.iter().find_map(|found| found.status), Some(101));
        }
    }
}
