//! Doubles of the seams this crate owns, for its tests and those of other crates.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use market_model::{Clock, UnixNanos};
use tokio::time::Instant;

use crate::account::{Account, AccountLimits, AccountName, AccountSecrets};
use crate::login::{
    ExchangeRequest, KiteLogin, LoginRefused, NewSession, SecondFactor, WebLogin, WebRefused, WebSession,
    session_checksum,
};
use crate::secret::Secret;

/// A wall clock that moves with the runtime's time, so that paused time moves both. Can be set forwards and back.
#[derive(Debug)]
pub struct RuntimeClock {
    started: Instant,
    at: std::sync::atomic::AtomicI64,
}

// === impl RuntimeClock ===

impl RuntimeClock {
    /// Shows `now` at this moment of the runtime's time.
    pub fn starting_at(now: UnixNanos) -> Self {
        Self { started: Instant::now(), at: std::sync::atomic::AtomicI64::new(now.0) }
    }

    /// Sets the wall clock by that many nanoseconds, forwards or back; the runtime's time is not touched.
    pub fn step(&self, nanos: i64) {
        self.at.fetch_add(nanos, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.at.load(std::sync::atomic::Ordering::SeqCst)) + self.started.elapsed()
    }
}

/// An enabled, simulated account with an API key, an API secret and nothing else.
pub fn account(name: &str) -> Account {
    Account {
        name: AccountName::new(name).unwrap_or_else(|problem| panic!("`{name}` {problem}")),
        api_key: Secret::new(format!("key-of-{name}")),
        secrets: AccountSecrets {
            api_secret: Some(Secret::new(format!("api-secret-of-{name}"))),
            ..AccountSecrets::default()
        },
        user_id: None,
        trading_account: name.to_owned(),
        rest_url: "http://127.0.0.1:1".to_owned(),
        ticker_url: "ws://127.0.0.1:1".to_owned(),
        simulated: true,
        enabled: true,
        priority: 0,
        weight: 1,
        limits: AccountLimits::default(),
        registered_addresses: Vec::new(),
        automatic_login: false,
        origin: "test".to_owned(),
    }
}

/// A broker whose session routes answer as told, else with the token `token-for-<request token>` when the checksum is
/// right.
#[derive(Debug, Clone, Default)]
pub struct ScriptedLogin(Arc<Mutex<LoginScript>>);

#[derive(Debug, Default)]
struct LoginScript {
    answers: VecDeque<Result<NewSession, LoginRefused>>,
    asked: usize,
    logged_out: usize,
    hangs: bool,
}

// === impl ScriptedLogin ===

impl ScriptedLogin {
    /// The next answer.
    pub fn say(&self, answer: Result<NewSession, LoginRefused>) {
        lock(&self.0).answers.push_back(answer);
    }

    /// Nothing is answered any more.
    pub fn hang(&self) {
        lock(&self.0).hangs = true;
    }

    /// How many exchanges were asked for.
    pub fn asked(&self) -> usize {
        lock(&self.0).asked
    }

    /// How many sessions were ended.
    pub fn logged_out(&self) -> usize {
        lock(&self.0).logged_out
    }
}

impl KiteLogin for ScriptedLogin {
    async fn exchange(&self, request: ExchangeRequest<'_>) -> Result<NewSession, LoginRefused> {
        let (hangs, told) = {
            let mut script = lock(&self.0);
            script.asked += 1;
            (script.hangs, script.answers.pop_front())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if let Some(answer) = told {
            return answer;
        }
        let account = request.account;
        let secret = account.secrets.api_secret.clone().unwrap_or_else(|| Secret::new(""));
        if *request.checksum != session_checksum(&account.api_key, request.request_token, &secret) {
            return Err(LoginRefused::Refused("Invalid `checksum`.".to_owned()));
        }
        Ok(NewSession {
            access_token: Secret::new(format!("token-for-{}", request.request_token.expose())),
            user_id: account.user_id.clone().unwrap_or_default(),
        })
    }

    async fn log_out(&self, _: &Account, _: &Secret) -> Result<(), LoginRefused> {
        lock(&self.0).logged_out += 1;
        Ok(())
    }
}

/// A broker's web login that answers as told and writes down what it was asked.
#[derive(Debug, Clone, Default)]
pub struct ScriptedWeb(Arc<Mutex<WebScript>>);

#[derive(Debug, Default)]
struct WebScript {
    steps: Vec<String>,
    password: Option<WebRefused>,
    hangs_at_password: bool,
    wrong_codes: usize,
    kind: Option<&'static str>,
    request_token: Option<&'static str>,
}

// === impl ScriptedWeb ===

impl ScriptedWeb {
    /// What was asked so far, without the password.
    pub fn steps(&self) -> Vec<String> {
        lock(&self.0).steps.clone()
    }

    /// Passwords are answered with this from now on.
    pub fn refuse_password(&self, refused: WebRefused) {
        lock(&self.0).password = Some(refused);
    }

    /// Passwords are not answered any more.
    pub fn hang_at_password(&self) {
        lock(&self.0).hangs_at_password = true;
    }

    /// Everything is accepted again.
    pub fn accept(&self) {
        let mut script = lock(&self.0);
        (script.password, script.hangs_at_password, script.wrong_codes) = (None, false, 0);
    }

    /// The next so many codes are wrong.
    pub fn refuse_codes(&self, count: usize) {
        lock(&self.0).wrong_codes = count;
    }

    /// Which second factor is asked for.
    pub fn ask_for(&self, kind: &'static str) {
        lock(&self.0).kind = Some(kind);
    }

    /// The request token of the next redirect; `rt-web` when not told.
    pub fn next_request_token(&self, token: &'static str) {
        lock(&self.0).request_token = Some(token);
    }
}

impl WebLogin for ScriptedWeb {
    type Session = Self;

    fn open(&self, account: &Account) -> Self {
        lock(&self.0).steps.push(format!("open {}", account.name));
        self.clone()
    }
}

impl WebSession for ScriptedWeb {
    async fn password(&mut self, user_id: &str, _: &Secret) -> Result<SecondFactor, WebRefused> {
        let (hangs, refused, kind) = {
            let mut script = lock(&self.0);
            script.steps.push(format!("password {user_id}"));
            (script.hangs_at_password, script.password.clone(), script.kind.unwrap_or("totp"))
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        match refused {
            Some(refused) => Err(refused),
            None => Ok(SecondFactor { request_id: "req-1".to_owned(), kind: kind.to_owned() }),
        }
    }

    async fn second_factor(&mut self, _: &str, request_id: &str, code: &Secret) -> Result<(), WebRefused> {
        let mut script = lock(&self.0);
        script.steps.push(format!("code {request_id} {}", code.expose()));
        if script.wrong_codes > 0 {
            script.wrong_codes -= 1;
            return Err(WebRefused::Code("Invalid TOTP".to_owned()));
        }
        Ok(())
    }

    async fn authorise(&mut self, login_url: &str) -> Result<Secret, WebRefused> {
        let mut script = lock(&self.0);
        script.steps.push(format!("authorise {login_url}"));
        let state = login_url.split("state%3D").nth(1).unwrap_or_default();
        let token = script.request_token.take().unwrap_or("rt-web");
        Ok(Secret::new(format!("status=success&request_token={token}&state={state}")))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
