//! What can be found without a running gateway: whether it could start, and with which tokens.

use std::collections::BTreeMap;

use account_pool::{AccountName, LifeConfig, LoginBars, SqlAccountStore, TokenEvent, TokenFiles, TokenLife};
use market_model::{Clock, SystemClock};
use sql_store::{Database, DatabaseConfig, EmbeddedConfig, StoreMetrics};

use super::Diagnosis;
use crate::config::Config;

/// Accounts that do not log in by themselves, and why.
type Bars = BTreeMap<AccountName, String>;

pub(super) async fn examine(diagnosis: &mut Diagnosis, config: &Config) {
    let bars = database(diagnosis, config).await;
    accounts(diagnosis, config, &bars);
}

/// Answers which accounts are barred from logging in by themselves, as far as the database can tell.
async fn database(diagnosis: &mut Diagnosis, config: &Config) -> Bars {
    let wanted = match &config.database {
        Some(url) => DatabaseConfig::from_url(url.expose()),
        None => Ok(DatabaseConfig::Embedded(EmbeddedConfig::new(config.data_dir.join("gateway.db")))),
    };
    if let Ok(DatabaseConfig::Embedded(file)) = &wanted
        && !file.path.exists()
    {
        let path = file.path.display();
        diagnosis.note("database", format!("{path} is not there yet, a start makes it"), "");
        return Bars::new();
    }
    let opened = match wanted {
        Ok(wanted) => Database::open(wanted, StoreMetrics::noop()).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(database) => {
            diagnosis.good("database", "answers");
            // One of an earlier version has no such table.
            let bars = SqlAccountStore::new(database.clone()).login_bars().await.unwrap_or_default();
            database.close().await;
            bars
        }
        Err(error) => {
            diagnosis.bad("database", error.to_string(), "the gateway does not start without it");
            Bars::new()
        }
    }
}

fn accounts(diagnosis: &mut Diagnosis, config: &Config, shared: &Bars) {
    let accounts = &config.accounts.configured;
    if accounts.is_empty() {
        return diagnosis.note(
            "accounts",
            "none in environment or file: unless the database or a service has one, a start brings a simulated market",
            "",
        );
    }
    let (files, now) = (TokenFiles::within(&config.data_dir), SystemClock.now());
    let bars = LoginBars::within(&config.data_dir);
    for account in accounts {
        let name = &account.name;
        if account.secrets.access_token.is_some() {
            diagnosis.good("accounts", format!("{name}: its access token is configured"));
            continue;
        }
        let state = match files.read(account) {
            Ok(kept) => kept.map(|kept| {
                let mut life = TokenLife::new(LifeConfig::default());
                life.apply(TokenEvent::HandedOver { obtained: kept.obtained }, now);
                life.apply(TokenEvent::ClockMoved, now);
                life.state()
            }),
            Err(error) => {
                diagnosis.bad("accounts", format!("{name}: {error}"), "");
                continue;
            }
        };
        match state {
            Some(state) if state.is_usable() => {
                diagnosis.good("accounts", format!("{name}: its access token is kept"));
            }
            Some(_) | None if account.automatic_login => {
                match bars.reason(name).or_else(|| shared.get(name).cloned()) {
                    None => diagnosis.note(
                        "accounts",
                        format!("{name}: has no access token, it logs in by itself at a start"),
                        "",
                    ),
                    Some(reason) => diagnosis.bad(
                        "accounts",
                        format!("{name}: has no access token, and logging in by itself is barred: {reason}"),
                        &format!("correct it, start the gateway, and run `accounts unbar {name}`"),
                    ),
                }
            }
            Some(_) => diagnosis.bad(
                "accounts",
                format!("{name}: its kept access token has expired, tokens die at 06:00 in India"),
                "start the gateway and log in: `accounts login`, or hand a token over: `accounts token`",
            ),
            None => diagnosis.bad(
                "accounts",
                format!("{name}: has no access token"),
                "start the gateway and log in: `accounts login`, or hand a token over: `accounts token`",
            ),
        }
    }
}
