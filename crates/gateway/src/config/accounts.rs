//! Broker accounts, from the environment or a file.

use std::path::Path;

use serde::Deserialize;

use super::env::{Env, resolve};
use crate::secret::Secret;

/// One broker account, or one account of a simulator.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name in logs, metrics and payloads.
    pub name: String,
    /// Kite's API key.
    pub api_key: Secret,
    /// Today's access token.
    pub access_token: Secret,
    /// Where its REST API is.
    pub rest_url: String,
    /// Where its ticker is.
    pub ticker_url: String,
    /// Whether those addresses are a simulator. Fixed for the life of the process.
    pub simulated: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountsFile {
    #[serde(default)]
    account: Vec<AccountRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRow {
    name: String,
    api_key: String,
    access_token: String,
    rest_url: Option<String>,
    ticker_url: Option<String>,
    #[serde(default)]
    simulated: bool,
}

/// Reads an accounts file, resolving `${VAR}`; problems are added to `problems`.
pub(super) fn read_file(
    path: &Path,
    env: &dyn Env,
    (rest_url, ticker_url): (&str, &str),
    problems: &mut Vec<String>,
) -> Vec<Account> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("KITE_ACCOUNTS_FILE: cannot read {shown}: {error}"));
            return Vec::new();
        }
    };
    let text = match resolve(&text, env) {
        Ok(text) => text,
        Err(missing) => {
            problems.extend(
                missing.iter().map(|name| format!("{shown}: ${{{name}}} is not set in the environment")),
            );
            return Vec::new();
        }
    };
    let file: AccountsFile = match toml::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            // The parser's own text quotes the line, which may hold a secret.
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            problems.push(format!("{shown}, near line {line}: {}", error.message()));
            return Vec::new();
        }
    };
    if file.account.is_empty() {
        problems.push(format!("{shown}: no [[account]] in it"));
    }
    let mut accounts: Vec<Account> = Vec::with_capacity(file.account.len());
    for row in file.account {
        let at = format!("{shown}: account `{}`", row.name);
        if row.name.is_empty() || !row.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            problems.push(format!("{at}: a name has letters, digits, `-` and `_` only"));
        }
        if accounts.iter().any(|account| account.name == row.name) {
            problems.push(format!("{at}: the name is used twice"));
        }
        for (field, value) in [("api_key", &row.api_key), ("access_token", &row.access_token)] {
            if value.is_empty() {
                problems.push(format!("{at}: {field} is empty"));
            }
        }
        accounts.push(Account {
            name: row.name,
            api_key: Secret::new(row.api_key),
            access_token: Secret::new(row.access_token),
            rest_url: row.rest_url.unwrap_or_else(|| rest_url.to_owned()),
            ticker_url: row.ticker_url.unwrap_or_else(|| ticker_url.to_owned()),
            simulated: row.simulated,
        });
    }
    accounts
}
