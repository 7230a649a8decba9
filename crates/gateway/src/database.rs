//! The database: opened, brought up to date, watched.

use std::path::Path;
use std::time::Duration;

use resilience::TaskExit;
use sql_store::{
    Database, DatabaseConfig, EngineKind, Kind, Schema, Statement, StoreError, StoreMetrics, lease, migrate,
};
use tokio_util::sync::CancellationToken;

use crate::error::StartError;
use crate::standing;

/// Every table of the gateway.
const SCHEMAS: [Schema; 5] = [
    lease::SCHEMA,
    standing::SCHEMA,
    account_pool::SCHEMA,
    subscription_store::SCHEMA,
    instrument_registry::SCHEMA,
];

/// How often an idle database is asked whether it is there.
const PROBE: Duration = Duration::from_secs(2);

static FREE_ALL: Statement = Statement::new(
    "free leases of a former process",
    "update lease set holder = '', expires_at = $1",
    &[Kind::Int],
);
static FORGET_ALL: Statement =
    Statement::new("forget former processes", "delete from instance where expires_at > $1", &[Kind::Int]);

/// Opens what `url` names, or the file in the data folder, and brings its tables up to date.
///
/// # Errors
/// One line that says what to do.
pub(crate) async fn open(
    url: Option<&str>,
    data_dir: &Path,
    metrics: StoreMetrics,
) -> Result<Database, StartError> {
    let config = match url {
        Some(url) => DatabaseConfig::from_url(url)?,
        None => {
            std::fs::create_dir_all(data_dir)?;
            DatabaseConfig::Embedded(sql_store::EmbeddedConfig::new(data_dir.join("gateway.db")))
        }
    };
    let database = Database::open(config, metrics).await?;
    migrate(&database, &SCHEMAS).await?;
    if database.engine() == EngineKind::Embedded {
        free_leases(&database).await?;
    }
    Ok(database)
}

/// The file belongs to one process at a time, so whoever held leases in it is dead.
async fn free_leases(database: &Database) -> Result<(), StoreError> {
    database.execute(&FREE_ALL, [0_i64.into()]).await?;
    database.execute(&FORGET_ALL, [0_i64.into()]).await?;
    Ok(())
}

/// Asks now and then whether it is there, so that readiness knows without a call.
pub(crate) async fn watch(database: Database, stop: CancellationToken) -> TaskExit {
    tokio::select! {
        () = stop.cancelled() => TaskExit::Cancelled,
        () = database.watch_health(PROBE) => TaskExit::InputClosed,
    }
}
