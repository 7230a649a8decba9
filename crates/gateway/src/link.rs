//! The tickers as feed control sees them: what each account shall stream, and how far its instruments are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feed_control::FeedLink;
use kite_client::{Carriers, FrameTap, TapKind};
use market_model::{ConnectionId, FeedEvent, InstrumentToken, SubscriptionSet, SubscriptionState, UnixNanos};
use rustc_hash::FxHashMap;
use tokio::sync::watch;

/// Every account's wishes and states.
#[derive(Debug, Default)]
pub(crate) struct Links {
    accounts: Mutex<BTreeMap<Arc<str>, Arc<Link>>>,
    /// Which instruments tick, whatever the account.
    carriers: Arc<Carriers>,
}

/// One account's.
#[derive(Debug)]
pub(crate) struct Link {
    desired: watch::Sender<SubscriptionSet>,
    /// Of instruments that are subscribed or on their way; told by the ticker, event by event.
    states: Mutex<FxHashMap<InstrumentToken, SubscriptionState>>,
    /// Counts refusals of the account's token.
    token_losses: watch::Sender<u64>,
}

/// Looks at what a ticker tells, and hands everything on to a recorder.
pub(crate) struct LinkTap {
    pub(crate) link: Arc<Link>,
    pub(crate) next: Option<Arc<dyn FrameTap>>,
}

// === impl Links ===

impl Links {
    /// The link of `account`, made when it is first asked for.
    pub(crate) fn of(&self, account: &str) -> Arc<Link> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        match accounts.get(account) {
            Some(link) => link.clone(),
            None => accounts.entry(account.into()).or_default().clone(),
        }
    }

    /// What the tickers share.
    pub(crate) fn carriers(&self) -> Arc<Carriers> {
        self.carriers.clone()
    }

    /// Forgets an account that is no more.
    pub(crate) fn remove(&self, account: &str) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

impl FeedLink for Links {
    fn set_desired(&self, account: &str, desired: SubscriptionSet) {
        self.of(account).desired.send_if_modified(|held| {
            let differs = *held != desired;
            *held = desired;
            differs
        });
    }

    fn follow_wishes(&self, tokens: &[InstrumentToken], at: UnixNanos) {
        self.carriers.want(tokens.iter().copied(), at);
    }

    fn state(&self, account: &str, token: InstrumentToken) -> Option<SubscriptionState> {
        self.of(account).states().get(&token).copied()
    }
}

// === impl Link ===

impl Default for Link {
    fn default() -> Self {
        Self {
            desired: watch::Sender::new(SubscriptionSet::new()),
            states: Mutex::default(),
            token_losses: watch::Sender::new(0),
        }
    }
}

impl Link {
    pub(crate) fn desired(&self) -> watch::Receiver<SubscriptionSet> {
        self.desired.subscribe()
    }

    /// Wakes when the broker refused the token.
    pub(crate) fn token_losses(&self) -> watch::Receiver<u64> {
        self.token_losses.subscribe()
    }

    /// A ticker that ended says nothing about its subscriptions any more.
    pub(crate) fn forget_states(&self) {
        self.states().clear();
    }

    fn states(&self) -> MutexGuard<'_, FxHashMap<InstrumentToken, SubscriptionState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &FeedEvent) {
        match event {
            FeedEvent::Subscriptions { changes, .. } => {
                let mut states = self.states();
                for change in changes {
                    match change.state {
                        SubscriptionState::Removed => drop(states.remove(&change.token)),
                        state => drop(states.insert(change.token, state)),
                    }
                }
            }
            FeedEvent::TokenLost(_) => self.token_losses.send_modify(|count| *count += 1),
            _ => {}
        }
    }
}

// === impl LinkTap ===

impl FrameTap for LinkTap {
    fn frame(&self, connection: &ConnectionId, ts_recv: UnixNanos, kind: TapKind, bytes: &bytes::Bytes) {
        if let Some(next) = &self.next {
            next.frame(connection, ts_recv, kind, bytes);
        }
    }

    fn event(&self, event: &FeedEvent) {
        self.link.take(event);
        if let Some(next) = &self.next {
            next.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_model::{Mode, SubscriptionChange, TokenLoss};

    #[test]
    fn states_follow_what_the_ticker_tells() {
        let links = Links::default();
        let tap = LinkTap { link: links.of("a"), next: None };
        let tell = |state| {
            let change = SubscriptionChange { token: InstrumentToken(1), mode: Mode::Full, state };
            let connection = ConnectionId { account: "a".into(), index: 0 };
            tap.event(&FeedEvent::Subscriptions { connection, changes: vec![change] });
        };
        let state = || links.state("a", InstrumentToken(1));
        assert_eq!(state(), None);
        for told in [SubscriptionState::Sent, SubscriptionState::Live] {
            tell(told);
            assert_eq!(state(), Some(told));
        }
        assert_eq!(links.state("b", InstrumentToken(1)), None);
        tell(SubscriptionState::Removed);
        assert_eq!(state(), None);
        let losses = links.of("a").token_losses();
        tap.event(&FeedEvent::TokenLost(TokenLoss { account: "a".into(), detail: "403".into() }));
        assert_eq!(*losses.borrow(), 1);
    }
}
