//! Where broker accounts come from, as the configuration says.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use account_pool::{
    Account, AccountDefaults, AccountError, AccountSource, EnvironmentAccount, EnvironmentSource, FileSource,
    MasterKeySource, Problems, Variables, merge,
};

use crate::secret::Secret;

/// Every source of accounts but the database, which is always one.
#[derive(Clone)]
pub struct AccountSettings {
    /// The one account that variables describe.
    pub environment: EnvironmentAccount,
    /// A file of accounts.
    pub file: Option<PathBuf>,
    /// An HTTP service that lists accounts.
    pub service: Option<ServiceSettings>,
    /// What accounts say that do not say it themselves.
    pub defaults: AccountDefaults,
    /// How `${NAME}` in the file is resolved.
    pub variables: Variables,
    /// What seals secrets in the database.
    pub master_key: Option<MasterKeySource>,
    /// How often sources are read again.
    pub reload_every: Duration,
    /// Where users log in.
    pub login_url: String,
    /// The accounts of environment and file as they were read with the configuration.
    pub configured: Vec<Account>,
}

/// An HTTP service that lists accounts.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Its address.
    pub url: String,
    /// What it asks for.
    pub token: Secret,
}

// === impl AccountSettings ===

impl AccountSettings {
    /// The sources that are read with the configuration, the most important first.
    pub(crate) fn sources(&self) -> Vec<Box<dyn AccountSource>> {
        let environment = EnvironmentSource::new(self.environment.clone(), self.defaults.clone());
        let file = self.file.iter().map(|path| {
            let source = FileSource::new(path.clone(), Arc::clone(&self.variables), self.defaults.clone());
            Box::new(source) as Box<dyn AccountSource>
        });
        let environment: Box<dyn AccountSource> = Box::new(environment);
        std::iter::once(environment).chain(file).collect()
    }

    /// Reads environment and file; every mistake in one go.
    pub(super) fn read(&mut self) -> Result<(), Vec<String>> {
        let (mut lists, mut problems) = (Vec::new(), Vec::new());
        for source in self.sources() {
            match futures_util::FutureExt::now_or_never(source.load()) {
                Some(Ok(loaded)) => lists.push(loaded.accounts),
                Some(Err(AccountError::Source(Problems(more)))) => problems.extend(more),
                Some(Err(other)) => problems.push(other.to_string()),
                None => problems.push(format!("{} cannot be read at once", source.name())),
            }
        }
        match merge(lists) {
            Ok(merged) if problems.is_empty() => {
                self.configured = merged.accounts;
                return Ok(());
            }
            Ok(_) => {}
            Err(AccountError::Source(Problems(more))) => problems.extend(more),
            Err(other) => problems.push(other.to_string()),
        }
        Err(problems)
    }
}

impl fmt::Debug for AccountSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSettings")
            .field("environment", &self.environment)
            .field("file", &self.file)
            .field("service", &self.service)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}
