//! A single account from settings that the caller read.

use super::draft::{Checker, Draft, Field, Written};
use super::{AccountDefaults, AccountSource, Loaded, Loading};
use crate::error::{AccountError, Problems};
use crate::secret::Secret;

/// What the environment says about the one account it can describe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentAccount {
    /// `KITE_API_KEY`; without it there is no account.
    pub api_key: Option<Secret>,
    /// `KITE_API_SECRET`.
    pub api_secret: Option<Secret>,
    /// `KITE_ACCESS_TOKEN`.
    pub access_token: Option<Secret>,
    /// `KITE_SIMULATED`.
    pub simulated: bool,
}

/// One account named `main`, or none.
#[derive(Debug, Clone)]
pub struct EnvironmentSource {
    account: EnvironmentAccount,
    defaults: AccountDefaults,
}

impl EnvironmentSource {
    /// Of settings that the caller read.
    pub fn new(account: EnvironmentAccount, defaults: AccountDefaults) -> Self {
        Self { account, defaults }
    }

    fn read(&self) -> Result<Loaded, AccountError> {
        let settings = [
            ("KITE_API_KEY", "api_key", &self.account.api_key),
            ("KITE_API_SECRET", "api_secret", &self.account.api_secret),
            ("KITE_ACCESS_TOKEN", "access_token", &self.account.access_token),
        ];
        if self.account.api_key.is_none() {
            let lost: Vec<String> = settings
                .iter()
                .filter(|(_, _, value)| value.is_some())
                .map(|(name, _, _)| format!("{name} is set but KITE_API_KEY is not"))
                .collect();
            let empty = Ok(Loaded::new(Vec::new()));
            return if lost.is_empty() { empty } else { Err(AccountError::Source(Problems(lost))) };
        }
        let mut fields = vec![
            field("name", "KITE_API_KEY", Written::Text("main".to_owned())),
            field("simulated", "KITE_SIMULATED", Written::Bool(self.account.simulated)),
        ];
        for (setting, name, value) in settings {
            if let Some(value) = value {
                fields.push(field(name, setting, Written::Text(value.expose().to_owned())));
            }
        }
        let draft = Draft { place: "KITE_API_KEY".to_owned(), fields };
        let mut checker = Checker {
            origin: "environment",
            defaults: &self.defaults,
            // Values of the environment are literal.
            variables: None,
            problems: Vec::new(),
        };
        let accounts = checker.check_all(vec![draft]);
        let problems = checker.problems;
        if problems.is_empty() {
            Ok(Loaded::new(accounts))
        } else {
            Err(AccountError::Source(Problems(problems)))
        }
    }
}

impl AccountSource for EnvironmentSource {
    fn name(&self) -> String {
        "environment".to_owned()
    }

    fn load(&self) -> Loading<'_> {
        let read = self.read();
        Box::pin(async move { read })
    }
}

fn field(name: &str, setting: &str, value: Written) -> Field {
    Field { name: name.to_owned(), place: setting.to_owned(), value }
}
