//! A connection to one server: commands leave in one vectored write, without a copy of what they carry, and their
//! replies are counted off in order.
//!
//! It has no task of its own: bytes move while [`Wire::lost`] is polled. What was given to it and has not begun to
//! leave when its answer is no longer awaited never leaves: those prices are old.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::resp::{Commands, Reply};
use crate::RedisError;

/// Parts of one vectored write; the system takes up to 1024. Each last value has two.
const PARTS_AT_ONCE: usize = 256;
/// Bytes of one read: hundreds of replies to `PUBLISH`.
const READ_AT_ONCE: usize = 4096;

/// With or without TLS.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub(super) struct Wire {
    socket: Socket,
    unsent: VecDeque<Unsent>,
    unanswered: VecDeque<Unanswered>,
    /// Whether something was written that TLS may still hold.
    unflushed: bool,
    /// What was read of a reply that is not whole yet.
    input: Vec<u8>,
    limit: Duration,
}

/// What a group of commands came to.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which commands were refused, from 0, and what the server said.
    pub(super) refused: Vec<(usize, String)>,
    /// The reply to the last command, unless all are kept.
    pub(super) last: Reply,
    /// All replies in order, when they are kept.
    pub(super) kept: Vec<Reply>,
}

/// Commands that have not left, or not wholly.
struct Unsent {
    parts: Vec<Bytes>,
    /// How many parts, and how many bytes of the next one, have left.
    left: (usize, usize),
    /// Until the first byte leaves.
    waiting: Option<Unanswered>,
}

/// Commands whose replies are to come.
struct Unanswered {
    commands: usize,
    replied: usize,
    refused: Vec<(usize, String)>,
    /// The replies so far, when somebody wants all of them.
    kept: Option<Vec<Reply>>,
    /// Until all are answered.
    done: Option<oneshot::Sender<Answer>>,
}

// === impl Wire ===

impl Wire {
    /// Commands must be answered within `limit`.
    pub(super) fn new(socket: Socket, limit: Duration) -> Self {
        Self {
            socket,
            unsent: VecDeque::new(),
            unanswered: VecDeque::new(),
            unflushed: false,
            input: Vec::new(),
            limit,
        }
    }

    /// From now on commands must be answered within `limit`.
    pub(super) const fn answer_within(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sends commands together. The answer comes while [`lost`](Self::lost) is polled.
    ///
    /// # Cancel safety
    /// Commands that have begun to leave when the future is dropped are executed all the same.
    pub(super) fn send(
        &mut self,
        commands: Commands,
    ) -> impl Future<Output = Result<Answer, RedisError>> + Send + use<> {
        self.send_and_keep(commands, None)
    }

    fn send_and_keep(
        &mut self,
        commands: Commands,
        kept: Option<Vec<Reply>>,
    ) -> impl Future<Output = Result<Answer, RedisError>> + Send + use<> {
        let (done, answer) = oneshot::channel();
        let count = commands.count();
        let waiting = Unanswered { commands: count, replied: 0, refused: Vec::new(), kept, done: Some(done) };
        self.unsent.push_back(Unsent { parts: commands.finish(), left: (0, 0), waiting: Some(waiting) });
        let limit = self.limit;
        async move {
            match timeout(limit, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(RedisError::Lost("closed before the answer".to_owned())),
                Err(_) => Err(RedisError::Timeout(limit)),
            }
        }
    }

    /// Sends commands and awaits their answer, when nothing else moves the bytes.
    pub(super) async fn ask(&mut self, commands: Commands) -> Result<Answer, RedisError> {
        let answer = self.send(commands);
        self.move_until(answer).await
    }

    /// The replies to all commands, when nothing else moves the bytes.
    pub(super) async fn ask_each(&mut self, commands: Commands) -> Result<Vec<Reply>, RedisError> {
        let kept = Some(Vec::with_capacity(commands.count()));
        let answer = self.send_and_keep(commands, kept);
        Ok(self.move_until(answer).await?.kept)
    }

    async fn move_until(
        &mut self,
        answer: impl Future<Output = Result<Answer, RedisError>>,
    ) -> Result<Answer, RedisError> {
        tokio::pin!(answer);
        tokio::select! {
            biased;
            error = self.lost() => match poll_once(answer).await {
                // A server that refuses says why before it hangs up.
                Some(Ok(answer)) => Ok(answer),
                _ => Err(error),
            },
            answer = &mut answer => answer,
        }
    }

    /// Moves bytes both ways until the connection has ended; resolves with the reason.
    ///
    /// # Cancel safety
    /// Safe; not to be called again after it has resolved.
    pub(super) async fn lost(&mut self) -> RedisError {
        poll_fn(|cx| self.poll_lost(cx)).await
    }

    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<RedisError> {
        let written = match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        // Also when writing fails: the reason may have arrived.
        let read = self.poll_read(cx);
        match written {
            Some(error) => Poll::Ready(RedisError::Lost(error.to_string())),
            None => read,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.skip_late() {
            let mut parts = [IoSlice::new(&[]); PARTS_AT_ONCE];
            let mut count = 0;
            for (place, part) in parts.iter_mut().zip(self.unsent.iter().flat_map(Unsent::remaining)) {
                *place = IoSlice::new(part);
                count += 1;
            }
            let written = ready!(self.socket.poll_write_vectored(cx, &parts[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            ready!(self.socket.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Drops what nobody awaits any more and has not begun to leave; answers whether something is left to write.
    fn skip_late(&mut self) -> bool {
        self.unsent.retain(|unsent| !unsent.waiting.as_ref().is_some_and(Unanswered::is_late));
        !self.unsent.is_empty()
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0
            && let Some(first) = self.unsent.front_mut()
        {
            self.unanswered.extend(first.waiting.take());
            written = first.advance(written);
            if first.left.0 == first.parts.len() {
                self.unsent.pop_front();
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<RedisError> {
        loop {
            let mut room = [0; READ_AT_ONCE];
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(self.socket.poll_read(cx, &mut buffer)) {
                Err(error) => return Poll::Ready(RedisError::Lost(error.to_string())),
                Ok(()) if buffer.filled().is_empty() => {
                    return Poll::Ready(RedisError::Lost("closed by the server".to_owned()));
                }
                Ok(()) => {}
            }
            if let Err(error) = self.take_replies(buffer.filled()) {
                return Poll::Ready(error);
            }
        }
    }

    fn take_replies(&mut self, bytes: &[u8]) -> Result<(), RedisError> {
        let joined = !self.input.is_empty();
        if joined {
            self.input.extend_from_slice(bytes);
        }
        let input = if joined { std::mem::take(&mut self.input) } else { Vec::new() };
        let mut rest = if joined { &input[..] } else { bytes };
        let malformed = || RedisError::Lost("it does not speak the protocol of redis".to_owned());
        while !rest.is_empty() {
            let Some((reply, length)) = Reply::read(rest).map_err(|_| malformed())? else {
                break;
            };
            rest = &rest[length..];
            let Some(first) = self.unanswered.front_mut() else {
                return Err(malformed());
            };
            if first.take(reply) {
                self.unanswered.pop_front();
            }
        }
        self.input.extend_from_slice(rest);
        Ok(())
    }
}

// === impl Unsent ===

impl Unsent {
    fn remaining(&self) -> impl Iterator<Item = &[u8]> {
        let (parts, bytes) = self.left;
        let first = self.parts.get(parts).map(|part| &part[bytes..]);
        first.into_iter().chain(self.parts.iter().skip(parts + 1).map(|part| &part[..]))
    }

    /// So many bytes have left; answers how many of them were of what comes after.
    fn advance(&mut self, mut written: usize) -> usize {
        while let Some(part) = self.parts.get(self.left.0) {
            let remaining = part.len() - self.left.1;
            if written < remaining {
                self.left.1 += written;
                return 0;
            }
            written -= remaining;
            self.left = (self.left.0 + 1, 0);
        }
        written
    }
}

// === impl Unanswered ===

impl Unanswered {
    /// Takes the reply to the next command; answers whether it was the last one, and then tells whoever awaits it.
    fn take(&mut self, reply: Reply) -> bool {
        if let Reply::Error(text) = &reply {
            self.refused.push((self.replied, text.clone()));
        }
        self.replied += 1;
        let last = match &mut self.kept {
            Some(kept) => {
                kept.push(reply);
                Reply::Null
            }
            None => reply,
        };
        if self.replied < self.commands {
            return false;
        }
        let (refused, kept) = (std::mem::take(&mut self.refused), self.kept.take().unwrap_or_default());
        let answer = Answer { refused, last, kept };
        if let Some(done) = self.done.take() {
            // Nobody awaits what has timed out.
            let _ = done.send(answer);
        }
        true
    }

    /// Whether nobody awaits the answer any more.
    fn is_late(&self) -> bool {
        self.done.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

// === impl Socket ===

impl Socket {
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

/// What a future gives at once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[cfg(test)]
mod tests;
