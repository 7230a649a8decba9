//! Accounts of the former service: a file with its encrypted secrets, opened with its key and sealed under ours.

use std::path::Path;
use std::sync::Arc;

use account_pool::{
    Account, AccountBook, AccountError, AccountSource, FernetAccount, FernetKey, FileSource, Problems,
    SecretField, SqlAccountStore, Vault, load_master_key,
};
use serde_json::{Value, json};
use sql_store::StoreMetrics;

use crate::config::{Config, Env};
use crate::database;
use crate::error::StartError;
use crate::secret::Secret;

/// The variable with the former service's key.
pub const FERNET_KEY: &str = "GATEWAY_FERNET_KEY";

/// Takes the accounts in `file` into the database, all or none. It is an accounts file whose secrets are Fernet tokens
/// made with the key in [`FERNET_KEY`]; access tokens, which live for a day, are left out.
///
/// # Errors
/// [`StartError`]; nothing is changed then.
pub async fn import_fernet(config: &Config, env: &dyn Env, file: &Path) -> Result<Value, StartError> {
    let problem = |text: String| StartError::Accounts(AccountError::Source(Problems(vec![text])));
    let key = env.get(FERNET_KEY).filter(|key| !key.is_empty());
    let key =
        key.ok_or_else(|| problem(format!("{FERNET_KEY} is not set; it is the former service's key")))?;
    let key =
        FernetKey::parse(&Secret::new(key)).map_err(|error| problem(format!("{FERNET_KEY}: {error}")))?;
    let master = config.accounts.master_key.as_ref().ok_or(AccountError::NoMasterKey)?;
    let vault = Vault::new(load_master_key(master).await?);
    let (variables, defaults) = (Arc::clone(&config.accounts.variables), config.accounts.defaults.clone());
    let read = FileSource::new(file.to_owned(), variables, defaults).load().await?;
    let rows: Vec<FernetAccount> = read.accounts.into_iter().map(encrypted).collect();
    let names: Vec<String> = rows.iter().map(|row| row.account.name.to_string()).collect();
    let url = config.database.as_ref().map(|url| url.expose());
    let database = database::open(url, &config.data_dir, StoreMetrics::noop()).await?;
    let book = AccountBook::new(SqlAccountStore::new(database.clone()), vault);
    let done = book.import_fernet(&key, rows).await;
    database.close().await;
    Ok(json!({
        "accounts_taken_over": done?,
        "names": names,
        "next": format!("start the gateway, see that they work, then delete {}", file.display()),
    }))
}

/// What the file calls secrets are the blobs.
fn encrypted(account: Account) -> FernetAccount {
    let fields = account.secrets.fields().filter(|(field, _)| *field != SecretField::AccessToken);
    let blobs = std::iter::once((SecretField::ApiKey, &account.api_key)).chain(fields);
    let blobs = blobs.map(|(field, blob)| (field, blob.expose().to_owned())).collect();
    FernetAccount { account, blobs }
}
