//! Control events that found the feed full: kept in order, and folded to what still matters when they grow many.

use std::collections::VecDeque;

use market_model::{ConnectionId, FeedEvent, Gap, GapCause, SubscriptionChange, TokenGap};
use rustc_hash::FxHashMap;

/// A consumer that is this many events behind gets the sum instead of the story: a whole reconnect takes five.
const FOLD_ABOVE: usize = 32;

/// Waiting control events of one connection.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    events: VecDeque<FeedEvent>,
}

/// What events of one connection add up to.
#[derive(Default)]
struct Sum {
    token: Option<FeedEvent>,
    connection: Option<FeedEvent>,
    gaps: Vec<Gap>,
    silence: Option<FeedEvent>,
    rate: Option<FeedEvent>,
    rotated: Option<FeedEvent>,
    token_gaps: Vec<(ConnectionId, GapCause, Vec<TokenGap>)>,
    subscriptions: Option<FeedEvent>,
}

// === impl Backlog ===

impl Backlog {
    /// Keeps `event`. Never more than [`FOLD_ABOVE`] events wait: then holes are merged by cause, subscription
    /// changes by token, and of each kind of state only the newest is kept.
    pub(crate) fn push(&mut self, event: FeedEvent) {
        self.events.push_back(event);
        if self.events.len() > FOLD_ABOVE {
            let sum = self.events.drain(..).fold(Sum::default(), Sum::add);
            self.events = sum.into_events();
        }
    }

    /// The oldest one.
    pub(crate) fn pop(&mut self) -> Option<FeedEvent> {
        self.events.pop_front()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Forgets everything; for a feed that nobody reads any more.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }
}

// === impl Sum ===

impl Sum {
    fn add(mut self, event: FeedEvent) -> Self {
        match event {
            FeedEvent::Gap(gap) => self.add_gap(gap),
            FeedEvent::Subscriptions { .. } => {
                self.subscriptions = Some(match self.subscriptions.take() {
                    Some(before) => merge_subscriptions(before, event),
                    None => event,
                });
            }
            FeedEvent::Silent(_) | FeedEvent::SilenceEnded { .. } => self.silence = Some(event),
            FeedEvent::RateCollapse(_) | FeedEvent::RateRestored { .. } => self.rate = Some(event),
            FeedEvent::TokenLost(_) | FeedEvent::TokenRestored { .. } => self.token = Some(event),
            FeedEvent::Rotated { .. } => self.rotated = Some(event),
            FeedEvent::TokenGaps { connection, cause, gaps } => self.add_token_gaps(connection, cause, gaps),
            other => self.connection = Some(other),
        }
        self
    }

    fn add_gap(&mut self, gap: Gap) {
        let same = |held: &&mut Gap| held.cause == gap.cause && held.connection == gap.connection;
        let Some(held) = self.gaps.iter_mut().find(same) else {
            self.gaps.push(gap);
            return;
        };
        held.from = held.from.min(gap.from);
        held.to = held.to.max(gap.to);
        held.lost_ticks = held.lost_ticks.zip(gap.lost_ticks).map(|(a, b)| a.saturating_add(b));
        held.tokens = match (held.tokens.take(), gap.tokens) {
            (Some(held), Some(more)) => {
                let mut both: Vec<_> = held.iter().chain(&*more).copied().collect();
                both.sort_unstable();
                both.dedup();
                Some(both.into())
            }
            _ => None,
        };
    }

    /// Holes of one instrument become one hole.
    fn add_token_gaps(&mut self, connection: ConnectionId, cause: GapCause, gaps: Vec<TokenGap>) {
        let same =
            |held: &&mut (ConnectionId, GapCause, Vec<TokenGap>)| held.0 == connection && held.1 == cause;
        let Some((_, _, held)) = self.token_gaps.iter_mut().find(same) else {
            self.token_gaps.push((connection, cause, gaps));
            return;
        };
        let mut sum: FxHashMap<_, TokenGap> = held.drain(..).map(|gap| (gap.token, gap)).collect();
        for gap in gaps {
            let whole = sum.entry(gap.token).or_insert(gap);
            whole.from = whole.from.min(gap.from);
            whole.to = whole.to.max(gap.to);
        }
        held.extend(sum.into_values());
        held.sort_unstable_by_key(|gap| gap.token);
    }

    fn into_events(self) -> VecDeque<FeedEvent> {
        (self.token.into_iter())
            .chain(self.connection)
            .chain(self.gaps.into_iter().map(FeedEvent::Gap))
            .chain(self.token_gaps.into_iter().map(|(connection, cause, gaps)| FeedEvent::TokenGaps {
                connection,
                cause,
                gaps,
            }))
            .chain(self.rotated)
            .chain(self.silence)
            .chain(self.rate)
            .chain(self.subscriptions)
            .collect()
    }
}

/// The newest change of each token, in the order of those newest changes.
fn merge_subscriptions(before: FeedEvent, after: FeedEvent) -> FeedEvent {
    let (
        FeedEvent::Subscriptions { changes: old, .. },
        FeedEvent::Subscriptions { connection, changes: new },
    ) = (before, after)
    else {
        unreachable!("called with two subscription events");
    };
    let all: Vec<SubscriptionChange> = old.into_iter().chain(new).collect();
    let newest: FxHashMap<_, usize> = all.iter().enumerate().map(|(at, change)| (change.token, at)).collect();
    let mut kept: Vec<usize> = newest.into_values().collect();
    kept.sort_unstable();
    FeedEvent::Subscriptions { connection, changes: kept.into_iter().map(|at| all[at]).collect() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use market_model::{DisconnectReason, InstrumentToken, Mode, SubscriptionState, UnixNanos};

    use super::*;

    fn connection() -> ConnectionId {
        ConnectionId { account: Arc::from("test"), index: 0 }
    }

    fn gap(cause: GapCause, from: i64, to: i64, lost_ticks: Option<u64>) -> FeedEvent {
        FeedEvent::Gap(Gap {
            connection: connection(),
            from: UnixNanos(from),
            to: UnixNanos(to),
            cause,
            tokens: None,
            lost_ticks,
        })
    }

    fn subscriptions(list: &[(u32, SubscriptionState)]) -> FeedEvent {
        FeedEvent::Subscriptions {
            connection: connection(),
            changes: (list.iter())
                .map(|&(token, state)| SubscriptionChange {
                    token: InstrumentToken(token),
                    mode: Mode::Full,
                    state,
                })
                .collect(),
        }
    }

    fn token_gap(from: u32, token: u32) -> FeedEvent {
        let gap = TokenGap {
            token: InstrumentToken(token),
            from: UnixNanos(from.into()),
            to: UnixNanos(i64::from(from) + 1),
        };
        FeedEvent::TokenGaps { connection: connection(), cause: GapCause::Disconnected, gaps: vec![gap] }
    }

    fn reconnecting(attempt: u32) -> FeedEvent {
        FeedEvent::Reconnecting {
            connection: connection(),
            at: UnixNanos(0),
            attempt,
            delay: Duration::ZERO,
            reason: DisconnectReason::ConnectTimeout,
        }
    }

    #[test]
    fn a_few_events_keep_their_order() {
        let mut backlog = Backlog::default();
        let story = [reconnecting(1), gap(GapCause::Disconnected, 1, 2, None), reconnecting(2)];
        story.iter().cloned().for_each(|event| backlog.push(event));
        let told: Vec<_> = std::iter::from_fn(|| backlog.pop()).collect();
        assert_eq!(told, story);
    }

    #[test]
    fn many_events_fold_to_their_sum() {
        use SubscriptionState::{Live, Requested, Sent};
        let mut backlog = Backlog::default();
        for round in 0..500 {
            backlog.push(reconnecting(round));
            backlog.push(gap(GapCause::Overrun, i64::from(round), i64::from(round) + 1, Some(2)));
            backlog.push(gap(GapCause::Disconnected, 5, 6 + i64::from(round), None));
            backlog.push(subscriptions(&[(1, Requested), (1, Sent), (2, Sent)]));
            backlog.push(subscriptions(&[(1, Live)]));
            backlog.push(token_gap(round, 7));
            backlog.push(token_gap(round + 1, 8));
            assert!(backlog.events.len() <= FOLD_ABOVE);
        }
        for _ in 0..FOLD_ABOVE {
            backlog.push(reconnecting(1000));
        }
        let told: Vec<_> = std::iter::from_fn(|| backlog.pop()).collect();
        assert_eq!(
            told[..5],
            [
                reconnecting(1000),
                gap(GapCause::Overrun, 0, 500, Some(1000)),
                gap(GapCause::Disconnected, 5, 505, None),
                FeedEvent::TokenGaps {
                    connection: connection(),
                    cause: GapCause::Disconnected,
                    gaps: [7, 8]
                        .map(|token| TokenGap {
                            token: InstrumentToken(token),
                            from: UnixNanos(i64::from(token) - 7),
                            to: UnixNanos(i64::from(token) + 493),
                        })
                        .to_vec(),
                },
                subscriptions(&[(2, Sent), (1, Live)]),
            ]
        );
        assert!(told[5..].iter().all(|event| *event == reconnecting(1000)));
    }
}
