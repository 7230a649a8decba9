//! Who may call: apps, request tokens and access tokens.

use std::collections::VecDeque;

use jiff::ToSpan;
use jiff::civil::time;
use market_model::UnixNanos;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::clock::{from_ist, ist};
use crate::config::{App, Limits};
use crate::fault::FaultId;
use crate::random::Stream;

/// Logins of one app, and request tokens of all, that are remembered; the oldest go first. Nobody has so many at once.
const REMEMBERED: usize = 100;

/// Number of an app in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AppId(pub(crate) usize);

/// Why a session could not be made; each has its own answer at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRefused {
    /// No app has this key.
    UnknownKey,
    /// The request token was never given out, was used, or is too old.
    RequestToken,
    /// The checksum is not that of key, request token and secret.
    Checksum,
}

/// A login that was exchanged for an access token.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) access_token: String,
    pub(crate) public_token: String,
    pub(crate) login_time: UnixNanos,
    /// When it dies, unless a logout or another login ends it before; `None` for the configured token.
    dies_at: Option<UnixNanos>,
    /// The fault that keeps the configured token from working.
    suspended_by: Option<FaultId>,
}

#[derive(Debug)]
struct RequestToken {
    text: String,
    app: AppId,
    made: Instant,
}

/// Apps, request tokens and access tokens.
#[derive(Debug)]
pub(crate) struct Accounts {
    apps: Vec<(App, Vec<Session>)>,
    request_tokens: VecDeque<RequestToken>,
    limits: Limits,
    stream: Stream,
    issued: i64,
}

// === impl Accounts ===

impl Accounts {
    /// The apps as configured, at simulated time `now`.
    pub(crate) fn new(apps: Vec<App>, limits: Limits, seed: u64, now: UnixNanos) -> Self {
        let apps = apps
            .into_iter()
            .map(|app| {
                let fixed = app.access_token.clone().map(|access_token| Session {
                    access_token,
                    public_token: "simpublic".to_owned(),
                    login_time: now,
                    dies_at: None,
                    suspended_by: None,
                });
                (app, fixed.into_iter().collect())
            })
            .collect();
        Self {
            apps,
            request_tokens: VecDeque::new(),
            limits,
            // The start time keeps tokens of an earlier run from working in a later one.
            stream: Stream::new(seed, 99).child(now.0 as u64),
            issued: 0,
        }
    }

    pub(crate) fn app(&self, id: AppId) -> &App {
        &self.apps[id.0].0
    }

    /// The app with `api_key`.
    pub(crate) fn find(&self, api_key: &str) -> Option<AppId> {
        self.apps.iter().position(|(app, _)| app.api_key == api_key).map(AppId)
    }

    /// Whether `access_token` works for `id` at `now`.
    pub(crate) fn is_valid(&self, id: AppId, access_token: &str, now: UnixNanos) -> bool {
        self.apps[id.0].1.iter().any(|session| {
            session.access_token == access_token
                && session.suspended_by.is_none()
                && session.dies_at.is_none_or(|end| now < end)
        })
    }

    /// The user pressed the button on the login page: a request token for the redirect.
    pub(crate) fn begin_login(&mut self, app: AppId) -> String {
        if self.request_tokens.len() == REMEMBERED {
            self.request_tokens.pop_front();
        }
        let text = self.new_token();
        self.request_tokens.push_back(RequestToken { text: text.clone(), app, made: Instant::now() });
        text
    }

    /// Exchanges a request token. Whatever the outcome, a token that was presented with its own app's key is used up.
    ///
    /// # Errors
    /// [`SessionRefused`].
    pub(crate) fn exchange(
        &mut self,
        api_key: &str,
        request_token: &str,
        checksum: &str,
        now: UnixNanos,
    ) -> Result<(AppId, Session), SessionRefused> {
        let id = self.find(api_key).ok_or(SessionRefused::UnknownKey)?;
        let known =
            self.request_tokens.iter().position(|token| token.text == request_token && token.app == id);
        let token =
            known.and_then(|at| self.request_tokens.remove(at)).ok_or(SessionRefused::RequestToken)?;
        if token.made.elapsed() >= self.limits.request_token_life {
            return Err(SessionRefused::RequestToken);
        }
        if checksum != self.checksum(id, request_token) {
            return Err(SessionRefused::Checksum);
        }
        let session = Session {
            access_token: self.new_token(),
            public_token: self.new_token(),
            login_time: now,
            dies_at: Some(next_six_o_clock(now)),
            suspended_by: None,
        };
        let sessions = &mut self.apps[id.0].1;
        sessions.retain(|old| match old.dies_at {
            None => true,
            Some(end) => now < end && !self.limits.login_replaces_token,
        });
        if sessions.len() > REMEMBERED
            && let Some(oldest) = sessions.iter().position(|old| old.dies_at.is_some())
        {
            sessions.remove(oldest);
        }
        sessions.push(session.clone());
        Ok((id, session))
    }

    /// Ends `access_token`. The configured token stays: nothing could bring it back.
    pub(crate) fn logout(&mut self, id: AppId, access_token: &str) {
        self.apps[id.0].1.retain(|session| session.access_token != access_token || session.dies_at.is_none());
    }

    /// Ends every access token of `api_key`, or of everybody. Configured ones come back by [`Accounts::restore`].
    pub(crate) fn expire(&mut self, api_key: Option<&str>, fault: FaultId) {
        let meant = self.apps.iter_mut().filter(|(app, _)| api_key.is_none_or(|key| app.api_key == key));
        for (_, sessions) in meant {
            sessions.retain(|session| session.dies_at.is_none());
            for configured in sessions {
                configured.suspended_by.get_or_insert(fault);
            }
        }
    }

    /// Lets the configured tokens work again that `fault` keeps from it.
    pub(crate) fn restore(&mut self, fault: FaultId) {
        for session in self.apps.iter_mut().flat_map(|(_, sessions)| sessions) {
            session.suspended_by.take_if(|by| *by == fault);
        }
    }

    fn checksum(&self, id: AppId, request_token: &str) -> String {
        let app = self.app(id);
        let mut digest = Sha256::new();
        digest.update(&app.api_key);
        digest.update(request_token);
        digest.update(&app.api_secret);
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn new_token(&mut self) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        self.issued += 1;
        let stream = self.stream.child(self.issued as u64);
        (0..32).map(|at| char::from(LETTERS[(stream.bits(at) % 62) as usize])).collect()
    }
}

/// Access tokens die at six in the morning in India.
fn next_six_o_clock(now: UnixNanos) -> UnixNanos {
    let six = |date: jiff::civil::Date| from_ist(date.to_datetime(time(6, 0, 0, 0)));
    let today = ist(now).date();
    let this_morning = six(today);
    if now < this_morning {
        return this_morning;
    }
    today.checked_add(1.day()).map_or(UnixNanos(i64::MAX), six)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 20 November 2026, 14:00 in India.
    const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

    fn accounts(limits: Limits) -> Accounts {
        Accounts::new(vec![App::default()], limits, 1, NOW)
    }

    fn login(accounts: &mut Accounts) -> Session {
        let id = accounts.find("simkey").unwrap();
        let request_token = accounts.begin_login(id);
        let checksum = accounts.checksum(id, &request_token);
        accounts.exchange("simkey", &request_token, &checksum, NOW).unwrap().1
    }

    #[test]
    fn checksum_is_sha256_of_key_request_token_and_secret() {
        // printf 'simkeyrequest1simsecret' | sha256sum
        let accounts = accounts(Limits::default());
        assert_eq!(
            accounts.checksum(AppId(0), "request1"),
            "3ef69d269c6ff9ca335b8c73f015b01c521eaf7a1d4df34006bace5562b8f1cb"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_token_works_once_and_not_for_long() {
        let mut accounts = accounts(Limits::default());
        let id = AppId(0);
        let token = accounts.begin_login(id);
        let checksum = accounts.checksum(id, &token);
        assert!(accounts.exchange("simkey", &token, &checksum, NOW).is_ok());
        let refused = |accounts: &mut Accounts, token: &str, checksum: &str| {
            accounts.exchange("simkey", token, checksum, NOW).unwrap_err()
        };
        assert_eq!(refused(&mut accounts, &token, &checksum), SessionRefused::RequestToken);
        let token = accounts.begin_login(id);
        assert_eq!(refused(&mut accounts, &token, &checksum), SessionRefused::Checksum);
        let token = accounts.begin_login(id);
        let checksum = accounts.checksum(id, &token);
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(refused(&mut accounts, &token, &checksum), SessionRefused::RequestToken);
    }

    #[test]
    fn a_token_dies_at_six_on_logout_and_on_the_next_login() {
        let mut accounts = accounts(Limits::default());
        let id = AppId(0);
        let valid =
            |accounts: &Accounts, session: &Session, at| accounts.is_valid(id, &session.access_token, at);
        let first = login(&mut accounts);
        let six = next_six_o_clock(NOW);
        assert_eq!(crate::clock::ist_text(six), "2026-11-21 06:00:00");
        assert!(valid(&accounts, &first, six - Duration::from_secs(1)));
        assert!(!valid(&accounts, &first, six));
        let second = login(&mut accounts);
        assert!(!valid(&accounts, &first, NOW));
        accounts.logout(id, &second.access_token);
        assert!(!valid(&accounts, &second, NOW));
        accounts.logout(id, "simtoken");
        assert!(accounts.is_valid(id, "simtoken", six));
    }

    #[test]
    fn a_fault_ends_tokens_and_gives_the_configured_one_back() {
        let mut accounts = accounts(Limits::default());
        let valid = |accounts: &Accounts, token: &str| accounts.is_valid(AppId(0), token, NOW);
        let before = login(&mut accounts);
        accounts.expire(Some("simkey"), FaultId(7));
        assert!(!valid(&accounts, &before.access_token) && !valid(&accounts, "simtoken"));
        let after = login(&mut accounts);
        assert!(valid(&accounts, &after.access_token));
        accounts.restore(FaultId(8));
        assert!(!valid(&accounts, "simtoken"));
        accounts.restore(FaultId(7));
        assert!(valid(&accounts, "simtoken") && !valid(&accounts, &before.access_token));
        accounts.expire(Some("other"), FaultId(9));
        assert!(valid(&accounts, "simtoken"));
    }
}
