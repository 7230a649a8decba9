//! Accounts at the start: what seals their secrets, where they come from, and the simulated market when there are none.

use std::sync::Arc;
use std::time::Duration;

use account_pool::{
    Account, AccountBook, AccountDirectory, AccountError, AccountSource, AccountStore, Loaded, Loading,
    ServiceConfig, ServiceSource, SqlAccountStore, Vault, load_master_key,
};
use kite_client::TcpTls;
use market_model::Clock;
use resilience::{Supervisor, TaskExit, TaskSpec};
use sql_store::Database;
use tracing::{info, warn};

use super::parts::Stages;
use crate::adapters::simulator;
use crate::adapters::users::UserService;
use crate::config::Config;
use crate::error::StartError;
use crate::tokens::Book;

/// How long the user service may take, and how much it may say.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(5);
const SERVICE_BYTES: usize = 4 * 1024 * 1024;

/// The accounts of the database as a source among others.
struct BookSource(Arc<Book>);

/// Accounts that do not change.
struct Fixed(Vec<Account>);

/// The accounts of the database, if there is a master key to open them with.
pub(super) async fn vault(config: &Config, database: &Database) -> Result<Option<Arc<Book>>, StartError> {
    let store = SqlAccountStore::new(database.clone());
    let Some(source) = &config.accounts.master_key else {
        let sealed = store.list().await?;
        if !sealed.is_empty() {
            warn!(
                accounts = sealed.len(),
                "accounts in the database are not used: without GATEWAY_MASTER_KEY their secrets cannot be opened"
            );
        }
        return Ok(None);
    };
    let vault = Vault::new(load_master_key(source).await?);
    Ok(Some(Arc::new(AccountBook::new(store, vault))))
}

/// Every source read once, or a simulated market. When that one's time runs at another speed, the whole gateway lives in
/// that time: the Greeks would otherwise count down to an expiry on another clock than the prices.
pub(super) async fn directory(
    config: &Config,
    book: Option<Arc<Book>>,
    connector: &TcpTls,
    clock: Arc<dyn Clock>,
    supervisor: &mut Supervisor,
    stages: &Stages,
) -> Result<(Arc<AccountDirectory>, Arc<dyn Clock>), StartError> {
    let sources = |more: Vec<Account>| {
        let mut sources = config.accounts.sources();
        if let Some(book) = &book {
            sources.push(Box::new(BookSource(book.clone())));
        }
        if let Some(service) = &config.accounts.service {
            let asked = ServiceConfig {
                url: service.url.clone(),
                token: service.token.clone(),
                timeout: SERVICE_TIMEOUT,
                most_bytes: SERVICE_BYTES,
                refresh: config.accounts.reload_every,
            };
            let defaults = config.accounts.defaults.clone();
            sources.push(Box::new(ServiceSource::new(asked, defaults, UserService(connector.clone()))));
        }
        if !more.is_empty() {
            sources.push(Box::new(Fixed(more)));
        }
        AccountDirectory::new(sources)
    };
    let directory = sources(Vec::new());
    let found = directory.refresh().await?;
    for notice in &found.notices {
        warn!(notice, "accounts");
    }
    let accounts = directory.accounts();
    if !accounts.is_empty() || config.accounts.service.is_some() {
        for account in accounts.iter() {
            info!(account = %account.name, from = account.origin, simulated = account.simulated, "account");
        }
        return Ok((Arc::new(directory), clock));
    }
    let (simulator, account) = simulator::bind(config.sim).await?;
    let clock = if config.sim.speed == 1.0 { clock } else { Arc::new(simulator.clock()) };
    supervisor.spawn_once(TaskSpec::critical("simulator", stages.support), |stop| async move {
        simulator.run(stop).await;
        TaskExit::Cancelled
    });
    let directory = sources(vec![account]);
    directory.refresh().await?;
    Ok((Arc::new(directory), clock))
}

impl AccountSource for BookSource {
    fn name(&self) -> String {
        self.0.name()
    }

    fn load(&self) -> Loading<'_> {
        self.0.load()
    }
}

impl AccountSource for Fixed {
    fn name(&self) -> String {
        "the simulated market".to_owned()
    }

    fn load(&self) -> Loading<'_> {
        let accounts = self.0.clone();
        Box::pin(async move { Ok::<_, AccountError>(Loaded::new(accounts)) })
    }
}
