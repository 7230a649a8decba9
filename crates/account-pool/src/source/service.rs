//! Accounts from an HTTP user service. `docs/accounts.md` has the contract.
//!
//! The service is asked with a bearer token; a whole answer is taken or none of it. While it is down, or answers
//! nonsense, what it said last holds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::draft::{Checker, Draft, Field, Written};
use super::{AccountDefaults, AccountSource, Loaded, Loading};
use crate::account::Account;
use crate::error::{AccountError, Problems};
use crate::secret::{Secret, scrub};

/// The version of the contract that is understood.
const VERSION: u64 = 1;

/// Where the service is and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Address of the list of accounts.
    pub url: String,
    /// Sent as `Authorization: Bearer ...`.
    pub token: Secret,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Most bytes an answer may have.
    pub most_bytes: usize,
    /// How often to ask; the caller keeps this time.
    pub refresh: Duration,
}

/// One question to the service.
#[derive(Debug)]
pub struct FetchRequest<'a> {
    /// Where.
    pub url: &'a str,
    /// For the `Authorization: Bearer` header.
    pub bearer: &'a Secret,
    /// Reading must stop, with an error, at this many bytes.
    pub most_bytes: usize,
}

/// One answer.
pub struct FetchAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body, which holds secrets.
    pub body: Zeroizing<Vec<u8>>,
}

/// Whatever speaks HTTP to the user service: one `GET` with `Accept: application/json`, no redirects followed (they
/// would carry the token elsewhere).
pub trait FetchJson: Send + Sync + 'static {
    /// Asks once.
    ///
    /// # Errors
    /// What happened, in words without secrets.
    fn fetch(&self, request: FetchRequest<'_>) -> impl Future<Output = Result<FetchAnswer, String>> + Send;
}

/// A user service as a source of accounts.
pub struct ServiceSource<F> {
    config: ServiceConfig,
    defaults: AccountDefaults,
    fetch: F,
    last_good: Mutex<Option<(Vec<Account>, Instant)>>,
}

impl<F: FetchJson> ServiceSource<F> {
    /// Nothing is asked yet.
    pub fn new(config: ServiceConfig, defaults: AccountDefaults, fetch: F) -> Self {
        Self { config, defaults, fetch, last_good: Mutex::new(None) }
    }

    /// How often to load.
    pub const fn refresh(&self) -> Duration {
        self.config.refresh
    }

    async fn ask(&self) -> Result<Vec<Account>, AccountError> {
        let ServiceConfig { url, token, most_bytes, .. } = &self.config;
        let unreachable = |problem: String| AccountError::Unreachable {
            origin: self.name(),
            problem: scrub(&problem, [token]),
        };
        let request = FetchRequest { url, bearer: token, most_bytes: *most_bytes };
        let answer = timeout(self.config.timeout, self.fetch.fetch(request))
            .await
            .map_err(|_| unreachable(format!("no answer within {} ms", self.config.timeout.as_millis())))?
            .map_err(unreachable)?;
        match answer.status {
            200 => {}
            401 | 403 => {
                let status = answer.status;
                return Err(unreachable(format!("it answered {status}; check the service's bearer token")));
            }
            status => return Err(unreachable(format!("it answered {status}"))),
        }
        if answer.body.len() > *most_bytes {
            return Err(unreachable(format!("its answer has more than {most_bytes} bytes")));
        }
        let name = self.name();
        let fail = |problems| AccountError::Source(Problems(problems));
        let drafts = drafts(&answer.body).map_err(|problems| {
            fail(problems.into_iter().map(|problem| format!("{name}, {problem}")).collect())
        })?;
        // What comes from elsewhere has no business with our environment, so `${NAME}` is plain text here.
        let mut checker =
            Checker { origin: &name, defaults: &self.defaults, variables: None, problems: Vec::new() };
        let accounts = checker.check_all(drafts);
        if checker.problems.is_empty() { Ok(accounts) } else { Err(fail(checker.problems)) }
    }

    async fn load_or_keep(&self) -> Result<Loaded, AccountError> {
        let asked = self.ask().await;
        let mut last = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(accounts) => {
                *last = Some((accounts.clone(), Instant::now()));
                Ok(Loaded::new(accounts))
            }
            Err(error) => match &*last {
                Some((accounts, at)) => Ok(Loaded {
                    accounts: accounts.clone(),
                    warning: Some(format!("{error}; the list of {} s ago holds", at.elapsed().as_secs())),
                }),
                None => Err(error),
            },
        }
    }
}

impl<F: FetchJson> AccountSource for ServiceSource<F> {
    /// The address without anything that could be a secret in its query.
    fn name(&self) -> String {
        let url = self.config.url.split(['?', '#']).next().unwrap_or_default();
        format!("user service {url}")
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(self.load_or_keep())
    }
}

impl<F> std::fmt::Debug for ServiceSource<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceSource").field("config", &self.config).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FetchAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Every entry of `accounts`; the messages never quote the body.
fn drafts(body: &[u8]) -> Result<Vec<Draft>, Vec<String>> {
    let one = |problem: &str| Err(vec![problem.to_owned()]);
    let Ok(Value::Object(mut document)) = serde_json::from_slice(body) else {
        return one("answer: not a JSON object");
    };
    if document.get("v").and_then(Value::as_u64) != Some(VERSION) {
        return one("answer: `v` is not 1");
    }
    let Some(Value::Array(rows)) = document.remove("accounts") else {
        return one("answer: `accounts` is not a list");
    };
    let (mut drafts, mut problems) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        let place = format!("account {}", index + 1);
        let Value::Object(fields) = row else {
            problems.push(format!("{place}: not a JSON object"));
            continue;
        };
        let field = |(name, value)| Field { name, place: place.clone(), value: written(value) };
        drafts.push(Draft { fields: fields.into_iter().map(field).collect(), place });
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

fn written(value: Value) -> Written {
    match value {
        Value::Null => Written::Null,
        Value::Bool(value) => Written::Bool(value),
        Value::String(text) => Written::Text(text),
        Value::Number(number) => {
            number.as_i64().map_or(Written::Other("a number of that kind"), Written::Integer)
        }
        Value::Array(items) => {
            let text = |item| match item {
                Value::String(text) => Some(text),
                _ => None,
            };
            let texts: Option<Vec<String>> = items.into_iter().map(text).collect();
            texts.map_or(Written::Other("a list of other things than texts"), Written::List)
        }
        Value::Object(_) => Written::Other("an object"),
    }
}
