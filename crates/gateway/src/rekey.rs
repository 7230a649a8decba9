//! Another master key for the secrets in the database.

use account_pool::{AccountBook, SqlAccountStore, Vault, load_master_key};
use serde_json::{Value, json};
use sql_store::StoreMetrics;

use crate::config::{Config, Env};
use crate::database;
use crate::error::StartError;
use crate::secret::Secret;

/// The variable with the key to change to.
pub const NEW_MASTER_KEY: &str = "GATEWAY_NEW_MASTER_KEY";

/// Seals every stored secret under the key in [`NEW_MASTER_KEY`]. Cut off at any moment, either all or nothing is done,
/// and it can be run again.
///
/// # Errors
/// [`StartError`]; nothing is changed then.
pub async fn rekey(config: &Config, env: &dyn Env) -> Result<Value, StartError> {
    let missing = |name: &str| {
        StartError::Accounts(account_pool::AccountError::MasterKey(format!("{name} is not set")))
    };
    let old = config.accounts.master_key.as_ref().ok_or_else(|| missing("GATEWAY_MASTER_KEY"))?;
    let new = env.get(NEW_MASTER_KEY).filter(|key| !key.is_empty()).ok_or_else(|| missing(NEW_MASTER_KEY))?;
    let new = account_pool::MasterKeySource::Value(Secret::new(new));
    let vault = Vault::new(load_master_key(&new).await?).with_older(load_master_key(old).await?);
    let url = config.database.as_ref().map(|url| url.expose());
    let database = database::open(url, &config.data_dir, StoreMetrics::noop()).await?;
    let book = AccountBook::new(SqlAccountStore::new(database.clone()), vault);
    let done = book.rekey().await?;
    database.close().await;
    Ok(json!({
        "accounts_sealed_anew": done.accounts,
        "tokens_sealed_anew": done.tokens,
        "had_the_new_key": done.kept,
        "next": "set GATEWAY_MASTER_KEY to the new key and start the gateways",
    }))
}
