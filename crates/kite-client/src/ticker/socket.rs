//! A websocket that reads and writes at the same time, so that a slow write never stops the reading.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use http::StatusCode;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::ticker::connect::ByteStream;

/// Commands are flushed at once, so this much never gathers unless the peer stops reading.
const MAX_WRITE_BUFFER: usize = 256 * 1024;
/// Of an answer that refuses us, this much is kept for the log.
const MAX_DETAIL: usize = 200;

/// Why a handshake did not make a socket.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The token of this login was refused (403).
    Refused { generation: u64, said: String },
    /// Answered, but not with an upgrade.
    Status(StatusCode, String),
    /// The stream failed, or what came is not HTTP.
    Io(String),
}

/// What a turn brought.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A message, control messages included.
    Message(Message),
    /// Everything handed to [`Socket::push`] is on the wire.
    Flushed,
    /// The stream ended without, or after, a close frame.
    Ended,
    /// The stream or the protocol failed.
    Failed(WsError),
}

/// One established websocket.
pub(crate) struct Socket {
    stream: WebSocketStream<Box<dyn ByteStream>>,
    outbox: VecDeque<Message>,
    flushing: bool,
}

/// Makes a websocket of a byte stream.
///
/// # Cancel safety
/// Dropping the future closes the stream.
pub(crate) async fn handshake(
    request: Request,
    stream: Box<dyn ByteStream>,
    max_message_bytes: usize,
    read_buffer: usize,
) -> Result<Socket, HandshakeError> {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = read_buffer;
    config.write_buffer_size = 0;
    config.max_write_buffer_size = MAX_WRITE_BUFFER;
    config.max_message_size = Some(max_message_bytes);
    config.max_frame_size = Some(max_message_bytes);
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, _response)) => Ok(Socket { stream, outbox: VecDeque::new(), flushing: false }),
        Err(WsError::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(&body[..body.len().min(MAX_DETAIL)]);
            Err(HandshakeError::Status(response.status(), body.trim().to_owned()))
        }
        Err(error) => Err(HandshakeError::Io(describe(&error))),
    }
}

/// The error in words, without the message it may carry.
pub(crate) fn describe(error: &WsError) -> String {
    match error {
        WsError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "connection ended".to_owned(),
        WsError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

// === impl Socket ===

impl Socket {
    /// Queues a message; [`Self::turn`] writes it.
    pub(crate) fn push(&mut self, message: Message) {
        self.outbox.push_back(message);
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && !self.flushing
    }

    /// Queues a ping, unless writing is stuck already: then its answer would say nothing new.
    pub(crate) fn ping(&mut self) {
        if self.is_idle() {
            self.push(Message::Ping(Bytes::new()));
        }
    }

    /// Writes what waits and reads what comes, whichever is ready first.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped; all state is in the socket.
    pub(crate) async fn turn(&mut self) -> Turn {
        std::future::poll_fn(|context| self.poll_turn(context)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        match self.poll_write(context) {
            Poll::Ready(Ok(true)) => return Poll::Ready(Turn::Flushed),
            Poll::Ready(Err(error)) => return Poll::Ready(Turn::Failed(error)),
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(message)) => Turn::Message(message),
            Some(Err(error)) => Turn::Failed(error),
            None => Turn::Ended,
        })
    }

    /// Ready with whether there was something to write and now all of it is written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, WsError>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.outbox.is_empty() {
            ready!(stream.as_mut().poll_ready(context))?;
            if let Some(message) = self.outbox.pop_front() {
                self.flushing = true;
                stream.as_mut().start_send(message)?;
            }
        }
        if !self.flushing {
            return Poll::Ready(Ok(false));
        }
        ready!(stream.poll_flush(context))?;
        self.flushing = false;
        Poll::Ready(Ok(true))
    }
}
