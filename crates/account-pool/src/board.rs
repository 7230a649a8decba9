//! Which token each account has now, for everybody who needs one: REST callers ask, tickers watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::{Clock, UnixNanos};
use tokio::sync::watch;

use crate::account::AccountName;
use crate::error::AccountError;
use crate::life::{Generation, LifeConfig, TokenEvent, TokenLife, TokenState};
use crate::metrics::AccountMetrics;
use crate::secret::Secret;

/// Longer than any token seen.
const MOST_TOKEN: usize = 512;

/// What is known about an account's token at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// Whether it works, and until when.
    pub state: TokenState,
    /// Which one it is; say so when the broker refuses it.
    pub generation: Generation,
    /// The token; there only while it is usable.
    pub token: Option<Secret>,
}

/// The tokens of all accounts. Shared by reference; a lock inside is held for a few instructions.
pub struct TokenBoard {
    clock: Arc<dyn Clock>,
    config: LifeConfig,
    entries: Mutex<BTreeMap<AccountName, Entry>>,
}

struct Entry {
    life: TokenLife,
    /// The newest token, usable or not: handing it over once more must not revive it.
    token: Option<Secret>,
    obtained: UnixNanos,
    view: watch::Sender<TokenView>,
    metrics: AccountMetrics,
}

// === impl TokenBoard ===

impl TokenBoard {
    /// No accounts yet.
    pub fn new(clock: Arc<dyn Clock>, config: LifeConfig) -> Self {
        Self { clock, config, entries: Mutex::new(BTreeMap::new()) }
    }

    /// Adds an account without a token; one that is there stays as it is.
    pub fn add(&self, account: &AccountName, metrics: AccountMetrics) {
        self.lock().entry(account.clone()).or_insert_with(|| {
            let life = TokenLife::new(self.config);
            let view = TokenView { state: life.state(), generation: life.generation(), token: None };
            Entry { life, token: None, obtained: UnixNanos(0), view: watch::Sender::new(view), metrics }
        });
    }

    /// Removes an account; its watchers see their channel close.
    pub fn remove(&self, account: &str) {
        self.lock().remove(account);
    }

    /// The present token of `account`; `None` when there is no such account.
    pub fn view(&self, account: &str) -> Option<TokenView> {
        self.lock().get(account).map(|entry| entry.view.borrow().clone())
    }

    /// Follows the token of `account`; `None` when there is no such account.
    pub fn watch(&self, account: &str) -> Option<watch::Receiver<TokenView>> {
        self.lock().get(account).map(|entry| entry.view.subscribe())
    }

    /// Takes a token that was got elsewhere, at `obtained` (now, when not told). The token held already is not taken a
    /// second time, whatever became of it, and neither is one that is older than the token held.
    ///
    /// # Errors
    /// When there is no such account, or the text cannot be a token.
    pub fn hand_over(
        &self,
        account: &str,
        token: Secret,
        obtained: Option<UnixNanos>,
    ) -> Result<Generation, AccountError> {
        let obtained = obtained.unwrap_or_else(|| self.clock.now());
        self.take(account, token, obtained, TokenEvent::HandedOver { obtained })
    }

    /// Takes the token of a login that was made here, or one that a person hands over now: it counts as new even when it
    /// is the one held already, because whoever hands it over wants it tried again.
    ///
    /// # Errors
    /// As [`TokenBoard::hand_over`].
    pub fn exchanged(&self, account: &str, token: Secret) -> Result<Generation, AccountError> {
        self.take(account, token, self.clock.now(), TokenEvent::Exchanged)
    }

    /// The broker refused the token of `generation` with a `TokenException`. Late news of an older token is ignored.
    pub fn refused(&self, account: &str, generation: Generation) {
        if let Some(entry) = self.lock().get_mut(account)
            && entry.apply(TokenEvent::Refused { generation }, self.clock.now())
        {
            entry.metrics.token_refusals.increment(1);
            tracing::warn!(account, generation = generation.0, "access token refused, log in again");
        }
    }

    /// The session of `generation` was ended on purpose.
    pub fn logged_out(&self, account: &str, generation: Generation) {
        if let Some(entry) = self.lock().get_mut(account) {
            entry.apply(TokenEvent::LoggedOut { generation }, self.clock.now());
        }
    }

    /// Looks at the clock; answers how long until it is worth doing so again.
    pub fn look_at_clock(&self) -> Duration {
        let now = self.clock.now();
        let mut next = self.config.look_every;
        for (account, entry) in self.lock().iter_mut() {
            if entry.apply(TokenEvent::ClockMoved, now) {
                let state = entry.life.state();
                tracing::info!(%account, state = state.as_str(), "access token changed with time");
            }
            if let Some(at) = entry.life.next_change(now) {
                next = next.min(at.saturating_since(now));
            }
        }
        // A change that is due this instant was made above; never spin.
        next.max(Duration::from_millis(1))
    }

    /// Keeps the board in step with the clock until `stop` ends.
    ///
    /// # Cancel safety
    /// Nothing is lost; the next look finds everything out anew.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = self.look_at_clock();
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    fn take(
        &self,
        account: &str,
        token: Secret,
        obtained: UnixNanos,
        event: TokenEvent,
    ) -> Result<Generation, AccountError> {
        check_token(account, &token)?;
        let mut entries = self.lock();
        let entry = entries.get_mut(account).ok_or_else(|| AccountError::Unknown(account.to_owned()))?;
        let known = entry.token.as_ref() == Some(&token) && event != TokenEvent::Exchanged;
        let older = entry.token.is_some() && obtained < entry.obtained && event != TokenEvent::Exchanged;
        if known || older {
            return Ok(entry.life.generation());
        }
        entry.token = Some(token);
        entry.obtained = obtained;
        entry.metrics.logins.increment(1);
        entry.apply(event, self.clock.now());
        tracing::info!(account, state = entry.life.state().as_str(), "access token taken");
        Ok(entry.life.generation())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TokenBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.lock();
        f.debug_map().entries(entries.iter().map(|(name, entry)| (name, entry.life.state()))).finish()
    }
}

// === impl Entry ===

impl Entry {
    fn apply(&mut self, event: TokenEvent, now: UnixNanos) -> bool {
        let changed = self.life.apply(event, now);
        let state = self.life.state();
        let left = state.time_left(now).unwrap_or_default();
        self.metrics.token_usable.set(f64::from(u8::from(state.is_usable())));
        self.metrics.token_seconds_left.set(left.as_secs_f64());
        if changed {
            let token = self.token.clone().filter(|_| state.is_usable());
            self.view.send_replace(TokenView { state, generation: self.life.generation(), token });
        }
        changed
    }
}

/// A token goes into a header and an address, so it must be a plain word.
fn check_token(account: &str, token: &Secret) -> Result<(), AccountError> {
    let text = token.expose();
    let problem = if text.is_empty() {
        "the access token is empty"
    } else if text.len() > MOST_TOKEN {
        "the access token is longer than 512 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        "the access token has characters that no token has; hand over the token alone, without the api key"
    } else {
        return Ok(());
    };
    Err(AccountError::Login { account: account.to_owned(), problem: problem.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::RuntimeClock;

    /// 2026-11-20 09:00 IST.
    const NINE: UnixNanos = UnixNanos::from_secs(1_795_145_400);
    const HOUR: Duration = Duration::from_secs(3600);

    fn board() -> (Arc<RuntimeClock>, TokenBoard) {
        let clock = Arc::new(RuntimeClock::starting_at(NINE));
        let board = TokenBoard::new(clock.clone(), LifeConfig::default());
        board.add(&AccountName::new("a").unwrap(), AccountMetrics::noop());
        (clock, board)
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_see_a_token_come_and_go() {
        let (_clock, board) = board();
        let board = Arc::new(board);
        let mut watch = board.watch("a").unwrap();
        board.hand_over("a", Secret::new("t1"), None).unwrap();
        let view = watch.borrow_and_update().clone();
        assert_eq!((view.state.as_str(), view.generation), ("valid", Generation(1)));
        assert_eq!(view.token, Some(Secret::new("t1")));

        let stop = tokio::time::sleep(48 * HOUR);
        let see = async {
            let mut seen = Vec::new();
            while watch.changed().await.is_ok() {
                let view = watch.borrow_and_update().clone();
                let passed = board.clock.now().saturating_since(NINE);
                seen.push((view.state.as_str(), passed.as_secs() / 60, view.token.is_some()));
                if !view.state.is_usable() {
                    break;
                }
            }
            seen
        };
        let (seen, ()) = tokio::join!(see, board.run(stop));
        assert_eq!(seen, [("expiring", 20 * 60 + 30, true), ("expired", 21 * 60, false)]);
        board.remove("a");
        assert!(watch.changed().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_not_revived_by_handing_it_over_again() {
        let (_clock, board) = board();
        let first = board.hand_over("a", Secret::new("t1"), None).unwrap();
        board.refused("a", first);
        assert_eq!(board.hand_over("a", Secret::new("t1"), None).unwrap(), first);
        assert_eq!(board.view("a").unwrap().state.as_str(), "refused");
        assert_eq!(board.exchanged("a", Secret::new("t1")).unwrap(), Generation(2), "a person insists");
        board.refused("a", Generation(2));
        let second = board.hand_over("a", Secret::new("t2"), None).unwrap();
        board.refused("a", first);
        assert!(board.view("a").unwrap().state.is_usable(), "late news of an old token");
        // An older one from a slow source does not take its place.
        assert_eq!(board.hand_over("a", Secret::new("t0"), Some(NINE - HOUR)).unwrap(), second);
        board.logged_out("a", second);
        assert_eq!(board.view("a").unwrap().token, None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_plain_word_is_a_token() {
        let (_clock, board) = board();
        for bad in ["", "a b", "key:token", "tok\r\nX-Evil: 1", &"x".repeat(513)] {
            let error = board.hand_over("a", Secret::new(bad), None).unwrap_err().to_string();
            assert!(!error.contains("Evil"), "{error}");
        }
        assert!(matches!(board.hand_over("b", Secret::new("t"), None), Err(AccountError::Unknown(_))));
        assert_eq!(board.view("a").unwrap().state, TokenState::None);
    }
}
