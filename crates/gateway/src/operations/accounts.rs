//! Accounts: shown, added, taken out, logged in.

use std::net::IpAddr;

use account_pool::{
    AUTOMATIC_LOGIN_WARNING, Account, AccountLimits, AccountName, AccountSecrets, Secret, Totp,
};
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
        let secret = |text: Option<String>| text.filter(|secret| !secret.is_empty()).map(Secret::new);
        let secrets = AccountSecrets {
            api_secret: secret(new.api_secret),
            password: secret(new.password),
            totp_seed: secret(new.totp_seed),
            ..AccountSecrets::default()
        };
        if let Some(seed) = &secrets.totp_seed {
            Totp::from_seed(seed).map_err(|refused| input(refused.to_string()))?;
        }
        if new.automatic_login {
            let needed = [
                ("api_secret", secrets.api_secret.is_some()),
                ("password", secrets.password.is_some()),
                ("totp_seed", secrets.totp_seed.is_some()),
                ("user_id", new.user_id.is_some()),
            ];
            if let Some((missing, _)) = needed.iter().find(|(_, there)| !there) {
                return Err(input(format!("automatic_login needs the {missing} too")));
            }
        }
        let address = |text: &String| {
            let parsed = text.trim().parse::<IpAddr>();
            parsed.map_err(|_| input("registered_addresses holds addresses such as 203.0.113.7".to_owned()))
        };
        let account = Account {
            api_key: Secret::new(new.api_key),
            secrets,
            trading_account: new.user_id.clone().unwrap_or_else(|| name.to_string()),
            user_id: new.user_id,
            rest_url: url(new.rest_url, &self.defaults.rest_url, ["https://", "http://"], "rest_url")?,
            ticker_url: url(new.ticker_url, &self.defaults.ticker_url, ["wss://", "ws://"], "ticker_url")?,
            simulated: new.simulated,
            enabled: true,
            priority: 0,
            weight: new.weight.unwrap_or(1).clamp(1, 1000),
            limits: AccountLimits::default(),
            registered_addresses: new.registered_addresses.iter().map(address).collect::<Result<_, _>>()?,
            automatic_login: new.automatic_login,
            origin: "database".to_owned(),
            name,
        };
        if self.directory.accounts().iter().any(|known| known.name == account.name) {
            return Err(OperationError::Conflict(format!("there is an account `{}` already", account.name)));
        }
        book.add(&account).await.map_err(of_account)?;
        info!(account = %account.name, "account added");
        self.reload.now();
        let warning = account.automatic_login.then_some(AUTOMATIC_LOGIN_WARNING);
        Ok(json!({ "account": account.name.as_str(), "warning": warning }))
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

    /// The sources are read again first, because the correction is in one of them.
    pub(super) async fn unbar(&self, name: &str) -> Result<Value, OperationError> {
        self.reload.done().await;
        let account = self.account(name)?;
        if !account.automatic_login {
            let problem =
                format!("account `{name}` does not log in by itself, there is nothing to take back");
            return Err(OperationError::Input(problem));
        }
        self.automatic.unbar(&account.name).await.map_err(of_account)?;
        info!(account = name, "automatic login may try again");
        Ok(json!({ "account": name, "automatic_login": "on" }))
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
