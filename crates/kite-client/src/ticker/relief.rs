//! One socket takes the place of another: opened, proven and given the word before the former one is closed.
//!
//! It needs a second socket for a moment, so it is done only while the account has fewer open than it may have;
//! otherwise the former one is closed first, and the hole is told.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use market_model::{DisconnectReason, FeedEvent, Gap, GapCause};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};

use crate::RateCollapseAction;
use crate::ticker::connection::{Connection, End, Opened, open};
use crate::ticker::ledger::SubscriptionLedger;
use crate::ticker::merge::{Merge, Unsaid};
use crate::ticker::overlap::{Overlap, Side};
use crate::ticker::session::{Session, close_frame};
use crate::ticker::socket::{HandshakeError, Turn};
use crate::ticker::status::MAX_LISTED;

/// The taking of places of one connection.
#[derive(Default)]
pub(crate) enum Relief {
    /// None is under way.
    #[default]
    None,
    /// The newcomer is being opened.
    Dialling {
        reason: DisconnectReason,
        dial: BoxFuture<'static, Result<Opened, HandshakeError>>,
        until: Instant,
    },
    /// The newcomer stands and subscribes; the former socket still has the word.
    Proving { reason: DisconnectReason, session: Box<Session>, until: Instant },
    /// The newcomer has the word; the former socket is being closed.
    Leaving { reason: DisconnectReason, session: Box<Session>, until: Instant },
}

/// What came of waiting for the other socket.
pub(crate) enum ReliefEvent {
    Dialled(Result<Box<Opened>, HandshakeError>),
    Turn(Turn),
    Expired,
}

// === impl Relief ===

impl Relief {
    pub(crate) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// What happens next on the other socket.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> ReliefEvent {
        match self {
            Self::None => std::future::pending().await,
            Self::Dialling { dial, until, .. } => {
                let dialled = timeout_at(*until, dial).await;
                dialled.map_or(ReliefEvent::Expired, |made| ReliefEvent::Dialled(made.map(Box::new)))
            }
            Self::Proving { session, until, .. } | Self::Leaving { session, until, .. } => {
                let turn = timeout_at(*until, session.socket.turn());
                turn.await.map_or(ReliefEvent::Expired, ReliefEvent::Turn)
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Why the socket that serves should be replaced now, if it should.
    pub(crate) fn wants_relief(
        &self,
        session: &Session,
        relief: &Relief,
        now: Instant,
    ) -> Option<DisconnectReason> {
        if relief.is_some() {
            return None;
        }
        let config = &self.shared.config;
        let alarmed = self.rate.is_dataless()
            || (self.rate.is_collapsed() && config.on_rate_collapse == RateCollapseAction::Reconnect);
        // A bad broker side is not hammered.
        let rested = self.forced_at.is_none_or(|then| now - then >= config.forced_reconnect_every);
        if alarmed && rested {
            return Some(DisconnectReason::RateCollapse);
        }
        session.rotate_at.filter(|due| now >= *due).map(|_| DisconnectReason::Rotation)
    }

    /// Begins to replace the socket that serves; closes it when there is no room for a second one.
    pub(crate) async fn relieve(
        &mut self,
        relief: &mut Relief,
        session: &mut Session,
        reason: DisconnectReason,
    ) -> Option<End> {
        if relief.is_some() {
            return None;
        }
        let now = Instant::now();
        match reason {
            DisconnectReason::RateCollapse => self.forced_at = Some(now),
            DisconnectReason::Rotation => session.rotate_at = self.next_rotation(now),
            _ => {}
        }
        let credentials = self.orders.credentials.borrow().clone();
        let slot = self.shared.slots.clone().try_acquire_owned();
        if let (Some(credentials), Ok(slot)) = (credentials, slot) {
            let asked = matches!(reason, DisconnectReason::Requested | DisconnectReason::TokenRenewed);
            if !asked && !self.shared.gate.admits(&credentials) {
                return None;
            }
            if self.begin_handshake(now).is_ok() {
                tracing::info!(?reason, "ticker connection is being replaced");
                let dial = open(self.shared.clone(), credentials, slot).boxed();
                *relief = Relief::Dialling { reason, dial, until: now + self.shared.config.connect_timeout };
                return None;
            }
            if !asked {
                return None;
            }
        }
        self.close(&mut session.socket).await;
        Some(End::Again(reason))
    }

    /// Gives the newcomer its next command.
    pub(crate) fn command(&mut self, relief: &mut Relief) {
        if let (Relief::Proving { session, .. }, Some(overlap)) = (relief, &mut self.overlap)
            && session.socket.is_idle()
        {
            session.told = overlap.ledger.next_command();
            overlap.told(session.told.is_none().then(Instant::now));
            if let Some(command) = &session.told {
                session.socket.push(Message::text(command.to_json()));
            }
        }
    }

    /// Does what an event of the other socket asks for.
    pub(crate) async fn relieved(
        &mut self,
        relief: &mut Relief,
        session: &mut Session,
        event: ReliefEvent,
    ) -> Option<End> {
        match (std::mem::take(relief), event) {
            (Relief::Dialling { reason, .. }, ReliefEvent::Dialled(Ok(opened))) => {
                let now = Instant::now();
                self.accepted();
                let config = &self.shared.config;
                let mut ledger =
                    SubscriptionLedger::new(config.tokens_per_command, config.silent_token_after);
                ledger.set_desired(&self.orders.desired.borrow());
                self.overlap = Some(Overlap::new(ledger, now));
                let until = now + config.prove_within;
                *relief = Relief::Proving { reason, session: Box::new(self.session(*opened)), until };
                self.tell_unsaid();
                self.merge.get_or_insert_default().two_stand();
                None
            }
            (Relief::Dialling { reason, .. }, ReliefEvent::Dialled(Err(error))) => {
                match self.failed_handshake(error) {
                    // What serves still does; but nothing else will with this token.
                    End::Refused { generation, detail } => {
                        session.newest_login = generation;
                        self.tell_refused(generation, detail);
                        None
                    }
                    other => self.not_relieved(session, reason, &format!("{other:?}")).await,
                }
            }
            (Relief::Dialling { reason, .. }, _) => {
                self.not_relieved(session, reason, "no connection in time").await
            }
            (Relief::Proving { reason, session: mut newcomer, until }, ReliefEvent::Turn(turn)) => {
                if let Some(why) = self.newcomer_turned(&mut newcomer, turn) {
                    return self.not_relieved(session, reason, &why).await;
                }
                *relief = Relief::Proving { reason, session: newcomer, until };
                self.change_places(relief, session);
                None
            }
            (Relief::Proving { reason, .. }, _) => {
                self.not_relieved(session, reason, "no tick in time").await
            }
            (leaving @ Relief::Leaving { .. }, event) => {
                *relief = leaving;
                let (stays, read_to_end) = match event {
                    ReliefEvent::Turn(Turn::Message(message)) => {
                        let closed = self.take(message, Side::Leaver).is_some();
                        (!closed, closed)
                    }
                    ReliefEvent::Turn(Turn::Flushed) => (true, false),
                    // Also without a close frame; whatever the server wrote was read before.
                    ReliefEvent::Turn(
                        Turn::Ended
                        | Turn::Failed(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)),
                    ) => (false, true),
                    _ => (false, false),
                };
                if let Some(overlap) = self.overlap.as_mut().filter(|_| read_to_end) {
                    overlap.read_to_end();
                }
                if !stays {
                    self.leave(relief);
                }
                None
            }
            (Relief::None, _) => None,
        }
    }

    /// The newcomer takes the place of the socket that served, once it has proven itself.
    pub(crate) fn change_places(&mut self, relief: &mut Relief, session: &mut Session) {
        let now = Instant::now();
        if !self.overlap.as_ref().is_some_and(|overlap| overlap.is_proven(now)) {
            return;
        }
        match (std::mem::take(relief), &mut self.overlap) {
            (Relief::Proving { reason, session: mut other, .. }, Some(overlap)) => {
                overlap.change_places(&mut self.ledger);
                overlap.changed(self.last_frame, self.shared.clock.now());
                std::mem::swap(session, &mut other);
                other.socket.push(close_frame());
                let until = now + self.shared.config.close_timeout;
                *relief = Relief::Leaving { reason, session: other, until };
            }
            (other, _) => {
                *relief = other;
                return;
            }
        }
        self.shared.metrics.rotations.increment(1);
        let generation = session.generation;
        self.shared.board.update(self.id.index, |status| {
            status.generation = Some(generation);
            status.connects += 1;
            status.rotations += 1;
        });
        self.rate.interrupted();
        self.report_subscriptions();
    }

    /// The socket that served `since` then ended as `end` says. Answers with the newcomer, when that can go on; waits for it when
    /// it is being opened, and when that fails says so in `end`.
    pub(crate) async fn steps_in(
        &mut self,
        relief: &mut Relief,
        since: Instant,
        end: &mut End,
    ) -> Option<Session> {
        let End::Later(reason) = end else { return None };
        if !matches!(relief, Relief::Dialling { .. } | Relief::Proving { .. }) {
            return None;
        }
        let reason = reason.clone();
        self.fell(since);
        self.tell_reconnecting(reason, Duration::ZERO);
        self.tries = 1;
        let session = match std::mem::take(relief) {
            Relief::Dialling { dial, until, .. } => {
                let dialled = tokio::select! {
                    () = self.orders.shutdown.cancelled() => {
                        *end = End::Stop;
                        return None;
                    }
                    dialled = timeout_at(until, dial) => dialled,
                };
                match dialled {
                    Ok(Ok(opened)) => {
                        self.accepted();
                        self.session(opened)
                    }
                    Ok(Err(error)) => {
                        *end = self.failed_handshake(error);
                        return None;
                    }
                    Err(_elapsed) => {
                        *end = End::Later(DisconnectReason::ConnectTimeout);
                        return None;
                    }
                }
            }
            Relief::Proving { session, .. } => {
                if let Some(mut overlap) = self.overlap.take() {
                    overlap.change_places(&mut self.ledger);
                    self.one_remains(&overlap);
                }
                *session
            }
            _ => return None,
        };
        self.stands(session.generation);
        self.report_subscriptions();
        Some(session)
    }

    /// Ends what is under way: a newcomer is given up, and of a socket that was leaving is told that it left.
    pub(crate) fn leave(&mut self, relief: &mut Relief) {
        let overlap = self.overlap.take();
        if let Some(overlap) = &overlap {
            self.tell_missed(overlap);
            self.one_remains(overlap);
        }
        if let (Relief::Leaving { reason, .. }, Some(overlap)) = (std::mem::take(relief), overlap) {
            let at = self.now();
            let overlap = overlap.stands_since.elapsed();
            tracing::info!(
                ?reason,
                overlap_ms = overlap.as_millis() as u64,
                "ticker connection was replaced"
            );
            self.shared.board.update(self.id.index, |status| status.last_reason = Some(reason.clone()));
            let connection = self.id.clone();
            self.outlet.control(FeedEvent::Rotated { connection, at, overlap, reason }, at);
        }
    }

    /// Two sockets stood side by side; what neither of them said is a hole.
    fn tell_missed(&mut self, overlap: &Overlap) {
        let now = self.now();
        if let Some((from, to)) = overlap.missed(now) {
            let connection = self.id.clone();
            let (cause, tokens, lost_ticks) = (GapCause::Disconnected, None, None);
            let gap = Gap { connection, from, to, cause, tokens, lost_ticks };
            self.outlet.control(FeedEvent::Gap(gap), now);
            if let Some(merge) = self.merge.as_mut().filter(|_| !overlap.has_changed_places()) {
                // Said with that.
                merge.take_unsaid();
            }
        }
    }

    /// Of the two sockets of `overlap` one is gone.
    fn one_remains(&mut self, overlap: &Overlap) {
        if let Some(merge) = &mut self.merge {
            merge.one_remains(overlap.has_changed_places(), Instant::now());
        }
    }

    /// Looks whether the socket that remains still has to catch up with one that is gone.
    pub(crate) fn watch_merge(&mut self, now: Instant) {
        if self.merge.as_ref().is_some_and(|merge| merge.is_over(now)) {
            self.end_merge();
        }
    }

    /// Whatever was not said until now never will be.
    pub(crate) fn end_merge(&mut self) {
        self.tell_unsaid();
        self.merge = None;
    }

    /// Tells the hole that ticks left which were withheld for a socket that never said them.
    fn tell_unsaid(&mut self) {
        let Some(Unsaid { tokens, from, to }) = self.merge.as_mut().and_then(Merge::take_unsaid) else {
            return;
        };
        tracing::warn!(instruments = tokens.len(), "ticks of one socket were not said by the other");
        let connection = self.id.clone();
        let tokens = (tokens.len() <= MAX_LISTED).then(|| tokens.into());
        let gap = Gap { connection, from, to, cause: GapCause::Disconnected, tokens, lost_ticks: None };
        let now = self.now();
        self.outlet.control(FeedEvent::Gap(gap), now);
    }

    fn newcomer_turned(&mut self, newcomer: &mut Session, turn: Turn) -> Option<String> {
        match turn {
            Turn::Flushed => {
                if let (Some(_), Some(overlap)) = (newcomer.told.take(), &mut self.overlap) {
                    overlap.ledger.written(Instant::now());
                }
                None
            }
            Turn::Message(message) => {
                newcomer.heard(&message);
                let code = self.take(message, Side::Newcomer)?;
                Some(format!("closed by the server with {code:?}"))
            }
            Turn::Ended => Some("closed by the server".to_owned()),
            Turn::Failed(error) => Some(crate::ticker::socket::describe(&error)),
        }
    }

    /// No newcomer took the place. What still delivers is kept, unless it must go.
    async fn not_relieved(
        &mut self,
        session: &mut Session,
        reason: DisconnectReason,
        why: &str,
    ) -> Option<End> {
        if let Some(overlap) = self.overlap.take() {
            self.tell_missed(&overlap);
            self.one_remains(&overlap);
        }
        tracing::warn!(?reason, why, "ticker connection could not be replaced");
        let must_go = match reason {
            DisconnectReason::Requested | DisconnectReason::TokenRenewed => true,
            DisconnectReason::RateCollapse => self.rate.is_dataless(),
            _ => false,
        };
        if !must_go {
            return None;
        }
        self.close(&mut session.socket).await;
        Some(End::Again(reason))
    }
}
