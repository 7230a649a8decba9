//! Accounts: shown, added, taken out, logged in.

use account_pool::{Account, AccountLimits, AccountName, AccountSecrets, Secret};
use gateway_api::{ControlError, NewAccount, OperationError};
use serde_json::{Value, json};
use tracing::info;

use super::{Parts, of_account};

impl Parts {
    pub(super) fn accounts(&self) -> Value {
        self.health.accounts()
    }

    pub(super) fn account(&self, name: &str) -> Result<Account, OperationError> {
        let accounts = self.directory.accounts();
        let found = accounts.iter().find(|account| account.name.as_str() == name).cloned();
        let unknown = || format!("there is no account `{name}`; `accounts list` shows those there are");
        found.ok_or_else(|| OperationError::NotFound(unknown()))
    }

    pub(super) async fn add_account(&self, new: NewAccount) -> Result<Value, OperationError> {
        let input = |problem: String| OperationError::Input(problem);
        let name = AccountName::new(&new.name).map_err(|problem| input(format!("the name {problem}")))?;
        if new.api_key.is_empty() {
            return Err(input("the api_key is empty".to_owned()));
        }
        let simulated = self.directory.accounts().first().map(|account| account.simulated);
        if simulated.is_some_and(|simulated| simulated != new.simulated) {
            let problem =
                "live and simulated accounts are not mixed in one gateway; start one with this account alone";
            return Err(input(problem.to_owned()));
        }
        let book = self.book.as_ref().ok_or_else(|| {
            input(
                "accounts in the database need a master key: set GATEWAY_MASTER_KEY and start again"
                    .to_owned(),
            )
        })?;
        let url = |given: Option<String>, usual: &str, schemes: [&str; 2], name: &str| {
            let url = given.unwrap_or_else(|| usual.to_owned());
            match schemes.iter().any(|scheme| url.starts_with(scheme)) {
                true => Ok(url),
                false => Err(input(format!("{name} does not begin with {} or {}", schemes[0], schemes[1]))),
            }
        };
        let account = Account {
            api_key: Secret::new(new.api_key),
            secrets: AccountSecrets {
                api_secret: new.api_secret.filter(|secret| !secret.is_empty()).map(Secret::new),
                ..AccountSecrets::default()
            },
            trading_account: new.user_id.clone().unwrap_or_else(|| name.to_string()),
            user_id: new.user_id,
            rest_url: url(new.rest_url, &self.defaults.rest_url, ["https://", "http://"], "rest_url")?,
            ticker_url: url(new.ticker_url, &self.defaults.ticker_url, ["wss://", "ws://"], "ticker_url")?,
            simulated: new.simulated,
            enabled: true,
            priority: 0,
            weight: new.weight.unwrap_or(1).clamp(1, 1000),
            limits: AccountLimits::default(),
            registered_addresses: Vec::new(),
            automatic_login: false,
            origin: "database".to_owned(),
            name,
        };
        if self.directory.accounts().iter().any(|known| known.name == account.name) {
            return Err(OperationError::Conflict(format!("there is an account `{}` already", account.name)));
        }
        book.add(&account).await.map_err(of_account)?;
        info!(account = %account.name, "account added");
        self.reload.now();
        Ok(json!({ "account": account.name.as_str() }))
    }

    pub(super) async fn remove_account(&self, name: &str) -> Result<Value, OperationError> {
        let account = self.account(name)?;
        let not_ours = || {
            OperationError::Input(format!(
                "account `{name}` comes from {}, take it out there",
                account.origin
            ))
        };
        let book = self.book.as_ref().ok_or_else(not_ours)?;
        let stored = book.accounts().await.map_err(of_account)?;
        let stored =
            stored.iter().find(|stored| stored.account.name.as_str() == name).ok_or_else(not_ours)?;
        book.remove(&account.name, stored.version).await.map_err(of_account)?;
        info!(account = name, "account taken out");
        self.reload.now();
        Ok(json!({ "account": name }))
    }

    pub(super) fn login_address(&self, name: &str) -> Result<Value, OperationError> {
        self.account(name)?;
        let start = self.pool.begin_login(name).map_err(of_account)?;
        Ok(json!({ "account": name, "url": start.url }))
    }

    pub(super) async fn finish_login(&self, query: &str) -> Result<Value, OperationError> {
        let done = self.pool.finish_login(&self.broker, query).await;
        let account = done.map_err(|error| OperationError::Refused(error.to_string()))?;
        info!(%account, "logged in");
        Ok(json!({ "account": account.as_str() }))
    }

    pub(super) async fn hand_over(&self, name: &str, access_token: &str) -> Result<(), ControlError> {
        self.account(name).map_err(|_| ControlError::UnknownAccount(name.to_owned()))?;
        let taken = self.pool.hand_over(name, Secret::new(access_token), None).await;
        let generation = taken.map_err(|_| ControlError::BadToken)?;
        info!(account = name, generation = generation.0, "access token handed over");
        Ok(())
    }
}
