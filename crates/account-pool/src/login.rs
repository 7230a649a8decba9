//! How a token is got: the login page, the redirect back, and the exchange with a checksum.

mod automatic;
mod totp;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use tokio::time::{Instant, timeout};

pub use automatic::{
    AUTOMATIC_LOGIN_WARNING, AutoLogin, LoginBars, SecondFactor, WebLogin, WebRefused, WebSession,
};
pub use totp::{Totp, TotpSeedRefused};

use crate::account::{Account, AccountName};
use crate::error::AccountError;
use crate::secret::{Secret, scrub};

/// Exchanges remembered so that no request token is used twice.
const REMEMBERED: usize = 256;
const MOST_QUERY: usize = 8 * 1024;

/// Where logins happen and how long they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConfig {
    /// Kite's login page, for accounts that are not simulated.
    pub login_url: String,
    /// How long a begun login waits for its redirect.
    pub waits: Duration,
    /// Most logins begun and not finished; the oldest gives way.
    pub most_begun: usize,
    /// How long the exchange may take.
    pub exchange_timeout: Duration,
}

/// A login that was begun: send the user to `url`.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginStart {
    /// The page to open in a browser.
    pub url: String,
    /// What the redirect must bring back. A browser session may keep it to see that it is its own.
    pub state: Secret,
}

/// A redirect that belongs to a login begun here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Whose login it is.
    pub account: AccountName,
    /// To be exchanged once, within minutes.
    pub request_token: Secret,
}

/// What the broker needs to make a session.
#[derive(Debug)]
pub struct ExchangeRequest<'a> {
    /// Whose session.
    pub account: &'a Account,
    /// From the redirect.
    pub request_token: &'a Secret,
    /// Lower-case hexadecimal SHA-256 of API key, request token and API secret in a row.
    pub checksum: &'a Secret,
}

/// A session that the broker made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its token.
    pub access_token: Secret,
    /// Who logged in.
    pub user_id: String,
}

/// Why the broker made no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefused {
    /// The broker said no, in these words.
    #[error("the broker refused it: {0}")]
    Refused(String),
    /// The broker did not answer, so it is not known whether the request token was used up.
    #[error("the broker could not be asked: {0}")]
    Unreachable(String),
}

/// Whatever speaks HTTP to the broker's session routes.
pub trait KiteLogin: Send + Sync + 'static {
    /// `POST /session/token`. Called once per request token; must not try again by itself.
    ///
    /// # Errors
    /// [`LoginRefused`].
    fn exchange(
        &self,
        request: ExchangeRequest<'_>,
    ) -> impl Future<Output = Result<NewSession, LoginRefused>> + Send;

    /// `DELETE /session/token`.
    ///
    /// # Errors
    /// [`LoginRefused`].
    fn log_out(
        &self,
        account: &Account,
        access_token: &Secret,
    ) -> impl Future<Output = Result<(), LoginRefused>> + Send;
}

/// Begins logins and recognises their redirects. Holds no token.
#[derive(Debug)]
pub struct LoginDesk {
    config: LoginConfig,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    begun: VecDeque<Begun>,
    /// Digests of request tokens that were exchanged.
    used: VecDeque<[u8; 32]>,
}

#[derive(Debug)]
struct Begun {
    state: Secret,
    account: AccountName,
    at: Instant,
}

/// The checksum of a session request (protocol section 2.2).
pub fn session_checksum(api_key: &Secret, request_token: &Secret, api_secret: &Secret) -> Secret {
    let mut context = Context::new(&SHA256);
    for part in [api_key, request_token, api_secret] {
        context.update(part.expose().as_bytes());
    }
    Secret::new(HEXLOWER.encode(context.finish().as_ref()))
}

// === impl LoginDesk ===

impl LoginDesk {
    /// No login begun yet.
    pub fn new(config: LoginConfig) -> Self {
        Self { config, inner: Mutex::default() }
    }

    /// Begins a login of `account`.
    ///
    /// # Errors
    /// When the account has no API secret to finish a login with, or is disabled.
    pub fn begin(&self, account: &Account) -> Result<LoginStart, AccountError> {
        api_secret(account)?;
        if !account.enabled {
            return Err(AccountError::Disabled(account.name.to_string()));
        }
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| failed(account, "the machine gives no random bytes"))?;
        let state = Secret::new(HEXLOWER.encode(&random));
        let url = self.page(account, &state);
        let mut inner = self.lock();
        if inner.begun.len() >= self.config.most_begun.max(1) {
            inner.begun.pop_front();
        }
        inner.begun.push_back(Begun {
            state: state.clone(),
            account: account.name.clone(),
            at: Instant::now(),
        });
        Ok(LoginStart { url, state })
    }

    /// Recognises the query string of a redirect. Each begun login is recognised once.
    ///
    /// # Errors
    /// [`AccountError::UnknownLogin`] when it is not of a login begun here lately, [`AccountError::Login`] when the
    /// broker says that the user did not log in.
    pub fn recognise(&self, query: &str) -> Result<Redirect, AccountError> {
        let unknown = AccountError::UnknownLogin { minutes: self.config.waits.as_secs() / 60 };
        if query.len() > MOST_QUERY {
            return Err(unknown);
        }
        let find = |name: &str| {
            form_urlencoded::parse(query.trim_start_matches('?').as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let state = Secret::new(find("state").unwrap_or_default());
        let mut inner = self.lock();
        let now = Instant::now();
        inner.begun.retain(|begun| now.duration_since(begun.at) < self.config.waits);
        let index = inner.begun.iter().position(|begun| begun.state == state);
        let Some(Begun { account, .. }) = index.and_then(|index| inner.begun.remove(index)) else {
            return Err(unknown);
        };
        drop(inner);
        let problem = match find("status").as_deref() {
            Some("success") => match find("request_token") {
                Some(token) if !token.is_empty() => {
                    return Ok(Redirect { account, request_token: Secret::new(token) });
                }
                _ => "the redirect brought no request token".to_owned(),
            },
            Some(_) | None => "the login page did not report success; begin again".to_owned(),
        };
        Err(AccountError::Login { account: account.to_string(), problem })
    }

    /// Exchanges `request_token` for a session, once: a second try with the same one is refused here.
    ///
    /// # Errors
    /// [`AccountError::Login`] saying what to do.
    ///
    /// # Cancel safety
    /// The request token counts as used.
    pub async fn exchange(
        &self,
        login: &impl KiteLogin,
        account: &Account,
        request_token: &Secret,
    ) -> Result<NewSession, AccountError> {
        let secret = api_secret(account)?;
        self.use_up(account, request_token)?;
        let checksum = session_checksum(&account.api_key, request_token, secret);
        let request = ExchangeRequest { account, request_token, checksum: &checksum };
        let answer = timeout(self.config.exchange_timeout, login.exchange(request)).await;
        let session = match answer {
            Ok(Ok(session)) => session,
            // The broker's own words may repeat what it was sent.
            Ok(Err(refused)) => {
                let words = scrub(&refused.to_string(), [&account.api_key, request_token, &checksum, secret]);
                return Err(failed(account, &format!("{words}; begin again")));
            }
            Err(_) => {
                let seconds = self.config.exchange_timeout.as_secs();
                return Err(failed(
                    account,
                    &format!("the broker did not answer within {seconds} s; begin again"),
                ));
            }
        };
        match &account.user_id {
            Some(expected) if !expected.eq_ignore_ascii_case(&session.user_id) => Err(failed(
                account,
                &format!("it was made by user `{}`, the account is of `{expected}`", session.user_id),
            )),
            _ => Ok(session),
        }
    }

    /// The page where `account` logs in, with `state` among what the redirect brings back.
    fn page(&self, account: &Account, state: &Secret) -> String {
        let page = if account.simulated {
            format!("{}/connect/login", account.rest_url.trim_end_matches('/'))
        } else {
            self.config.login_url.clone()
        };
        let params =
            form_urlencoded::Serializer::new(String::new()).append_pair("state", state.expose()).finish();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("v", "3")
            .append_pair("api_key", account.api_key.expose())
            .append_pair("redirect_params", &params)
            .finish();
        format!("{page}?{query}")
    }

    fn use_up(&self, account: &Account, request_token: &Secret) -> Result<(), AccountError> {
        let text = request_token.expose();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed(account, "this is not a request token; copy it from the redirect's address"));
        }
        let mut seen = [0; 32];
        seen.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let mut inner = self.lock();
        if inner.used.contains(&seen) {
            return Err(failed(account, "this request token was used before; each is good for one login"));
        }
        if inner.used.len() >= REMEMBERED {
            inner.used.pop_front();
        }
        inner.used.push_back(seen);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn api_secret(account: &Account) -> Result<&Secret, AccountError> {
    let missing = "it has no api_secret; add one, or hand over an access token";
    account.secrets.api_secret.as_ref().ok_or_else(|| failed(account, missing))
}

fn failed(account: &Account, problem: &str) -> AccountError {
    AccountError::Login { account: account.name.to_string(), problem: problem.to_owned() }
}

// === impl LoginConfig ===

impl Default for LoginConfig {
    /// Kite's page; ten minutes, which is longer than a request token lives.
    fn default() -> Self {
        Self {
            login_url: "https://kite.zerodha.com/connect/login".to_owned(),
            waits: Duration::from_secs(600),
            most_begun: 64,
            exchange_timeout: Duration::from_secs(15),
        }
    }
}

// === impl LoginStart ===

impl fmt::Debug for LoginStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginStart([redacted])")
    }
}

#[cfg(test)]
mod tests;
