//! The command side of the tickers.

use std::sync::Arc;

use market_model::{InstrumentToken, SubscriptionSet, SubscriptionState, UnixNanos};

/// Tells tickers what to stream and hears how far they are. Implemented where the tickers are.
///
/// All calls come from the control task and must not wait.
pub trait FeedLink: Send + Sync + 'static {
    /// Wants exactly `desired` on `account` from now on, at once or as soon as the account has a ticker. Only the newest
    /// wish counts.
    fn set_desired(&self, account: &str, desired: SubscriptionSet);

    /// Exactly `tokens` are wanted since `at`, whichever accounts they are on. Told before the accounts are.
    fn follow_wishes(&self, tokens: &[InstrumentToken], at: UnixNanos) {
        let _ = (tokens, at);
    }

    /// How far `token` has come on `account`; `None` when nothing is known of it there. Only
    /// [`Live`](SubscriptionState::Live) lets another account drop it before the time limit.
    fn state(&self, account: &str, token: InstrumentToken) -> Option<SubscriptionState>;
}

impl<L: FeedLink> FeedLink for Arc<L> {
    fn set_desired(&self, account: &str, desired: SubscriptionSet) {
        (**self).set_desired(account, desired);
    }

    fn follow_wishes(&self, tokens: &[InstrumentToken], at: UnixNanos) {
        (**self).follow_wishes(tokens, at);
    }

    fn state(&self, account: &str, token: InstrumentToken) -> Option<SubscriptionState> {
        (**self).state(account, token)
    }
}
