//! Earning a token and giving it back.

use kite_wire::api::{EndSession, GenerateSession, RenewSession, SessionToken};
use kite_wire::rest::{RenewedSession, Session};

use super::KiteRest;
use super::error::RestError;

/// The session of one account; made by [`KiteRest::session`].
///
/// The API secret never comes here: callers hand in the checksum that proves it
/// ([`session_checksum`](kite_wire::session_checksum)). A new token is not used by itself either; whoever owns the token's
/// channel decides.
#[derive(Clone, Copy)]
pub struct SessionCalls<'a> {
    pub(super) rest: &'a KiteRest,
}

impl SessionCalls<'_> {
    /// Turns the request token of a login into a session.
    ///
    /// # Errors
    /// [`RestError`]. The request token works once: after [`Delivery::Unknown`](super::Delivery::Unknown), log in anew.
    ///
    /// # Cancel safety
    /// Not safe: the request token may be used up.
    pub async fn exchange(&self, request_token: &str, checksum: &str) -> Result<Session, RestError> {
        let login = GenerateSession {
            api_key: self.api_key(),
            request_token: request_token.to_owned(),
            checksum: checksum.to_owned(),
        };
        self.rest.call(&login).await
    }

    /// Trades a refresh token in for a new session; only for platforms that the broker approved.
    ///
    /// # Errors
    /// [`RestError`].
    ///
    /// # Cancel safety
    /// Not safe: the refresh token may be used up.
    pub async fn refresh(&self, refresh_token: &str, checksum: &str) -> Result<RenewedSession, RestError> {
        let renewal = RenewSession {
            api_key: self.api_key(),
            refresh_token: refresh_token.to_owned(),
            checksum: checksum.to_owned(),
        };
        self.rest.call(&renewal).await
    }

    /// Makes the access token in use worthless.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::NoToken`] when there is none.
    ///
    /// # Cancel safety
    /// Not safe: the token may be gone.
    pub async fn logout(&self) -> Result<bool, RestError> {
        let token = self.rest.identity.token.borrow().as_ref().map(|token| token.expose().to_owned());
        let token = SessionToken::Access(token.ok_or(RestError::NoToken)?);
        self.rest.call(&EndSession { api_key: self.api_key(), token }).await
    }

    fn api_key(&self) -> String {
        self.rest.identity.api_key.expose().to_owned()
    }
}
