//! A login without a human: password, second factor, redirect. Off unless asked for, and asked for account by account.
//!
//! None of it is part of the published API (protocol section 2.7). It is written so that a mistake cannot lock an
//! account: a password that was refused is not sent again until an operator says so, whatever is restarted meanwhile, a
//! code is not used twice, and a broker that takes a request and does not answer is not asked more than three times in a
//! row.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::Clock;
use tokio::time::{Instant, sleep, timeout_at};

use super::totp::Totp;
use super::{KiteLogin, LoginDesk, NewSession, failed};
use crate::account::{Account, AccountName};
use crate::error::AccountError;
use crate::secret::{Secret, scrub};

/// Said at the start for every account that logs in by itself.
pub const AUTOMATIC_LOGIN_WARNING: &str = "automatic login keeps the password and the totp seed of this account on \
this machine and uses routes that the broker does not publish; the exchanges ask for a manual login each day, the broker \
advises against automation and may stop it or lock the account at any time; this is at your own risk";

/// Too little of a window left to send its code.
const LEAST_LEFT: Duration = Duration::from_secs(3);
/// Wrong codes in one login. The second is tried with a new code, in case the clock was at an edge.
const MOST_CODES: u32 = 2;
/// Logins in a row that broke off without an answer, or whose request token brought no session.
const MOST_BROKEN: u32 = 3;

/// The broker's web login, as a browser would use it.
pub trait WebLogin: Send + Sync + 'static {
    /// One visit, with its cookies.
    type Session: WebSession;

    /// Begins a visit without cookies.
    fn open(&self, account: &Account) -> Self::Session;
}

/// One visit to the broker's web login.
pub trait WebSession: Send {
    /// Sends user and password.
    ///
    /// # Errors
    /// [`WebRefused`].
    fn password(
        &mut self,
        user_id: &str,
        password: &Secret,
    ) -> impl Future<Output = Result<SecondFactor, WebRefused>> + Send;

    /// Sends a code of the second factor.
    ///
    /// # Errors
    /// [`WebRefused`].
    fn second_factor(
        &mut self,
        user_id: &str,
        request_id: &str,
        code: &Secret,
    ) -> impl Future<Output = Result<(), WebRefused>> + Send;

    /// Opens the app's login page and follows redirects by hand up to the first that leaves the broker; answers its
    /// query string. Must not connect to that address.
    ///
    /// # Errors
    /// [`WebRefused`].
    fn authorise(&mut self, login_url: &str) -> impl Future<Output = Result<Secret, WebRefused>> + Send;
}

/// What the broker asks for after the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Ties the code to the password.
    pub request_id: String,
    /// `totp` or `app_code`; only the first can be answered here.
    pub kind: String,
}

/// Why a step of the web login did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebRefused {
    /// The user or the password is wrong.
    #[error("the broker refused the user id or the password: {0}")]
    Password(String),
    /// The code is wrong.
    #[error("the broker refused the code, so the totp_seed or this machine's clock is wrong: {0}")]
    Code(String),
    /// The broker wants something only a human can give: consent, a captcha, another step.
    #[error("the broker wants a human: {0}; log in once in a browser")]
    Human(String),
    /// No answer, or none that makes sense; what was sent may have counted.
    #[error("the broker could not be asked: {0}")]
    Unreachable(String),
    /// There was no connection, so nothing was sent.
    #[error("the broker could not be reached: {0}")]
    NotSent(String),
}

/// Accounts that do not log in by themselves any more, kept where a restart does not forget them.
#[derive(Debug)]
pub struct LoginBars {
    folder: PathBuf,
}

/// Logs accounts in by themselves.
pub struct AutoLogin<W> {
    web: W,
    clock: Arc<dyn Clock>,
    bars: LoginBars,
    patience: Duration,
    accounts: Mutex<HashMap<AccountName, Past>>,
    /// The window whose code was sent last, by user: two apps of one user share the seed.
    steps: Mutex<HashMap<String, i64>>,
}

#[derive(Debug, Clone, Default)]
struct Past {
    running: bool,
    broken: u32,
    /// Logins in a row whose request token brought no session.
    unfinished: u32,
}

// === impl AutoLogin ===

impl<W: WebLogin> AutoLogin<W> {
    /// Nothing is done until [`AutoLogin::log_in`] is called for an account that has `automatic_login` set. One login may
    /// take `patience` in all.
    pub fn new(web: W, clock: Arc<dyn Clock>, bars: LoginBars, patience: Duration) -> Self {
        let (accounts, steps) = (Mutex::default(), Mutex::default());
        Self { web, clock, bars, patience, accounts, steps }
    }

    /// Says the plain warning for every account that has this switched on; call it once at the start.
    pub fn warn(accounts: &[Account]) {
        for account in accounts.iter().filter(|account| account.automatic_login) {
            tracing::warn!(account = %account.name, "{AUTOMATIC_LOGIN_WARNING}");
        }
    }

    /// Whether an operator must act before `account` logs in by itself again. While a login of it is under way it is not
    /// known yet.
    pub fn barred(&self, account: &AccountName) -> Option<String> {
        let running = self.with(account, |past| past.running);
        if running { None } else { self.bars.reason(account) }
    }

    /// The operator corrected the credentials: the account may try again.
    ///
    /// # Errors
    /// When the bar cannot be removed from the disk.
    pub fn unbar(&self, account: &AccountName) -> Result<(), AccountError> {
        self.with(account, |past| (past.broken, past.unfinished) = (0, 0));
        self.bars.remove(account)
    }

    /// Logs `account` in and exchanges the request token.
    ///
    /// # Errors
    /// [`AccountError::Login`] saying what to do. After a refused password, two refused codes, or three logins in a row
    /// without an answer or a session the account is barred.
    ///
    /// # Cancel safety
    /// A login that is cut off after the password was sent counts as one that broke off.
    pub async fn log_in(
        &self,
        desk: &LoginDesk,
        login: &impl KiteLogin,
        account: &Account,
    ) -> Result<NewSession, AccountError> {
        let deadline = Instant::now() + self.patience;
        let _turn = self.begin(account)?;
        let walk = timeout_at(deadline, self.walk(desk, account)).await;
        let redirect = walk.unwrap_or_else(|_| {
            Err(failed(account, "the automatic login took too long; it is tried again later"))
        })?;
        self.bars.remove(&account.name)?;
        self.with(&account.name, |past| past.broken = 0);
        let session = desk.exchange(login, account, &redirect).await;
        let unfinished = self.with(&account.name, |past| {
            past.unfinished = if session.is_ok() { 0 } else { past.unfinished + 1 };
            past.unfinished
        });
        match session {
            Err(AccountError::Login { problem, .. }) if unfinished >= MOST_BROKEN => {
                Err(self.bar(account, problem))
            }
            session => session,
        }
    }

    /// From the password to the request token.
    async fn walk(&self, desk: &LoginDesk, account: &Account) -> Result<Secret, AccountError> {
        let missing = |what| failed(account, &format!("an automatic login needs its {what}"));
        let user = account.user_id.as_deref().ok_or_else(|| missing("user_id"))?;
        let password = account.secrets.password.as_ref().ok_or_else(|| missing("password"))?;
        let seed = account.secrets.totp_seed.as_ref().ok_or_else(|| missing("totp_seed"))?;
        let totp = Totp::from_seed(seed).map_err(|problem| failed(account, &problem.to_string()))?;
        let start = desk.begin(account)?;

        let mut visit = self.web.open(account);
        // Written before the password leaves: a process that dies now must not send it again and again.
        self.bars.put(&account.name, "a login was cut off after the password was sent")?;
        let asked = visit.password(user, password).await;
        let asked = asked.map_err(|refused| self.refuse(account, &refused))?;
        self.with(&account.name, |past| past.broken = 0);
        self.bars.remove(&account.name)?;
        if asked.kind != "totp" {
            let problem =
                format!("the second factor is `{}`; switch it to totp, or log in by hand", asked.kind);
            return Err(self.bar(account, problem));
        }
        let mut tries = 0;
        loop {
            let step = self.fresh_step(user).await;
            let code = totp.code(step);
            tries += 1;
            match visit.second_factor(user, &asked.request_id, &code).await {
                Ok(()) => break,
                Err(WebRefused::Code(_)) if tries < MOST_CODES => {}
                Err(refused) => return Err(self.refuse(account, &refused)),
            }
        }
        let query = visit.authorise(&start.url).await.map_err(|refused| self.refuse(account, &refused))?;
        desk.recognise(query.expose()).map(|redirect| redirect.request_token)
    }

    /// Waits for a window whose code was not sent yet and that has some time left.
    async fn fresh_step(&self, user: &str) -> i64 {
        loop {
            let now = self.clock.now();
            let step = Totp::step_of(now);
            let next = Totp::begin_of(step.saturating_add(1)).saturating_since(now);
            {
                let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
                // A clock that was set back must not bring an old code again either.
                if steps.get(user).is_none_or(|last| step > *last) && next >= LEAST_LEFT {
                    steps.insert(user.to_owned(), step);
                    return step;
                }
            }
            sleep(next.max(Duration::from_millis(1))).await;
        }
    }

    fn begin(&self, account: &Account) -> Result<Turn<'_, W>, AccountError> {
        if !account.automatic_login {
            return Err(failed(account, "automatic login is off for this account"));
        }
        let free = self.with(&account.name, |past| !std::mem::replace(&mut past.running, true));
        if !free {
            return Err(failed(account, "an automatic login of it is under way"));
        }
        let turn = Turn { login: self, account: account.name.clone() };
        match self.bars.reason(&account.name) {
            None => Ok(turn),
            Some(reason) => Err(failed(
                account,
                &format!("{reason}; correct it and run `accounts unbar {}`", account.name),
            )),
        }
    }

    /// Decides whether a refusal bars the account.
    fn refuse(&self, account: &Account, refused: &WebRefused) -> AccountError {
        let secrets = account.secrets.fields().map(|(_, secret)| secret).chain([&account.api_key]);
        let words = scrub(&refused.to_string(), secrets);
        let broken = match refused {
            WebRefused::Unreachable(_) => self.with(&account.name, |past| {
                past.broken += 1;
                past.broken
            }),
            // What was not sent cannot lock the account, so it may be tried for as long as it takes.
            WebRefused::NotSent(_) => 0,
            WebRefused::Password(_) | WebRefused::Code(_) | WebRefused::Human(_) => MOST_BROKEN,
        };
        if broken >= MOST_BROKEN {
            return self.bar(account, words);
        }
        match self.bars.remove(&account.name) {
            Ok(()) => failed(account, &format!("{words}; it is tried again later")),
            Err(error) => error,
        }
    }

    fn bar(&self, account: &Account, reason: String) -> AccountError {
        tracing::error!(account = %account.name, %reason, "automatic login stopped until an operator acts");
        match self.bars.put(&account.name, &reason) {
            Ok(()) => {
                failed(account, &format!("{reason}; correct it and run `accounts unbar {}`", account.name))
            }
            Err(error) => error,
        }
    }

    fn with<T>(&self, account: &AccountName, act: impl FnOnce(&mut Past) -> T) -> T {
        let mut accounts: MutexGuard<'_, HashMap<AccountName, Past>> =
            self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        act(accounts.entry(account.clone()).or_default())
    }
}

impl<W> std::fmt::Debug for AutoLogin<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoLogin").field("bars", &self.bars).finish_non_exhaustive()
    }
}

/// One login of an account at a time.
struct Turn<'a, W: WebLogin> {
    login: &'a AutoLogin<W>,
    account: AccountName,
}

impl<W: WebLogin> Drop for Turn<'_, W> {
    fn drop(&mut self) {
        self.login.with(&self.account, |past| past.running = false);
    }
}

// === impl LoginBars ===

impl LoginBars {
    /// `login-bars` inside the data folder; one file per barred account, with the reason in it.
    pub fn within(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("login-bars") }
    }

    /// Why `account` does not log in by itself, if it does not. While a login of it is under way there is a bar too, in case
    /// the process dies: a running [`AutoLogin`] knows better.
    pub fn reason(&self, account: &AccountName) -> Option<String> {
        match fs::read_to_string(self.folder.join(account.as_str())) {
            Ok(reason) => Some(reason),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            // Better no login than a locked account.
            Err(error) => Some(format!("its bar cannot be read: {error}")),
        }
    }

    fn put(&self, account: &AccountName, reason: &str) -> Result<(), AccountError> {
        let path = self.folder.join(account.as_str());
        let put = fs::create_dir_all(&self.folder).and_then(|()| {
            let mut file = fs::File::create(&path)?;
            std::io::Write::write_all(&mut file, reason.as_bytes())?;
            file.sync_all()?;
            fs::File::open(&self.folder)?.sync_all()
        });
        put.map_err(|error| AccountError::Login {
            account: account.to_string(),
            problem: format!("no password is sent, because {} cannot be written: {error}", path.display()),
        })
    }

    fn remove(&self, account: &AccountName) -> Result<(), AccountError> {
        let path = self.folder.join(account.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(AccountError::Login {
                account: account.to_string(),
                problem: format!("{} cannot be removed: {error}", path.display()),
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
