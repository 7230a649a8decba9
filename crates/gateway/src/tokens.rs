//! Access tokens that outlive this process: restored at the start, kept whenever a new one comes.

use std::sync::Arc;
use std::time::Duration;

use account_pool::{
    Account, AccountBook, AccountError, Generation, KeptToken, Secret, SqlAccountStore, TokenBoard,
    TokenFiles,
};
use market_model::{Clock, UnixNanos};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The accounts and tokens of the database.
pub(crate) type Book = AccountBook<SqlAccountStore>;

/// How often the database is asked for tokens that other instances took.
const LOOK: Duration = Duration::from_secs(1);

/// Puts tokens on the board, into files and, sealed, into the database, where other instances find them.
pub(crate) struct TokenKeeper {
    board: Arc<TokenBoard>,
    files: TokenFiles,
    book: Option<Arc<Book>>,
    accounts: watch::Sender<Arc<Vec<Account>>>,
    clock: Arc<dyn Clock>,
}

// === impl TokenKeeper ===

impl TokenKeeper {
    pub(crate) fn new(
        board: Arc<TokenBoard>,
        files: TokenFiles,
        book: Option<Arc<Book>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { board, files, book, accounts: watch::Sender::default(), clock }
    }

    /// Whose tokens to look for in the database.
    pub(crate) fn follow(&self, accounts: Arc<Vec<Account>>) {
        self.accounts.send_replace(accounts);
    }

    /// Takes over tokens that other instances put into the database, until `stop`.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let Some(book) = &self.book else { return stop.cancelled().await };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let accounts = self.accounts.borrow().clone();
            let kept = tokio::select! {
                () = stop.cancelled() => return,
                kept = book.kept_tokens(&accounts) => kept,
            };
            match kept {
                Ok(kept) => {
                    failing = false;
                    for (account, kept) in accounts.iter().zip(kept) {
                        self.take_over(account, kept);
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "tokens of other instances are not seen");
                    }
                }
            }
        }
    }

    fn take_over(&self, account: &Account, kept: Option<KeptToken>) {
        let Some(KeptToken { token, obtained }) = kept else { return };
        let name = account.name.as_str();
        if let Err(error) = self.board.hand_over(name, token, Some(obtained)) {
            warn!(account = name, %error, "the access token in the database is not used");
        }
    }

    /// The token that came with the account, and the one that was kept; the newer one counts.
    pub(crate) async fn restore(&self, account: &Account) {
        let name = account.name.as_str();
        if let Some(token) = &account.secrets.access_token
            && let Err(error) = self.board.hand_over(name, token.clone(), account.secrets.token_obtained)
        {
            warn!(account = name, %error, "the configured access token is not used");
        }
        if self.board.view(name).is_some_and(|view| view.token.is_some()) {
            return;
        }
        let (files, wanted) = (self.files.clone(), account.clone());
        match tokio::task::spawn_blocking(move || files.read(&wanted)).await {
            Ok(Ok(Some(kept))) => match self.board.hand_over(name, kept.token, Some(kept.obtained)) {
                Ok(generation) => {
                    info!(account = name, generation = generation.0, "access token found in its file");
                }
                Err(error) => warn!(account = name, %error, "the kept access token is not used"),
            },
            Ok(Ok(None)) => {}
            Ok(Err(error)) => warn!(account = name, %error, "the kept access token is not used"),
            Err(error) => warn!(account = name, %error, "the kept access token is not used"),
        }
    }

    /// Uses `token`, which a login or a person brought, from now on and keeps it. That it cannot be kept is said, and costs only the next start.
    ///
    /// # Errors
    /// When it cannot be a token.
    pub(crate) async fn take(&self, account: &Account, token: Secret) -> Result<Generation, AccountError> {
        let (name, obtained) = (account.name.as_str(), self.clock.now());
        let generation = self.board.exchanged(name, token.clone())?;
        self.keep(account, token, obtained).await;
        Ok(generation)
    }

    async fn keep(&self, account: &Account, token: Secret, obtained: UnixNanos) {
        let (files, kept) = (self.files.clone(), KeptToken { token, obtained });
        if let Some(book) = &self.book
            && let Err(error) = book.keep_token(account, &kept).await
        {
            warn!(account = %account.name, %error, "the access token is not in the database, other instances lack it");
        }
        let wanted = account.clone();
        let written = tokio::task::spawn_blocking(move || files.write(&wanted, &kept)).await;
        let name = account.name.as_str();
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(account = name, %error, "the access token is not kept for the next start");
            }
            Err(error) => warn!(account = name, %error, "the access token is not kept for the next start"),
        }
    }
}
