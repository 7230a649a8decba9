//! Access tokens that another instance took: found in the database, sealed, and used here too.

use std::sync::Arc;
use std::time::Duration;

use account_pool::{AccountBook, AccountPool, KeptToken, SqlAccountStore, TokenKeeper};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The accounts and tokens of the database.
pub(crate) type Book = AccountBook<SqlAccountStore>;

/// How often the database is asked.
const LOOK: Duration = Duration::from_secs(1);

/// Takes over what other instances put into the database, until `stop`.
pub(crate) async fn follow(pool: &AccountPool, book: &Option<Arc<Book>>, stop: &CancellationToken) {
    let Some(book) = book else { return stop.cancelled().await };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let accounts = pool.accounts();
        let kept = tokio::select! {
            () = stop.cancelled() => return,
            kept = book.kept(&accounts) => kept,
        };
        match kept {
            Ok(kept) => {
                failing = false;
                for (account, kept) in accounts.iter().zip(kept) {
                    take_over(pool, account.name.as_str(), kept);
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

fn take_over(pool: &AccountPool, account: &str, kept: Option<KeptToken>) {
    let Some(KeptToken { token, obtained }) = kept else { return };
    if let Err(error) = pool.board().hand_over(account, token, Some(obtained)) {
        warn!(account, %error, "the access token in the database is not used");
    }
}
