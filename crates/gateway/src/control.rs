//! An operator's commands, carried out on the feeds.

use gateway_api::{ControlError, FeedControl};
use tracing::info;

use crate::feed::FeedCommands;

/// The feeds by the names of their accounts.
pub(crate) struct Feeds(pub(crate) Vec<FeedCommands>);

impl Feeds {
    fn named(&self, account: &str) -> Result<&FeedCommands, ControlError> {
        let found = self.0.iter().find(|feed| feed.name() == account);
        found.ok_or_else(|| ControlError::UnknownAccount(account.to_owned()))
    }
}

impl FeedControl for Feeds {
    fn renew_token(&self, account: &str, access_token: &str) -> Result<(), ControlError> {
        let feed = self.named(account)?;
        let usable = access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if !usable || !(1..=256).contains(&access_token.len()) {
            return Err(ControlError::BadToken);
        }
        let generation = feed.renew_token(access_token);
        info!(account, generation, "access token handed over");
        Ok(())
    }

    fn reconnect(&self, account: &str, connection: Option<u8>) -> Result<(), ControlError> {
        let feed = self.named(account)?;
        info!(account, connection, "reconnect asked for");
        if feed.reconnect(connection) {
            return Ok(());
        }
        let connection = connection.unwrap_or_default();
        Err(ControlError::UnknownConnection { account: account.to_owned(), connection })
    }
}
