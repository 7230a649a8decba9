//! One ticker connection: reads commands, writes frames, keeps the line alive, and bears the faults it is told to.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use hyper_util::rt::TokioIo;
use kite_wire::TickerRequest;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::shape::{Piece, Shaper};
use super::wire::{Incoming, Opcode, Wire};
use super::{Admitted, Place};
use crate::engine::{Outgoing, TickFrame};
use crate::fault::Fault;
use crate::faults::Active;
use crate::ledger::packets;
use crate::server::Shared;
use crate::socket::Socket;

/// How long nothing may be sent before a heartbeat is.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(1);
/// How often silence and the access token are looked at; heartbeats therefore come within 1.5 s.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// The one-byte frame that says "still here".
const HEARTBEAT: &[u8] = &[0];
/// How long a client may take to answer the closing handshake.
const CLOSING: Duration = Duration::from_millis(500);
/// Close code: going away.
const AWAY: u16 = 1001;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Client,
    TooSlow,
    TokenDied,
    Shutdown,
    /// By a fault, after a closing frame.
    Closed,
    /// By a fault, without a word.
    Dropped,
    /// By a fault, with a reset.
    Reset,
}

/// Serves `admitted` until either side ends it.
pub(crate) async fn serve(shared: Arc<Shared>, admitted: Admitted, shutdown: CancellationToken) {
    let Admitted { upgrade, place, access_token } = admitted;
    let upgraded = tokio::select! {
        upgraded = upgrade => upgraded,
        () = shutdown.cancelled() => return,
    };
    let Ok(upgraded) = upgraded else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else {
        tracing::error!("upgraded connection is of an unexpected type");
        return;
    };
    let mut line = Line {
        wire: Wire::new(parts.io.into_inner(), &parts.read_buf),
        shaper: Shaper::new(place.ledger.who.number),
        changes: shared.faults.changes(),
        order: place.order,
        // Faults may have begun between the handshake and now.
        is_stale: true,
        last_sent: Instant::now(),
        too_slow: place.seat.too_slow.clone(),
        shutdown,
        access_token,
        shared,
        place,
    };
    let ended = line.run().await;
    tracing::info!(connection = line.place.ledger.who.number, ?ended, "ticker connection ended");
    line.place.ledger.written().ended = Some(ended.as_str());
    line.close(ended).await;
}

/// What a connection wakes up for.
enum Event {
    Changed,
    Incoming(Option<Incoming>),
    Outgoing(Outgoing),
    Housekeeping,
}

/// A connection with what may end it.
struct Line {
    shared: Arc<Shared>,
    place: Place,
    access_token: String,
    wire: Wire,
    shaper: Shaper,
    changes: watch::Receiver<u64>,
    order: u64,
    is_stale: bool,
    last_sent: Instant,
    too_slow: CancellationToken,
    shutdown: CancellationToken,
}

// === impl Line ===

impl Line {
    async fn run(&mut self) -> Ended {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_stale
                && let Err(ended) = self.look_for_faults().await
            {
                return ended;
            }
            let reads = self.shaper.half_open().is_none();
            let event = tokio::select! {
                () = self.too_slow.cancelled() => return Ended::TooSlow,
                () = self.shutdown.cancelled() => return Ended::Shutdown,
                Ok(()) = self.changes.changed() => Event::Changed,
                incoming = self.wire.next(), if reads => Event::Incoming(incoming),
                Some(outgoing) = self.place.seat.queue.recv() => Event::Outgoing(outgoing),
                _ = housekeeping.tick() => Event::Housekeeping,
            };
            // A fault that was there before the message is known before the message is looked at.
            self.is_stale |= matches!(event, Event::Changed) || self.changes.has_changed().unwrap_or(false);
            if self.is_stale
                && let Err(ended) = self.look_for_faults().await
            {
                return ended;
            }
            let outcome = match event {
                Event::Changed => Ok(()),
                Event::Incoming(Some(incoming)) => self.take(incoming).await,
                Event::Incoming(None) => Err(Ended::Client),
                Event::Outgoing(outgoing) => self.send(outgoing).await,
                Event::Housekeeping => self.keep_house().await,
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    async fn look_for_faults(&mut self) -> Result<(), Ended> {
        self.is_stale = false;
        self.changes.mark_unchanged();
        let was_half_open = self.shaper.half_open().is_some();
        let orders = self.shared.faults.orders(&self.place.ledger.who, self.order);
        self.order = orders.order;
        self.shaper.set(orders.lasting);
        for once in orders.once {
            once.did.connections.fetch_add(1, Ordering::Relaxed);
            match &once.plan.fault {
                Fault::Reset => return Err(Ended::Reset),
                Fault::Drop => return Err(Ended::Dropped),
                Fault::Close { code, reason } => {
                    self.goodbye(*code, reason).await?;
                    return Err(Ended::Closed);
                }
                Fault::Text { texts } => {
                    once.did.texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
                    for text in texts {
                        self.send(Outgoing::Text(text.clone())).await?;
                    }
                }
                _ => {}
            }
        }
        // Whoever comes back after that long knows nothing of this connection any more.
        match was_half_open && self.shaper.half_open().is_none() {
            true => Err(Ended::Reset),
            false => Ok(()),
        }
    }

    async fn take(&mut self, incoming: Incoming) -> Result<(), Ended> {
        match incoming {
            // Read a moment before the socket became half-open: it counts as unread.
            _ if self.shaper.half_open().is_some() => Ok(()),
            Incoming::Text(text) => {
                self.obey(&text);
                Ok(())
            }
            Incoming::Ping(payload) if !self.shaper.keeps_pong() => {
                self.write(Opcode::Pong, &payload).await?;
                self.place.ledger.written().pongs += 1;
                Ok(())
            }
            Incoming::Close(payload) => {
                if self.shaper.mute().is_none() {
                    self.write(Opcode::Close, &payload).await?;
                }
                Err(Ended::Client)
            }
            // Everything else from a client means nothing.
            Incoming::Ping(_) | Incoming::Pong | Incoming::Binary => Ok(()),
        }
    }

    fn obey(&mut self, text: &str) {
        let number = self.place.seat.number;
        match TickerRequest::parse(text) {
            Ok(request) => {
                let now = self.shared.now();
                let fresh = self.shared.engine().command(number, &request, now);
                self.shaper.commanded(&request, &fresh, now);
            }
            Err(error) => tracing::debug!(connection = number.0, %error, "command ignored"),
        }
    }

    async fn keep_house(&mut self) -> Result<(), Ended> {
        if let Some(text) = self.shaper.lonely_text() {
            self.write_text(&text).await?;
        }
        let app = self.place.app;
        if self.shaper.half_open().is_some() {
            let is_left = self.wire.socket().is_left().now_or_never() == Some(true);
            return if is_left { Err(Ended::Client) } else { Ok(()) };
        }
        if !self.shared.accounts().is_valid(app, &self.access_token, self.shared.now()) {
            return Err(Ended::TokenDied);
        }
        if self.last_sent.elapsed() < HEARTBEAT_AFTER {
            return Ok(());
        }
        if let Some(fault) = self.kept_by() {
            fault.did.frames.fetch_add(1, Ordering::Relaxed);
            self.last_sent = Instant::now();
            return Ok(());
        }
        self.write(Opcode::Binary, HEARTBEAT).await?;
        let mut written = self.place.ledger.written();
        written.heartbeats += 1;
        written.bytes += HEARTBEAT.len() as u64;
        Ok(())
    }

    /// The fault that lets nothing be written.
    fn kept_by(&self) -> Option<&Arc<Active>> {
        self.shaper.half_open().or(self.shaper.mute())
    }

    /// Writes one message of the market. Every one passes here.
    async fn send(&mut self, outgoing: Outgoing) -> Result<(), Ended> {
        if let Some(fault) = self.kept_by() {
            let did = &fault.did;
            match &outgoing {
                Outgoing::Text(_) => did.texts.fetch_add(1, Ordering::Relaxed),
                Outgoing::Ticks(frame) => {
                    did.packets.fetch_add(packets(&frame.bytes).count() as u64, Ordering::Relaxed);
                    did.frames.fetch_add(1, Ordering::Relaxed)
                }
            };
            return Ok(());
        }
        match outgoing {
            Outgoing::Ticks(frame) if self.shaper.is_clear() => {
                let piece = Piece { bytes: frame.bytes.clone(), honest: frame.bytes.len() };
                self.write_ticks(&frame, piece).await
            }
            Outgoing::Ticks(frame) => {
                for piece in self.shaper.ticks(&frame.bytes, self.shared.now()) {
                    self.write_ticks(&frame, piece).await?;
                }
                Ok(())
            }
            Outgoing::Text(text) => {
                for text in self.shaper.text(text) {
                    self.write_text(&text).await?;
                }
                Ok(())
            }
        }
    }

    async fn write_ticks(&mut self, frame: &TickFrame, piece: Piece) -> Result<(), Ended> {
        self.write(Opcode::Binary, &piece.bytes).await?;
        self.place.ledger.written().frame(&piece.bytes, piece.honest);
        if self.shared.config.sent_history > 0 {
            self.shared.sent().record(frame.moment, frame.at, &piece.bytes[..piece.honest]);
        }
        Ok(())
    }

    async fn write_text(&mut self, text: &str) -> Result<(), Ended> {
        self.write(Opcode::Text, text.as_bytes()).await?;
        let mut written = self.place.ledger.written();
        written.texts += 1;
        written.bytes += text.len() as u64;
        Ok(())
    }

    async fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Ended> {
        self.last_sent = Instant::now();
        let mut writing = pin!(self.wire.write(opcode, payload));
        loop {
            tokio::select! {
                written = &mut writing => return written.map_err(|_| Ended::Client),
                () = self.too_slow.cancelled() => return Err(Ended::TooSlow),
                () = self.shutdown.cancelled() => return Err(Ended::Shutdown),
                Ok(()) = self.changes.changed() => {
                    // The rest waits until this frame is written, but an end need not.
                    self.is_stale = true;
                    let orders = self.shared.faults.orders(&self.place.ledger.who, self.order);
                    let ends = |active: &Arc<Active>| match active.plan.fault {
                        Fault::Reset => Some((Ended::Reset, Arc::clone(active))),
                        Fault::Drop | Fault::Close { .. } => Some((Ended::Dropped, Arc::clone(active))),
                        _ => None,
                    };
                    if let Some((ended, active)) = orders.once.iter().find_map(ends) {
                        active.did.connections.fetch_add(1, Ordering::Relaxed);
                        return Err(ended);
                    }
                }
            }
        }
    }

    async fn goodbye(&mut self, code: u16, reason: &str) -> Result<(), Ended> {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        self.write(Opcode::Close, &payload).await
    }

    /// Says goodbye where a goodbye can be heard. Kite drops the socket of a dead token without one.
    async fn close(self, ended: Ended) {
        let says_goodbye = ended == Ended::Shutdown && self.kept_by().is_none();
        let mut wire = self.wire;
        match ended {
            Ended::Shutdown | Ended::Closed => {
                let closing = async {
                    let payload = [&AWAY.to_be_bytes(), &b"server is shutting down"[..]].concat();
                    if says_goodbye && wire.write(Opcode::Close, &payload).await.is_err() {
                        return;
                    }
                    // The client answers and leaves.
                    while !matches!(wire.next().await, None | Some(Incoming::Close(_))) {}
                };
                // The client may be gone; then there is nothing to wait for.
                let _ = tokio::time::timeout(CLOSING, closing).await;
                wire.finish().await;
            }
            Ended::Client | Ended::Dropped => wire.finish().await,
            Ended::Reset => wire.socket().reset_on_close(),
            Ended::TooSlow | Ended::TokenDied => {}
        }
    }
}

// === impl Ended ===

impl Ended {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::TooSlow => "too-slow",
            Self::TokenDied => "token-died",
            Self::Shutdown => "shutdown",
            Self::Closed => "closed",
            Self::Dropped => "dropped",
            Self::Reset => "reset",
        }
    }
}
