//! What a connection tells the feed about itself, each thing once.

use std::time::Duration;

use market_model::{
    DisconnectReason, FeedEvent, Gap, GapCause, RateCollapse, Silence, TokenGap, TokenLoss, UnixNanos,
};
use tokio::time::Instant;

use crate::ticker::connection::{Connection, Shared};
use crate::ticker::rate::RateNews;
use crate::ticker::status::ConnectionState;

/// A connection that first stands later than this after the start carries wishes that nobody carried before.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// Holes of single instruments in one event.
const MOST_GAPS: usize = 500;

// === impl Shared ===

impl Shared {
    /// Until when somebody else carried what a connection carries that stands for the first time.
    fn taken_over_from(&self) -> Option<UnixNanos> {
        self.resumes_after.get().copied().filter(|_| self.started.elapsed() < TAKE_OVER)
    }
}

// === impl Connection ===

impl Connection {
    /// The token was refused.
    pub(crate) fn tell_refused(&mut self, generation: u64, detail: String) {
        if !self.shared.gate.refuse(generation) {
            return;
        }
        tracing::error!(generation, detail, "access token refused, waiting for a new one");
        self.shared.metrics.token_refusals.increment(1);
        let loss = TokenLoss { account: self.id.account.clone(), detail: detail.into() };
        let now = self.now();
        self.outlet.control(FeedEvent::TokenLost(loss), now);
    }

    /// The server took the token just now. Only a handshake that has this moment succeeded says so: a token may have
    /// been refused since an earlier one.
    pub(crate) fn accepted(&mut self) {
        if self.shared.gate.accept() {
            let (account, at) = (self.id.account.clone(), self.now());
            self.outlet.control(FeedEvent::TokenRestored { account }, at);
        }
    }

    /// The connection has a socket that serves.
    pub(crate) fn stands(&mut self, generation: u64) {
        let at = self.now();
        let attempts = std::mem::take(&mut self.tries);
        let connection = self.id.clone();
        let event = if self.stood {
            self.shared.metrics.reconnects.increment(1);
            FeedEvent::Reconnected { connection, at, attempts }
        } else {
            self.hole_from = self.hole_from.or_else(|| self.shared.taken_over_from());
            FeedEvent::Connected { connection, at }
        };
        self.outlet.control(event, at);
        self.stood = true;
        self.told_down = false;
        self.shared.board.update(self.id.index, |status| {
            status.state = ConnectionState::Up;
            status.generation = Some(generation);
            status.connects += 1;
        });
        tracing::info!(attempts, generation, "ticker connection stands");
    }

    pub(crate) fn tell_reconnecting(&mut self, reason: DisconnectReason, delay: Duration) {
        tracing::warn!(?reason, delay_ms = delay.as_millis() as u64, "ticker connection is down");
        let at = self.now();
        let event = FeedEvent::Reconnecting {
            connection: self.id.clone(),
            at,
            attempt: self.tries + 1,
            delay,
            reason: reason.clone(),
        };
        self.outlet.control(event, at);
        self.told_down = false;
        self.shared.board.update(self.id.index, |status| status.last_reason = Some(reason));
    }

    /// Says, once, that the connection is down for good or until somebody acts.
    pub(crate) fn tell_down(&mut self, reason: DisconnectReason) {
        let spoken = self.stood || self.tries > 0;
        if self.told_down || !spoken {
            return;
        }
        self.told_down = true;
        let at = self.now();
        self.shared.board.update(self.id.index, |status| status.last_reason = Some(reason.clone()));
        let event = FeedEvent::Disconnected { connection: self.id.clone(), at, reason };
        self.outlet.control(event, at);
    }

    /// The connection fell silent.
    pub(crate) fn tell_silent(&mut self) {
        self.shared.metrics.silences.increment(1);
        if !self.told_silent {
            self.told_silent = true;
            let now = self.now();
            let silence = Silence { connection: self.id.clone(), since: self.last_frame.unwrap_or(now) };
            self.outlet.control(FeedEvent::Silent(silence), now);
        }
    }

    /// Only heartbeats come, although ticks came before and should come now.
    fn tell_dataless(&mut self, quiet: Duration) {
        tracing::warn!(quiet_ms = quiet.as_millis() as u64, "ticker connection has no ticks any more");
        self.shared.metrics.silences.increment(1);
        let now = self.now();
        let since = self.last_ticks.unwrap_or(now - quiet);
        self.lose(GapCause::Silent);
        if self.dataless_from.replace(since).is_none() {
            let silence = Silence { connection: self.id.clone(), since };
            self.outlet.control(FeedEvent::Silent(silence), now);
        }
    }

    /// Ticks arrived: a silence without ticks ends here.
    pub(crate) fn ticks_again(&mut self, at: UnixNanos) {
        self.last_ticks = Some(at);
        let Some(from) = self.dataless_from.take() else {
            return;
        };
        let gap = Gap {
            connection: self.id.clone(),
            from,
            to: at,
            cause: GapCause::Silent,
            tokens: None,
            lost_ticks: None,
        };
        self.outlet.control(FeedEvent::Gap(gap), at);
        let connection = self.id.clone();
        self.outlet.control(FeedEvent::SilenceEnded { connection, at }, at);
    }

    /// Looks at the rate of ticks, and tells what is unusual about it.
    pub(crate) fn watch_rate(&mut self, now: Instant) {
        let at = self.now();
        let connection = self.id.clone();
        match self.rate.observe(now, at, self.ticked) {
            None => {}
            Some(RateNews::Dataless(quiet)) => self.tell_dataless(quiet),
            Some(RateNews::Collapsed { rate, baseline }) => {
                tracing::warn!(rate, baseline, "rate of ticks has collapsed");
                self.shared.metrics.rate_collapses.increment(1);
                let collapse = RateCollapse { connection, at, rate, baseline };
                self.outlet.control(FeedEvent::RateCollapse(collapse), at);
            }
            Some(RateNews::Restored { rate }) => {
                tracing::info!(rate, "rate of ticks is as usual again");
                self.outlet.control(FeedEvent::RateRestored { connection, at, rate }, at);
            }
        }
        if self.rate.take_learned() {
            self.keep_profile();
        }
    }

    /// A frame arrived: holes end here.
    pub(crate) fn speaks(&mut self, at: UnixNanos) {
        if let Some(from) = self.hole_from.take() {
            let gap = Gap {
                connection: self.id.clone(),
                from,
                to: at,
                cause: GapCause::Disconnected,
                tokens: None,
                lost_ticks: None,
            };
            self.outlet.control(FeedEvent::Gap(gap), at);
        }
        if std::mem::take(&mut self.told_silent) {
            let connection = self.id.clone();
            self.outlet.control(FeedEvent::SilenceEnded { connection, at }, at);
        }
        self.last_frame = Some(at);
    }

    /// Ticks may be missing from now on.
    pub(crate) fn lose(&mut self, cause: GapCause) {
        self.report_token_gaps();
        self.ledger.lost(cause);
    }

    /// Says which instruments tick again after a hole, here or on another connection that carried them before.
    pub(crate) fn report_token_gaps(&mut self) {
        let now = self.now();
        for moved in self.ledger.take_moved() {
            let gap = Gap {
                connection: self.id.clone(),
                from: moved.from,
                to: moved.to,
                cause: GapCause::Disconnected,
                tokens: Some(moved.gaps.iter().map(|gap| gap.token).collect()),
                lost_ticks: None,
            };
            self.outlet.control(FeedEvent::Gap(gap), now);
            self.tell_token_gaps(GapCause::Disconnected, &moved.gaps, now);
        }
        if let Some((cause, gaps)) = self.ledger.take_gaps() {
            self.tell_token_gaps(cause, &gaps, now);
        }
    }

    fn tell_token_gaps(&mut self, cause: GapCause, gaps: &[TokenGap], now: UnixNanos) {
        for part in gaps.chunks(MOST_GAPS) {
            let connection = self.id.clone();
            self.outlet.control(FeedEvent::TokenGaps { connection, cause, gaps: part.to_vec() }, now);
        }
    }

    /// Says which subscriptions changed.
    pub(crate) fn report_subscriptions(&mut self) {
        let changes = self.ledger.take_changes();
        if changes.is_empty() {
            return;
        }
        let subscriptions = self.ledger.counts();
        self.shared.board.update(self.id.index, |status| status.subscriptions = subscriptions);
        let connection = self.id.clone();
        let now = self.now();
        self.outlet.control(FeedEvent::Subscriptions { connection, changes }, now);
    }
}
