//! One ticker connection: reads commands, writes frames, keeps the line alive.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use kite_wire::TickerRequest;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use super::Admitted;
use crate::server::Shared;

/// How long nothing may be sent before a heartbeat is.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(1);
/// How often silence and the access token are looked at; heartbeats therefore come within 1.5 s.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// The one-byte frame that says "still here".
const HEARTBEAT: &[u8] = &[0];
/// How long a client may take to answer the closing handshake.
const CLOSING: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Client,
    TooSlow,
    TokenDied,
    Shutdown,
}

/// Serves `admitted` until either side ends it.
pub(crate) async fn serve(shared: Arc<Shared>, admitted: Admitted, shutdown: CancellationToken) {
    let Admitted { upgrade, mut place, access_token, app } = admitted;
    let upgraded = tokio::select! {
        upgraded = upgrade => upgraded,
        () = shutdown.cancelled() => return,
    };
    let Ok(upgraded) = upgraded else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024)
        // 3000 tokens of ten digits fit twenty times.
        .max_message_size(Some(1024 * 1024));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let mut link =
        Link { socket, last_sent: Instant::now(), too_slow: place.seat.too_slow.clone(), shutdown };
    let number = place.seat.number;
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        let outcome = tokio::select! {
            () = link.too_slow.cancelled() => Err(Ended::TooSlow),
            () = link.shutdown.cancelled() => Err(Ended::Shutdown),
            incoming = link.socket.next() => match incoming {
                Some(Ok(Message::Text(text))) => {
                    obey(&shared, number, &text);
                    Ok(())
                }
                // Pings are answered by the library; everything else from a client means nothing.
                Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Ended::Client),
                Some(Ok(_)) => link.flush().await,
            },
            Some(message) = place.seat.queue.recv() => link.send(message).await,
            _ = housekeeping.tick() => {
                if !shared.accounts().is_valid(app, &access_token, shared.now()) {
                    Err(Ended::TokenDied)
                } else if link.last_sent.elapsed() >= HEARTBEAT_AFTER {
                    link.send(Message::Binary(HEARTBEAT.into())).await
                } else {
                    Ok(())
                }
            }
        };
        if let Err(ended) = outcome {
            break ended;
        }
    };
    tracing::info!(connection = number.0, ?ended, "ticker connection ended");
    link.close(ended).await;
}

fn obey(shared: &Shared, number: crate::engine::ConnectionNumber, text: &str) {
    match TickerRequest::parse(text) {
        Ok(request) => {
            let now = shared.now();
            shared.engine().command(number, &request, now);
        }
        Err(error) => tracing::debug!(connection = number.0, %error, "command ignored"),
    }
}

/// The socket with what may cut a write short.
struct Link {
    socket: Socket,
    last_sent: Instant,
    too_slow: CancellationToken,
    shutdown: CancellationToken,
}

// === impl Link ===

impl Link {
    /// Writes one message. Every frame of a connection passes here: the place where scripted faults will sit.
    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        self.last_sent = Instant::now();
        tokio::select! {
            sent = self.socket.send(message) => finished(sent),
            () = self.too_slow.cancelled() => Err(Ended::TooSlow),
            () = self.shutdown.cancelled() => Err(Ended::Shutdown),
        }
    }

    /// Writes what the library has queued by itself, such as the answer to a ping.
    async fn flush(&mut self) -> Result<(), Ended> {
        tokio::select! {
            sent = self.socket.flush() => finished(sent),
            () = self.too_slow.cancelled() => Err(Ended::TooSlow),
            () = self.shutdown.cancelled() => Err(Ended::Shutdown),
        }
    }

    /// Says goodbye where a goodbye can be heard. Kite drops the socket of a dead token without one.
    async fn close(mut self, ended: Ended) {
        let goodbye = match ended {
            // The answer to the client's own close frame is queued; reading on sends it.
            Ended::Client => None,
            Ended::Shutdown => {
                Some(CloseFrame { code: CloseCode::Away, reason: "server is shutting down".into() })
            }
            Ended::TooSlow | Ended::TokenDied => return,
        };
        let closing = async {
            if let Some(frame) = goodbye
                && self.socket.close(Some(frame)).await.is_err()
            {
                return;
            }
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        // The client may be gone; then there is nothing to wait for.
        let _ = tokio::time::timeout(CLOSING, closing).await;
    }
}

fn finished(sent: Result<(), tungstenite::Error>) -> Result<(), Ended> {
    sent.map_err(|_| Ended::Client)
}
