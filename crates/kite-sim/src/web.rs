//! The broker's own web login behind the login page: password, code of the second factor, cookie.
//!
//! Not part of the published API; tools that log in without a human use it all the same. Five refusals in a row lock the
//! user, as the real one does after some number that it does not tell.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use market_model::UnixNanos;
use serde_json::{Value, json};

use crate::config::App;
use crate::random::Stream;

/// Refusals in a row after which a user is locked.
const LOCK_AFTER: u32 = 5;
/// Logins under way and cookies that are remembered; the oldest go first.
const REMEMBERED: usize = 100;
const STEP_SECONDS: i64 = 30;

/// Why a step was refused; each has its own answer at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebLoginRefused {
    /// No such user, or another password.
    Password,
    /// Too many refusals.
    Locked,
    /// The code is not of now, or was used before.
    Code,
    /// No login with this number is under way.
    Request,
}

/// Logins of users, by password and code.
#[derive(Debug)]
pub(crate) struct WebLogins {
    users: BTreeMap<String, User>,
    begun: VecDeque<(String, String)>,
    cookies: VecDeque<(String, String)>,
    stream: Stream,
    issued: i64,
    /// What was tried so far.
    counts: Counts,
}

#[derive(Debug)]
struct User {
    password: String,
    seed: hmac::Key,
    refused: u32,
    last_step: Option<i64>,
}

#[derive(Debug, Default)]
struct Counts {
    passwords: u64,
    passwords_refused: u64,
    codes: u64,
    codes_refused: u64,
}

// === impl WebLogins ===

impl WebLogins {
    /// The users of `apps`; the first app of a user says how it logs in.
    pub(crate) fn new(apps: &[App], seed: u64, now: UnixNanos) -> Self {
        let mut users = BTreeMap::new();
        for app in apps {
            users.entry(app.user_id.clone()).or_insert_with(|| User {
                password: app.password.clone(),
                seed: key(&app.totp_seed),
                refused: 0,
                last_step: None,
            });
        }
        Self {
            users,
            begun: VecDeque::new(),
            cookies: VecDeque::new(),
            stream: Stream::new(seed, 97).child(now.0 as u64),
            issued: 0,
            counts: Counts::default(),
        }
    }

    /// Takes user and password; answers the number that ties the code to them.
    pub(crate) fn password(&mut self, user_id: &str, password: &str) -> Result<String, WebLoginRefused> {
        self.counts.passwords += 1;
        let Some(user) = self.users.get_mut(user_id) else {
            self.counts.passwords_refused += 1;
            return Err(WebLoginRefused::Password);
        };
        if user.refused >= LOCK_AFTER || user.password != password {
            self.counts.passwords_refused += 1;
            return Err(user.refuse(WebLoginRefused::Password));
        }
        let request_id = self.ticket();
        remember(&mut self.begun, (request_id.clone(), user_id.to_owned()));
        Ok(request_id)
    }

    /// Takes the code; answers the cookie of the session.
    pub(crate) fn code(
        &mut self,
        user_id: &str,
        request_id: &str,
        code: &str,
        now: UnixNanos,
    ) -> Result<String, WebLoginRefused> {
        self.counts.codes += 1;
        let accepted = self.accept(user_id, request_id, code, now);
        if accepted.is_err() {
            self.counts.codes_refused += 1;
        }
        accepted?;
        self.begun.retain(|(known, _)| known != request_id);
        let cookie = self.ticket();
        remember(&mut self.cookies, (cookie.clone(), user_id.to_owned()));
        Ok(cookie)
    }

    /// Who the cookie belongs to.
    pub(crate) fn user_of(&self, cookie: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == cookie).map(|(_, user)| user.as_str())
    }

    /// What was tried so far, for the simulator's status.
    pub(crate) fn report(&self) -> Value {
        let Counts { passwords, passwords_refused, codes, codes_refused } = self.counts;
        json!({
            "passwords": passwords, "passwords_refused": passwords_refused,
            "codes": codes, "codes_refused": codes_refused,
        })
    }

    fn accept(
        &mut self,
        user_id: &str,
        request_id: &str,
        code: &str,
        now: UnixNanos,
    ) -> Result<(), WebLoginRefused> {
        let is_begun = self.begun.iter().any(|(known, user)| known == request_id && user == user_id);
        let user = self.users.get_mut(user_id).filter(|_| is_begun).ok_or(WebLoginRefused::Request)?;
        if user.refused >= LOCK_AFTER {
            return Err(WebLoginRefused::Locked);
        }
        let step = now.as_secs().div_euclid(STEP_SECONDS);
        // The window before is taken too, as authenticators' clocks are late; no code works twice.
        let fresh =
            [step, step - 1].into_iter().filter(|step| user.last_step.is_none_or(|last| *step > last));
        let Some(step) = fresh.into_iter().find(|step| digits(&user.seed, *step) == code) else {
            return Err(user.refuse(WebLoginRefused::Code));
        };
        user.last_step = Some(step);
        user.refused = 0;
        Ok(())
    }

    fn ticket(&mut self) -> String {
        self.issued += 1;
        format!("{:016x}", self.stream.bits(self.issued))
    }
}

impl User {
    fn refuse(&mut self, why: WebLoginRefused) -> WebLoginRefused {
        self.refused += 1;
        if self.refused > LOCK_AFTER { WebLoginRefused::Locked } else { why }
    }
}

fn remember(list: &mut VecDeque<(String, String)>, entry: (String, String)) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(entry);
}

/// A seed that is not base32 makes codes nobody knows.
fn key(seed: &str) -> hmac::Key {
    let bytes = BASE32_NOPAD.decode(seed.as_bytes()).unwrap_or_default();
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes)
}

/// Six digits, RFC 6238.
fn digits(seed: &hmac::Key, step: i64) -> String {
    let mac = hmac::sign(seed, &step.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[mac.len() - 1] & 0x0f);
    let word = mac[at..at + 4].iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

    fn logins() -> WebLogins {
        WebLogins::new(&[App::default()], 1, NOW)
    }

    fn code_at(at: UnixNanos) -> String {
        digits(&key(&App::default().totp_seed), at.as_secs() / STEP_SECONDS)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six of eight digits; the seed is the text 12345678901234567890.
        let seed = key("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(digits(&seed, seconds / STEP_SECONDS), code);
        }
    }

    #[test]
    fn password_and_code_lead_to_a_cookie_and_a_code_works_once() {
        let mut logins = logins();
        let request = logins.password("SIM001", "simpassword").unwrap();
        assert_eq!(logins.code("SIM001", &request, "000000", NOW), Err(WebLoginRefused::Code));
        let cookie = logins.code("SIM001", &request, &code_at(NOW), NOW).unwrap();
        assert_eq!(logins.user_of(&cookie), Some("SIM001"));
        assert_eq!(logins.user_of("guess"), None);
        let request = logins.password("SIM001", "simpassword").unwrap();
        assert_eq!(logins.code("SIM001", &request, &code_at(NOW), NOW), Err(WebLoginRefused::Code));
        assert_eq!(logins.code("SIM001", "guess", &code_at(NOW), NOW), Err(WebLoginRefused::Request));
        assert_eq!(logins.report()["codes_refused"], 3);
    }

    #[test]
    fn five_refusals_lock_the_user() {
        let mut logins = logins();
        for _ in 0..LOCK_AFTER {
            assert_eq!(logins.password("SIM001", "guess"), Err(WebLoginRefused::Password));
        }
        assert_eq!(logins.password("SIM001", "simpassword"), Err(WebLoginRefused::Locked));
        assert_eq!(logins.password("NOBODY", "guess"), Err(WebLoginRefused::Password));
    }
}
